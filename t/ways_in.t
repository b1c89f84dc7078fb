# ways_in.t: rows that come through triggers, functions, COPY's options,
# partitions and prepared statements: each is sent once, with just the columns
# meant.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use JSON::PP ();
use WireTap;

my $t = DataverseTest->new(rows => 10, import => 'account');
my $wire = WireTap->new($t->url);
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

$t->query(sprintf <<'SQL', $wire->url, $t->url, $t->url);
CREATE SERVER wire FOREIGN DATA WRAPPER dataverse_fdw
    OPTIONS (url '%s', tenant_id '11111111-1111-1111-1111-111111111111', authority '%s', scope '%s/.default');
CREATE USER MAPPING FOR CURRENT_USER SERVER wire OPTIONS (client_id '22222222-2222-2222-2222-222222222222', client_secret 'demo-secret');
CREATE SCHEMA wire;
IMPORT FOREIGN SCHEMA dataverse LIMIT TO (account, opportunity, contact) FROM SERVER wire INTO wire;
SQL

sub bodies
{
    my ($sql, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $wire->clear;
    $t->psql_ok($sql, $name);
    return map { JSON::PP->new->utf8->allow_bignum->decode($_->{body}) } $wire->writes;
}

sub requests
{
    my ($sql, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->reset_log;
    $t->psql_ok($sql, $name);
    return $t->requests($writes);
}

# --- triggers before UPDATE: what they leave alone is not sent

$t->query(<<'SQL');
INSERT INTO wire.account (accountnumber, name, description, revenue, fax, numberofemployees) VALUES ('T1', 'n', 'd', 1.50, 'f', 7), ('T2', 'n', 'd', 2, NULL, 8);
CREATE FUNCTION before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.numberofemployees = 8 THEN RETURN NULL; END IF;
    NEW.name := upper(NEW.name);
    IF NEW.description = 'clear' THEN NEW.fax := NULL; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER before BEFORE UPDATE ON wire.account FOR EACH ROW EXECUTE FUNCTION before();
SQL
my ($body) = bodies("UPDATE wire.account SET revenue = 3 WHERE accountnumber = 'T1'", 'a trigger that changes a column');
is_deeply($body, { revenue => 3, name => 'N' }, '... sends it beside those of the statement');
($body) = bodies("UPDATE wire.account SET revenue = 3 WHERE accountnumber = 'T1'", '... that has nothing to change any more');
is_deeply($body, { revenue => 3 }, '... sends those of the statement, changed or not');
($body) = bodies("UPDATE wire.account SET description = 'clear' WHERE accountnumber = 'T1'", '... that clears one');
is_deeply($body, { description => 'clear', fax => undef }, '... sends the null');
my @none = bodies("UPDATE wire.account SET description = 'x' WHERE accountnumber = 'T2'", '... that lets a row fall');
is(scalar(@none), 0, '... sends nothing');
$t->is_query("SELECT accountnumber, name, description, revenue, fax FROM crm.account WHERE accountnumber LIKE 'T_' ORDER BY 1",
    "T1|N|clear|3.0000|\nT2|n|d|2.0000|", '... and all is as it should be');
$t->query("ALTER FOREIGN TABLE wire.account OPTIONS (ADD optimistic_concurrency 'true')");
($body) = bodies("UPDATE wire.account SET revenue = 4, name = 'm' WHERE accountnumber = 'T1'", '... beside the version');
is_deeply($body, { revenue => 4, name => 'M' }, '... the same');
$t->query("ALTER FOREIGN TABLE wire.account OPTIONS (DROP optimistic_concurrency); DROP TRIGGER before ON wire.account");

# A lookup counts as changed with the table it points to.
$t->query(<<'SQL');
CREATE FUNCTION repoint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN SELECT contactid, 'contact' INTO NEW.customerid, NEW.customerid_target FROM wire.contact ORDER BY contactid LIMIT 1; RETURN NEW; END $$;
CREATE TRIGGER repoint BEFORE UPDATE ON wire.opportunity FOR EACH ROW EXECUTE FUNCTION repoint();
SQL
my $account = $t->query("SELECT accountid FROM crm.account WHERE accountnumber = 'T1'");
my $contact = $t->query("SELECT contactid FROM wire.contact ORDER BY contactid LIMIT 1");
$t->query("INSERT INTO wire.opportunity (name, customerid, customerid_target) VALUES ('turn', '$account', 'account')");
($body) = bodies("UPDATE wire.opportunity SET description = 'x' WHERE name = 'turn'", 'a trigger that turns a lookup');
is_deeply($body, { description => 'x', 'customerid_contact@odata.bind' => "/contacts($contact)" }, '... sends its bind');
($body) = bodies("UPDATE wire.opportunity SET description = 'x' WHERE name = 'turn'", '... again');
is_deeply($body, { description => 'x' }, '... sends none');
$t->query("DROP TRIGGER repoint ON wire.opportunity; DELETE FROM wire.opportunity WHERE name = 'turn'; DELETE FROM crm.account WHERE accountnumber LIKE 'T_'");

# --- triggers before and after INSERT, for each statement

$t->query(<<'SQL');
CREATE TABLE noted (what text, rows bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO noted VALUES (TG_WHEN || ' ' || TG_OP, (SELECT count(*) FROM crm.account WHERE name = 'st')); RETURN NULL; END $$;
CREATE TRIGGER one BEFORE INSERT ON crm.account FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER two AFTER INSERT OR DELETE ON crm.account FOR EACH STATEMENT EXECUTE FUNCTION note();
SQL
is(requests("INSERT INTO crm.account (accountnumber, name) VALUES ('S1', 'st'), ('S2', 'st')", 'triggers for the statement'), 1, '... do not divide the rows');
is(requests("DELETE FROM crm.account WHERE accountid = (SELECT accountid FROM crm.account WHERE accountnumber = 'S1')", '... of a DELETE by id'), 1, '... which is one request');
$t->is_query("SELECT string_agg(what || ' ' || rows, ', ') FROM noted", 'BEFORE INSERT 0, AFTER INSERT 2, AFTER DELETE 1', '... and see what is written');
$t->query("DROP TRIGGER one ON crm.account; DROP TRIGGER two ON crm.account; DELETE FROM crm.account WHERE name = 'st'");

# --- functions

$t->query(<<'SQL');
CREATE FUNCTION load(n integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE done integer;
BEGIN
    INSERT INTO crm.account (accountnumber, name) SELECT 'F' || i, 'fn' FROM generate_series(1, n) i;
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done;
END $$;
CREATE FUNCTION load_sql(text) RETURNS uuid LANGUAGE sql AS $$ INSERT INTO crm.account (accountnumber, name) VALUES ($1, 'fn') RETURNING accountid $$;
CREATE FUNCTION try_load() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm.account (accountnumber, name) VALUES ('F1', 'fn'), ('F0', 'fn');
    RETURN 'loaded';
EXCEPTION WHEN unique_violation THEN
    INSERT INTO crm.account (accountnumber, name) VALUES ('F9000', 'fn');
    RETURN 'caught';
END $$;
SQL
is(requests('SELECT load(250)', 'a function'), 1, '... gathers its rows');
$t->is_query('SELECT load_sql(\'G1\') IS NOT NULL', 't', 'a function in SQL');
$t->is_query('SELECT try_load()', 'caught', 'a function that catches a refusal');
$t->is_query("SELECT count(*), count(DISTINCT accountnumber) FROM crm.account WHERE name = 'fn'", '252|252', '... and each row is there once');
$t->query("DELETE FROM crm.account WHERE name = 'fn'");
$t->is_query("DO \$\$ DECLARE n integer; BEGIN FOR n IN 1 .. 5 LOOP EXECUTE 'INSERT INTO crm.account (accountnumber, name) VALUES (\$1, \$2)' USING 'D' || n, 'dyn'; END LOOP; END \$\$; SELECT count(*) FROM crm.account WHERE name = 'dyn'", 5, 'dynamic statements in a loop');
$t->query("DELETE FROM crm.account WHERE name = 'dyn'");

# --- COPY's own options

my $file = "/tmp/dataverse_fdw-ways-$$.csv";
open my $csv, '>', $file or die "$file: $!";
print $csv qq{accountnumber,name,revenue\nV1,"copied, quoted",1.5\nV2,,\nV3,"",3\n};
close $csv;
is(requests("\\copy crm.account (accountnumber, name, revenue) FROM '$file' (FORMAT csv, HEADER match)", 'CSV with a header'), 1, '... is one request');
$t->is_query("SELECT accountnumber, name, revenue FROM crm.account WHERE accountnumber LIKE 'V_' ORDER BY 1", "V1|copied, quoted|1.5000\nV2||\nV3||3.0000", '... without it');
$t->query("DELETE FROM crm.account WHERE accountnumber LIKE 'V_'");
is(requests("\\copy crm.account (accountnumber, name, revenue) FROM '$file' (FORMAT csv, HEADER) WHERE revenue > 2", '... with a condition'), 1, '... too');
$t->is_query("SELECT string_agg(accountnumber, ',') FROM crm.account WHERE accountnumber LIKE 'V_'", 'V3', '... of those rows');
$t->query("DELETE FROM crm.account WHERE accountnumber LIKE 'V_'");
unlink $file;
# Versions differ in whether FREEZE is refused or means nothing here; the rows must not suffer.
my ($status, $out, $err) = $t->psql("COPY crm.account (accountnumber, name) FROM STDIN (FREEZE);\nZ1\tfrozen\n\\.");
is($t->query("SELECT count(*) FROM crm.account WHERE name = 'frozen'"), $status == 0 ? 1 : 0, 'FREEZE is refused or means nothing');
like($err, qr/FREEZE/, '... and says so') if $status != 0;
$t->query("DELETE FROM crm.account WHERE name = 'frozen'");
$t->fails_like("COPY crm.account (accountnumber, numberofemployees) FROM STDIN;\nZ1\t1\nZ2\tx\n\\.", qr/22P02.*line 2/s, 'a line that is not well formed');
$t->is_query("SELECT count(*) FROM crm.account WHERE accountnumber LIKE 'Z_'", 0, '... before anything was sent');

# --- partitions, inheritance, views

$t->query(<<'SQL');
CREATE TABLE parent (id serial, accountnumber text, name text DEFAULT 'from parent', region text) PARTITION BY LIST (region);
CREATE FOREIGN TABLE part_a PARTITION OF parent FOR VALUES IN ('a')
    SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid');
CREATE FOREIGN TABLE part_b PARTITION OF parent FOR VALUES IN ('b')
    SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid');
ALTER FOREIGN TABLE part_a ALTER id OPTIONS (ADD column_name 'numberofemployees'), ALTER region OPTIONS (ADD column_name 'address1_city');
ALTER FOREIGN TABLE part_b ALTER id OPTIONS (ADD column_name 'numberofemployees'), ALTER region OPTIONS (ADD column_name 'address1_city');
CREATE VIEW numbered AS SELECT accountnumber, name, numberofemployees FROM crm.account WHERE numberofemployees > 1000 WITH CHECK OPTION;
SQL
is(requests("INSERT INTO parent (accountnumber, region) SELECT 'P' || n, CASE n % 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 100) n", 'two foreign partitions'), 2, '... are a request each');
$t->is_query("SELECT address1_city, count(*), count(DISTINCT numberofemployees) FROM crm.account WHERE name = 'from parent' GROUP BY 1 ORDER BY 1", "a|50|50\nb|50|50", '... with defaults and serial numbers of the parent');
$t->fails_like("INSERT INTO parent (accountnumber, region) VALUES ('P1000', 'c')", qr/23514/, 'a row for no partition');
$t->query("DELETE FROM crm.account WHERE name = 'from parent'; DROP TABLE parent");
is(requests("INSERT INTO numbered VALUES ('W1', 'view', 2000)", 'a view'), 1, '... is written through');
$t->fails_like("INSERT INTO numbered VALUES ('W2', 'view', 7)", qr/44000/, '... within its check option');
is(requests("UPDATE numbered SET name = 'seen' WHERE accountnumber = 'W1'", '... updated'), 1, '... through');
$t->is_query("SELECT name, numberofemployees FROM crm.account WHERE accountnumber = 'W1'", 'seen|2000', '... that row');
$t->query("DELETE FROM crm.account WHERE accountnumber LIKE 'W_'; DROP VIEW numbered");

# --- prepared statements

$t->is_query(<<'SQL', "4\n0", 'prepared statements, custom and generic plans alike');
PREPARE put (text[], text) AS INSERT INTO crm.account (accountnumber, name) SELECT unnest($1), $2;
PREPARE change (text, uuid[]) AS UPDATE crm.account SET name = $1 WHERE accountid = ANY ($2);
PREPARE remove (uuid[]) AS DELETE FROM crm.account WHERE accountid = ANY ($1);
SET plan_cache_mode = force_custom_plan;
EXECUTE put ('{E1,E2}', 'prep');
SET plan_cache_mode = force_generic_plan;
EXECUTE put ('{E3,E4}', 'prep');
SELECT array_agg(accountid) AS ids FROM crm.account WHERE name = 'prep' \gset
EXECUTE change ('prepared', :'ids');
SELECT count(*) FROM crm.account WHERE name = 'prepared';
EXECUTE remove (:'ids');
SELECT count(*) FROM crm.account WHERE name LIKE 'prep%';
SQL

done_testing();
