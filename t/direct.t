# direct.t: UPDATE and DELETE that the foreign scan carries out itself: which
# requests they take, and that exactly the rows meant are changed and counted.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use JSON::PP ();

my $t = DataverseTest->new(rows => 30, import => 'account, contact, geo_country, geo_indicator, sample_everything, contoso_sensordata');
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

# The command tag of the last statement of a script.
sub tag
{
    my ($sql) = @_;
    my ($status, $out, $err) = $t->psql("\\set QUIET off\n$sql");
    return $status == 0 ? (split /\n/, $out)[-1] : $err;
}

# "n requests, of them m writes" of a statement, and its tag.
sub cost
{
    my ($sql) = @_;

    $t->reset_log;
    my $tag = tag($sql);
    return sprintf '%s: %d, %d', $tag, $t->requests, $t->requests($writes);
}

sub id
{
    return sprintf '00000000-0000-4000-8000-%012d', $_[0];
}

sub names
{
    return $t->query("SELECT string_agg(name, ',' ORDER BY accountid) FROM crm.account WHERE accountid::text LIKE '00000000-0000-4000-8000-%'");
}

sub shown
{
    my ($sql) = @_;
    return $t->query("EXPLAIN (VERBOSE, COSTS OFF) $sql");
}

my ($one, $two, $none) = map { id($_) } 1, 2, 99999;
$t->query("INSERT INTO crm.account (accountid, accountnumber, name) VALUES ('$one', 'A-1', 'a'), ('$two', 'A-2', 'b')");

# --- by id

is(cost("UPDATE crm.account SET name = 'x' WHERE accountid = '$one'"), 'UPDATE 1: 1, 1', 'UPDATE by id is one request');
is($t->requests(qr{^PATCH \S+/accounts\($one\)$}), 1, '... a PATCH');
is(names(), 'x,b', '... of that row');
is(cost("UPDATE crm.account SET name = 'y' WHERE '$one' = accountid"), 'UPDATE 1: 1, 1', '... also the other way round');
is(tag("UPDATE crm.account SET name = 'y' WHERE accountid = '$none'"), 'UPDATE 0', 'a row that is not there counts none');
is($t->query("SELECT count(*) FROM crm.account WHERE accountid = '$none'"), 0, '... and is not made');
is(cost("UPDATE crm.account SET name = 'y' WHERE accountid = NULL"), 'UPDATE 0: 0, 0', 'a null id is no request');
is(cost("UPDATE crm.account SET name = 'y', revenue = NULL, numberofemployees = 2 + 3 WHERE accountid = '$one'"), 'UPDATE 1: 1, 1', 'several columns, a null, an expression');
$t->is_query("SELECT name, revenue, numberofemployees FROM crm.account WHERE accountid = '$one'", 'y||5', '... arrive');
is(cost("DELETE FROM crm.account WHERE accountid = '$none'"), 'DELETE 0: 1, 1', 'DELETE of a row that is not there');
is(cost("DELETE FROM crm.account WHERE accountid = '$two'"), 'DELETE 1: 1, 1', 'DELETE by id is one request');
is($t->requests(qr{^DELETE \S+/accounts\($two\)$}), 1, '... a DELETE');
is(names(), 'y', '... of that row');
$t->query("INSERT INTO crm.account (accountid, accountnumber, name) VALUES ('$two', 'A-2', 'b')");

# --- parameters, stable expressions, sub-selects

is(cost("PREPARE p (uuid, text) AS UPDATE crm.account SET name = \$2 WHERE accountid = \$1; SET plan_cache_mode = force_generic_plan; EXECUTE p ('$one', 'p'); EXECUTE p ('$two', 'q')"),
    'UPDATE 1: 2, 2', 'a generic plan: one request each');
is(names(), 'p,q', '... of the right rows');
is(cost("CREATE TEMP TABLE pick AS SELECT '$one'::uuid AS id, 'from here' AS name;
    UPDATE crm.account SET name = (SELECT name FROM pick), description = current_user WHERE accountid = (SELECT id FROM pick)"), 'UPDATE 1: 1, 1', 'sub-selects of local tables');
$t->is_query("SELECT name, description FROM crm.account WHERE accountid = '$one'", 'from here|postgres', '... are evaluated');

is(cost("UPDATE crm.account SET (name, description) = (SELECT relname, 'multi' FROM pg_class WHERE relname = 'pg_class') WHERE accountid = '$one'"), 'UPDATE 1: 1, 1', 'a row of values');
$t->is_query("SELECT name, description FROM crm.account WHERE accountid = '$one'", 'pg_class|multi', '... is evaluated');
$t->query("UPDATE crm.account SET name = 'from here' WHERE accountid = '$one'");

# --- lists

my $many = join ', ', map { "('" . id(1000 + $_) . "', 'many')" } 1 .. 2000;
$t->query("INSERT INTO crm.account (accountid, name) VALUES $many");
my $ids = join ', ', map { "'" . id(1000 + $_) . "'" } 1 .. 2000;
is(cost("UPDATE crm.account SET description = 'd' WHERE accountid IN ($ids)"), 'UPDATE 2000: 3, 2', '2,000 ids: two writes and the question whether the table takes bulk messages');
is($t->requests(qr{^POST \S+UpdateMultiple}), 2, '... UpdateMultiple');
is($t->requests(qr{^GET \S+/accounts}), 0, '... no read');
is($t->figures('account')->{count}, 2032, '... no row more');
$t->is_query("SELECT count(*) FROM crm.account WHERE description = 'd'", 2000, '... the right rows');
my $array = "ARRAY(SELECT ('00000000-0000-4000-8000-' || lpad((1000 + n % 500)::text, 12, '0'))::uuid FROM generate_series(0, 999) n)";
is(cost("UPDATE crm.account SET description = 'e' WHERE accountid = ANY ($array)"), 'UPDATE 499: 5, 2', 'ids twice and one that is not there: counted as the rows they are');
$t->is_query("SELECT description, count(*) FROM crm.account WHERE name = 'many' GROUP BY 1 ORDER BY 1", "d|1501\ne|499", '... exactly those');
is(cost("DELETE FROM crm.account WHERE accountid IN ($ids, '$none')"), 'DELETE 2000: 3, 3', 'DELETE of a list');
is(names(), 'from here,q', '... of its rows');
is(cost("DELETE FROM crm.account WHERE accountid = ANY ('{}')"), 'DELETE 0: 0, 0', 'an empty list is no request');
is(cost("DELETE FROM crm.account WHERE accountid = ANY ('{NULL}')"), 'DELETE 0: 0, 0', '... nor one of nulls');

# --- other conditions

$t->query("INSERT INTO crm.account (accountid, name, numberofemployees) SELECT ('00000000-0000-4000-8000-' || lpad((5000 + n)::text, 12, '0'))::uuid, 'n' || n, 77 FROM generate_series(1, 5) n");
like(cost("UPDATE crm.account SET description = 'seven' WHERE numberofemployees = 77"), qr/^UPDATE 5: 3, 1$/, 'an exact condition: a read of ids, a write, and whether there are bulk messages');
is($t->requests(qr{^GET \S+/accounts\?\$select=accountid&\$filter=}), 1, '... of nothing but ids');
$t->is_query("SELECT count(*) FROM crm.account WHERE description = 'seven'", 5, '... the right rows');
is(tag("DELETE FROM crm.account WHERE numberofemployees = 77 AND accountid <> '" . id(5001) . "'"), 'DELETE 4', '... DELETE');
$t->is_query("SELECT name FROM crm.account WHERE numberofemployees = 77", 'n1', '... leaves the others');
like(shown("UPDATE crm.account SET name = 'x' WHERE numberofemployees = 77"), qr/Foreign Update on crm\.account.*Remote Request: GET accounts\?\$select=accountid&\$filter=numberofemployees%20eq%2077/s, '... and EXPLAIN says so');

# --- keys of text are compared without case there, and with it here

is(tag("UPDATE crm.account SET name = 'wrong' WHERE accountnumber = 'a-1'"), 'UPDATE 0', 'a text key of another case');
is(tag("DELETE FROM crm.account WHERE accountnumber = 'a-1'"), 'DELETE 0', '... DELETE');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'accountnumber')");
is(tag("UPDATE crm.account SET name = 'wrong' WHERE accountnumber = 'a-1'"), 'UPDATE 0', '... with the option key');
is(tag("DELETE FROM crm.account WHERE accountnumber = 'a-1'"), 'DELETE 0', '... DELETE');
is(names(), 'from here,q,n1', '... changes nothing');
is(cost("UPDATE crm.account SET name = 'right' WHERE accountnumber = 'A-1'"), 'UPDATE 1: 2, 1', 'the right case: one read and one write');
is(names(), 'right,q,n1', '... of that row');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP key)");

# --- keys that compare exactly

my $country = $t->query("INSERT INTO crm.geo_country (geo_alpha2, geo_name) VALUES ('ZZ', 'z') RETURNING geo_countryid");
$t->query(<<"SQL");
ALTER FOREIGN TABLE crm.geo_indicator OPTIONS (ADD key 'geo_countryid, geo_year');
ALTER FOREIGN TABLE crm.sample_everything OPTIONS (ADD key 'sample_integer, sample_date');
INSERT INTO crm.geo_indicator (geo_countryid, geo_year, geo_name) VALUES ('$country', 2001, 'a'), ('$country', 2002, 'b');
INSERT INTO crm.sample_everything (sample_integer, sample_date, sample_string) VALUES (-7, '2024-02-29', 'a'), (-7, '2024-03-01', 'b');
SQL
sub indicators { return $t->query("SELECT string_agg(geo_name, ',' ORDER BY geo_year) FROM crm.geo_indicator WHERE geo_countryid = '$country'") }
is(cost("UPDATE crm.geo_indicator SET geo_name = 'x' WHERE geo_countryid = '$country' AND geo_year = 2001"), 'UPDATE 1: 1, 1', 'UPDATE by a key of a lookup and a number is one request');
is($t->requests(qr{^PATCH \S+/geo_indicators\(_geo_countryid_value=$country,geo_year=2001\)$}), 1, '... a PATCH of the key');
is(indicators(), 'x,b', '... of that row');
is(cost("PREPARE q (integer, text) AS UPDATE crm.geo_indicator SET geo_name = \$2 WHERE geo_year = \$1 AND geo_countryid = '$country'; SET plan_cache_mode = force_generic_plan; EXECUTE q (2002, 'y')"), 'UPDATE 1: 1, 1', '... in a prepared statement');
is(indicators(), 'x,y', '... too');
is(tag("UPDATE crm.geo_indicator SET geo_name = 'x' WHERE geo_countryid = '$country' AND geo_year = 1999"), 'UPDATE 0', 'a key that is not there');
is(tag("UPDATE crm.geo_indicator SET geo_name = 'x' WHERE geo_countryid = '$none' AND geo_year = 2001"), 'UPDATE 0', '... not even its country');
is(indicators(), 'x,y', '... makes no row');
is(cost("UPDATE crm.geo_indicator SET geo_name = 'x' WHERE geo_countryid = '$country' AND geo_year = 5000000000"), 'UPDATE 0: 0, 0', '... that the column cannot hold: no request');
is(cost("UPDATE crm.geo_indicator SET geo_name = 'x' WHERE geo_countryid = '$country' AND geo_year = NULL"), 'UPDATE 0: 0, 0', '... nor a null');
$t->fails_like("UPDATE crm.geo_indicator SET geo_name = repeat('x', 500) WHERE geo_countryid = '$country' AND geo_year = 2001", qr/could not update.*geo_countryid='$country', geo_year='2001'/s, 'a refused value names the key');
is(tag("UPDATE crm.geo_indicator SET geo_year = 2003 WHERE geo_countryid = '$country' AND geo_year = 2001"), 'UPDATE 1', 'a key that is changed');
$t->is_query("SELECT geo_name FROM crm.geo_indicator WHERE geo_countryid = '$country' AND geo_year = 2003", 'x', '... is');
is(cost("DELETE FROM crm.geo_indicator WHERE geo_countryid = '$country' AND geo_year = 2003"), 'DELETE 1: 1, 1', 'DELETE by key is one request');
is(cost("DELETE FROM crm.geo_indicator WHERE geo_countryid = '$country' AND geo_year = 2003"), 'DELETE 0: 1, 1', '... and finds nothing again');
is(indicators(), 'y', '... leaves the others');
is(cost("UPDATE crm.sample_everything SET sample_string = 'x' WHERE sample_integer = -7 AND sample_date = '2024-02-29'"), 'UPDATE 1: 1, 1', 'a key with a date');
$t->is_query("SELECT string_agg(sample_string, ',' ORDER BY sample_date) FROM crm.sample_everything WHERE sample_integer = -7", 'x,b', '... of that row');
is(cost("UPDATE crm.sample_everything SET sample_string = 'x' WHERE sample_integer = -7 AND sample_date = '$_'"), 'UPDATE 0: 0, 0', "... nothing is of $_") for 'infinity', '0044-03-15 BC';
is(tag("UPDATE crm.sample_everything SET sample_string = 'all' WHERE sample_integer = -7"), 'UPDATE 2', 'a part of a key is none');
like(shown("DELETE FROM crm.sample_everything WHERE sample_integer = -7 AND sample_date = '2024-02-29'"), qr/Foreign Delete on \S+\n\s+Remote Request: DELETE sample_everythings\(sample_integer=-7,sample_date=2024-02-29\)/, 'EXPLAIN shows the key');
unlike(shown($_), qr/Request: DELETE/, "not by key: $_") for
    "DELETE FROM crm.sample_everything WHERE sample_integer = -7 AND sample_date = '2024-02-29' AND sample_boolean",
    "DELETE FROM crm.sample_everything WHERE sample_integer = -7 OR sample_date = '2024-02-29'",
    "DELETE FROM crm.sample_everything WHERE sample_integer = -7 AND sample_date >= '2024-02-29'",
    "DELETE FROM crm.sample_everything WHERE sample_integer = -7 AND sample_date = timestamptz '2024-02-29'";
$t->query("ALTER FOREIGN TABLE crm.sample_everything OPTIONS (SET key 'sample_decimal')");
unlike(shown("DELETE FROM crm.sample_everything WHERE sample_decimal = 1.5"), qr/Request: DELETE/, 'not by key: a decimal');
$t->query("ALTER FOREIGN TABLE crm.sample_everything OPTIONS (SET key 'sample_choice, sample_datetime')");
unlike(shown("DELETE FROM crm.sample_everything WHERE sample_choice = 1 AND sample_datetime = '2024-02-29 00:00Z'"), qr/Request: DELETE/, 'nor a time');

# --- what stays with the executor

for (
    [ "UPDATE crm.account SET name = name || '!' WHERE accountid = '$one'", 'a column on the right side' ],
    [ "UPDATE crm.account SET name = random()::text WHERE accountid = '$one'", 'a volatile expression' ],
    [ "UPDATE crm.account SET name = 'x' WHERE accountid = '$one' RETURNING name", 'RETURNING' ],
    [ "UPDATE crm.account SET name = 'x' WHERE accountid = '$one' AND name = 'a'", 'a condition that is checked here' ],
    [ "UPDATE crm.account a SET (name, description) = (SELECT c.relname, a.name FROM pg_class c LIMIT 1) WHERE accountid = '$one'", 'a sub-select that depends on the row' ],
    [ "UPDATE crm.contoso_sensordata SET contoso_value = 1 WHERE contoso_sensordataid = '$one'", 'an elastic table' ])
{
    unlike(shown($_->[0]), qr/Foreign Update/, "not direct: $_->[1]");
}
$t->is_query("UPDATE crm.account SET name = name || '!' WHERE accountid = '$one' RETURNING name", 'right!', '... and works');

# --- errors, rollback, order

$t->fails_like("UPDATE crm.account SET name = repeat('x', 500) WHERE accountid = '$one'", qr/could not update foreign table "account".*accountid='$one'/s, 'a refused value names the row');
$t->fails_like("UPDATE crm.account SET primarycontactid = '$none' WHERE accountid = '$one'", qr/23503/, 'a lookup to nowhere is no missing row');
$t->fails_like("UPDATE crm.account SET createdon = now() WHERE accountid = '$one'", qr/createdon.*read_only/s, 'a read-only column');
my ($status, $out, $err) = $t->psql("BEGIN; UPDATE crm.account SET name = 'kept' WHERE accountid = '$one'; ROLLBACK");
like($err, qr/WARNING: .*1 row had been written/, 'ROLLBACK tells');
$t->query(<<"SQL");
CREATE FUNCTION finish() RETURNS text LANGUAGE plpgsql VOLATILE AS \$\$
BEGIN UPDATE crm.account SET description = 'last' WHERE accountid = '$one'; RETURN 'x'; END \$\$;
SQL
$t->query("UPDATE crm.account SET description = 'first', name = CASE WHEN accountid = '$two' THEN finish() ELSE 'o' END WHERE name IN ('kept', 'q')");
$t->is_query("SELECT description FROM crm.account WHERE accountid = '$one'", 'last', 'rows of the calling statement go before');

# --- partitions

$t->query(<<'SQL');
CREATE TABLE parent (accountid uuid, accountnumber text, name text, address1_city text) PARTITION BY LIST (address1_city);
CREATE TABLE part_here PARTITION OF parent FOR VALUES IN ('here');
CREATE FOREIGN TABLE part_there PARTITION OF parent FOR VALUES IN ('there')
    SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid');
SQL
$t->query("INSERT INTO parent VALUES ('$two', NULL, 'local', 'here')");
is(tag("UPDATE parent SET name = 'both' WHERE accountid = '$two'"), 'UPDATE 2', 'a partition among others');
$t->is_query("SELECT name FROM crm.account WHERE accountid = '$two'", 'both', '... is written');
is(tag("DELETE FROM parent WHERE accountid = '$two'"), 'DELETE 2', '... DELETE');

# --- EXPLAIN

$t->reset_log;
like(shown("UPDATE crm.account SET name = 'x' WHERE accountid = '$one'"), qr/Foreign Update on crm\.account\n\s+Remote Request: PATCH accounts\($one\)/, 'EXPLAIN shows the request');
like(shown("DELETE FROM crm.account WHERE accountid = '$one'"), qr/Foreign Delete on crm\.account\n\s+Remote Request: DELETE accounts\($one\)/, '... of a DELETE');
like(shown("DELETE FROM crm.account WHERE accountid IN ('$one', '$two')"), qr/Remote Address: DELETE accounts\(\{accountid\}\)\n.*\n\s+Remote Ids: 2/, '... of a list');
is($t->requests, 0, '... and asks nothing');
my $explained = $t->query("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) UPDATE crm.account SET name = 'x' WHERE accountid = '$one'");
like($explained, qr/Foreign Update on account \(actual rows=1 loops=1\)\n\s+Remote Requests: 1\n\s+Remote Rows: 1/, 'ANALYZE counts');

done_testing();
