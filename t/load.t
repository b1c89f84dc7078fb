# load.t: rows going in: bulk upserts by alternate key, creates, updates and
# deletes, by how many requests, and what a refused row says.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $iso = '/usr/share/iso-codes/json';
plan skip_all => 'iso-codes is not installed' unless -f "$iso/iso_3166-2.json";

my $t = DataverseTest->new(rows => 20);
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

$t->query(<<"SQL");
CREATE TABLE country AS
SELECT alpha_2, alpha_3, name
  FROM jsonb_to_recordset(pg_read_file('$iso/iso_3166-1.json')::jsonb -> '3166-1')
       AS c (alpha_2 text, alpha_3 text, name text);
CREATE TABLE subdivision AS
SELECT code, name, type
  FROM jsonb_to_recordset(pg_read_file('$iso/iso_3166-2.json')::jsonb -> '3166-2')
       AS s (code text, name text, type text);
ALTER FOREIGN TABLE crm.geo_country OPTIONS (ADD key 'geo_alpha2');
ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (ADD key 'geo_code');
SQL
my $countries = $t->query('SELECT count(*) FROM country');
my $subdivisions = $t->query('SELECT count(*) FROM subdivision');
my $load = <<'SQL';
INSERT INTO crm.geo_subdivision (geo_code, geo_name, geo_type, geo_countryid)
SELECT s.code, s.name, s.type, c.geo_countryid
  FROM subdivision s JOIN crm.geo_country c ON c.geo_alpha2 = split_part(s.code, '-', 1)
SQL

# --- upsert by key

$t->reset_log;
$t->psql_ok('INSERT INTO crm.geo_country (geo_alpha2, geo_alpha3, geo_name) SELECT * FROM country', 'countries go in');
is($t->requests($writes), 1, '... by one request');
$t->is_query('SELECT count(*) FROM crm.geo_country', $countries, '... all of them');

$t->reset_log;
$t->psql_ok($load, 'subdivisions go in');
cmp_ok($t->requests($writes), '<=', 6, '... by six requests at most');
my $bound = <<'SQL';
SELECT count(*), count(*) FILTER (WHERE c.geo_alpha2 = split_part(s.geo_code, '-', 1))
  FROM crm.geo_subdivision s LEFT JOIN crm.geo_country c USING (geo_countryid)
SQL
$t->is_query($bound, "$subdivisions|$subdivisions", '... each bound to its country');
$t->is_query(<<'SQL', '0', '... with the names they have');
SELECT count(*) FROM subdivision s LEFT JOIN crm.geo_subdivision g ON g.geo_code = s.code
 WHERE g.geo_name IS DISTINCT FROM s.name
SQL

$t->query("UPDATE subdivision SET name = name || ' *' WHERE code LIKE 'CH-%'");
$t->reset_log;
$t->psql_ok($load, 'subdivisions go in again');
cmp_ok($t->requests($writes), '<=', 6, '... by six requests at most');
$t->is_query($bound, "$subdivisions|$subdivisions", '... and none is there twice');
$t->is_query("SELECT count(*) FROM crm.geo_subdivision WHERE geo_name LIKE '% *'",
    $t->query("SELECT count(*) FROM subdivision WHERE code LIKE 'CH-%'"), '... with what had changed');

# --- statements of one row

$t->reset_log;
$t->psql_ok("INSERT INTO crm.geo_country (geo_alpha2, geo_name) VALUES ('CH', 'Suisse')", 'one row by its key');
is($t->requests($writes), 1, '... is one request');
$t->is_query("SELECT geo_name FROM crm.geo_country WHERE geo_alpha2 = 'CH'", 'Suisse', '... and updates');

# --- create, update, delete

$t->reset_log;
$t->psql_ok("INSERT INTO crm.account (name, revenue) SELECT 'load ' || n, n + 0.01 FROM generate_series(1, 1000) AS n",
    'a thousand creates');
is($t->requests($writes), 1, '... are one request');
$t->is_query("SELECT count(*), sum(revenue) FROM crm.account WHERE name LIKE 'load %'", '1000|500510.0000', '... exact to the cent');
$t->reset_log;
$t->psql_ok("UPDATE crm.account SET numberofemployees = 7 WHERE name LIKE 'load %'", 'a thousand updates');
$t->is_query("SELECT count(*) FROM crm.account WHERE numberofemployees = 7 AND name LIKE 'load %'", '1000', '... all done');
$t->psql_ok("DELETE FROM crm.account WHERE name LIKE 'load %'", 'a thousand deletes');
$t->is_query("SELECT count(*) FROM crm.account WHERE name LIKE 'load %'", '0', '... all done');
$t->is_query(<<'SQL', 'x|42.5|f', 'RETURNING gives what was sent, and the id');
INSERT INTO crm.account (name, revenue) VALUES ('x', 42.5) RETURNING name, revenue, accountid IS NULL
SQL

# --- refused rows

$t->fails_like(<<'SQL', qr/geo_alpha2.*0x80044331.*geo_alpha2='ZZZ'/s, 'a value too long names the row and the code');
INSERT INTO crm.geo_country (geo_alpha2, geo_name) SELECT alpha_2, name FROM country UNION ALL VALUES ('ZZZ', 'too long')
SQL
$t->fails_like("INSERT INTO crm.geo_country (geo_name) VALUES ('nowhere')", qr/geo_alpha2/, 'a missing key column is named');
is($t->requests(qr/nowhere/), 0, '... before anything is sent');
$t->fails_like("INSERT INTO crm.account (accountid, name) VALUES ('00000000-0000-0000-0000-00000000000g', 'x')",
    qr/22P02.*uuid/s, 'a value of the wrong type never leaves');
$t->fails_like("UPDATE crm.account SET revenue_base = 1 WHERE name = 'x'", qr/revenue_base/, 'a read-only column is refused');

# --- a transaction that is rolled back says what stays

my ($status, $out, $err) = $t->psql(<<'SQL');
BEGIN;
INSERT INTO crm.geo_country (geo_alpha2, geo_name) VALUES ('XX', 'stays');
ROLLBACK;
SQL
like($err, qr/WARNING:.*1 row/, 'ROLLBACK after a write warns with the number');
$t->is_query("SELECT geo_name FROM crm.geo_country WHERE geo_alpha2 = 'XX'", 'stays', '... and it is there');

done_testing();
