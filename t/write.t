# write.t: what a row becomes at the service, whatever statement it comes from:
# keys, values of every type, lookups, nulls, RETURNING, and the ways in.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use JSON::PP ();
use WireTap;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output todo_output);

my $t = DataverseTest->new(rows => 60);
my $wire = WireTap->new($t->url);
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

# Foreign tables of schema wire go through the tap: small statements, whose bodies we look at.
my $mapping = "OPTIONS (client_id '22222222-2222-2222-2222-222222222222', client_secret 'demo-secret')";
$t->query(sprintf <<"SQL", $wire->url, $t->url, $t->url);
CREATE SERVER wire FOREIGN DATA WRAPPER dataverse_fdw
    OPTIONS (url '%s', tenant_id '11111111-1111-1111-1111-111111111111', authority '%s', scope '%s/.default');
CREATE USER MAPPING FOR CURRENT_USER SERVER wire $mapping;
CREATE SCHEMA wire;
IMPORT FOREIGN SCHEMA dataverse FROM SERVER wire INTO wire;
SQL

# Runs statements; returns how many write requests they made.
sub cost
{
    my ($sql, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->reset_log;
    $t->psql_ok($sql, $name);
    return $t->requests($writes);
}

# Runs statements; returns the bodies that were sent, as Perl data.
sub bodies
{
    my ($sql, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $wire->clear;
    $t->psql_ok($sql, $name);
    return map { JSON::PP->new->utf8->allow_bignum->decode($_->{body}) } $wire->writes;
}

sub lines
{
    return split /\n/, $_[0];
}

# --- create, with ids made here

is(cost("INSERT INTO crm.account (name) VALUES ('one')", 'one row'), 1, '... is one request');
is($t->requests(qr{^POST \S+/accounts$}), 1, '... a plain create');
is(cost("INSERT INTO crm.account (name) VALUES ('two'), ('three')", 'two rows'), 1, '... are one request');
is($t->requests(qr{^POST \S+/accounts/Microsoft.Dynamics.CRM.CreateMultiple$}), 1, '... CreateMultiple');
is(($t->log)[-1]{operations}, 2, '... with both in it');

$t->query("INSERT INTO crm.account (name, numberofemployees) SELECT 'ordered', n FROM generate_series(1, 400) n");
$t->query("INSERT INTO crm.account (name, numberofemployees) VALUES ('ordered', $_)") for 401, 402;
# SQL Server compares a uniqueidentifier by its last group first.
my @ids = map { join '', reverse split /-/ }
    lines($t->query("SELECT accountid FROM crm.account WHERE name = 'ordered' ORDER BY numberofemployees"));
is(scalar @ids, 402, 'ids made here');
is(join(' ', @ids), join(' ', sort @ids), '... ascend in the order of the service\'s index');
$t->query("DELETE FROM crm.account WHERE name IN ('one', 'two', 'three', 'ordered')");

# --- upsert by keys of every kind

# key, columns and three rows of each; then the same rows with another name.
my $country = $t->query("INSERT INTO crm.geo_country (geo_alpha2, geo_name) VALUES ('XA', 'A') RETURNING geo_countryid");
for (
    [ 'account', 'accountnumber', 'accountnumber, name', [ "'K 1'", "'K-2'", "'Kö''3'" ] ],
    [ 'contact', 'firstname, emailaddress1', 'firstname, emailaddress1, lastname',
        [ "'Jo', 'a\@b.c'", "'Jo', 'b\@b.c'", "'Kö', 'a\@b.c'" ] ],
    [ 'geo_indicator', 'geo_countryid, geo_year', 'geo_countryid, geo_year, geo_name',
        [ map { "'$country', $_" } 2001 .. 2003 ] ],
    [ 'sample_everything', 'sample_integer, sample_date', 'sample_integer, sample_date, sample_name',
        [ "-2147483648, '1753-01-01'", "2147483647, '9999-12-31'", "0, '2024-02-29'" ] ],
    [ 'sample_everything', 'sample_decimal', 'sample_decimal, sample_name',
        [ '-99999999999.0123456789', '0.0000000001', '12345.6' ] ],
    [ 'sample_everything', 'sample_choice, sample_datetime', 'sample_choice, sample_datetime, sample_name',
        [ "-1, '2024-05-01 12:00:00+02'", "1, '1753-01-01 00:00:00Z'", "1, '9999-12-31 23:59:59Z'" ] ],
    )
{
    my ($table, $key, $columns, $rows) = @$_;
    my ($name) = $columns =~ /(\w+)$/;
    my $values = sub { "VALUES " . join ', ', map { "($_, '$_[0]')" } @$rows };

    $t->query("ALTER FOREIGN TABLE crm.$table OPTIONS (ADD key '$key')");
    is(cost("INSERT INTO crm.$table ($columns) " . $values->('first'), "$table by $key"), 1, '... is one request');
    is(cost("INSERT INTO crm.$table ($columns) " . $values->('second'), '... and again'), 1, '... is one request');
    is($t->requests(qr{^POST \S+UpsertMultiple}), 1, '... UpsertMultiple');
    $t->is_query("SELECT $name, count(*) FROM crm.$table WHERE ($key) IN (" . join(',', map { "($_)" } @$rows) . ') GROUP BY 1',
        'second|3', '... finds the rows');
    is(cost("INSERT INTO crm.$table ($columns) VALUES ($rows->[0], 'third')", '... one alone'), 1, '... is one request');
    is($t->requests(qr{^PATCH \S+/\w+\(.*=.*\)$}), 1, '... a PATCH addressed by the key');
    $t->is_query("SELECT $name, count(*) FROM crm.$table WHERE ($key) IN (" . join(',', map { "($_)" } @$rows) . ') GROUP BY 1 ORDER BY 1',
        "second|2\nthird|1", '... finds its row');
    $t->query("DELETE FROM crm.$table WHERE $name IN ('second', 'third')");
    $t->query("ALTER FOREIGN TABLE crm.$table OPTIONS (DROP key)");
}

# --- what travels

$t->query("ALTER FOREIGN TABLE wire.account OPTIONS (ADD key 'accountnumber')");
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'accountnumber')");
my ($body) = bodies("INSERT INTO wire.account (accountnumber, name, revenue, description) VALUES ('T1', 'a', 12.50, 'd')",
    'a single upsert');
is_deeply([ sort keys %$body ], [qw(description name revenue)], '... sends the named columns without the key');
($body) = bodies("INSERT INTO wire.account (accountnumber, name, description) VALUES ('T1', 'b', NULL), ('T2', 'b', 'x')",
    'an upsert of two');
is_deeply([ sort keys %{ $body->{Targets}[0] } ], [qw(@odata.id @odata.type description name)],
    '... sends the named columns, the address and the type');
is($body->{Targets}[0]{'@odata.id'}, "accounts(accountnumber='T1')", '... the address by key');
$t->is_query("SELECT name, revenue, description FROM crm.account WHERE accountnumber = 'T1'", 'b|12.5000|',
    'unnamed columns stay, a named null clears');
$t->query("ALTER FOREIGN TABLE wire.account OPTIONS (ADD null_columns 'omit')");
$t->query("UPDATE crm.account SET description = 'kept' WHERE accountnumber = 'T1'");
($body) = bodies("INSERT INTO wire.account (accountnumber, name, description) VALUES ('T1', 'c', NULL)", "null_columns 'omit'");
is_deeply([ sort keys %$body ], ['name'], '... leaves nulls out');
$t->is_query("SELECT name, description FROM crm.account WHERE accountnumber = 'T1'", 'c|kept', '... so that the value stays');
$t->is_query("INSERT INTO wire.account (accountnumber, name, description) VALUES ('T1', 'd', NULL) RETURNING name, description",
    'd|kept', '... and RETURNING tells what stays');
($body) = bodies("UPDATE wire.account SET description = NULL WHERE accountnumber = 'T1'", 'UPDATE to NULL');
is_deeply($body, { description => undef }, "... clears, also under null_columns 'omit'");
$t->query("ALTER FOREIGN TABLE wire.account OPTIONS (DROP null_columns)");

$t->query("ALTER FOREIGN TABLE wire.account ALTER telephone1 SET DEFAULT '555'");
($body) = bodies("INSERT INTO wire.account (accountnumber, name) VALUES ('T1', 'e')", 'a column with a default');
is_deeply($body, { name => 'e', telephone1 => '555' }, '... travels with it');
($body) = bodies("INSERT INTO wire.account (accountnumber, telephone1) VALUES ('T1', DEFAULT)", 'DEFAULT');
is_deeply($body, { telephone1 => '555' }, '... is its value');
$t->query("ALTER FOREIGN TABLE wire.account ALTER telephone1 DROP DEFAULT");

my $generated = <<'SQL';
CREATE FOREIGN TABLE generated (
    accountnumber text, name text, employees integer OPTIONS (column_name 'numberofemployees', attribute_type 'Integer'),
    description text GENERATED ALWAYS AS (CASE WHEN employees > 1 THEN name || '!' END) STORED,
    accountid uuid)
    SERVER wire OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid', key 'accountnumber');
SQL
$t->query($generated);
($body) = bodies("INSERT INTO generated (accountnumber, name, employees) VALUES ('T1', 'f', 2)", 'a generated column');
is_deeply($body, { name => 'f', numberofemployees => 2, description => 'f!' }, '... travels');
($body) = bodies("UPDATE generated SET name = 'g' WHERE accountnumber = 'T1'", '... in an UPDATE of what it depends on');
is_deeply($body, { name => 'g', description => 'g!' }, '... too');
($body) = bodies("INSERT INTO generated (accountnumber, employees) VALUES ('T1', 1)", '... when it becomes null');
is_deeply($body, { numberofemployees => 1, description => undef }, '... too');
($body) = bodies("COPY generated (accountnumber, employees) FROM STDIN;\nT1\t0\n\\.", '... and by COPY');
is_deeply($body, { numberofemployees => 0, description => undef }, '... too');
$t->query("DELETE FROM crm.account WHERE accountnumber IN ('T1', 'T2')");

# --- the same key twice

is(cost("INSERT INTO crm.account (accountnumber, name) VALUES ('D1', 'x'), ('D2', 'x'), ('D1', 'y'), ('D1', 'z')",
    'a key three times'), 3, '... takes three requests');
$t->is_query("SELECT accountnumber, name FROM crm.account WHERE accountnumber LIKE 'D_' ORDER BY 1", "D1|z\nD2|x",
    '... and the last wins');
for ([ 'case', 'Dup', 'dUP' ], [ 'accents', 'Dupé', 'Dupe' ], [ 'trailing blanks', 'Dup', 'Dup  ' ], [ 'width', 'Dup', 'Ｄup' ])
{
    my ($what, $one, $other) = @$_;
    is(cost("INSERT INTO crm.account (accountnumber, name) VALUES ('$one', 'first'), ('D3', 'x'), ('$other', 'last')",
        "keys that differ in $what"), 2, '... are not in one request');
    is(scalar(grep { $_->{status} >= 400 } $t->log), 0, '... none of which is refused');
    $t->is_query("SELECT name FROM crm.account WHERE accountnumber ~* '^(dup|dupé|Ｄup) *\$' ORDER BY name",
        $what eq 'width' ? "first\nlast" : 'last', '... and the later row wins');
    $t->query("DELETE FROM crm.account WHERE name IN ('first', 'last')");
}
$t->query(<<'SQL');
INSERT INTO crm.account (accountnumber, name, numberofemployees)
SELECT 'M' || n % 50, 'many', n FROM generate_series(1, 1000) n
SQL
$t->is_query("SELECT count(*), min(numberofemployees), max(numberofemployees) FROM crm.account WHERE name = 'many'", '50|951|1000',
    'fifty keys twenty times each: the last of each');
$t->query("DELETE FROM crm.account WHERE name = 'many' OR accountnumber LIKE 'D_'");

# --- key values that no address can hold

my @refused = ('R/1', 'R<2', 'R*3', 'R%4', 'R&5', 'R:6', 'R\\7', 'R?8', 'R+9', 'R#10', 'R>11', 'R 12');
my $refused = join ', ', map { "('$_', 'first')" } @refused;
$t->psql_ok("INSERT INTO crm.account (accountnumber, name) VALUES $refused", 'keys with refused characters are created');
$t->is_query("SELECT count(*) FROM crm.account WHERE name = 'first' AND accountnumber LIKE 'R%'", scalar @refused, '... all');
$refused =~ s/first/second/g;
is(cost("INSERT INTO crm.account (accountnumber, name) VALUES $refused, ('R/13', 'second')", '... and found the next time'), 1,
    '... with one write request');
is($t->requests(qr{^GET \S+/accounts\?\S*filter}), 1, '... after one question');
$t->is_query("SELECT name, count(*) FROM crm.account WHERE accountnumber LIKE 'R%' AND name IN ('first', 'second') GROUP BY 1",
    'second|' . (@refused + 1), '... none twice');
$t->psql_ok("INSERT INTO crm.account (accountnumber, name) VALUES ('R/1', 'a'), ('r/1', 'b'), ('R/1 ', 'c'), ('R 12', 'd')",
    'such a key thrice');
$t->is_query("SELECT name, count(*) FROM crm.account WHERE accountnumber IN ('R/1', 'r/1', 'R/1 ') GROUP BY 1", 'c|1', '... the last wins');
$t->psql_ok("INSERT INTO crm.account (accountnumber, name) VALUES ('R/1', 'single')", 'one alone');
$t->psql_ok("INSERT INTO crm.account (accountnumber, name) VALUES ('R/99', 'single')", '... and a new one');
$t->is_query("SELECT count(*) FROM crm.account WHERE name = 'single'", 2, '... are both there');
$t->is_query("INSERT INTO crm.account (accountnumber, name) VALUES ('R/99', 'nothing') ON CONFLICT DO NOTHING RETURNING name", '',
    '... left alone on request');
$t->is_query("SELECT name FROM crm.account WHERE accountnumber = 'R/99'", 'single', '... really');
$t->query("DELETE FROM crm.account WHERE accountnumber LIKE 'R%' AND name IN ('second', 'single', 'c', 'd')");

$t->query("INSERT INTO crm.account (accountnumber, name) SELECT 'Z/' || n, 'many' FROM generate_series(1, 450) n");
$t->reset_log;
$t->psql_ok("INSERT INTO crm.account (accountnumber, name, numberofemployees) SELECT 'Z/' || n, 'many', n FROM generate_series(1, 450) n", '450 such keys');
is($t->requests(qr{^GET \S+/accounts\?}), 3, '... are found by three questions');
is($t->requests($writes), 1, '... and written by one request');
$t->is_query("SELECT count(*), sum(numberofemployees) FROM crm.account WHERE name = 'many'", '450|101475', '... each once');
$t->query("DELETE FROM crm.account WHERE name = 'many'");
$t->query("ALTER FOREIGN TABLE crm.contact OPTIONS (ADD key 'firstname, emailaddress1')");
$t->query("INSERT INTO crm.contact (firstname, emailaddress1, lastname) VALUES ('A/B', 'x\@y', '$_'), ('A/B', 'z+z\@y', '$_'), ('C', 'x\@y', '$_')") for 1, 2;
$t->is_query("SELECT lastname, count(*) FROM crm.contact WHERE firstname IN ('A/B', 'C') AND emailaddress1 LIKE '%\@y' GROUP BY 1", '2|3', 'compound keys with such values');
$t->query("ALTER FOREIGN TABLE crm.contact OPTIONS (DROP key)");

# --- null keys

for (
    [ 'VALUES (\'N1\', \'x\'), (NULL, \'y\')', 'a null key' ],
    [ 'VALUES (\'N1\', \'x\'), (\'\', \'y\')', 'an empty one' ])
{
    $t->reset_log;
    $t->fails_like("INSERT INTO crm.account (accountnumber, name) $_->[0]",
        qr/23502.*null value in key column "accountnumber".*0 rows had been written/s, "$_->[1] is refused");
    is($t->requests($writes), 0, '... before anything is sent');
}

# --- rows that exist

$t->query("INSERT INTO crm.account (accountnumber, name) VALUES ('C1', 'old')");
my $conflict = "INSERT INTO crm.account (accountnumber, name) VALUES ('C1', 'new'), ('C2', 'new'), ('c1', 'newer')";
is(cost("$conflict ON CONFLICT DO NOTHING", 'ON CONFLICT DO NOTHING'), 2, '... goes by batch and, for the key twice, by one more');
$t->is_query("SELECT accountnumber, name FROM crm.account WHERE accountnumber LIKE 'C_' ORDER BY 1", "C1|old\nC2|new",
    '... leaves rows alone');
$t->is_query("INSERT INTO crm.account (accountnumber, name) VALUES ('C1', 'x'), ('C3', 'x') ON CONFLICT DO NOTHING RETURNING accountnumber",
    'C3', '... and RETURNING has only those written');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD on_conflict 'nothing')");
$t->psql_ok("INSERT INTO crm.account (accountnumber, name) VALUES ('C1', 'x'), ('C4', 'x')", "on_conflict 'nothing'");
$t->is_query("SELECT accountnumber, name FROM crm.account WHERE accountnumber IN ('C1', 'C4') ORDER BY 1", "C1|old\nC4|x", '... does the same');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (SET on_conflict 'error')");
$t->fails_like("INSERT INTO crm.account (accountnumber, name) VALUES ('C1', 'x'), ('C5', 'x')", qr/23505.*C1/s, "on_conflict 'error'");
$t->fails_like("INSERT INTO crm.account (accountnumber, name) VALUES ('C1', 'x')", qr/23505.*C1/s, '... one alone');
$t->psql_ok("INSERT INTO crm.account (accountnumber, name) VALUES ('C5', 'x'), ('C6', 'x')", '... new rows');
$t->is_query("SELECT count(*) FROM crm.account WHERE accountnumber IN ('C5', 'C6')", 2, '... are created');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (SET on_conflict 'update')");
$t->psql_ok("INSERT INTO crm.account (accountnumber, name) VALUES ('C1', 'updated')", "on_conflict 'update'");
$t->is_query("SELECT name FROM crm.account WHERE accountnumber = 'C1'", 'updated', '... updates');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP on_conflict)");
$t->fails_like("INSERT INTO crm.account (accountnumber) VALUES ('C1') ON CONFLICT (accountnumber) DO UPDATE SET name = 'x'",
    qr/42P10|0A000/, 'ON CONFLICT DO UPDATE is refused by PostgreSQL');
$t->query("DELETE FROM crm.account WHERE accountnumber LIKE 'C_'");

# --- the primary id given

my $id = '00000000-0000-4000-8000-0000000000a1';
my $id2 = '00000000-0000-4000-8000-0000000000a2';
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP key)");
$t->is_query("INSERT INTO crm.account (accountid, name) VALUES ('$id', 'mine') RETURNING accountid", $id, 'a primary id of the user');
$t->fails_like("INSERT INTO crm.account (accountid, name) VALUES ('$id', 'again')", qr/23505.*$id/s, '... that exists is refused');
$t->fails_like("INSERT INTO crm.account (accountid, name) VALUES ('$id2', 'x'), ('$id', 'again')", qr/23505.*$id/s, '... among others');
$t->query("DELETE FROM crm.account WHERE accountid = '$id2'");
$t->psql_ok("INSERT INTO crm.account (accountid, name) VALUES ('$id', 'again'), ('$id2', 'two') ON CONFLICT DO NOTHING",
    '... or left alone');
$t->is_query("SELECT name FROM crm.account WHERE accountid IN ('$id', '$id2') ORDER BY accountid", "mine\ntwo", '... on request');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD on_conflict 'update')");
$t->psql_ok("INSERT INTO crm.account (accountid, name) VALUES ('$id', 'again'), ('$id2', 'again'), ('$id', 'thrice')", '... or updated');
$t->is_query("SELECT name FROM crm.account WHERE accountid IN ('$id', '$id2') ORDER BY accountid", "thrice\nagain", '... in order');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP on_conflict, ADD key 'accountnumber')");
$t->psql_ok("INSERT INTO crm.account (accountid, accountnumber, name) VALUES ('$id', 'G1', 'by id')", 'an id beside a key');
$t->is_query("SELECT accountnumber, name FROM crm.account WHERE accountid = '$id'", 'G1|by id', '... addresses the row');
$t->query("DELETE FROM crm.account WHERE accountid IN ('$id', '$id2')");
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP key)");

# --- UPDATE and DELETE

$t->query("INSERT INTO crm.account (name, numberofemployees, accountnumber) SELECT 'bulk', n, 'B' || n FROM generate_series(1, 2000) n");
is(cost("UPDATE crm.account SET marketcap = numberofemployees + 0.0001, description = name || '-' || numberofemployees WHERE name = 'bulk'",
    'UPDATE of 2,000 rows'), 2, '... is two requests');
is($t->requests(qr{^POST \S+UpdateMultiple}), 2, '... UpdateMultiple');
$t->is_query("SELECT count(*), sum(marketcap), count(*) FILTER (WHERE description = 'bulk-' || numberofemployees) FROM crm.account WHERE name = 'bulk'",
    '2000|2001000.2000|2000', '... each row its own values');
$t->psql_ok("UPDATE crm.account SET accountnumber = 'BB' || numberofemployees WHERE name = 'bulk' AND numberofemployees <= 3", 'key columns');
$t->is_query("SELECT string_agg(accountnumber, ',' ORDER BY accountnumber) FROM crm.account WHERE accountnumber LIKE 'BB%'", 'BB1,BB2,BB3',
    '... may be updated');
$t->query("CREATE TABLE change AS SELECT n, 'from ' || n AS name FROM generate_series(1, 10) n");
is(cost("UPDATE crm.account a SET description = c.name FROM change c WHERE a.name = 'bulk' AND a.numberofemployees = c.n", 'UPDATE ... FROM'), 1,
    '... is one request');
$t->is_query("SELECT count(*) FROM crm.account WHERE description = 'from ' || numberofemployees", 10, '... with the right rows');
is(cost("UPDATE crm.account SET revenue = NULL WHERE name = 'bulk' AND numberofemployees = 7", 'UPDATE of one row'), 1, '... is one request');
is($t->requests(qr{^PATCH \S+/accounts\([-0-9a-f]{36}\)$}), 1, '... a PATCH of its id');
$t->is_query("UPDATE crm.account SET description = 'w' WHERE name = 'bulk' AND numberofemployees = 8 RETURNING description, marketcap, name",
    'w|8.0001|bulk', 'UPDATE RETURNING');
$t->fails_like("UPDATE crm.account SET accountid = gen_random_uuid() WHERE name = 'bulk'", qr/accountid.*primary id/s, 'the primary id cannot be set');
$t->fails_like("UPDATE crm.account SET industrycode_label = 'x' WHERE name = 'bulk'", qr/label/, 'nor a label');

$t->query("CREATE TABLE twice AS SELECT 'B5' AS k, v FROM (VALUES ('a'), ('b')) AS v (v)");
$t->psql_ok("UPDATE crm.account a SET description = v FROM twice WHERE a.accountnumber = k", 'UPDATE that meets a row twice');
$t->psql_ok("DELETE FROM crm.account a USING twice WHERE a.accountnumber = k", 'DELETE that does');
$t->is_query("SELECT count(*) FROM crm.account WHERE name = 'bulk'", 1999, '... deletes it');
$t->query("INSERT INTO crm.account (name, numberofemployees, accountnumber) VALUES ('bulk', 5, 'B5')");

# Rows that vanish between the scan and the write: the function deletes by single requests, after the page was read.
$t->query(<<'SQL');
CREATE FUNCTION vanish(n integer) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE call text;
BEGIN
    IF n IN (501, 777) THEN
        DELETE FROM crm.account WHERE numberofemployees = n AND name = 'bulk';
    END IF;
    RETURN 'still there';
END $$;
SQL
$t->reset_log;
$t->psql_ok("UPDATE crm.account SET description = vanish(numberofemployees) WHERE name = 'bulk' AND numberofemployees > 500", 'UPDATE of rows that vanish');
$t->is_query("SELECT count(*) FROM crm.account WHERE description = 'still there'", 1498, '... updates the others');
$t->is_query("SELECT count(*) FROM crm.account WHERE numberofemployees IN (501, 777) AND name = 'bulk'", 0, '... and creates none anew');
is($t->requests($writes), 7, '... by two deletes, two requests that fail, and three without those rows');
$t->query("CREATE OR REPLACE FUNCTION vanish(n integer) RETURNS text LANGUAGE plpgsql VOLATILE AS \$\$ BEGIN DELETE FROM crm.account WHERE numberofemployees = n AND name = 'bulk'; RETURN 'x'; END \$\$");
is(cost("UPDATE crm.account SET description = vanish(numberofemployees) WHERE name = 'bulk' AND numberofemployees = 600", 'UPDATE of a single row that vanishes'), 2, '... is sent');
$t->is_query("SELECT count(*) FROM crm.account WHERE numberofemployees = 600 OR description = 'x'", 0, '... and does not bring it back');
$t->query("CREATE OR REPLACE FUNCTION vanish(n integer) RETURNS text LANGUAGE plpgsql VOLATILE AS \$\$ BEGIN IF n = 502 THEN DELETE FROM crm.account WHERE numberofemployees = n AND name = 'bulk'; END IF; RETURN 'x'; END \$\$");
$t->is_query("DELETE FROM crm.account WHERE name = 'bulk' AND numberofemployees IN (502, 503) AND vanish(numberofemployees) = 'x' RETURNING numberofemployees",
    503, 'DELETE RETURNING tells only rows that were there');
is(cost("DELETE FROM crm.account WHERE name = 'bulk'", 'DELETE of 2,000 rows'), 2, '... is two requests');
$t->is_query("SELECT count(*) FROM crm.account WHERE name = 'bulk'", 0, '... deletes them');
$t->is_query("DELETE FROM crm.account WHERE accountid = '$id' RETURNING 1", '', 'DELETE of what is not there');

# --- values of every type, exactly

my $png = '89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082';
my @values = (
    [ sample_string => "E'it''s \"q\" \\\\ \\u0001 \\t 100% [x] <&>'", "it's \"q\" \\ \x01 \t 100% [x] <&>" ],
    [ sample_memo => "E'line\\nfeed\\r\\n' || repeat('ä', 5) || '🎉👩‍👩‍👧'", "line\nfeed\r\nääääää🎉👩‍👩‍👧" =~ s/ä{6}/äääää/r ],
    [ sample_name => "'ÿ\x{4e2d}文 עברית ไทย'", "ÿ中文 עברית ไทย" ],
    [ sample_integer => '-2147483648' ], [ sample_bigint => '-9223372036854775808' ],
    [ sample_decimal => '99999999999.9999999999' ], [ sample_decimal2 => '-0.01', '-0.0100000000' ],
    [ sample_money => '922337203685477.5807' ], [ sample_money2 => '-922337203685477.00', '-922337203685477.0000' ],
    [ sample_double => '0.12345' ], [ sample_double0 => '99999999999' ],
    [ sample_boolean => 'false', 'f' ], [ sample_onoff => 'true', 't' ],
    [ sample_choice => '-1' ], [ sample_globalchoice => '100000006' ],
    [ sample_multi => "'{9,1,100000000}'", '{1,9,100000000}' ],
    [ sample_datetime => "'2024-03-31 01:30:00.999+01'", '2024-03-31 00:30:00+00' ],
    [ sample_datetimeindependent => "'9999-12-31 23:59:59'", '9999-12-31 23:59:59' ],
    [ sample_date => "'1753-01-01'", '1753-01-01' ],
    [ sample_guid => "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' ],
    [ sample_image => "'\\x$png'", "\\x$png" ],
    [ sample_json => "'{\"a\": [1, \"é\"]}'", '{"a": [1, "é"]}' ],
);
$t->query('DELETE FROM crm.sample_everything');
for my $way ('INSERT', 'UPDATE', 'COPY')
{
    my $code = "type $way";
    my $columns = join ', ', map { $_->[0] } @values;
    my $list = join ', ', map { $_->[1] } @values;
    # Some of the columns are keys.
    $t->query("CREATE TABLE like_everything AS SELECT $columns FROM crm.sample_everything WHERE sample_code = 'type UPDATE'") if $way eq 'COPY';
    $t->query("DELETE FROM crm.sample_everything WHERE sample_code LIKE 'type %'");
    if ($way eq 'INSERT')
    {
        $t->psql_ok("SET TIME ZONE 'America/New_York'; INSERT INTO crm.sample_everything (sample_code, $columns) VALUES ('$code', $list)", $way);
    }
    elsif ($way eq 'UPDATE')
    {
        $t->query("INSERT INTO crm.sample_everything (sample_code) VALUES ('$code')");
        $t->psql_ok("SET TIME ZONE 'Asia/Kathmandu'; UPDATE crm.sample_everything SET ($columns) = ROW($list) WHERE sample_code = '$code'", $way);
    }
    else
    {
        $t->psql_ok("\\copy like_everything TO '/tmp/dataverse_fdw-write-$$.copy'\n\\copy crm.sample_everything ($columns) FROM '/tmp/dataverse_fdw-write-$$.copy'", $way);
        unlink "/tmp/dataverse_fdw-write-$$.copy";
        $t->query("UPDATE crm.sample_everything SET sample_code = '$code' WHERE sample_code IS NULL AND sample_money = 922337203685477.5807");
    }
    for (@values)
    {
        my ($column, $sent, $expected) = @$_;
        $t->is_query("SET TIME ZONE 'UTC'; SELECT $column FROM crm.sample_everything WHERE sample_code = '$code'", $expected // $sent, "$way $column");
    }
}
$t->query("DELETE FROM crm.sample_everything WHERE sample_code LIKE 'type %'");
for (
    [ sample_date => "'1752-12-31'", qr/22008.*sample_date/s ], [ sample_date => "'infinity'", qr/22008.*sample_date/s ],
    [ sample_datetime => "'infinity'", qr/22008.*sample_datetime/s ], [ sample_datetime => "'0001-01-01 BC'", qr/22008.*sample_datetime/s ],
    [ sample_double => "'NaN'", qr/22003.*sample_double/s ], [ sample_double => "'-Infinity'", qr/22003.*sample_double/s ],
    [ sample_decimal => "'NaN'", qr/22003.*sample_decimal/s ], [ sample_decimal => "'Infinity'", qr/22003.*sample_decimal/s ],
    [ sample_multi => "'{1,NULL}'", qr/22004.*sample_multi/s ],
    )
{
    my ($column, $value, $error) = @$_;
    $t->reset_log;
    $t->fails_like("INSERT INTO crm.sample_everything (sample_code, $column) VALUES ('bad', $value)", $error, "$column cannot be $value");
    is($t->requests($writes), 0, '... and it is not sent');
}
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, sample_choice) VALUES ('bad', 77)", qr/sample_choice|77/, 'an unknown choice is refused');
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, sample_smallinteger) VALUES ('bad', 1001)", qr/22003/, 'so is a number out of range');
$t->is_query("SELECT count(*) FROM crm.sample_everything WHERE sample_code = 'bad'", 0, '... and none is there');
$t->is_query("INSERT INTO crm.sample_everything (sample_multi) VALUES ('{}') RETURNING sample_multi IS NULL OR sample_multi = '{}'", 't', 'an empty list clears');

# --- images: another than the primary one comes by an update (sheet 12)

my $photo = "'\\x$png'";
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, sample_photo) VALUES ('photo', $photo)", qr/0x80090487/, 'a second image with a new row is refused by the service');
$t->psql_ok("INSERT INTO crm.sample_everything (sample_code, sample_image) VALUES ('photo', $photo); UPDATE crm.sample_everything SET sample_photo = $photo WHERE sample_code = 'photo'", '... and taken by an UPDATE');
$t->is_query("SELECT sample_image = $photo, sample_photo = $photo FROM crm.sample_everything WHERE sample_code = 'photo'", 't|t', '... both there');
$t->psql_ok("UPDATE crm.sample_everything SET sample_photo = NULL, sample_image = NULL WHERE sample_code = 'photo'", 'NULL');
$t->is_query("SELECT sample_image IS NULL, sample_photo IS NULL FROM crm.sample_everything WHERE sample_code = 'photo'", 't|t', '... clears');
$t->query("DELETE FROM crm.sample_everything WHERE sample_code = 'photo'");

# --- lookups

my $account = $t->query("INSERT INTO crm.account (name) VALUES ('target') RETURNING accountid");
my $contact = $t->query("INSERT INTO crm.contact (lastname) VALUES ('target') RETURNING contactid");
my $user = $t->query("SELECT systemuserid FROM crm.systemuser ORDER BY fullname LIMIT 1");
my $team = $t->query("SELECT teamid FROM crm.team ORDER BY name LIMIT 1");
my $shown = "SELECT customerid, customerid_target, parentaccountid FROM crm.opportunity WHERE name = 'looking'";
$t->psql_ok("INSERT INTO crm.opportunity (name, customerid, customerid_target, parentaccountid) VALUES ('looking', '$contact', 'contact', '$account')", 'lookups');
$t->is_query($shown, "$contact|contact|$account", '... are set, polymorphic ones by their table');
$t->psql_ok("UPDATE crm.opportunity SET customerid = '$account', customerid_target = 'account' WHERE name = 'looking'", '... changed');
$t->is_query($shown, "$account|account|$account", '... to the other table');
$t->psql_ok("UPDATE crm.opportunity SET customerid = '$contact', customerid_target = 'contact', parentaccountid = NULL WHERE name = 'looking'", '... and back');
$t->is_query($shown, "$contact|contact|", '... cleared');
$t->psql_ok("UPDATE crm.opportunity SET customerid = NULL WHERE name = 'looking'", '... a polymorphic one cleared');
$t->is_query($shown, '||', '... too');
$t->psql_ok("UPDATE crm.opportunity SET customerid = NULL, customerid_target = NULL, parentaccountid = '$account' WHERE name = 'looking'", '... with its table');
$t->fails_like("UPDATE crm.opportunity SET customerid_target = 'account' WHERE name = 'looking'", qr/customerid_target.*cannot be set alone/s, 'a target alone cannot be set');
$t->fails_like("UPDATE crm.opportunity SET customerid = '$account', customerid_target = 'lead' WHERE name = 'looking'", qr/customerid.*cannot point to "lead"/s, 'nor to any table');
$t->fails_like("INSERT INTO crm.opportunity (name, customerid) VALUES ('looking', '$account')", qr/not known which table.*customerid_target/s, 'nor without one');
$t->fails_like("UPDATE crm.opportunity SET parentaccountid = '$id' WHERE name = 'looking'", qr/23503.*lookup/s, 'nor to a row that is not there');
$t->psql_ok("UPDATE crm.opportunity SET ownerid = '$user', ownerid_target = 'systemuser' WHERE name = 'looking'", 'owner');
$t->is_query("SELECT ownerid, ownerid_target FROM crm.opportunity WHERE name = 'looking'", "$user|systemuser", '... a user');
$t->psql_ok("UPDATE crm.opportunity SET ownerid = '$team', ownerid_target = 'team' WHERE name = 'looking'", '...');
$t->is_query("SELECT ownerid, ownerid_target FROM crm.opportunity WHERE name = 'looking'", "$team|team", '... a team');
$t->psql_ok("INSERT INTO crm.opportunity (name, ownerid, customerid) VALUES ('looking 2', NULL, NULL)", 'a null owner of a new row');
$t->is_query("SELECT ownerid IS NOT NULL FROM crm.opportunity WHERE name = 'looking 2'", 't', '... is the caller');
$t->is_query("INSERT INTO crm.opportunity (name, ownerid) VALUES ('looking 3', NULL) RETURNING ownerid IS NOT NULL", 't', '... and RETURNING says so');
$t->psql_ok("INSERT INTO crm.task (subject, regardingobjectid, regardingobjectid_target) VALUES ('t', '$contact', 'contact'), ('t', '$account', 'account')", 'regarding');
$t->is_query("SELECT regardingobjectid_target FROM crm.task WHERE subject = 't' ORDER BY 1", "account\ncontact", '... one of many tables, both in one request');

# --- large rows

$t->reset_log;
$t->psql_ok("INSERT INTO crm.sample_everything (sample_code, sample_memo) SELECT 'm' || n, repeat(chr(64 + n % 26), 99990) || n FROM generate_series(1, 100) n", 'large rows');
is($t->requests($writes), 2, '... are not all in one request');
$t->is_query("SELECT count(*) FROM crm.sample_everything WHERE sample_memo = repeat(chr(64 + substr(sample_code, 2)::int % 26), 99990) || substr(sample_code, 2)", 100,
    '... and arrive whole');

# --- declared by hand, and in a database of another encoding

$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'accountnumber')");
$t->query(<<'SQL');
CREATE DOMAIN nr AS varchar(20);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE FOREIGN TABLE hand (no nr OPTIONS (column_name 'accountnumber'), fax char(5), revenue text,
    employees smallint OPTIONS (column_name 'numberofemployees'), sic mood, accountid text)
    SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid', key 'no');
SQL
$t->query("INSERT INTO hand VALUES ('HW1', 'abc', '12.30', $_, 'sad'), ('HW/2', 'abc', NULL, $_, 'ok')") for 7, 8;
$t->is_query("SELECT accountnumber, rtrim(fax), revenue, numberofemployees, sic FROM crm.account WHERE accountnumber LIKE 'HW%' ORDER BY 1",
    "HW/2|abc||8|ok\nHW1|abc|12.3000|8|sad", 'types of the user');
$t->query("DELETE FROM crm.account WHERE accountnumber LIKE 'HW%'");
$t->query("CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'");
$t->query(sprintf <<"SQL", $t->url, $t->url);
\\c latin
SET client_encoding = 'UTF8';
CREATE EXTENSION dataverse_fdw;
CREATE SERVER crm FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url '%s', tenant_id '11111111-1111-1111-1111-111111111111', authority '%s');
CREATE USER MAPPING FOR CURRENT_USER SERVER crm $mapping;
CREATE SCHEMA crm;
IMPORT FOREIGN SCHEMA dataverse LIMIT TO (account) FROM SERVER crm INTO crm;
ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'accountnumber');
INSERT INTO crm.account (accountnumber, name) VALUES ('Lé1', 'größe'), ('L/é2', 'ÿ');
INSERT INTO crm.account (accountnumber, name, description) VALUES ('Lé1', 'größe', 'é'), ('L/é2', 'ÿ', 'é');
SQL
$t->is_query("SELECT accountnumber, name, description FROM crm.account WHERE accountnumber IN ('Lé1', 'L/é2') ORDER BY 1", "L/é2|ÿ|é\nLé1|größe|é", 'a LATIN1 database');
$t->query("DELETE FROM crm.account WHERE accountnumber IN ('Lé1', 'L/é2')");
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP key)");

# --- state, status, read-only columns

$t->psql_ok("UPDATE crm.opportunity SET statecode = 1, statuscode = 3 WHERE name = 'looking'", 'state and status together');
$t->is_query("SELECT statecode, statuscode, statecode_label FROM crm.opportunity WHERE name = 'looking'", '1|3|Won', '... are set');
$t->fails_like("UPDATE crm.opportunity SET statecode = 0, statuscode = 4 WHERE name = 'looking'", qr/0x80048408/, '... and must fit');
$t->fails_like("INSERT INTO crm.account (name, createdon) VALUES ('x', now())", qr/createdon.*read_only/s, 'a read-only column cannot be given');
$t->fails_like("UPDATE crm.account SET modifiedon = now()", qr/modifiedon.*read_only/s, '... nor updated');
$t->fails_like("INSERT INTO crm.account (name, industrycode_label) VALUES ('x', 'Retail')", qr/industrycode_label.*label/s, 'nor a label');
$t->psql_ok("INSERT INTO crm.account (name, createdon, industrycode_label) VALUES ('nulls', NULL, NULL)", 'a NULL for them is none');
$t->query("DELETE FROM crm.opportunity WHERE name LIKE 'looking%'; DELETE FROM crm.task WHERE subject = 't'; DELETE FROM crm.account WHERE name = 'nulls'");

# --- RETURNING

my $returned = $t->query("INSERT INTO crm.account (name, revenue, industrycode) VALUES ('ret', 1.25, 6) RETURNING accountid");
$t->is_query("SELECT accountid FROM crm.account WHERE name = 'ret'", $returned, 'RETURNING the id made here');
is(cost("INSERT INTO crm.account (name, revenue) VALUES ('ret', 2) RETURNING accountid, name, revenue", '... and what was sent'), 1, '... costs nothing more');
$t->reset_log;
$t->is_query("INSERT INTO crm.account (name, industrycode) VALUES ('ret', 6) RETURNING createdon IS NOT NULL, industrycode_label, statecode, name",
    't|Business Services|0|ret', '... and what the service computes');
is($t->requests(), 1, '... in the same request');
$t->is_query("UPDATE crm.account SET revenue = 3 WHERE name = 'ret' RETURNING revenue, modifiedon >= createdon", "3|t\n3|t\n3|t", '... of an UPDATE');
$t->is_query("WITH d AS (DELETE FROM crm.account WHERE name = 'ret' RETURNING name, revenue, industrycode_label) SELECT * FROM d ORDER BY 3",
    "ret|3.0000|Business Services\nret|3.0000|Business Services\nret|3.0000|", '... of a DELETE, as the row was');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'accountnumber')");
$returned = $t->query("INSERT INTO crm.account (accountnumber, name) VALUES ('U1', 'u') RETURNING accountid");
$t->is_query("SELECT accountid FROM crm.account WHERE accountnumber = 'U1'", $returned, '... of an upsert: the id of a new row');
$t->is_query("INSERT INTO crm.account (accountnumber, name) VALUES ('U1', 'u2') RETURNING accountid, name, accountnumber", "$returned|u2|U1", '... and of one that exists');
$t->is_query("WITH w AS (INSERT INTO crm.account (accountnumber, name) VALUES ('U1', 'u3'), ('U2', 'u3') RETURNING accountnumber) SELECT count(*) FROM w", 2, '... in a WITH');
$t->is_query("SELECT count(*) FROM crm.account WHERE name = 'u3'", 2, '... which is written');
$t->query("DELETE FROM crm.account WHERE accountnumber IN ('U1', 'U2')");

$t->is_query("WITH w AS (INSERT INTO crm.account (accountnumber, name) VALUES ('RS', 'star') RETURNING *) SELECT accountnumber, name, statecode_label, createdon IS NOT NULL FROM w", 'RS|star|Active|t', 'RETURNING *');
$t->is_query("WITH w AS (UPDATE crm.account SET name = 'star2' WHERE accountnumber = 'RS' RETURNING *) SELECT accountnumber, name, statecode_label, accountid IS NOT NULL FROM w", 'RS|star2|Active|t', '... of an UPDATE');
$t->is_query("WITH w AS (DELETE FROM crm.account WHERE accountnumber = 'RS' RETURNING *) SELECT accountnumber, name, statecode_label FROM w", 'RS|star2|Active', '... of a DELETE');

# --- ways in

$t->reset_log;
$t->psql_ok("COPY crm.account (accountnumber, name, revenue) FROM STDIN;\n" . join('', map { "Y$_\tcopied\t$_.25\n" } 1 .. 2500) . '\\.', 'COPY of 2,500 rows');
is($t->requests($writes), 3, '... is three requests');
$t->is_query("SELECT count(*), sum(revenue) FROM crm.account WHERE name = 'copied'", '2500|3126875.0000', '... all there');
is(cost("DELETE FROM crm.account WHERE name = 'copied'", '... and deleted'), 3, '... by three');
$t->fails_like("COPY crm.account (accountnumber, name) FROM STDIN;\nY1\tok\n\\N\tbad\n\\.", qr/23502.*accountnumber/s, 'COPY with a null key');

$t->query(<<'SQL');
CREATE TABLE parent (accountnumber text, name text, region text) PARTITION BY LIST (region);
CREATE TABLE part_here PARTITION OF parent FOR VALUES IN ('here');
CREATE FOREIGN TABLE part_there PARTITION OF parent FOR VALUES IN ('there')
    SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid', key 'accountnumber');
ALTER FOREIGN TABLE part_there ALTER region OPTIONS (ADD column_name 'address1_city');
SQL
is(cost("INSERT INTO parent SELECT 'P' || n, 'routed', CASE n % 2 WHEN 0 THEN 'here' ELSE 'there' END FROM generate_series(1, 1000) n", 'rows routed to a partition'), 1, '... are one request');
$t->is_query("SELECT count(*), min(address1_city) FROM crm.account WHERE name = 'routed'", '500|there', '... all of them');
$t->is_query("SELECT count(*) FROM part_here", 500, '... and the others stay here');
$t->psql_ok("COPY parent FROM STDIN;\nP1\tcopied\tthere\nP9999\tcopied\there\n\\.", 'COPY into a parent');
$t->is_query("SELECT name FROM crm.account WHERE accountnumber = 'P1'", 'copied', '... routes too');
$t->query("DROP TABLE parent; DELETE FROM crm.account WHERE name IN ('routed', 'copied')");

$t->query(<<'SQL');
CREATE TABLE parent (accountid uuid, accountnumber text, name text, region text) PARTITION BY LIST (region);
CREATE TABLE part_here PARTITION OF parent FOR VALUES IN ('here');
CREATE FOREIGN TABLE part_there PARTITION OF parent FOR VALUES IN ('there')
    SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid', key 'accountnumber');
ALTER FOREIGN TABLE part_there ALTER region OPTIONS (ADD column_name 'address1_city');
INSERT INTO crm.account (accountnumber, name) VALUES ('PM1', 'old');
INSERT INTO parent (accountnumber, name, region) VALUES ('PM1', NULL, 'here'), ('PM2', 'two', 'here');
SQL
$t->psql_ok("UPDATE parent SET region = 'there' WHERE region = 'here'", 'rows that move into a foreign partition');
$t->is_query("SELECT accountnumber, name, address1_city FROM crm.account WHERE accountnumber LIKE 'PM%' ORDER BY 1", "PM1||there\nPM2|two|there", '... arrive whole, nulls too');
$t->is_query('SELECT count(*) FROM part_here', 0, '... and leave the other');
$t->psql_ok("UPDATE parent SET name = 'all' WHERE accountnumber LIKE 'PM%'", 'UPDATE of the parent');
$t->is_query("SELECT name, count(*) FROM crm.account WHERE accountnumber LIKE 'PM%' GROUP BY 1", 'all|2', '... reaches the partition');
$t->psql_ok("DELETE FROM parent WHERE accountnumber LIKE 'PM%'", '... DELETE');
$t->is_query("SELECT count(*) FROM crm.account WHERE accountnumber LIKE 'PM%'", 0, '... too');
$t->query('DROP TABLE parent');

$t->query(<<'SQL');
CREATE FOREIGN TABLE small (accountid uuid, accountnumber text, name text, industrycode integer,
    industry text OPTIONS (label_of 'industrycode'), createdon timestamptz OPTIONS (read_only 'true'))
    SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid', key 'accountnumber');
SQL
$t->psql_ok("COPY small FROM STDIN;\n\\N\tSM1\tsmall\t6\t\\N\t\\N\n\\.", 'COPY of all columns, those we cannot write null');
$t->is_query("SELECT name, industry FROM small WHERE accountnumber = 'SM1'", 'small|Business Services', '... writes the others');
$t->fails_like("COPY small FROM STDIN;\n\\N\tSM1\tsmall\t6\tAccounting\t\\N\n\\.", qr/22023.*label "Accounting".*"industry".*does not belong to the value 6/s, '... with a label that is another\'s is refused');
$t->query("DELETE FROM crm.account WHERE accountnumber = 'SM1'");

$t->query(<<'SQL');
CREATE TABLE local (no text, title text);
CREATE FUNCTION push() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm.account (accountnumber, name) VALUES (NEW.no, NEW.title);
    RETURN NULL;
END $$;
CREATE TRIGGER push AFTER INSERT OR UPDATE ON local FOR EACH ROW EXECUTE FUNCTION push();
SQL
is(cost("INSERT INTO local SELECT 'W' || n, 'pushed' FROM generate_series(1, 20) n", 'a trigger that pushes rows'), 20, '... is a request for each');
is($t->requests(qr/oauth2/), 0, '... with one token');
$t->psql_ok("UPDATE local SET title = 'changed' WHERE no = 'W1'", '... on UPDATE');
$t->is_query("SELECT name, count(*) FROM crm.account WHERE accountnumber LIKE 'W%' GROUP BY 1 ORDER BY 1", "changed|1\npushed|19", '... exactly those');
$t->query("DELETE FROM crm.account WHERE name IN ('pushed', 'changed')");

$t->query(<<'SQL');
CREATE TABLE seen (id uuid, name text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (NEW.accountid, NEW.name); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT ON crm.account FOR EACH ROW EXECUTE FUNCTION note();
CREATE FUNCTION before() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.description := 'set by trigger'; NEW.name := upper(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER before BEFORE INSERT OR UPDATE ON crm.account FOR EACH ROW EXECUTE FUNCTION before();
SQL
$t->psql_ok("INSERT INTO crm.account (accountnumber, name) VALUES ('TR1', 'trig')", 'triggers of the foreign table');
$t->is_query("SELECT name, description, accountid = (SELECT id FROM seen) FROM crm.account WHERE accountnumber = 'TR1'", 'TRIG|set by trigger|t', '... change the row, and see it');
$t->psql_ok("UPDATE crm.account SET revenue = 5 WHERE accountnumber = 'TR1'", '... and on UPDATE');
$t->query("DROP TRIGGER note ON crm.account; DROP TRIGGER before ON crm.account");
$t->query("DELETE FROM crm.account WHERE accountnumber = 'TR1'");

is($t->query(<<'SQL'), "1\n2\n3", 'prepared statements');
PREPARE put (text, numeric) AS INSERT INTO crm.account (accountnumber, name, revenue) VALUES ($1, 'prepared', $2);
EXECUTE put ('Q1', 1); EXECUTE put ('Q2', 2); EXECUTE put ('Q3', 3); EXECUTE put ('Q1', 1); EXECUTE put ('Q2', 2); EXECUTE put ('Q3', 3);
SELECT revenue::integer FROM crm.account WHERE name = 'prepared' ORDER BY accountnumber;
PREPARE drop_it (text) AS DELETE FROM crm.account WHERE accountnumber = $1;
EXECUTE drop_it ('Q1'); EXECUTE drop_it ('Q2'); EXECUTE drop_it ('Q3');
SQL

# --- writes, then reads

is($t->query(<<'SQL'), "3\n3", 'a transaction sees what it wrote');
BEGIN;
INSERT INTO crm.account (accountnumber, name) SELECT 'V' || n, 'visible' FROM generate_series(1, 3) n;
SELECT count(*) FROM crm.account WHERE name = 'visible';
COMMIT;
SELECT count(*) FROM crm.account WHERE name = 'visible';
SQL
$t->query(<<'SQL');
CREATE FUNCTION count_visible() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*) FROM crm.account WHERE name = 'visible'); END $$;
CREATE FUNCTION write_and_count() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm.account (accountnumber, name) VALUES ('V4', 'visible'), ('V5', 'visible');
    UPDATE crm.account SET description = 'v' WHERE name = 'visible';
    RETURN (SELECT count(*) FROM crm.account WHERE description = 'v');
END $$;
SQL
$t->is_query('SELECT write_and_count()', 5, '... and so does a function');
$t->psql_ok("INSERT INTO crm.account (accountnumber, name, numberofemployees) SELECT 'VV' || n, 'visible', count_visible() FROM generate_series(1, 3) n",
    'a function that reads while its statement writes');
$t->is_query("SELECT string_agg(numberofemployees::text, ',' ORDER BY accountnumber) FROM crm.account WHERE accountnumber LIKE 'VV%'", '5,6,7', '... sees the rows before it');
$t->query("DELETE FROM crm.account WHERE name = 'visible'");
$t->query("INSERT INTO crm.account (accountnumber, name) SELECT 'S' || n, 'self' FROM generate_series(1, 30) n");
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD batch_size '10', ADD fetch_size '10')");
$t->psql_ok("INSERT INTO crm.account (accountnumber, name) SELECT accountnumber || 'x', name FROM crm.account WHERE name = 'self'", 'INSERT from the table itself');
$t->is_query("SELECT count(*) FROM crm.account WHERE name = 'self'", 60, '... doubles it and ends');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP batch_size, DROP fetch_size)");
$t->query("DELETE FROM crm.account WHERE name = 'self'");

# --- rolled back

sub warnings
{
    my ($sql) = @_;
    my ($status, $out, $err) = $t->psql($sql);
    return join '; ', $err =~ /WARNING:.*?: (.*)/g;
}
my $two = "INSERT INTO crm.account (accountnumber, name) VALUES ('RB1', 'rb'), ('RB2', 'rb')";
is(warnings("BEGIN; $two; DELETE FROM crm.account WHERE accountnumber = 'RB1'; ROLLBACK"),
    '3 rows had been written to foreign server "crm" and stay there', 'ROLLBACK warns with the number');
is(warnings("BEGIN; $two; SAVEPOINT a; $two; ROLLBACK TO a; $two; COMMIT"),
    '2 rows had been written to foreign server "crm" and stay there', '... of the savepoint');
is(warnings("BEGIN; SAVEPOINT a; $two; RELEASE a; ROLLBACK"),
    '2 rows had been written to foreign server "crm" and stay there', '... of one released');
is(warnings("BEGIN; $two; SAVEPOINT a; $two; SAVEPOINT b; $two; RELEASE b; RELEASE a; ROLLBACK"),
    '6 rows had been written to foreign server "crm" and stay there', '... of two, and of the transaction around');
is(warnings("BEGIN; $two; COMMIT"), '', '... and not after COMMIT');
is(warnings("BEGIN; SELECT count(*) FROM crm.account WHERE name = 'rb'; ROLLBACK"), '', '... nor after reads');
is(warnings("BEGIN; $two; SELECT 1/0; COMMIT"), '2 rows had been written to foreign server "crm" and stay there', '... after an error');
is(warnings("DO \$\$ BEGIN BEGIN $two; RAISE 'x'; EXCEPTION WHEN raise_exception THEN NULL; END; END \$\$"),
    '2 rows had been written to foreign server "crm" and stay there', '... in a function that goes on');
$t->query("DELETE FROM crm.account WHERE name = 'rb'");

# --- headers

$t->query("ALTER FOREIGN TABLE wire.account OPTIONS (ADD bypass_business_logic 'CustomSync,CustomAsync', ADD bypass_flows 'true', ADD suppress_duplicate_detection 'false', ADD tag 'load & go')");
my ($caller, $caller_id) = split /\|/, $t->query(<<'SQL');
SELECT azureactivedirectoryobjectid, systemuserid FROM crm.systemuser
 WHERE azureactivedirectoryobjectid IS NOT NULL AND applicationid IS NULL AND NOT isdisabled ORDER BY 2 LIMIT 1
SQL
$t->query("ALTER USER MAPPING FOR CURRENT_USER SERVER wire OPTIONS (ADD caller_object_id '$caller')");
for ([ 'INSERT of one', "INSERT INTO wire.account (accountnumber, name) VALUES ('H1', 'h')" ],
    [ 'INSERT of many', "INSERT INTO wire.account (accountnumber, name) VALUES ('H1', 'h'), ('H2', 'h')" ],
    [ 'DELETE of many', "DELETE FROM wire.account WHERE name = 'h'" ])
{
    my ($what, $sql) = @$_;
    $wire->clear;
    $t->psql_ok($sql, $what);
    my ($request) = $wire->writes;
    ok($request, '... writes') or next;
    # In a batch they stand at the operations, and only impersonation outside.
    my $batch = $request->{target} =~ /\$batch$/;
    my $text = join "\n", map { "$_: $request->{headers}{$_}" } sort keys %{ $request->{headers} };
    my $where = $batch ? $request->{body} : $text;
    my $all = $batch ? 2 : 1;
    is(scalar(() = $where =~ /MSCRM\.BypassBusinessLogicExecution: CustomSync,CustomAsync/gi), $all, '... bypasses logic');
    is(scalar(() = $where =~ /MSCRM\.SuppressCallbackRegistrationExpanderJob: true/gi), $all, '... and flows');
    is(scalar(() = $where =~ /MSCRM\.SuppressDuplicateDetection: false/gi), $all, '... wants duplicates detected');
    is(scalar(() = ($batch ? $where : $request->{target}) =~ /\?tag=load%20%26%20go\b/g), $all, '... carries the tag');
    is($request->{headers}{callerobjectid}, $caller, '... and is impersonated');
}
$wire->clear;
$t->psql("SELECT count(*) FROM wire.account WHERE name = 'h'");
ok(!grep({ join(' ', %{ $_->{headers} }) =~ /mscrm/i || $_->{target} =~ /tag=/ } $wire->requests), 'reads carry none of that');

# --- refused at once

$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD updatable 'false')");
$t->reset_log;
$t->fails_like("INSERT INTO crm.account (accountnumber) VALUES ('x')", qr/does not allow inserts/, 'updatable false: INSERT');
$t->fails_like("UPDATE crm.account SET name = 'x'", qr/does not allow updates/, '... UPDATE');
$t->fails_like("DELETE FROM crm.account", qr/does not allow deletes/, '... DELETE');
$t->fails_like("COPY crm.account (accountnumber) FROM STDIN;\nx\n\\.", qr/does not allow inserts/, '... COPY');
is($t->requests(), 0, '... nothing is sent');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP updatable)");

# --- EXPLAIN

sub explained
{
    my ($sql) = @_;
    my ($modify) = grep { $_->{'Node Type'} eq 'ModifyTable' } JSON::PP->new->decode($t->query($sql))->[0]{Plan};
    return $modify;
}
my $plan = explained("EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) INSERT INTO crm.account (accountnumber, name) SELECT 'X' || n, 'explained' FROM generate_series(1, 1500) n");
is($plan->{'Remote Operation'}, 'upsert by key accountnumber', 'EXPLAIN ANALYZE of an INSERT: operation');
is($plan->{'Remote Requests'}, 2, '... requests, with those of the rows still gathered');
is($plan->{'Remote Rows'}, 1500, '... rows');
cmp_ok($plan->{'Remote Bytes'}, '>=', 0, '... bytes');
$t->is_query("SELECT count(*) FROM crm.account WHERE name = 'explained'", 1500, '... and they are written once');
$plan = explained("EXPLAIN (ANALYZE, FORMAT JSON) UPDATE crm.account SET revenue = 1 WHERE name = 'explained'");
is("$plan->{'Remote Requests'} $plan->{'Remote Rows'}", '2 1500', '... of an UPDATE');
$plan = explained("EXPLAIN (ANALYZE, FORMAT JSON) DELETE FROM crm.account WHERE name = 'explained'");
is("$plan->{'Remote Requests'} $plan->{'Remote Rows'}", '2 1500', '... of a DELETE');
cmp_ok($plan->{'Remote Bytes'}, '>', 0, '... with the bytes of its answers');
$t->reset_log;
$plan = explained("EXPLAIN (VERBOSE, FORMAT JSON) DELETE FROM crm.account");
ok(!exists $plan->{'Remote Requests'}, 'EXPLAIN alone tells no counts');
is($t->requests(), 0, '... and sends nothing');

done_testing();
