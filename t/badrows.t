# badrows.t: rows that are refused, by the service or before they are sent: with
# on_error 'ignore' all others are written, each once, the refused ones are kept
# or told, by how many requests; and what the result table says of each row.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $t = DataverseTest->new(rows => 20, import => 'account, contact, geo_country, geo_subdivision, geo_note, contoso_sensordata, sample_everything');
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

$t->query(<<'SQL');
ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (ADD key 'geo_code');
ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD key 'geo_number');
SELECT dataverse_create_reject_table('public.rejects');
SQL

sub held
{
    return $t->figures($_[0])->{rows} // $t->figures($_[0])->{count};
}

sub emptied
{
    my ($table) = @_;
    $t->query("DELETE FROM crm.$table; TRUNCATE rejects");
    $t->reset_log;
}

# Messages of a statement that must not fail.
sub told
{
    my ($sql, $name) = @_;
    my ($status, $out, $err) = $t->psql($sql);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($status, 0, $name) or diag($err);
    return $err;
}

sub options
{
    my ($table, $options) = @_;
    $t->query("ALTER FOREIGN TABLE crm.$table OPTIONS ($options)");
}

# Rows of which those with numbers in the condition have a code that is too long.
sub rows
{
    my ($n, $bad) = @_;
    return "INSERT INTO crm.geo_subdivision (geo_code, geo_name) "
        . "SELECT CASE WHEN $bad THEN 'much too long ' || n ELSE 'A' || n END, 'x' || n FROM generate_series(1, $n) n";
}

# --- set aside

options('geo_subdivision', "ADD on_error 'ignore', ADD reject_table 'public.rejects'");
emptied('geo_subdivision');
my $err = told(rows(1000, 'n = 700'), 'a bad row among 1,000');
like($err, qr/NOTICE:  00000: 1 row was refused and not written to foreign table "geo_subdivision"\n.*DETAIL:  See table public\.rejects\./s, '... is counted');
is(held('geo_subdivision'), 999, '... and all others are in');
cmp_ok($t->requests($writes), '<=', 1 + 7, '... after seven further requests');
$t->is_query(<<'SQL', "crm.geo_subdivision|700|much too long 700|x700|geo_code='much too long 700'|0x80044331|t|t|t", '... it is kept');
SELECT target, number, row->>'geo_code', row->>'geo_name', key, code, message ~ 'length', length(request_id) = 36, refused_at > now() - interval '1 min' FROM rejects
SQL
$t->is_query("SELECT jsonb_object_keys(row) FROM rejects ORDER BY 1", "geo_code\ngeo_name", '... with the columns of the statement');
$t->psql_ok(<<'SQL', '... so that it can be repaired and repeated');
INSERT INTO crm.geo_subdivision (geo_code, geo_name)
SELECT 'R' || r.number, s.geo_name FROM rejects r, jsonb_populate_record(null::crm.geo_subdivision, r.row) s
SQL
$t->is_query("SELECT geo_name FROM crm.geo_subdivision WHERE geo_code = 'R700'", 'x700', '... whole');

for my $position (1, 2, 999, 1000)
{
    emptied('geo_subdivision');
    told(rows(1000, "n = $position"), "... as row $position");
    is(held('geo_subdivision'), 999, '... all others');
    cmp_ok($t->requests($writes), '<=', 1 + 7, '... seven further requests');
    $t->is_query('SELECT number FROM rejects', $position, '... and no other');
}

emptied('geo_subdivision');
$err = told(rows(10_000, 'n % 1000 = 77'), 'ten bad rows in 10,000, one in each request');
like($err, qr/NOTICE:  00000: 10 rows were refused/, '... are counted');
is(held('geo_subdivision'), 9990, '... all others are in');
cmp_ok($t->requests($writes), '<=', 10 + 80, '... by 80 further requests');
$t->is_query('SELECT count(*), count(DISTINCT key) FROM rejects', '10|10', '... each is kept once');

emptied('geo_subdivision');
told(rows(10_000, 'n BETWEEN 3000 AND 3999 AND n % 100 = 7'), '... all in one request');
is(held('geo_subdivision'), 9990, '... all others');
cmp_ok($t->requests($writes), '<=', 10 + 15, '... by 15 further requests');

options('geo_subdivision', "ADD concurrency '1'");
emptied('geo_subdivision');
told(rows(5000, 'n % 3 = 0'), 'every third row bad');
is(held('geo_subdivision'), 5000 - 1666, '... all others are in');
cmp_ok($t->requests($writes), '<=', 5 + 6, '... by few requests, since rows are asked one by one then');
cmp_ok($t->requests(qr/\$batch/), '>=', 3, '... in batches');
$t->is_query('SELECT count(*), count(DISTINCT key) FROM rejects', '1666|1666', '... each is kept once');
options('geo_subdivision', 'DROP concurrency');

options('geo_subdivision', "ADD batch_size '100', ADD concurrency '3'");
$t->control('latency', { ms => 30 });
emptied('geo_subdivision');
told(rows(2000, 'n = 7'), 'a bad row in the first of twenty requests');
$t->control('latency', { ms => 0 });
my @sizes = map { $_->{operations} } grep { "$_->{method} $_->{url}" =~ $writes } $t->log;
my ($searching) = grep { $sizes[$_] < 64 } 0 .. $#sizes;
cmp_ok(scalar(grep { $_ == 100 } @sizes[ $searching .. $#sizes ]), '>=', 10, '... does not keep the others waiting') or diag("@sizes");
is(held('geo_subdivision'), 1999, '... and all others are in');
options('geo_subdivision', 'DROP batch_size, DROP concurrency');

# --- without a table

options('geo_subdivision', 'DROP reject_table');
emptied('geo_subdivision');
$err = told(rows(100, 'n % 10 = 0'), 'without a reject table');
is(held('geo_subdivision'), 90, '... all others are in');
my @warnings = $err =~ /^(?:psql:\S+ )?WARNING:  (.*)/mg;
is(scalar @warnings, 6, '... five rows are told, and how many there were');
like($warnings[0], qr/^22001: row refused for foreign table "geo_subdivision": .*length/, '... what is wrong');
like($err, qr/DETAIL:  Service code 0x80044331, HTTP status 400, request id \S+\. Row: geo_code='much too long 10'\./, '... with which');
like($err, qr/WARNING:  01000: 10 rows were refused and not written to foreign table "geo_subdivision"\n.*HINT:  Set the option "reject_table"/s, '... and what to do');

# --- a limit

options('geo_subdivision', "ADD reject_table 'public.rejects', ADD reject_limit '10'");
emptied('geo_subdivision');
told(rows(1000, 'n % 100 = 0'), 'as many as the limit');
is(held('geo_subdivision'), 990, '... all others are in');
emptied('geo_subdivision');
my ($status, $out);
($status, $out, $err) = $t->psql(rows(1000, 'n % 90 = 0'));
like($err, qr/ERROR:  22001: could not insert into foreign table "geo_subdivision": /, 'one more');
like($err, qr/HINT:  More rows were refused than the option "reject_limit" allows\./, '... is an error');
my ($written, $refused) = $err =~ /(\d+) rows had been written before, (\d+) refused/;
is($refused, 10, '... with the number of those refused before');
is(held('geo_subdivision'), $written, '... and of those written');
$t->is_query('SELECT count(*) FROM rejects', 0, '... whose lines are gone with the transaction');
options('geo_subdivision', 'DROP reject_limit');

# --- rows that cannot be sent

options('geo_subdivision', "SET key 'geo_code'");
emptied('geo_subdivision');
told("INSERT INTO crm.geo_subdivision (geo_code, geo_name) SELECT CASE n WHEN 5 THEN NULL WHEN 6 THEN '' ELSE 'A' || n END, 'x' || n FROM generate_series(1, 10) n", 'null keys');
is(held('geo_subdivision'), 8, '... all others are in');
is($t->requests($writes), 1, '... without further requests');
$t->is_query("SELECT number, row->>'geo_name', left(key, 30), code, message, request_id IS NULL FROM rejects ORDER BY 1", <<'END' =~ s/\n$//r, '... kept');
5|x5|number 5 of the statement|23502|null value in key column "geo_code" of foreign table "geo_subdivision"|t
6|x6|number 6 of the statement|23502|null value in key column "geo_code" of foreign table "geo_subdivision"|t
END
options('sample_everything', "ADD on_error 'ignore', ADD reject_table 'public.rejects'");
$t->query('TRUNCATE rejects');
my $before = held('sample_everything');
told(<<'SQL', 'values that cannot be sent');
INSERT INTO crm.sample_everything (sample_name, sample_decimal, sample_date, sample_datetime, sample_double)
VALUES ('s1', 'NaN', NULL, NULL, NULL), ('s2', 1.50, '2024-02-29', '2024-02-29 12:00:00+00', 0.1), ('s3', 1, '0001-01-01', NULL, NULL),
    ('s4', 1, NULL, 'infinity', NULL), ('s5', 1, NULL, NULL, 'Infinity')
SQL
is(held('sample_everything') - $before, 1, '... leave the others');
$t->is_query("SELECT number, row->>'sample_name', code ~ '^(22|HV)', row->>'sample_decimal', row->>'sample_date', row->>'sample_datetime', row->>'sample_double' FROM rejects ORDER BY 1",
    "1|s1|t|NaN|||\n3|s3|t|1|0001-01-01||\n4|s4|t|1||infinity|\n5|s5|t|1|||Infinity", '... kept as they were');
$t->is_query(<<'SQL', "s1|NaN||\ns3|1|0001-01-01|\ns4|1||infinity\ns5|1||", '... and turned into the same rows');
SELECT s.sample_name, s.sample_decimal, s.sample_date, s.sample_datetime
  FROM rejects r, jsonb_populate_record(null::crm.sample_everything, r.row) s ORDER BY r.number
SQL
options('sample_everything', "SET on_error 'stop'");
$t->fails_like("INSERT INTO crm.sample_everything (sample_name, sample_decimal) VALUES ('s6', 1), ('s7', 'NaN')",
    qr/ERROR:  22\w+: .*Row: number 2 of the statement\. 0 rows had been written before\./s, "on_error 'stop' names the row of such a value");

# --- one by one: RETURNING, COPY, UPDATE, DELETE

emptied('geo_subdivision');
$t->is_query("INSERT INTO crm.geo_subdivision (geo_code, geo_name) VALUES ('B1', 'a'), ('much too long', 'b'), (NULL, 'c'), ('B2', 'd') RETURNING geo_code, geo_name",
    "B1|a\nB2|d", 'RETURNING gives those that were written');
$t->is_query('SELECT number FROM rejects ORDER BY 1', "2\n3", '... the others are kept');
emptied('geo_subdivision');
told("COPY crm.geo_subdivision (geo_code, geo_name) FROM STDIN;\nC1\ta\nmuch too long\tb\n\\N\tc\nC2\td\n\\.", 'COPY');
is(held('geo_subdivision'), 2, '... leaves refused rows out');
$t->is_query('SELECT number FROM rejects ORDER BY 1', "2\n3", '... and keeps them') ;
$t->query('TRUNCATE rejects');
$err = told("UPDATE crm.geo_subdivision SET geo_name = CASE geo_code WHEN 'C1' THEN repeat('x', 500) ELSE 'new' END", 'UPDATE');
$t->is_query("SELECT geo_code, geo_name FROM crm.geo_subdivision ORDER BY 1", "C1|a\nC2|new", '... changes the others');
$t->is_query("SELECT length(row->>'geo_name'), row->>'geo_subdivisionid' = s.geo_subdivisionid::text, (SELECT count(*) FROM jsonb_object_keys(row)) FROM rejects, crm.geo_subdivision s WHERE geo_code = 'C1'",
    '500|t|2', '... and keeps what was to be set, with the id');
options('account', "ADD on_error 'ignore', ADD reject_table 'public.rejects'");
$t->query('TRUNCATE rejects');
my $accounts = held('account');
$t->reset_log;
$t->faults({ match => { path => 'batch' }, times => 0 });
$t->psql_ok("DELETE FROM crm.account", 'DELETE of rows that others point to');
my $left = held('account');
$t->is_query("SELECT count(*), count(*) FILTER (WHERE row ? 'accountid'), bool_and(code = '0x80040227') FROM rejects", "$left|$left|t", '... keeps those that stay')
    if $left > 0;
cmp_ok($left, '>', 0, '... of which there are some');

# --- other shapes

options('geo_note', "ADD on_error 'ignore', ADD reject_table 'public.rejects'");
emptied('geo_note');
told("INSERT INTO crm.geo_note (geo_number, geo_name) SELECT CASE WHEN n % 10 = 0 THEN repeat('9', 60) || n ELSE 'N' || n END, 'x' FROM generate_series(1, 300) n", 'a table without bulk messages');
is(held('geo_note'), 270, '... has all others');
is($t->requests($writes), 1, '... after one request');
$t->is_query('SELECT count(*) FROM rejects', 30, '... and the refused ones are kept');

options('contoso_sensordata', "ADD on_error 'ignore', ADD reject_table 'public.rejects'");
emptied('contoso_sensordata');
told("INSERT INTO crm.contoso_sensordata (contoso_name, contoso_value, contoso_quality, partitionid) SELECT 't' || n, n, CASE WHEN n % 20 = 0 THEN 7 ELSE 100000000 END, 'q' FROM generate_series(1, 200) n", 'an elastic table');
is(held('contoso_sensordata'), 190, '... has all others');
cmp_ok($t->requests($writes), '<=', 2 + 2, '... after one further request for each');
$t->is_query('SELECT count(*) FROM rejects', 10, '... and the refused ones are kept');
emptied('geo_subdivision');
told("INSERT INTO crm.geo_subdivision (geo_code, geo_name, geo_countryid) SELECT 'L' || n, 'x', CASE n WHEN 5 THEN gen_random_uuid() END FROM generate_series(1, 10) n", 'a lookup to nothing');
is(held('geo_subdivision'), 9, '... is a bad row');

# --- what no row is to blame for

emptied('geo_subdivision');
$t->query("ALTER SERVER crm OPTIONS (ADD retry_timeout '0')");
for (
    [ 'a missing privilege', { status => 403, code => '0x80040220', message => 'prvWrite' }, '42501' ],
    [ 'an outage', { status => 503, code => '0x8004A001' }, '08006' ],
    [ 'throttling', { status => 429, code => '0x80072322', headers => { 'Retry-After' => '1' } }, '53400' ])
{
    my ($what, $fault, $state) = @$_;
    $t->reset_log;
    $t->faults({ match => { path => 'v9.2/(geo_subdivisions|.batch)' }, times => -1, skip => 1, %$fault });
    options('geo_subdivision', "ADD batch_size '100', ADD concurrency '1'");
    $t->fails_like(rows(300, 'false'), qr/ERROR:  $state: .*100 rows had been written before/s, "$what ends it all the same");
    options('geo_subdivision', 'DROP batch_size, DROP concurrency');
    $t->reset_log;
    emptied('geo_subdivision');
}
$t->query("ALTER SERVER crm OPTIONS (DROP retry_timeout)");

# --- the table must fit

$t->reset_log;
for (
    [ 'public.nowhere', qr/table "public\.nowhere" of option "reject_table" cannot be used\n.*It does not exist\..*HINT:  Such a table is made by dataverse_create_reject_table\(\), or by: CREATE TABLE public\.nowhere \(target text, number bigint, "row" jsonb, key text, code text, message text, request_id text, refused_at timestamptz\)/s ],
    [ 'crm.account', qr/It is not a local table/ ],
    [ 'public.narrow', qr/It has no column "row"/ ],
    [ 'public.wrong', qr/Its column "row" is not of type jsonb/ ])
{
    my ($name, $pattern) = @$_;
    $t->query('CREATE TABLE IF NOT EXISTS narrow (target text, number bigint)');
    $t->query('CREATE TABLE IF NOT EXISTS wrong (LIKE rejects); ALTER TABLE wrong DROP "row"; ALTER TABLE wrong ADD "row" integer') if $name eq 'public.wrong';
    options('geo_subdivision', "SET reject_table '$name'");
    $t->fails_like(rows(3, 'false'), $pattern, "a reject table that cannot be used: $name");
}
is($t->requests($writes), 0, '... is told before anything is sent');
$t->fails_like("ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (SET reject_table 'rejects')", qr/with its schema, like public\.rejects/, 'a name without a schema');
options('geo_subdivision', "SET reject_table 'public.rejects'");
$t->query("CREATE ROLE loader; GRANT USAGE ON SCHEMA crm TO loader; GRANT SELECT, INSERT ON crm.geo_subdivision TO loader; "
    . "CREATE USER MAPPING FOR loader SERVER crm OPTIONS (client_id '22222222-2222-2222-2222-222222222222', client_secret 'demo-secret')");
$t->fails_like('SET ROLE loader; ' . rows(3, 'false'), qr/42501: permission denied for table .*rejects/, 'a user who may not write to it');
$t->query('GRANT INSERT ON rejects TO loader');
emptied('geo_subdivision');
told('SET ROLE loader; ' . rows(3, 'n = 2'), '... and one who may');
$t->is_query('SELECT number FROM rejects', 2, '... writes to it');
$t->query(<<'SQL');
CREATE TABLE who (name text);
GRANT INSERT ON who TO PUBLIC;
CREATE FUNCTION note_user() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO who VALUES (current_user); RETURN NULL; END $$;
CREATE TRIGGER note_user AFTER INSERT ON rejects FOR EACH ROW EXECUTE FUNCTION note_user();
CREATE FUNCTION reads() RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER AS 'SELECT count(*) FROM crm.geo_subdivision';
SQL
told("SET ROLE loader; INSERT INTO crm.geo_subdivision (geo_code, geo_name) SELECT CASE n WHEN 1 THEN NULL ELSE 'Z' || n || reads() END, 'x' FROM generate_series(1, 3) n",
    '... also when a function of somebody else makes lines be written');
$t->is_query('SELECT DISTINCT name FROM who', 'loader', '... as himself');
$t->query('DROP TRIGGER note_user ON rejects');

# --- memory

emptied('geo_subdivision');
told(rows(1000, 'true'), 'a thousand bad rows');
$t->is_query('SELECT count(*), min(number), max(number) FROM rejects', '1000|1|1000', '... are kept, all');
is(held('geo_subdivision'), 0, '... and nothing is written');

done_testing();
