# write_together.t: options of writing that meet in one statement each keep their
# promise, or are refused before anything is sent.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use LoadJob;

my %setting = @LoadJob::SETTING;
my $t = DataverseTest->new(%setting, import => "$setting{import}, account, geo_country", server_options => {
        %{ $setting{server_options} }, batch_size => 100 });
my $loads = LoadJob->new($t);
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

$t->query(sprintf <<'SQL', $t->url, $t->url);
CREATE SERVER behind FOREIGN DATA WRAPPER dataverse_fdw
    OPTIONS (url '%s', tenant_id '11111111-1111-1111-1111-111111111111', authority '%s');
CREATE USER MAPPING FOR CURRENT_USER SERVER behind OPTIONS (client_id '22222222-2222-2222-2222-222222222222', client_secret 'demo-secret');
CREATE SCHEMA behind;
IMPORT FOREIGN SCHEMA dataverse LIMIT TO (account) FROM SERVER behind INTO behind;
SELECT dataverse_create_reject_table('public.rejects');
SELECT dataverse_create_result_table('public.results');
ALTER FOREIGN TABLE crm.geo_subdivision ADD country text OPTIONS (key_of 'geo_countryid', target_key 'geo_alpha2');
INSERT INTO crm.geo_country (geo_alpha2, geo_name) SELECT c, c FROM (VALUES ('Q1'), ('Q2')) v (c);
INSERT INTO crm.account (name, numberofemployees) SELECT 'v', n FROM generate_series(1, 3) n;
-- changes a row behind the back of the statement that has read it
CREATE FUNCTION touch(id uuid, wanted boolean, becomes text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF wanted THEN UPDATE behind.account SET description = becomes WHERE accountid = id; END IF;
    RETURN 'mine';
END $$;
SQL

# Gives a table these options and no others of those tried here.
sub options
{
    my ($table, %options) = @_;

    for my $option (qw(transaction on_error reject_table result_table skip_unchanged validate optimistic_concurrency key))
    {
        my ($status) = $t->psql("ALTER FOREIGN TABLE $table OPTIONS (DROP $option)");
    }
    $t->query("ALTER FOREIGN TABLE $table OPTIONS (" . join(', ', map { "ADD $_ '$options{$_}'" } sort keys %options) . ')') if %options;
}

# Runs it with an empty log and empty local tables.
sub run
{
    my ($sql, $name) = @_;

    $t->query('TRUNCATE rejects, results');
    $t->reset_log;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $t->psql_ok($sql, $name);
}

sub operations
{
    my $n = 0;
    $n += $_->{operations} // 1 for grep { "$_->{method} $_->{url}" =~ $writes } $t->log;
    return $n;
}

sub outcomes
{
    return $t->query("SELECT string_agg(number || ' ' || outcome, ', ' ORDER BY number) FROM results");
}

sub state
{
    return $t->query("SELECT string_agg(coalesce(description, '-'), ',' ORDER BY numberofemployees) FROM behind.account WHERE name = 'v'");
}

my $insert = 'INSERT INTO crm.geo_note (geo_number, geo_name)';
my $too_long = "repeat('9', 60)";

# --- all or none, and errors ignored

for my $place ('FOREIGN TABLE crm.geo_note', 'SERVER crm')
{
    $t->fails_like("ALTER $place OPTIONS (ADD transaction 'statement', ADD on_error 'ignore')",
        qr/HV00D: options "transaction" 'statement' and "on_error" 'ignore' cannot be used together/, "all or none with errors ignored, $place");
}
options('crm.geo_note', transaction => 'statement', on_error => 'stop');
pass('... unless they are not');
options('crm.geo_note', transaction => 'statement');
$t->query("ALTER SERVER crm OPTIONS (ADD on_error 'ignore')");
$t->reset_log;
for my $statement ("$insert VALUES ('1', 'x')", "UPDATE crm.geo_note SET geo_name = 'x'", 'DELETE FROM crm.geo_note')
{
    $t->fails_like($statement, qr/HV00D: .*"geo_note" cannot both be written all or nothing and ignore errors.*HINT: .*on_error/s, '... from two places');
}
is($t->requests, 0, '... before anything is sent');
$t->query("ALTER SERVER crm OPTIONS (DROP on_error)");

# --- all or none, and what became of each

options('crm.geo_note', transaction => 'statement', result_table => 'public.results', key => 'geo_number');
$t->query("$insert VALUES ('A', 'a'), ('S/1', 's')");
run("$insert VALUES ('A', 'x'), ('B', 'x'), ('B', 'y'), ('S/1', 'x'), ('S/2', 'x'), ('S/2', 'y')", 'results of a change set');
is(outcomes(), '1 updated, 2 created, 3 updated, 4 updated, 5 created, 6 updated', '... the same key twice is created once');
$t->is_query('SELECT count(*) FROM results JOIN crm.geo_note ON geo_noteid = id', 6, '... by their ids');
run("$insert VALUES ('C', 'x')", '... of one row');
is(outcomes(), '1 created', '... too');
run("$insert VALUES ('A', 'z'), ('D', 'z') ON CONFLICT DO NOTHING", '... that leaves rows alone');
is(outcomes(), '1 skipped, 2 created', '... says so');
run("DELETE FROM crm.geo_note WHERE geo_number IN ('A', 'B')", '... of DELETE');
is(outcomes(), '1 deleted, 2 deleted', '... too');
$t->query('TRUNCATE results');
$t->fails_like("$insert VALUES ('E', 'x'), ($too_long, 'x')", qr/22001.*[Nn]othing was written/s, '... with a bad row');
is(outcomes(), '', '... has none');

# --- all or none, and what is there already

options('crm.geo_note', transaction => 'statement', result_table => 'public.results', key => 'geo_number', skip_unchanged => 'true');
$t->query("DELETE FROM crm.geo_note; $insert VALUES ('A', 'a'), ('B', 'b')");
run("$insert VALUES ('A', 'a'), ('B', 'c'), ('C', 'c')", 'a change set without what is there');
is(operations(), 2, '... has the others');
is(outcomes(), '1 skipped, 2 updated, 3 created', '... and tells');
run("$insert VALUES ('A', 'x'), ('A', 'a')", '... with a key twice');
$t->is_query("SELECT geo_name FROM crm.geo_note WHERE geo_number = 'A'", 'a', '... ends as the last one says');
is(operations(), 2, '... since both go');
run("UPDATE crm.geo_note SET geo_name = lower(geo_name)", '... UPDATE');
is(operations(), 0, '... that changes nothing');

# --- all or none, and rows checked here

options('crm.geo_note', transaction => 'statement', validate => 'true');
$t->reset_log;
$t->fails_like("$insert VALUES ('V', 'x'), ($too_long, 'x')", qr/22001.*Row: .*[Nn]othing was written/s, 'a change set with a row that is too long');
is($t->requests($writes), 0, '... is not sent');

# --- all or none, lookups and labels

options('crm.geo_subdivision', transaction => 'statement', key => 'geo_code');
options('crm.account', transaction => 'statement');
run("INSERT INTO crm.geo_subdivision (geo_code, geo_name, country) VALUES ('T1', 't', 'Q1'), ('T2', 't', 'Q2')", 'keys of targets in a change set');
run("UPDATE crm.geo_subdivision SET country = 'Q2' WHERE geo_name = 't'", '... and in UPDATE');
is($t->requests($writes), 1, '... which is one request');
$t->is_query("SELECT count(*) FROM crm.geo_subdivision JOIN crm.geo_country c USING (geo_countryid) WHERE c.geo_alpha2 = 'Q2' AND geo_code IN ('T1', 'T2')", 2, '... reach their rows');
$t->fails_like("UPDATE crm.geo_subdivision SET country = 'Q9' WHERE geo_code = 'T1' OR geo_code = 'T2'", qr/23503.*[Nn]othing was written/s, 'a lookup to nothing');
$t->fails_like("UPDATE crm.geo_subdivision SET geo_countryid = gen_random_uuid() WHERE geo_name = 't'", qr/23503.*[Nn]othing was written/s, '... by id');
run("UPDATE crm.account SET industrycode_label = 'Brokers' WHERE name = 'v'", 'a label for all rows');
$t->is_query("SELECT DISTINCT industrycode_label FROM behind.account WHERE name = 'v'", 'Brokers', '... is written as its value');
run("UPDATE crm.geo_country SET geo_name = 'gone' WHERE geo_countryid = gen_random_uuid()", 'a row that is not there');

# --- versions, and errors ignored

my $update = "UPDATE crm.account SET description = touch(accountid, numberofemployees = 2, '%s') WHERE name = 'v'";
$t->query("UPDATE behind.account SET description = 'old' WHERE name = 'v'");
options('crm.account', optimistic_concurrency => 'true', on_error => 'ignore', reject_table => 'public.rejects', result_table => 'public.results');
run(sprintf($update, 'theirs'), 'a row changed meanwhile, with errors ignored');
is(state(), 'mine,theirs,mine', '... is left as it is, the others are written');
$t->is_query("SELECT number, r.code, row->>'description', row->>'accountid' = id::text FROM rejects r JOIN results USING (number)", '2|0x80060882|mine|t', '... and set aside');
is(outcomes(), '1 updated, 2 refused, 3 updated', '... and told');
$t->query("UPDATE behind.account SET description = 'old' WHERE name = 'v'");
$t->reset_log;
$t->faults({ match => { method => 'PATCH', path => '/accounts' }, times => 1, behaviour => 'close_after' });
$t->query("TRUNCATE rejects; UPDATE crm.account SET description = 'lost' WHERE name = 'v' AND numberofemployees = 1");
$t->reset_log;
$t->is_query('SELECT code FROM rejects WHERE message ~ $$answer to an earlier attempt was lost$$', '0x80060882', '... by the statement itself, as it may be');
options('crm.account', optimistic_concurrency => 'true', transaction => 'statement');
$t->query("UPDATE behind.account SET description = 'old' WHERE name = 'v'");
$t->fails_like(sprintf($update, 'theirs'), qr/40001.*[Nn]othing was written/s, '... with all or none');
is(state(), 'old,theirs,old', '... nobody is');

# --- versions, and what is there already

options('crm.account', optimistic_concurrency => 'true', skip_unchanged => 'true');
$t->query("UPDATE behind.account SET description = 'old' WHERE name = 'v'");
$t->fails_like(sprintf($update, 'mine'), qr/40001/, 'somebody has written the same meanwhile: a conflict all the same');
$t->query("UPDATE behind.account SET description = 'mine' WHERE name = 'v'");
run("UPDATE crm.account SET description = touch(accountid, false, '') WHERE name = 'v'", 'nobody has, and the rows are as they are to be');
is(operations(), 0, '... is not written');
$t->query("UPDATE behind.account SET description = 'old' WHERE name = 'v' AND numberofemployees = 2");
run("UPDATE crm.account SET description = touch(accountid, false, '') WHERE name = 'v'", '... but for one');
is(operations(), 1, '... is one');
is(state(), 'mine,mine,mine', '... as it should be');

# --- UPDATE without the executor, and errors ignored

options('crm.geo_note', on_error => 'ignore', reject_table => 'public.rejects', result_table => 'public.results');
$t->query("DELETE FROM crm.geo_note; $insert VALUES ('A', 'a'), ('B', 'b')");
my $ids = $t->query("SELECT string_agg(quote_literal(geo_noteid), ', ') FROM crm.geo_note");
for my $rows ('true', "geo_noteid IN ($ids)")
{
    run("UPDATE crm.geo_note SET geo_number = $too_long WHERE $rows", 'UPDATE that refuses all rows');
    is(outcomes(), '1 refused, 2 refused', '... tells each');
    $t->is_query("SELECT count(*) FROM rejects r JOIN crm.geo_note ON geo_noteid::text = r.row->>'geo_noteid'", 2, '... sets them aside with their ids');
}
run("UPDATE crm.geo_note SET geo_name = 'z' WHERE geo_noteid IN ($ids)", '... that writes them');
is(outcomes(), '1 updated, 2 updated', '... tells that');
run("DELETE FROM crm.geo_note WHERE geo_noteid IN ($ids, '00000000-0000-4000-8000-000000000001')", 'DELETE');
is(outcomes(), '1 skipped, 2 deleted, 3 deleted', '... too');

options('crm.geo_note', skip_unchanged => 'true');
$t->query("$insert VALUES ('A', 'a'), ('B', 'b')");
$t->fails_like(<<'SQL', qr/2 rows/, 'UPDATE of rows that are as they are to be counts them');
DO $$
DECLARE n bigint;
BEGIN
    UPDATE crm.geo_note SET geo_name = 'a';
    GET DIAGNOSTICS n = ROW_COUNT;
    RAISE EXCEPTION '% rows', n;
END $$;
SQL

# --- loads

options('crm.geo_note', transaction => 'statement');
my $job = $loads->job('batch');
$t->fails_like("CALL dataverse_load('crm.geo_note', 'SELECT 1 AS geo_name', job => 'large', chunk_rows => 1001)", qr/22023: chunk_rows must be at most 1000/, 'a chunk that no change set holds');
my $running = $loads->begin($job, 2, 'delay_after');
$t->query('SELECT pg_terminate_backend(' . $loads->progress($job, 'pid') . ')');
$t->finish($running);
$t->reset_log;
$t->psql_ok($job->{call}, 'a load by change sets that is killed goes on');
$t->is_query($job->{there}, $LoadJob::ALL, '... with each row once');
is($t->requests($LoadJob::WRITE), 2, '... one request a chunk, also for that which had arrived');
$loads->journal_is($job, 'done 1 200 0, done 2 200 0, done 1 200 0', '... as the journal says');
$t->query("CALL dataverse_load('crm.geo_note', 'SELECT ''whole'' AS geo_name FROM generate_series(1, 1100)', job => 'whole')");
$t->is_query("SELECT string_agg(rows_loaded::text, ',' ORDER BY chunk) FROM dataverse_job_chunk JOIN dataverse_job j ON j.id = job_id WHERE job = 'whole'", '1000,100', 'its chunks are as large as change sets');
options('crm.geo_note');
my $keyed = "SET dataverse_fdw.key = 'crm.geo_note(geo_number)'; CALL dataverse_load('crm.geo_note', 'SELECT ''K'' || n %% 2 AS geo_number, n::text AS geo_name FROM generate_series(1, 4) n', job => '%s')";
run(sprintf($keyed, 'session'), 'a load by the key of the session');
$t->is_query("SELECT string_agg(geo_number || geo_name, ',' ORDER BY geo_number) FROM crm.geo_note WHERE geo_number LIKE 'K%'", 'K04,K13', '... updates');
options('crm.geo_note', skip_unchanged => 'true');
run("SET dataverse_fdw.key = 'crm.geo_note(geo_number)'; CALL dataverse_load('crm.geo_note', 'SELECT geo_number, geo_name FROM behind_notes', job => 'same')" =~ s/behind_notes/(VALUES (''K0'', ''4''), (''K1'', ''3'')) v (geo_number, geo_name)/r, '... without what is there');
is(operations(), 0, '... writes nothing');
$t->is_query("SELECT rows_done, rows_refused, state FROM dataverse_job_progress WHERE job = 'same'", '2|0|finished', '... and is done');

# --- EXPLAIN asks nobody

options('crm.account', transaction => 'statement', result_table => 'public.results', skip_unchanged => 'true', validate => 'true', optimistic_concurrency => 'true', key => 'accountnumber');
$t->reset_log;
for my $statement ("INSERT INTO crm.account (name, accountnumber) VALUES ('x', 'x')", "UPDATE crm.account SET industrycode_label = 'Brokers'",
    "UPDATE crm.account SET name = lower(name) WHERE revenue > 1", "DELETE FROM crm.account WHERE name = 'x'",
    "UPDATE crm.geo_subdivision SET country = 'Q1' WHERE geo_population = 1")
{
    $t->psql_ok("EXPLAIN VERBOSE $statement", "EXPLAIN $statement");
}
is($t->requests, 0, '... sends nothing');

done_testing();
