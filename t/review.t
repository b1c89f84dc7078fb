# review.t: what a review of the code found, each with the case that showed it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $t = DataverseTest->new(rows => 20, server_options => { request_timeout => 20 });

sub new_ids
{
    return join ', ', map { sprintf "'%08x-0000-0000-0000-000000000000'", $_ } @_;
}

# --- elastic tables: an upsert without a condition replaces the whole row (sheet 13.1)

$t->query(q{ALTER FOREIGN TABLE crm.contoso_sensordata OPTIONS (ADD on_conflict 'update')});
my $sensor = 'INSERT INTO crm.contoso_sensordata (contoso_sensordataid, partitionid, contoso_name';
$t->query("$sensor, contoso_value) SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'p', 'first', n
    FROM generate_series(1, 4) n");
$t->query("$sensor) VALUES ('00000000-0000-0000-0000-000000000001', 'p', 'second')");
$t->query("$sensor) SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'p', 'second' FROM generate_series(2, 3) n");
$t->query("$sensor) SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'p', 'second' FROM generate_series(4, 6) n");
$t->is_query("SELECT right(contoso_sensordataid::text, 1), contoso_name, contoso_value::float8 FROM crm.contoso_sensordata
    WHERE partitionid = 'p' ORDER BY 1",
    "1|second|1\n2|second|2\n3|second|3\n4|second|4\n5|second|\n6|second|",
    'an upsert of elastic rows, alone or in bulk, keeps the columns it does not name, and creates what is missing');
$t->is_query("$sensor) VALUES ('00000000-0000-0000-0000-000000000001', 'p', 'third') RETURNING contoso_name, contoso_value::float8",
    'third|1', '... RETURNING included');

# The partition of a row never changes.
for my $which ('= 1', 'IN (2, 3)')
{
    $t->fails_like("UPDATE crm.contoso_sensordata SET partitionid = 'elsewhere' WHERE partitionid = 'p' AND contoso_value $which",
        qr/HV007: column "partitionid" of foreign table "contoso_sensordata" cannot be set: it is the partition of the row/,
        "the partition of an elastic row cannot be set ($which)");
}
$t->query(q{
CREATE FUNCTION trim_name() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.contoso_name := trim(NEW.contoso_name); RETURN NEW; END $$;
CREATE TRIGGER trim_name BEFORE UPDATE ON crm.contoso_sensordata FOR EACH ROW EXECUTE FUNCTION trim_name();
});
$t->reset_log;
$t->faults({ match => { method => 'POST', body => '"partitionid":[^{}]*"partitionid":' }, times => -1, status => 400, message => 'partitionid stands twice' });
$t->psql_ok(q{UPDATE crm.contoso_sensordata SET contoso_name = ' fourth ' WHERE partitionid = 'p' AND contoso_value IN (2, 3)},
    'UPDATE of elastic rows under a trigger');
is($t->requests(qr{^POST .*UpdateMultiple}) . $t->requests(qr{^PATCH}), '10', '... names the partition once, and so is one request');
$t->is_query(q{SELECT count(*) FROM crm.contoso_sensordata WHERE contoso_name = 'fourth'}, '2', '... and does what the trigger says');
$t->reset_log;
$t->query('DROP TRIGGER trim_name ON crm.contoso_sensordata');

# Without the partition, its address is that of another row.
$t->query(q{CREATE FOREIGN TABLE half (id uuid OPTIONS (column_name 'contoso_sensordataid'), contoso_name text)
    SERVER crm OPTIONS (table_name 'contoso_sensordata', entity_set_name 'contoso_sensordatas',
    primary_id 'contoso_sensordataid', table_type 'elastic')});
$t->fails_like(q{DELETE FROM half WHERE contoso_name = 'third'},
    qr/ERROR:  HV005: foreign table "half" has no column for the partition of its rows/,
    'DELETE on an elastic table without its partition column is refused');
$t->is_query(q{SELECT count(*) FROM half WHERE contoso_name = 'third'}, '1', '... and the row is there');

# --- memory: declared types that are not what the code takes them for

$t->query(q{CREATE FOREIGN TABLE odd_target (name text, customerid uuid OPTIONS (attribute_type 'Customer'),
    kind integer OPTIONS (target_of 'customerid'))
    SERVER crm OPTIONS (table_name 'opportunity', entity_set_name 'opportunities', primary_id 'opportunityid')});
$t->fails_like(q{INSERT INTO odd_target (name, customerid, kind) VALUES ('x', gen_random_uuid(), 1000000)},
    qr/column "customerid" of foreign table "odd_target" cannot point to "1000000"/,
    'a target column that is no text is read by its own type');
$t->query(q{CREATE FOREIGN TABLE odd_id (accountid text, name text)
    SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid')});
$t->reset_log;
$t->fails_like(q{INSERT INTO odd_id VALUES ('x', 'odd')}, qr/invalid input syntax for type uuid: "x"/,
    'a primary id that is no GUID is refused here');
is($t->requests(qr{^POST}), 0, '... and nothing was sent');
$t->query(q{ALTER FOREIGN TABLE odd_id OPTIONS (ADD on_conflict 'update')});
$t->psql_ok(q{INSERT INTO odd_id VALUES ('AAAAAAAA-0000-0000-0000-000000000001', 'one'), ('aaaaaaaa-0000-0000-0000-000000000001', 'two')},
    'one id in two spellings');
$t->is_query(q{SELECT name FROM crm.account WHERE accountid = 'aaaaaaaa-0000-0000-0000-000000000001'}, 'two', '... is one row, the later one');

# --- an INSERT routed to the partition that it reads must not meet its own rows

$t->query(q{
CREATE TABLE parted (geo_number text, geo_name text) PARTITION BY LIST (geo_number);
CREATE FOREIGN TABLE leaf PARTITION OF parted DEFAULT
    SERVER crm OPTIONS (table_name 'geo_note', entity_set_name 'geo_notes', primary_id 'geo_noteid', fetch_size '5', batch_size '2', concurrency '1');
DELETE FROM crm.geo_note;
INSERT INTO parted SELECT 'R' || n, 'routed' FROM generate_series(1, 20) n;
});
$t->is_query(q{SET statement_timeout = '20s';
INSERT INTO parted SELECT geo_number || '-2', geo_name FROM leaf;
SELECT count(*) FROM crm.geo_note}, '40', 'rows routed to the partition they are read from are copied once');

# --- an error that a function catches is not the end of it for the statement whose rows were sent

$t->query(q{
ALTER FOREIGN TABLE crm.geo_country OPTIONS (ADD key 'geo_alpha2');
CREATE FUNCTION peek(code text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count(geo_alpha2) FROM crm.geo_country;
    RETURN code;
EXCEPTION WHEN OTHERS THEN
    RETURN code;
END $$;
});
my $before = $t->query('SELECT count(geo_alpha2) FROM crm.geo_country');
$t->fails_like(q{INSERT INTO crm.geo_country (geo_alpha2, geo_name)
    SELECT peek(c), CASE c WHEN 'ZW' THEN repeat('n', 10000) ELSE c END FROM unnest(ARRAY['ZU', 'ZW', 'ZV']) WITH ORDINALITY u (c, n)},
    qr/HV000: could not insert into foreign table "geo_country": an error while its rows were sent was caught elsewhere\nDETAIL:  1 row had been written before/,
    'a refused row is told although a function caught the error');

# --- a $batch whose operations are refused for the time being, again and again

$t->query(q{INSERT INTO crm.task (subject) SELECT 'review' || n FROM generate_series(1, 3) n});
my $part = join "\r\n", '--b', 'Content-Type: application/http', 'Content-Transfer-Encoding: binary', '',
    'HTTP/1.1 503 Service Unavailable', 'Content-Type: application/json', '', '{"error":{"code":"","message":"come back later"}}', '';
$t->faults({ match => { method => 'POST', path => '/\$batch' }, times => -1, status => 200,
    headers => { 'Content-Type' => 'multipart/mixed; boundary=b', 'OData-Version' => '4.0' }, body => "$part$part$part--b--\r\n" });
$t->fails_like(q{DELETE FROM crm.task WHERE subject LIKE 'review%'}, qr/come back later/,
    'what the service said of the operations is told when patience is at its end');
$t->reset_log;

# --- a token belongs to the credentials it was got with

$t->query(q{ALTER SERVER crm OPTIONS (ADD fetch_size '5')});
my $other = "$t->{bindir}/psql -X -q -h $t->{dir}/socket -p $t->{port} -U postgres -d postgres";
my ($status, $out, $err) = $t->psql(qq{
BEGIN;
DECLARE c CURSOR FOR SELECT name FROM crm.account;
FETCH 1 FROM c;
\\! $other -c "ALTER USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (SET client_secret 'wrong-secret')"
SELECT count(*) FROM pg_foreign_table;
SELECT geo_name FROM crm.geo_country LIMIT 0;
FETCH 15 FROM c;
COMMIT;
SELECT count(name) AS still FROM crm.account;
});
like($err, qr/could not get a token/, 'a token that was got with former credentials is not used for new ones');
$t->query(q{ALTER USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (SET client_secret 'demo-secret');
ALTER SERVER crm OPTIONS (DROP fetch_size)});

# --- a cancelled estimate leaves no subtransaction behind

$t->query(q{ALTER FOREIGN TABLE crm.contact OPTIONS (ADD use_remote_estimate 'true')});
$t->faults({ match => { path => 'RetrieveTotalRecordCount' }, times => -1, behaviour => 'hang' });
$t->is_query(q{
SET statement_timeout = '500ms';
DO $$
BEGIN
    BEGIN
        PERFORM fullname FROM crm.contact;
    EXCEPTION WHEN query_canceled THEN
        NULL;
    END;
END $$;
SET statement_timeout = 0;
SELECT pg_current_xact_id_if_assigned() IS NULL, now() > pg_postmaster_start_time();
CREATE TABLE kept (a int);
\c
SELECT to_regclass('kept');
}, "t|t\nkept", 'a cancel while the planner asks, caught: what follows is committed');
$t->reset_log;
$t->query(q{ALTER FOREIGN TABLE crm.contact OPTIONS (DROP use_remote_estimate)});

# --- one broken foreign table is no reason for the catalog's views to fail

$t->query(q{
CREATE FOREIGN TABLE broken (accountid uuid, accountnumber text, name text)
    SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid', key 'accountnumber');
ALTER FOREIGN TABLE broken DROP COLUMN accountnumber;
});
$t->is_query(q{SELECT is_insertable_into FROM information_schema.tables WHERE table_name = 'broken'}, 'YES',
    'a key column that is gone does not break information_schema');
$t->fails_like(q{SELECT name FROM broken}, qr/column "accountnumber" in option "key" of foreign table "broken" does not exist/,
    '... but the use of the table');
$t->query('DROP FOREIGN TABLE broken');

# --- databases in another encoding

$t->query(q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
my $url = $t->url;
$t->query(qq{\\c latin
CREATE EXTENSION dataverse_fdw;
CREATE SERVER crm FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url '$url', tenant_id '11111111-1111-1111-1111-111111111111',
    authority '$url', tag 'caf\x{e9}');
CREATE USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (client_id '22222222-2222-2222-2222-222222222222', client_secret 'demo-secret');
CREATE SCHEMA crm;
IMPORT FOREIGN SCHEMA dataverse FROM SERVER crm INTO crm;
});
$t->reset_log;
$t->query("\\c latin\nINSERT INTO crm.task (subject) VALUES ('tagged')");
is($t->requests(qr{tag=caf%C3%A9}), 1, 'the tag goes out in UTF-8 from a database in LATIN1');

done_testing();
