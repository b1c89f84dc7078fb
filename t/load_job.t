# load_job.t: dataverse_load, its journal and its errors, and what becomes of a
# job that is cancelled or timed out, or whose service fails: the next call goes
# on, and at the end exactly the query's rows are there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use LoadJob;
use Time::HiRes qw(sleep);

my $t = DataverseTest->new(@LoadJob::SETTING);
my $loads = LoadJob->new($t);

# --- all is well

my $job = $loads->job('create');
my $running;
my ($status, $out, $err) = $t->psql($job->{call});
is($status, 0, 'a load');
like($err, qr/NOTICE:  00000: job "j1" is finished: 600 of 600 rows loaded, 0 refused, \d+ rows\/s\n/, '... says so');
$t->is_query($job->{there}, $LoadJob::ALL, '... brings the rows');
$loads->journal_is($job, 'done 1 200 0, done 1 200 0, done 1 200 0', '... chunk by chunk');
is($loads->progress($job, q{target, state, rows_done, rows_refused, rows_total, rows_per_second > 0, time_left, throttled_until, last_error, pid}),
    'crm.geo_subdivision|finished|600|0|600|t||||', '... as the view shows');
$t->is_query(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'dataverse_staging'::regnamespace}, '0', '... and leaves no table');

$t->reset_log;
($status, $out, $err) = $t->psql($job->{call});
like($err, qr/NOTICE:  00000: job "j1" is finished already\nHINT:  Call with restart => true/, 'a finished job is not run again');
is($t->requests, 0, '... with no request');
is($status, 0, '... which is no error');

for my $other (
    [ 'target', "CALL dataverse_load('keyed.geo_subdivision', \$\$$job->{query}\$\$, job => 'j1')", qr/loads into crm\.geo_subdivision: SELECT .*loads into keyed\.geo_subdivision: SELECT/s ],
    [ 'query', q{CALL dataverse_load('crm.geo_subdivision', 'SELECT 1 AS geo_population', job => 'j1')}, qr/loads into \S+: SELECT 'j1' .*loads into \S+: SELECT 1 AS geo_population/s ])
{
    my ($what, $sql, $detail) = @$other;
    $t->fails_like($sql, qr/ERROR:  42710: job "j1" is another load\n.*DETAIL: .*$detail.*HINT: .*restart => true/s, "the name with another $what");
}
$t->query(q{CALL dataverse_load('crm.geo_subdivision', 'SELECT ''other'' AS geo_name', job => 'j1', restart => true)});
$t->is_query(q{SELECT count(*) FROM crm.geo_subdivision WHERE geo_name = 'other'}, '1', '... replaces the job when told to');

$job = $loads->job('create', 'WHERE false; -- no rows');
$t->fails_like($job->{call}, qr/42601/, 'a query with a comment after its end is no query');
$job = $loads->job('create', "WHERE false -- no rows\n;\n");
$t->psql_ok($job->{call}, 'no rows, a comment and a semicolon');
is($loads->progress($job, 'state, rows_done, rows_total, time_left'), 'finished|0|0|', '... are a finished job');

# --- interrupted

# Only rows of the first run count: the source has changed since then, and its order was none.
sub goes_on
{
    my ($job) = @_;

    $t->query('INSERT INTO source SELECT n + 1000 FROM source WHERE n <= 600');
    my ($status, $out, $err) = $t->psql($job->{call});
    $t->query('DELETE FROM source WHERE n > 600');
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($status, 0, '... goes on') or diag($err);
    like($err, qr/NOTICE:  00000: job "$job->{name}" goes on: 200 of 600 rows are done\n/, '... from where it stood');
    like($err, qr/NOTICE:  00000: job "$job->{name}" is finished: 600 of 600 rows loaded, 0 refused/, '... to its end');
    $t->is_query($job->{there}, $LoadJob::ALL, '... with the rows that it began with, each once');
    $loads->journal_is($job, 'done 1 200 0, done 2 200 0, done 1 200 0', '... in the chunks that it began with');
    is($loads->progress($job, 'state, last_error'), 'finished|', '... without an error left');
}

for my $how (qw(cancel terminate))
{
    my $job = $loads->job('create', 'ORDER BY random()');
    my $running = $loads->begin($job, 6, 'delay_after');
    $t->query("SELECT pg_${how}_backend(" . $loads->progress($job, 'pid') . ')');
    my ($status, $out, $err) = $t->finish($running);
    like($err, qr/57014: canceling statement due to user request|57P01/, "$how");
    is($loads->progress($job, 'state, rows_done, rows_total, coalesce(last_error, $$none$$), pid'),
        $how eq 'cancel' ? 'failed|200|600|canceling statement due to user request|' : 'interrupted|200|600|none|', '... is told in the view');
    $t->reset_log;
    goes_on($job);
}

$job = $loads->job('create', 'ORDER BY random()');
$t->faults({ match => { method => 'POST', path => 'Multiple' }, skip => 5, times => -1, behaviour => 'delay_after', delay_ms => 60_000 });
$t->fails_like("SET statement_timeout = '1s'; $job->{call}", qr/57014: canceling statement due to statement timeout/, 'statement_timeout');
is($loads->progress($job, 'state, last_error'), 'failed|canceling statement due to statement timeout', '... is told in the view');
$t->reset_log;
goes_on($job);

# --- the service fails

$t->query("ALTER SERVER crm OPTIONS (SET retry_timeout '0')");
for my $behaviour (qw(close close_after))
{
    my $job = $loads->job('create', 'ORDER BY random()');
    $t->reset_log;
    $t->faults({ match => { method => 'POST', path => 'Multiple' }, skip => 5, times => -1, behaviour => $behaviour });
    $t->fails_like($job->{call}, qr/ERROR:  08006: could not insert into foreign table "geo_subdivision": .*CONTEXT: /s, "the service fails ($behaviour)");
    like($loads->progress($job, 'state, last_error'), qr/^failed\|could not insert into foreign table "geo_subdivision": /, '... is told in the view');
    $t->reset_log;
    goes_on($job);
}

$job = $loads->job('create', 'ORDER BY random()');
$running = $loads->begin($job, 6, 'delay_after');
$t->stop_service('KILL');
($status, $out, $err) = $t->finish($running, 60);
like($err, qr/ERROR:  080/, 'the service is killed');
$t->start_service;
goes_on($job);
$t->query("ALTER SERVER crm OPTIONS (SET retry_timeout '20')");

# Answers that are lost in mid-load are settled in the same call.
for my $way (qw(create batch elastic))
{
    my $job = $loads->job($way);
    $t->reset_log;
    $t->faults({ match => { method => 'POST', path => '(Multiple|batch)' }, skip => 4, times => 2, behaviour => 'close_after' });
    $t->psql_ok($job->{call}, "answers are lost ($way)");
    $t->is_query($job->{there}, $LoadJob::ALL, '... and all rows are there once');
    $loads->journal_is($job, 'done 1 200 0, done 1 200 0, done 1 200 0', '... at the first attempt');
}

# The service asks for patience.
$job = $loads->job('upsert');
$t->reset_log;
$t->faults({ match => { method => 'POST', path => 'Multiple' }, skip => 4, times => -1, status => 429, code => '0x80072322',
        message => 'Number of requests exceeded', headers => { 'Retry-After' => '10' } });
$running = $t->start($job->{call});
$t->poll_until("SELECT rows_done FROM dataverse_job_progress WHERE job = '$job->{name}'", '200');
sleep 0.2 until $t->requests($LoadJob::WRITE) > 4;
$t->query('SELECT pg_cancel_backend(' . $loads->progress($job, 'pid') . ')');
$t->finish($running);
is($loads->progress($job, q{state, rows_done, throttled_until BETWEEN now() AND now() + interval '10 s'}), 'failed|200|t', 'a throttled load is told in the view');
$t->reset_log;
$t->psql_ok($job->{call}, '... goes on');
$t->is_query($job->{there}, $LoadJob::ALL, '... and all rows are there once');

# --- a refused row

$job = $loads->job('create', q{UNION ALL SELECT 'too long', '01234567890', 0 ORDER BY 3});
$t->fails_like($job->{call}, qr/ERROR:  22001: .*geo_code.*0x80044331/s, 'a row is refused');
$loads->journal_is($job, 'failed 1, waiting 0, waiting 0, waiting 0', '... and its chunk fails');
$t->fails_like($job->{call}, qr/ERROR:  22001: /, '... each time');
$loads->journal_is($job, 'failed 2, waiting 0, waiting 0, waiting 0', '... and no later one is sent');
$t->query(q{UPDATE dataverse_staging.job_} . $t->query("SELECT id FROM dataverse_job WHERE job = '$job->{name}'")
    . q{ SET geo_code = 'right' WHERE geo_name = 'too long'});
$t->psql_ok($job->{call}, '... until it is put right among the staged rows');
$t->is_query($job->{there}, $LoadJob::ALL, '... and all rows are there once');

# Set aside, they count as done.
$t->query(<<'SQL');
SELECT dataverse_create_reject_table('public.rejects');
ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (ADD on_error 'ignore', ADD reject_table 'public.rejects', ADD reject_limit '2');
SQL
$job = $loads->job('create');
$job->{call} =~ s/n AS geo_code/n || CASE WHEN n % 100 = 50 OR n = 333 THEN ' too long' ELSE '' END AS geo_code/;
$t->fails_like($job->{call}, qr/ERROR:  22001: .*"reject_limit"/s, 'more rows are refused than may be');
$loads->journal_is($job, 'done 1 198 2, failed 1, waiting 0', '... in one chunk');
$t->is_query('SELECT count(*) FROM rejects', '2', '... of which nothing is kept');
$t->query(q{ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (SET reject_limit '3')});
($status, $out, $err) = $t->psql($job->{call});
like($err, qr/goes on: 200 of 600 rows are done\n.*is finished: 593 of 600 rows loaded, 7 refused/s, '... until more may be');
$loads->journal_is($job, 'done 1 198 2, done 2 197 3, done 1 198 2', '... and each chunk counts its own');
is($loads->progress($job, 'state, rows_done, rows_refused, rows_total'), 'finished|600|7|600', '... as does the view');
$t->is_query(q{SELECT count(*), count(DISTINCT r."row" ->> 'geo_code') FROM rejects AS r}, '7|7', '... and each refused row is kept once');
$t->is_query($job->{there}, '593|593|' . (180300 - 50 - 150 - 250 - 350 - 450 - 550 - 333), '... and all others are there once');
$t->query('ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (DROP on_error, DROP reject_table, DROP reject_limit)');

# A create that clashes with another row's key is no echo of ours.
$t->query(q{INSERT INTO crm.geo_subdivision (geo_name, geo_code) VALUES ('in the way', 'j0-77')});
$job = $loads->job('create');
$job->{call} =~ s/'\Q$job->{name}\E-'/'j0-'/;
$t->fails_like($job->{call}, qr/ERROR:  23505: .*geo_code/s, 'a key is taken');
$t->fails_like($job->{call}, qr/ERROR:  23505: /, '... also when the chunk is sent again');
$t->query(q{DELETE FROM crm.geo_subdivision WHERE geo_name = 'in the way'});
$t->psql_ok($job->{call}, '... until it is free');
$t->is_query($job->{there}, $LoadJob::ALL, '... and all rows are there once');

# --- two at a time

$job = $loads->job('create');
$running = $loads->begin($job, 6, 'hang');
$t->fails_like($job->{call}, qr/ERROR:  55006: job "$job->{name}" is being run by another session\n.*HINT:  .*dataverse_job_progress/s, 'a second session');
$t->fails_like($job->{anew}, qr/ERROR:  55006: /, '... may not begin anew either');
$t->fails_like("SELECT dataverse_load_forget('$job->{name}')", qr/ERROR:  55006: /, '... nor forget the job');
is($loads->progress($job, 'state, rows_done, pid IS NOT NULL'), 'loading|200|t', '... and does not disturb the first');
$t->query('SELECT pg_cancel_backend(' . $loads->progress($job, 'pid') . ')');
$t->finish($running);
$t->reset_log;
$t->psql_ok($job->{call}, '... which another can go on with');
$t->is_query($job->{there}, $LoadJob::ALL, '... and all rows are there once');

# --- what is said

$t->query(q{CREATE FUNCTION calls(sql text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE sql; END'});
for my $where ([ 'a transaction block', 'BEGIN; %s; COMMIT' ], [ 'a function', 'SELECT calls($sql$%s$sql$)' ])
{
    my ($name, $sql) = @$where;
    my $job = $loads->job('create');
    $t->fails_like(sprintf($sql, $job->{call}), qr/ERROR:  2D000: dataverse_load cannot run inside a transaction block or a function\n.*HINT:  CALL it/s, "in $name");
    is($loads->progress($job, 'state'), '', '... nothing is entered');
}
$job = $loads->job('create');
$t->psql_ok('DO $do$ BEGIN ' . $job->{call} . '; END $do$', 'in a block that may commit');
$t->is_query($job->{there}, $LoadJob::ALL, '... it runs');

for my $wrong (
    [ 'a column that the target has not', q{'crm.geo_note', 'SELECT 1 AS geo_nam', 'w'}, qr/42703: column "geo_nam" of the query is not a column of foreign table "geo_note".*HINT/s ],
    [ 'a type that does not fit', q{'crm.geo_subdivision', 'SELECT ''x''::text AS geo_population', 'w'}, qr/42804: column "geo_population" is of type integer but expression is of type text/ ],
    [ 'a query that is none', q{'crm.geo_note', 'DELETE FROM source', 'w'}, qr/42809: the query of a load must be one SELECT/ ],
    [ 'two queries', q{'crm.geo_note', 'SELECT 1 AS geo_name; SELECT 2 AS geo_name', 'w'}, qr/42809: the query of a load must be one SELECT/ ],
    [ 'ids of the query in creates', q{'crm.geo_note', 'SELECT gen_random_uuid() AS geo_noteid', 'w'}, qr/55000: .*ids of its query.*HINT:  .*on_conflict/s ],
    [ 'no columns', q{'crm.geo_note', 'SELECT FROM source', 'w'}, qr/42601: the query of a load has no columns/ ],
    [ 'a local table', q{'source', 'SELECT 1 AS n', 'w'}, qr/42809: "source" is not a foreign table of dataverse_fdw/ ],
    [ 'chunks of no rows', q{'crm.geo_note', 'SELECT 1 AS geo_name', 'w', 0}, qr/22023: chunk_rows/ ],
    [ 'no job', q{'crm.geo_note', 'SELECT 1 AS geo_name', NULL}, qr/22004: job must not be null/ ])
{
    my ($name, $arguments, $pattern) = @$wrong;
    $t->reset_log;
    $t->fails_like("CALL dataverse_load($arguments)", $pattern, $name);
    is($t->requests($LoadJob::WRITE), 0, '... before anything is sent');
}
$t->is_query(q{SELECT dataverse_load_forget('w'), dataverse_load_forget('w'), count(*) FROM pg_class WHERE relnamespace = 'dataverse_staging'::regnamespace},
    't|f|0', 'a job that failed is forgotten');

# Ids of the query's own, where existing rows are updated or left alone.
for my $conflict (qw(update nothing))
{
    my $job = $loads->job('batch');
    $job->{call} =~ s/SELECT /SELECT md5('$conflict' || n)::uuid AS geo_noteid, /;
    $t->query("ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD on_conflict '$conflict')");
    $loads->cancel($job, 6, 'delay_after');
    $t->psql_ok($job->{call}, "ids of the query's own (on_conflict $conflict)");
    $t->is_query($job->{there}, $LoadJob::ALL, '... and all rows are there once');
    $t->query('ALTER FOREIGN TABLE crm.geo_note OPTIONS (DROP on_conflict)');
}

# What makes a repetition harmless must not be taken away.
$job = $loads->job('upsert');
$loads->cancel($job, 6, 'delay_after');
$t->query('ALTER FOREIGN TABLE keyed.geo_subdivision OPTIONS (DROP key)');
$t->fails_like($job->{call}, qr/55000: .*cannot be told apart.*HINT:  .*"key"/s, 'the key is taken away in mid-load');
$t->query(q{ALTER FOREIGN TABLE keyed.geo_subdivision OPTIONS (ADD key 'geo_code')});
$t->psql_ok($job->{call}, '... and given back');
$t->is_query($job->{there}, $LoadJob::ALL, '... and all rows are there once');

# Staged rows that somebody has dropped.
$job = $loads->job('upsert');
$loads->cancel($job, 6, 'delay_after');
$t->query(q{DROP TABLE dataverse_staging.job_} . $t->query("SELECT id FROM dataverse_job WHERE job = '$job->{name}'"));
$t->fails_like($job->{call}, qr/42P01: the rows of job "$job->{name}" are no longer there\n.*HINT:  Call with restart => true/s, 'staged rows are gone');
$t->psql_ok($job->{anew}, '... and the job begins anew');
$t->is_query($job->{there}, $LoadJob::ALL, '... and all rows are there once');

# The later of two rows with one key wins, wherever the chunks are cut.
$t->query(q{CALL dataverse_load('keyed.geo_subdivision', 'SELECT ''twice'' AS geo_code, ''v'' || n AS geo_name FROM generate_series(1, 25) AS n', 'twice', 10)});
$t->is_query(q{SELECT geo_name FROM keyed.geo_subdivision WHERE geo_code = 'twice'}, 'v25', 'the last of equal keys wins');

# Texts too long for a row of the journal.
$t->query(q{CREATE TABLE long AS SELECT 'SELECT ''long'' AS geo_name WHERE ''' || string_agg(md5(n::text), '') || ''' <> ''''' AS query FROM generate_series(1, 1000) AS n});
$t->psql_ok("SELECT format('CALL dataverse_load(%L, %L, %L)', 'crm.geo_note', query, 'long') FROM long \\gexec", 'a long query') for 1 .. 2;
$t->is_query(q{SELECT count(*) FROM crm.geo_note WHERE geo_name = 'long'}, '1', '... is known again');

# A load that takes its time, while others go on.
my $slow = $loads->job('create');
$t->reset_log;
$t->faults({ match => { method => 'POST', path => 'Multiple' }, times => 1, behaviour => 'delay', delay_ms => 3200 });
my $slow_run = $t->start($slow->{call});
sleep 0.1 until $t->requests($LoadJob::WRITE);

# --- roles

my $password = $t->query(q{SELECT option_value FROM pg_options_to_table((SELECT umoptions FROM pg_user_mappings LIMIT 1)) WHERE option_name = 'client_secret'});
my $client = $t->query(q{SELECT option_value FROM pg_options_to_table((SELECT umoptions FROM pg_user_mappings LIMIT 1)) WHERE option_name = 'client_id'});
$t->query(<<"SQL");
CREATE ROLE etl; CREATE ROLE other;
GRANT USAGE ON FOREIGN SERVER crm TO etl, other;
GRANT USAGE ON SCHEMA crm TO etl, other;
GRANT INSERT ON crm.geo_note TO etl;
CREATE USER MAPPING FOR etl SERVER crm OPTIONS (client_id '$client', client_secret '$password');
CREATE USER MAPPING FOR other SERVER crm OPTIONS (client_id '$client', client_secret '$password');
SQL
my $mine = q{CALL dataverse_load('crm.geo_note', 'SELECT current_user AS geo_name', job => 'mine');};
$t->psql_ok("SET ROLE etl; $mine", 'a role with no more than the right to insert');
$t->is_query(q{SELECT count(*) FROM crm.geo_note WHERE geo_name = 'etl'}, '1', '... loads with its own rights');
$t->fails_like("SET ROLE other; $mine", qr/42501: permission denied for foreign table geo_note/, '... another without it does not');
$t->query('GRANT INSERT ON crm.geo_note TO other');
$t->psql_ok("SET ROLE other; $mine", '... until it is given, with a job of the same name');
$t->psql_ok($mine, '... as the superuser has, too');
$t->is_query(q{SET ROLE etl; SELECT string_agg(owner, ' ') FROM dataverse_job_progress; SELECT string_agg(owner, ' ') FROM dataverse_own_job; SELECT count(*) FROM dataverse_own_job_chunk},
    "etl\netl\n1", 'a role sees its own jobs');
$t->fails_like("SET ROLE etl; $_", qr/42501/, "a role may not: $_")
    for 'SELECT * FROM dataverse_job', 'DELETE FROM dataverse_job_chunk', q{UPDATE dataverse_own_job SET owner = 'other'}, q{INSERT INTO dataverse_own_job (owner, job, target, query) VALUES ('other', 'x', 'crm.geo_note', 'x')};
$t->is_query(q{SET ROLE etl; SELECT dataverse_load_forget('mine'); RESET ROLE; SELECT string_agg(owner, ' ' ORDER BY owner) FROM dataverse_job WHERE job = 'mine'},
    "t\nother postgres", '... and forgets its own');

# Names that lead astray are the caller's own; the journal's are qualified.
$t->psql_ok(<<'SQL', 'a search_path with traps');
CREATE SCHEMA traps;
CREATE FUNCTION traps.no(int, int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$trapped$$; END';
CREATE FUNCTION traps.no(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$trapped$$; END';
CREATE FUNCTION traps.no(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$trapped$$; END';
CREATE OPERATOR traps.= (LEFTARG = int, RIGHTARG = int, FUNCTION = traps.no);
CREATE OPERATOR traps.= (LEFTARG = text, RIGHTARG = text, FUNCTION = traps.no);
CREATE OPERATOR traps.>= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = traps.no);
SET search_path = traps, pg_catalog;
CALL public.dataverse_load('crm.geo_note', 'SELECT 1 AS geo_name', 'traps');
SQL

($status, $out, $err) = $t->finish($slow_run);
like($err, qr/NOTICE:  00000: job "$slow->{name}": 200 of 600 rows \(33 %\), \d\d rows\/s, 00:00:(0\d|1\d) left\n/, 'a load that takes its time tells how far it is');
is(() = $err =~ /NOTICE/g, 2, '... once in a while');

done_testing();
