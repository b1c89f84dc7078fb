# LoadJob: jobs of dataverse_load for TAP tests, their journal and their accidents.
#
#     my $loads = LoadJob->new($t);
#     my $job = $loads->job('create', 'ORDER BY random()');
#     my $running = $loads->begin($job, 6, 'delay_after');    # the 6th request and later ones
#     is($loads->progress($job, 'state, rows_done'), 'loading|200');
package LoadJob;

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);

# Ways in: creates in bulk messages, with a unique key beside the id; upserts;
# creates in a $batch; an elastic table.  Target, columns, and how to look.
my $subdivision = q{'%1$s' AS geo_name, '%1$s-' || n AS geo_code, n AS geo_population};
my $subdivisions = q{SELECT count(*), count(DISTINCT geo_code), sum(geo_population) FROM crm.geo_subdivision WHERE geo_name = '%s'};
my %way = (
    create => [ 'crm.geo_subdivision', $subdivision, $subdivisions ],
    upsert => [ 'keyed.geo_subdivision', $subdivision, $subdivisions ],
    batch => [ 'crm.geo_note', q{'%1$s' AS geo_name, '%1$s-' || n AS geo_number},
        q{SELECT count(*), count(DISTINCT geo_number), sum(split_part(geo_number, '-', 2)::int) FROM crm.geo_note WHERE geo_name = '%s'} ],
    elastic => [ 'crm.contoso_sensordata', q{'%1$s' AS contoso_name, n AS contoso_value, 'p' || n %% 3 AS partitionid},
        q{SELECT count(*), count(DISTINCT contoso_value), sum(contoso_value) FROM crm.contoso_sensordata WHERE contoso_name = '%s'} ]);

# What a job's "there" gives when all is well.
our $ALL = '600|600|180300';

# Requests that write.
our $WRITE = qr{^POST .*(CreateMultiple|UpsertMultiple|\$batch)};

# What DataverseTest needs for them.
our @SETTING = (
    rows => 10, import => 'geo_subdivision, geo_note, contoso_sensordata', database => 1,
    server_options => { batch_size => 50, concurrency => 2, connect_timeout => 2, request_timeout => 30, retry_timeout => 20 });

sub new
{
    my ($class, $t) = @_;

    $t->query(<<'SQL');
CREATE SCHEMA keyed;
IMPORT FOREIGN SCHEMA dataverse LIMIT TO (geo_subdivision) FROM SERVER crm INTO keyed;
ALTER FOREIGN TABLE keyed.geo_subdivision OPTIONS (ADD key 'geo_code');
CREATE TABLE source AS SELECT n FROM generate_series(1, 600) AS n;
SQL
    return bless { t => $t, jobs => 0 }, $class;
}

# A job of 600 rows: 3 chunks of 4 requests each.  Its rows can be told from those of others.
sub job
{
    my ($self, $way, $rest) = @_;
    my $name = 'j' . ++$self->{jobs};
    my ($target, $columns, $there) = @{ $way{$way} };
    my $query = sprintf("SELECT $columns FROM source ", $name) . ($rest // '');
    my $call = "CALL dataverse_load('$target', \$\$$query\$\$, job => '$name', chunk_rows => 200";

    return { name => $name, query => $query, call => "$call)", anew => "$call, restart => true)", there => sprintf($there, $name) };
}

# Of each chunk: state, attempts, rows loaded and refused.
sub journal_is
{
    my ($self, $job, $expected, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->{t}->is_query(<<"SQL", $expected, $name);
SELECT string_agg(concat_ws(' ', c.state, c.attempts, c.rows_loaded, c.rows_refused), ', ' ORDER BY chunk)
  FROM dataverse_job_chunk AS c JOIN dataverse_job AS j ON j.id = job_id WHERE j.job = '$job->{name}'
SQL
}

sub progress
{
    my ($self, $job, $columns) = @_;
    return $self->{t}->query("SELECT $columns FROM dataverse_job_progress WHERE job = '$job->{name}'");
}

# Starts the job with its requests from the nth on as told, and waits until that many are out.
sub begin
{
    my ($self, $job, $n, $behaviour) = @_;
    my $t = $self->{t};

    $t->reset_log;
    $t->faults({ match => { method => 'POST', path => '(Multiple|batch)' }, skip => $n - 1, times => -1, behaviour => $behaviour, delay_ms => 60_000 });
    my $running = $t->start("\\set ON_ERROR_STOP off\n$job->{call};");
    for (1 .. 400)
    {
        last if $t->requests($WRITE) >= $n;
        sleep 0.03;
    }
    cmp_ok($t->requests($WRITE), '>=', $n, "$job->{name}: $n requests are out");
    sleep 0.1;
    return $running;
}

# Begins the job, cancels it, and takes the faults away.  Status, output and errors.
sub cancel
{
    my ($self, $job, $n, $behaviour) = @_;
    my $running = $self->begin($job, $n, $behaviour);

    $self->{t}->query('SELECT pg_cancel_backend(' . $self->progress($job, 'pid') . ')');
    my @result = $self->{t}->finish($running);
    $self->{t}->reset_log;
    return @result;
}

1;
