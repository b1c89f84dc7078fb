# load_kill.t: the backend is killed (-9) in the middle of dataverse_load, at
# several moments: the next call goes on, and at the end exactly the query's
# rows are there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use LoadJob;
use Time::HiRes qw(sleep);

my $t = DataverseTest->new(@LoadJob::SETTING);
my $loads = LoadJob->new($t);

sub recovered
{
    for (1 .. 200)
    {
        return if ($t->psql('SELECT 1'))[0] == 0;
        sleep 0.05;
    }
    BAIL_OUT('PostgreSQL did not come back');
}

sub killed
{
    my ($way, $n, $behaviour, $journal) = @_;
    my $job = $loads->job($way);
    my $running = $loads->begin($job, $n, $behaviour);
    my $chunk = int(($n - 1) / 4);

    is($loads->progress($job, 'state, rows_done, rows_total'), 'loading|' . 200 * $chunk . '|600', "$way runs, request $n ($behaviour)");
    kill 'KILL', $loads->progress($job, 'pid');
    $t->finish($running);
    recovered();
    $t->reset_log;
    is($loads->progress($job, 'state, pid IS NULL'), 'interrupted|t', '... is killed');
    $t->psql_ok($job->{call}, '... is called again');
    $t->is_query($job->{there}, $LoadJob::ALL, '... and all rows are there once');
    $loads->journal_is($job, join(', ', map { 'done ' . ($_ == $chunk ? 2 : 1) . ' 200 0' } 0 .. 2), '... chunks that were done were not sent again');
    cmp_ok($t->requests($LoadJob::WRITE), '<=', 4 * (3 - $chunk) * 2, '... with few requests');
}

killed('create', 1, 'hang');
killed('create', 1, 'delay_after');
killed('create', 6, 'delay_after');
killed('create', 12, 'delay_after');
killed('upsert', 1, 'delay_after');
killed('upsert', 7, 'hang');
killed('upsert', 12, 'delay_after');
killed('batch', 6, 'delay_after');
killed('elastic', 6, 'delay_after');

# With rows that are refused: what had been written is not taken for refused, and nothing is set aside twice.
$t->query(<<'SQL');
SELECT dataverse_create_reject_table('public.rejects');
ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (ADD on_error 'ignore', ADD reject_table 'public.rejects');
SQL
for my $n (3, 9, 14)
{
    my $job = $loads->job('create');
    $job->{call} =~ s/n AS geo_code/n || CASE WHEN n % 100 = 50 THEN ' too long' ELSE '' END AS geo_code/;
    my $running = $loads->begin($job, $n, 'delay_after');
    kill 'KILL', $loads->progress($job, 'pid');
    $t->finish($running);
    recovered();
    $t->reset_log;
    $t->psql_ok($job->{call}, "killed at request $n, with refused rows");
    $t->is_query($job->{there}, '594|594|178500', '... all others are there once');
    $t->is_query(q{SELECT string_agg(substring("row" ->> 'geo_code' FROM '-(\d+) '), ' ' ORDER BY refused_at) FROM rejects}, '50 150 250 350 450 550', '... and each of them is set aside once');
    is($loads->progress($job, 'rows_done, rows_refused'), '600|6', '... and counted');
    $t->query('TRUNCATE rejects');
}
$t->query('ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (DROP on_error, DROP reject_table)');

# While the query runs: then nothing is left of it, and the job begins anew.
$t->query(<<'SQL');
CREATE TABLE pause (seconds float);
INSERT INTO pause VALUES (60);
CREATE FUNCTION paused() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(seconds) FROM pause; RETURN true; END';
SQL
my $job = $loads->job('create', 'WHERE n < 600 OR paused()');
my $running = $t->start($job->{call});
$t->poll_until("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", '1');
is($loads->progress($job, 'state, rows_total'), 'staging|', 'the query of a job runs');
kill 'KILL', $loads->progress($job, 'pid');
$t->finish($running);
recovered();
is($loads->progress($job, 'state, pid IS NULL'), 'interrupted|t', '... is killed');
$t->query('UPDATE pause SET seconds = 0');
$t->psql_ok($job->{call}, '... is called again');
$t->is_query($job->{there}, $LoadJob::ALL, '... and all rows are there once');

done_testing();
