# faultload.t: a load of 50,000 rows while connections are cut after the work was
# done, every tenth request is turned away, the service throttles, the token
# expires, a large request takes too long, and some rows are bad: in the end the
# service holds each good row exactly once, and the counts told are the true ones.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use JSON::PP ();

my $rows = 50_000;
my $t = DataverseTest->new(rows => 10, import => 'account, geo_subdivision, geo_note', server_options => { concurrency => 8, request_timeout => 5 });

sub held
{
    return $t->figures($_[0])->{rows} // $t->figures($_[0])->{count};
}

# What strikes requests to a path, whatever they carry.
sub fault_plan
{
    my ($path) = @_;
    my %match = (match => { method => 'POST', path => $path });

    return (
        { match => { method => 'POST', path => $path, min_operations => 900 }, skip => 12, times => 1, behaviour => 'delay_after', delay_ms => 7000 },
        { %match, every => 7, times => -1, behaviour => 'close_after' },
        { %match, every => 10, times => -1, status => 503, code => '', message => 'busy', headers => { 'Retry-After' => '1' } },
        { %match, skip => 20, times => 2, status => 429, code => '0x80072322', message => 'Number of requests exceeded', headers => { 'Retry-After' => '1' } },
        { %match, every => 17, times => 2, behaviour => 'truncate' },
        { %match, skip => 15, times => 1, status => 401, code => '0x8004A101', message => 'The auth ticket has expired.' });
}

# Runs a load under the plan; its messages and its plan.
sub load
{
    my ($sql, $path, $name) = @_;

    $t->reset_log;
    $t->faults(fault_plan($path));
    my ($status, $out, $err) = $t->psql("EXPLAIN (ANALYZE, FORMAT JSON) $sql", timeout => 120);
    is($status, 0, $name) or diag($err);
    my @log = $t->log(tokens => 1);
    my %status;
    $status{ $_->{status} }++ for grep { $_->{url} =~ /$path/ } @log;
    note(join ', ', map { "$_: $status{$_}" } sort keys %status);
    cmp_ok($status{503} // 0, '>=', 3, '... which was turned away');
    note('longest: ', (sort { $b <=> $a } map { $_->{duration_ms} } @log)[0]);
    cmp_ok(scalar(grep { $_->{duration_ms} > 3000 } @log), '>=', 1, '... answered too late');
    cmp_ok($status{429} // 0, '>=', 1, '... throttled');
    cmp_ok($status{401} // 0, '>=', 1, '... with a token that had expired');
    cmp_ok(scalar(grep { $_->{url} =~ /oauth2/ } @log), '>=', 2, '... and was renewed');
    return ($err, $status == 0 ? JSON::PP->new->decode($out)->[0]{Plan} : {});
}

# --- creates

$t->query('DELETE FROM crm.geo_note; DELETE FROM crm.geo_subdivision');
my ($err, $plan) = load("INSERT INTO crm.geo_subdivision (geo_name, geo_type) SELECT 'n' || n, 't' FROM generate_series(1, $rows) n",
    'geo_subdivisions/Microsoft', "creates of $rows rows");
is($err, '', '... without a word');
is(held('geo_subdivision'), $rows, '... are there, each once');
is($plan->{'Remote Rows'}, $rows, '... and are counted so');
cmp_ok($plan->{'Remote Retries'} // 0, '>=', 10, '... though many requests went twice');
$t->reset_log;
$t->is_query('SELECT count(*), count(DISTINCT geo_name), max(substr(geo_name, 2)::int) FROM crm.geo_subdivision', "$rows|$rows|$rows", '... with what they had');

# --- upserts by key, half of which exist, ten of which are bad

$t->query('DELETE FROM crm.geo_subdivision');
$t->query(<<"SQL");
SELECT dataverse_create_reject_table('public.rejects');
ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (ADD key 'geo_code', ADD on_error 'ignore', ADD reject_table 'public.rejects');
INSERT INTO crm.geo_subdivision (geo_code, geo_name, geo_type) SELECT 'K' || n, 'old', 'kept' FROM generate_series(2, $rows, 2) n;
SQL
is(held('geo_subdivision'), $rows / 2, 'half of the rows');
($err, $plan) = load("INSERT INTO crm.geo_subdivision (geo_code, geo_name) SELECT CASE WHEN n % 5000 = 1 THEN 'much too long ' ELSE 'K' END || n, 'n' || n FROM generate_series(1, $rows) n",
    '(geo_subdivisions/Microsoft|batch)', "upserts of $rows rows, of which ten are bad");
like($err, qr/NOTICE: .* 10 rows were refused/, '... which is told');
is(held('geo_subdivision'), $rows - 10, '... are there, each once');
is($plan->{'Remote Rows'}, $rows - 10, '... and are counted so');
$t->reset_log;
$t->is_query("SELECT count(*), count(DISTINCT geo_code), count(*) FILTER (WHERE geo_name = 'n' || substr(geo_code, 2)), count(geo_type) FROM crm.geo_subdivision",
    join('|', $rows - 10, $rows - 10, $rows - 10, $rows / 2), '... with what they had, and what they have now');
$t->is_query("SELECT count(*), count(DISTINCT number), bool_and(number % 5000 = 1) FROM rejects", '10|10|t', '... and the bad ones are set aside');

done_testing();
