# write_lookups.t: lookups written by an alternate key of the row they point to.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use JSON::PP ();
use WireTap;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output todo_output);

my $t = DataverseTest->new(rows => 20, import => 'account, contact, opportunity, geo_country, geo_subdivision, geo_indicator, sample_everything');
my $wire = WireTap->new($t->url);
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

$t->query(sprintf <<"SQL", $wire->url, $t->url, $t->url);
CREATE SERVER wire FOREIGN DATA WRAPPER dataverse_fdw
    OPTIONS (url '%s', tenant_id '11111111-1111-1111-1111-111111111111', authority '%s', scope '%s/.default');
CREATE USER MAPPING FOR CURRENT_USER SERVER wire
    OPTIONS (client_id '22222222-2222-2222-2222-222222222222', client_secret 'demo-secret');
CREATE SCHEMA wire;
IMPORT FOREIGN SCHEMA dataverse LIMIT TO (geo_subdivision, opportunity, sample_everything) FROM SERVER wire INTO wire;
SQL
for my $schema ('crm', 'wire')
{
    $t->query("ALTER FOREIGN TABLE $schema.geo_subdivision ADD country text OPTIONS (key_of 'geo_countryid', target_key 'geo_alpha2')");
    $t->query("ALTER FOREIGN TABLE $schema.opportunity ADD customer text OPTIONS (key_of 'customerid', target_key 'accountnumber')");
}

# Runs statements; returns the bodies that were sent, as Perl data.
sub bodies
{
    my ($sql, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $wire->clear;
    $t->psql_ok($sql, $name);
    return map { JSON::PP->new->utf8->decode($_->{body}) } $wire->writes;
}

my ($country) = $t->query("SELECT geo_countryid FROM crm.geo_country WHERE geo_alpha2 = 'NL'")
    || $t->query("INSERT INTO crm.geo_country (geo_alpha2, geo_name) VALUES ('NL', 'Netherlands') RETURNING geo_countryid");
my $other = $t->query("SELECT geo_countryid FROM crm.geo_country WHERE geo_alpha2 = 'BE'")
    || $t->query("INSERT INTO crm.geo_country (geo_alpha2, geo_name) VALUES ('BE', 'Belgium') RETURNING geo_countryid");

# --- one column

my ($body) = bodies("INSERT INTO wire.geo_subdivision (geo_code, country) VALUES ('XX-1', 'NL')", 'a lookup by key');
is_deeply([ map { "$_=$body->{$_}" } grep { /bind/ } sort keys %$body ], ["geo_CountryId\@odata.bind=/geo_countries(geo_alpha2='NL')"],
    '... is bound by it, under the exact name');
my $shown = "SELECT geo_countryid, country FROM crm.geo_subdivision WHERE geo_code = 'XX-1'";
$t->is_query($shown, "$country|", '... to the row; the column itself reads as null');
$t->reset_log;
$t->query("INSERT INTO crm.geo_subdivision (geo_code, country) SELECT 'XX-' || n, CASE WHEN n % 2 = 0 THEN 'NL' ELSE 'BE' END FROM generate_series(2, 9) n");
is($t->requests($writes), 1, 'rows by key are one request');
is($t->requests(qr{^GET \S+/geo_}), 0, '... with nothing asked before');
$t->is_query("SELECT count(*) FILTER (WHERE geo_countryid = '$country'), count(*) FILTER (WHERE geo_countryid = '$other') FROM crm.geo_subdivision WHERE geo_code LIKE 'XX-_' AND geo_code <> 'XX-1'",
    '4|4', '... each to its own');
$t->is_query("SELECT count(*) FROM crm.geo_subdivision WHERE country IS NULL AND geo_code LIKE 'XX-_'", 9, 'conditions on the column see nulls');
$t->is_query("SELECT count(*) FROM crm.geo_subdivision WHERE country = 'NL'", 0, '... all of them');
$t->is_query("SELECT count(country), max(country), count(*) FROM crm.geo_subdivision WHERE geo_code LIKE 'XX-_'", '0||9', 'so do aggregates');
$t->is_query("SELECT country, count(*) FROM crm.geo_subdivision WHERE geo_code LIKE 'XX-_' GROUP BY country ORDER BY country", '|9', '... and groups');

($body) = bodies("UPDATE wire.geo_subdivision SET country = 'BE' WHERE geo_code = 'XX-1'", 'UPDATE');
is_deeply($body, { "geo_CountryId\@odata.bind" => "/geo_countries(geo_alpha2='BE')" }, '... sends the bind alone');
$t->is_query($shown, "$other|", '... and it is there');
($body) = bodies("UPDATE wire.geo_subdivision SET geo_name = 'x' WHERE geo_code = 'XX-1'", 'UPDATE of something else');
is_deeply($body, { geo_name => 'x' }, '... leaves it alone');
($body) = bodies("UPDATE wire.geo_subdivision SET country = NULL WHERE geo_code = 'XX-1'", 'UPDATE to NULL');
is_deeply($body, { geo_CountryId => undef }, '... clears by the navigation property');
$t->is_query($shown, '|', '... really');
$t->query("UPDATE crm.geo_subdivision SET country = 'NL' WHERE geo_code = 'XX-1'");
$t->psql_ok("UPDATE crm.geo_subdivision SET country = '' WHERE geo_code = 'XX-1'", 'an empty key');
$t->is_query($shown, '|', '... is none');

$t->is_query("INSERT INTO crm.geo_subdivision (geo_code, country) VALUES ('XX-A', 'NL') RETURNING country, geo_countryid", "NL|$country",
    'RETURNING shows what was sent, and the id behind it');
$t->is_query("UPDATE crm.geo_subdivision SET country = 'BE' WHERE geo_code = 'XX-A' RETURNING country, geo_countryid", "BE|$other", '... of an UPDATE, too');

# --- id and key

$t->fails_like("INSERT INTO crm.geo_subdivision (geo_code, country, geo_countryid) VALUES ('XX-B', 'NL', '$other')",
    qr/22023.*"geo_countryid" and "country".*both given.*Give one of them/s, 'id and key at once are refused');
$t->psql_ok("INSERT INTO crm.geo_subdivision (geo_code, country, geo_countryid) VALUES ('XX-B', NULL, '$other'), ('XX-C', 'NL', NULL), ('XX-D', NULL, NULL)",
    'one of them, row by row');
$t->is_query("SELECT geo_code, geo_countryid FROM crm.geo_subdivision WHERE geo_code IN ('XX-B', 'XX-C', 'XX-D') ORDER BY 1", "XX-B|$other\nXX-C|$country\nXX-D|", '... is taken');
$t->fails_like("UPDATE crm.geo_subdivision SET country = 'NL', geo_countryid = '$other' WHERE geo_code = 'XX-D'", qr/22023.*both given/s, 'in an UPDATE');
$t->psql_ok("UPDATE crm.geo_subdivision SET country = 'NL', geo_countryid = NULL WHERE geo_code = 'XX-D'", '... one with a null for the other');
$t->is_query("SELECT geo_countryid FROM crm.geo_subdivision WHERE geo_code = 'XX-D'", $country, '... sets it');

$t->query(<<'SQL');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.geo_type := 'touched'; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON crm.geo_subdivision FOR EACH ROW EXECUTE FUNCTION touch();
SQL
$t->psql_ok("UPDATE crm.geo_subdivision SET country = 'BE' WHERE geo_code = 'XX-D'", 'with a trigger, which makes all columns travel');
$t->is_query("SELECT geo_countryid, geo_type FROM crm.geo_subdivision WHERE geo_code = 'XX-D'", "$other|touched", '... the key counts, not the id as it was');
$t->psql_ok("UPDATE crm.geo_subdivision SET geo_name = 'n' WHERE geo_code = 'XX-D'", '... and without it');
$t->is_query("SELECT geo_countryid, geo_name FROM crm.geo_subdivision WHERE geo_code = 'XX-D'", "$other|n", '... the lookup stays');
$t->query('DROP TRIGGER touch ON crm.geo_subdivision');

# --- targets that are not there

$t->fails_like("INSERT INTO crm.geo_subdivision (geo_code, country) VALUES ('XX-E', 'Q9')", qr/23503.*specified key values does not exist/s, 'a target that does not exist');
$t->fails_like("INSERT INTO crm.geo_subdivision (geo_code, country) SELECT 'YY-' || n, CASE n WHEN 37 THEN 'Q9' ELSE 'NL' END FROM generate_series(1, 100) n",
    qr/23503.*specified key values does not exist.*number 37 of the statement/s, '... is found among others');

# --- keys that no address can hold

$t->query("ALTER FOREIGN TABLE crm.sample_everything ADD account text OPTIONS (key_of 'sample_accountid', target_key 'accountnumber')");
$t->query("INSERT INTO crm.account (accountnumber, name) VALUES ('L/1', 'slash'), ('L+2', 'plus'), ('L''3', 'quote'), ('Lé4', 'accent')");
$t->reset_log;
$t->psql_ok("INSERT INTO crm.sample_everything (sample_code, account) SELECT 'r' || n, (ARRAY['L/1', 'L+2', 'L''3', 'Lé4'])[1 + n % 4] FROM generate_series(1, 40) n",
    'keys with such characters among others');
is($t->requests(qr{^GET \S+/accounts\?}), 2, '... are looked up once each');
is($t->requests($writes), 1, '... and the rest is one request');
$t->is_query("SELECT a.accountnumber, count(*) FROM crm.sample_everything e JOIN crm.account a ON a.accountid = e.sample_accountid WHERE e.sample_code LIKE 'r%' GROUP BY a.accountnumber ORDER BY a.accountnumber COLLATE \"C\"",
    "L'3|10\nL+2|10\nL/1|10\nLé4|10", '... every row to its own');
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, account) VALUES ('r99', 'L/404')", qr/23503.*"account".*does not exist.*accountnumber='L\/404'/s, '... one that is not there');

# --- compound keys, other types

$t->query(<<'SQL');
ALTER FOREIGN TABLE crm.sample_everything ADD up_integer integer OPTIONS (key_of 'sample_parentid', target_key 'sample_integer'),
    ADD up_date date OPTIONS (key_of 'sample_parentid', target_key 'sample_date');
CREATE FOREIGN TABLE child (code text OPTIONS (column_name 'sample_code'), up numeric OPTIONS (key_of 'sample_parentid', target_key 'sample_decimal'), sample_everythingid uuid)
    SERVER crm OPTIONS (table_name 'sample_everything', entity_set_name 'sample_everythings', primary_id 'sample_everythingid');
CREATE FOREIGN TABLE child2 (code text OPTIONS (column_name 'sample_code'), c integer OPTIONS (key_of 'sample_parentid', target_key 'sample_choice'),
    t timestamptz OPTIONS (key_of 'sample_parentid', target_key 'sample_datetime'), sample_everythingid uuid)
    SERVER crm OPTIONS (table_name 'sample_everything', entity_set_name 'sample_everythings', primary_id 'sample_everythingid');
SQL
my $up = $t->query("INSERT INTO crm.sample_everything (sample_code, sample_integer, sample_date, sample_decimal, sample_choice, sample_datetime) VALUES ('up', -7, '2024-02-29', 1.50, 2, '2024-05-01 12:00:00+02') RETURNING sample_everythingid");
$t->psql_ok("INSERT INTO crm.sample_everything (sample_code, up_integer, up_date) VALUES ('down1', -7, '2024-02-29')", 'a compound key, of an integer and a date');
$t->psql_ok("INSERT INTO child (code, up) VALUES ('down2', 1.5)", 'a decimal key, of a table without the lookup itself');
$t->psql_ok("INSERT INTO child2 (code, c, t) VALUES ('down3', 2, '2024-05-01 10:00:00Z')", 'a choice and an instant');
$t->is_query("SELECT count(*) FROM crm.sample_everything WHERE sample_parentid = '$up'", 3, '... all find the row');
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, up_integer) VALUES ('down4', -7)", qr/22004.*"up_date".*beside other parts/s, 'half a key is refused');
$t->psql_ok("UPDATE crm.sample_everything SET up_integer = NULL, up_date = NULL WHERE sample_code = 'down1'", 'both null');
$t->is_query("SELECT sample_parentid FROM crm.sample_everything WHERE sample_code = 'down1'", '', '... clear');

# --- polymorphic

$t->query("INSERT INTO crm.account (accountnumber, name) VALUES ('PK1', 'poly')");
my $account = $t->query("SELECT accountid FROM crm.account WHERE accountnumber = 'PK1'");
($body) = bodies("INSERT INTO wire.opportunity (name, customer, customerid_target) VALUES ('o1', 'PK1', 'account')", 'a polymorphic lookup by key');
is($body->{"customerid_account\@odata.bind"}, "/accounts(accountnumber='PK1')", '... goes by the property of its table');
$t->is_query("SELECT customerid, customerid_target FROM crm.opportunity WHERE name = 'o1'", "$account|account", '... to the row');
$t->fails_like("INSERT INTO crm.opportunity (name, customer) VALUES ('o2', 'PK1')", qr/not known which table column "customer".*customerid_target/s, '... and needs it');
$t->psql_ok("UPDATE crm.opportunity SET customer = NULL, customerid_target = NULL WHERE name = 'o1'", '... is cleared');
$t->is_query("SELECT customerid FROM crm.opportunity WHERE name = 'o1'", '', '... too');
$t->psql_ok("UPDATE crm.opportunity SET customer = 'PK1', customerid_target = 'account' WHERE name = 'o1'", '... set with its table');
$t->is_query("SELECT customerid FROM crm.opportunity WHERE name = 'o1'", $account, '... again');

# --- COPY, upsert, partitions

$t->query("ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (ADD key 'geo_code')");
$t->psql_ok("COPY crm.geo_subdivision (geo_code, country) FROM STDIN;\nXX-1\tBE\nXX-2\t\\N\n\\.", 'COPY as an upsert');
$t->is_query("SELECT geo_code, geo_countryid FROM crm.geo_subdivision WHERE geo_code IN ('XX-1', 'XX-2') ORDER BY 1", "XX-1|$other\nXX-2|", '... sets and clears');
$t->query(<<'SQL');
CREATE TABLE parent (geo_code text, country text, geo_type text, geo_subdivisionid uuid) PARTITION BY LIST (geo_type);
CREATE TABLE part_here PARTITION OF parent FOR VALUES IN ('here');
CREATE FOREIGN TABLE part_there PARTITION OF parent FOR VALUES IN ('there')
    SERVER crm OPTIONS (table_name 'geo_subdivision', entity_set_name 'geo_subdivisions', primary_id 'geo_subdivisionid', key 'geo_code');
ALTER FOREIGN TABLE part_there ALTER country OPTIONS (ADD key_of 'geo_countryid', ADD target_key 'geo_alpha2');
SQL
$t->psql_ok("INSERT INTO parent VALUES ('XX-3', 'NL', 'there'), ('XX-4', 'NL', 'here')", 'rows routed to a partition');
$t->is_query("SELECT geo_countryid FROM crm.geo_subdivision WHERE geo_code = 'XX-3'", $country, '... by key');
$t->psql_ok("UPDATE parent SET geo_type = 'there', country = 'BE' WHERE geo_type = 'here' AND geo_code = 'XX-4'", 'a row that moves there');
$t->is_query("SELECT geo_countryid FROM crm.geo_subdivision WHERE geo_code = 'XX-4'", $other, '... by key, too');

# --- options

$t->fails_like("ALTER FOREIGN TABLE crm.account ADD x text OPTIONS (key_of 'parentaccountid')", qr/HV00J.*"target_key" is required.*alternate key/s, 'key_of needs target_key');
$t->fails_like("ALTER FOREIGN TABLE crm.account ADD x text OPTIONS (target_key 'accountnumber')", qr/"key_of" is required/s, '... and the reverse');
$t->fails_like("ALTER FOREIGN TABLE crm.account ADD x text OPTIONS (key_of 'parentaccountid', target_key 'accountnumber', label_of 'a')", qr/cannot be used together/s, '... not with label_of');
$t->fails_like("ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (SET key 'country'); SELECT * FROM crm.geo_subdivision", qr/"country" in option "key".*part of another table's key/s, 'it is no part of the key');

done_testing();
