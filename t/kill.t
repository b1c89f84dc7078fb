# kill.t: the service is killed in the middle of a scan and of a load, statements
# are cancelled, time out or are rolled back: the error comes in time, says what
# had been written, and the same session goes on.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use Time::HiRes qw(sleep);

my $rows = 3000;
my $t = DataverseTest->new(
    rows => $rows,
    import => 'account, geo_country, geo_note',
    database => 1,
    server_options => { connect_timeout => 2, request_timeout => 5, retry_timeout => 2, fetch_size => 500, batch_size => 100 });

my %scan = (sql => 'SELECT count(name) FROM crm.account', path => '/accounts', request => qr{^GET .*/accounts});
my $load_number = 0;

# A load of 1,000 rows that can be told from others.
sub load
{
    my $mark = 'load ' . ++$load_number;
    return (
        mark => $mark, path => 'geo_countries/Microsoft', request => qr{^POST .*/geo_countries/Microsoft\.Dynamics\.CRM\.CreateMultiple},
        sql => "INSERT INTO crm.geo_country (geo_name) SELECT '$mark' FROM generate_series(1, 1000)");
}

sub there
{
    my ($mark) = @_;
    return $t->query("SELECT count(*) FROM crm.geo_country WHERE geo_name = '$mark'");
}

# Sessions go on after errors, and use the service again when they are let go.
my $gate = "$t->{dir}/gate";

sub session
{
    my ($sql) = @_;

    unlink $gate;
    return $t->start(<<"SQL");
\\set ON_ERROR_STOP off
SELECT 'backend ' || pg_backend_pid();
$sql;
\\! until [ -e '$gate' ]; do sleep 0.02; done
SELECT 'again ' || count(name) FROM crm.account;
SELECT 'backend ' || pg_backend_pid();
SQL
}

sub went_on
{
    my ($running) = @_;

    open my $handle, '>', $gate or die "$gate: $!";
    close $handle;
    my ($status, $out, $err) = $t->finish($running, 60);
    my @backends = $out =~ /^backend (\d+)$/mg;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(scalar @backends, 2, '... the session ends as it should') or diag("$out\n$err");
    is($backends[0], $backends[1], '... the backend is still the same');
    like($out, qr/^again $rows$/m, '... and reads the whole table');
    return $err;
}

sub wait_for_requests
{
    my ($pattern, $n) = @_;

    for (1 .. 400)
    {
        return 1 if $t->requests($pattern) >= $n;
        sleep 0.05;
    }
    return ok(0, "$n requests in time");
}

# --- the service is killed

# While the nth request hangs.  Options of the server, if any, are for this only.
sub killed
{
    my ($name, $n, $options, %what) = @_;

    $t->query("ALTER SERVER crm OPTIONS ($options)");
    $t->reset_log;
    $t->faults({ match => { path => $what{path} }, skip => $n - 1, times => -1, behaviour => $what{behaviour} // 'hang',
            delay_ms => 60_000 });
    my $running = session($what{sql});
    wait_for_requests($what{request}, $n + ($what{more} // 0));
    sleep 0.3 if $what{behaviour};
    $t->stop_service('KILL');
    # The error must be out before the service is back.
    my $deadline = time + 15;
    sleep 0.1 until -s "$running->{name}.err" || time > $deadline;
    $t->start_service;
    my $err = went_on($running);
    $t->query('ALTER SERVER crm OPTIONS (SET retry_timeout \'2\', SET concurrency \'4\')');
    return $err;
}

$t->query("ALTER SERVER crm OPTIONS (ADD concurrency '4')");

my $err = killed('scan', 3, q{SET retry_timeout '0'}, %scan);
like($err, qr{ERROR:  08006: could not read from foreign table "account": .*HINT:  Check the network, and try again\.}s,
    'killed in the middle of a scan');
like($err, qr{CONTEXT:  request to \Q@{[ $t->url ]}\E/api/data/v9\.2/accounts\n}, '... with the address');

$err = killed('scan', 3, q{SET retry_timeout '0'}, %scan, behaviour => 'stall');
like($err, qr{ERROR:  08006: could not read from foreign table "account": .*HINT:  Check the network, and try again\.}s,
    'killed in the middle of a page');

$err = killed('scan', 3, q{SET retry_timeout '2'}, %scan);
like($err, qr{ERROR:  08001: could not read from foreign table "account": Failed to connect to 127\.0\.0\.1 port \d+ .*HINT:  Check the server's option "url"}s,
    'killed for longer than repeats last');

# One request at a time: it is known to the row what was written.
my %load = load();
$err = killed('load', 4, q{SET retry_timeout '0', SET concurrency '1'}, %load);
like($err, qr{ERROR:  08006: could not insert into foreign table "geo_country": }, 'killed in the middle of a load');
like($err, qr{DETAIL:  300 rows had been written before; of 100 more it is not known whether they were written\.$}m, '... that says how far it came');
like($err, qr{HINT:  The service may have processed the request: check before you repeat the statement\.$}m, '... and what to do');
like($err, qr{WARNING:  01000: 300 rows had been written to foreign server "crm" and stay there\n(psql:\S+ )?DETAIL:  Up to 100 more were on their way and may be there too\.$}m,
    '... as does the warning');
is(there($load{mark}), '300', '... and so it is');

%load = load();
$err = killed('load', 4, q{SET retry_timeout '0', SET concurrency '1'}, %load, behaviour => 'delay_after');
like($err, qr{DETAIL:  300 rows had been written before; of 100 more it is not known whether they were written\.$}m, 'killed after the work, before the answer');
is(there($load{mark}), '400', '... the unknown ones are there');

# Several: all of those that are on their way are in doubt.
%load = load();
$err = killed('load', 4, q{SET retry_timeout '0', SET concurrency '4'}, %load, more => 3);
like($err, qr{DETAIL:  300 rows had been written before; of 400 more it is not known whether they were written\.$}m, 'killed with four requests in flight');
like($err, qr{stay there\n(psql:\S+ )?DETAIL:  Up to 400 more were on their way and may be there too\.$}m, '... and the warning counts as many');
is(there($load{mark}), '300', '... of which none arrived');

%load = load();
$err = killed('load', 4, q{SET retry_timeout '2', SET concurrency '1'}, %load);
like($err, qr{ERROR:  08001: could not insert into foreign table "geo_country": Failed to connect.*300 rows had been written before; of 100 more}s, 'killed for longer than repeats last');
is(there($load{mark}), '300', '... with what was written before');

# Back in time: nobody notices, and nothing is there twice.
sub restarted
{
    my ($name, $n, $behaviour, %what) = @_;

    $t->query("ALTER SERVER crm OPTIONS (SET retry_timeout '60')");
    $t->reset_log;
    $t->faults({ match => { path => $what{path} }, skip => $n - 1, times => -1, behaviour => $behaviour, delay_ms => 60_000 });
    my $running = session($what{sql});
    wait_for_requests($what{request}, $n);
    sleep 0.3;
    $t->stop_service('KILL');
    $t->start_service;
    my $err = went_on($running);
    is($err, '', $name);
    $t->query("ALTER SERVER crm OPTIONS (SET retry_timeout '2')");
}

restarted('a scan outlives a restart', 3, 'hang', %scan);
for my $behaviour (qw(hang delay_after))
{
    %load = load();
    restarted("a load outlives a restart ($behaviour)", 4, $behaviour, %load);
    is(there($load{mark}), '1000', '... every row is there once');
}

# --- statements are interrupted

$t->query(<<'SQL');
CREATE FUNCTION ends_after(how text, victim int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    EXECUTE format('SELECT pg_%s_backend($1)', how) USING victim;
    LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = victim AND state = 'active');
        EXIT WHEN clock_timestamp() > began + interval '10 s';
        PERFORM pg_sleep(0.001);
    END LOOP;
    RETURN CASE WHEN clock_timestamp() - began <= interval '100 ms' THEN 'in time'
                ELSE (clock_timestamp() - began)::text END;
END $$;
SQL

sub victim
{
    my ($running) = @_;

    for (1 .. 200)
    {
        return $1 if DataverseTest::_slurp("$running->{name}.out") =~ /^backend (\d+)$/m;
        sleep 0.02;
    }
    die 'no backend';
}

sub interrupted
{
    my ($name, $n, $fault, %what) = @_;

    for my $how (qw(cancel terminate))
    {
        my %this = $what{mark} ? load() : %what;

        $t->reset_log;
        $t->faults({ match => { path => $this{path} }, skip => $n - 1, times => -1, delay_ms => 60_000, %$fault });
        my $running = session($this{sql});
        my $victim = victim($running);
        wait_for_requests($this{request}, $n);
        sleep 0.2;
        $t->is_query("SELECT ends_after('$how', $victim)", 'in time', "$how while $name");
        $t->reset_log;
        if ($how eq 'terminate')
        {
            my ($status, $out, $err) = $t->finish($running, 60);
            like($err, qr/57P01|server closed the connection/, '... ends the session');
        }
        else
        {
            my $err = went_on($running);
            like($err, qr/ERROR:  57014: canceling statement due to user request/, '... with its own SQLSTATE');
            my $written = 100 * ($n - 1);
            like($err, qr/WARNING:  01000: $written rows had been written to foreign server "crm" and stay there$/m, '... told what stays')
                if $this{mark};
        }
        is(there($this{mark}), 100 * ($n - 1), '... and what stays is there') if $this{mark};
    }
}

$t->query("ALTER SERVER crm OPTIONS (SET concurrency '1', SET request_timeout '60', SET retry_timeout '60')");
# The wait binds the session's next requests, too: not for long.
my %busy = (status => 429, code => '0x80072322', message => 'Number of requests exceeded', headers => { 'Retry-After' => '3' });
interrupted('a scan waits for a page', 3, { behaviour => 'hang' }, %scan);
interrupted('a scan receives a page', 3, { behaviour => 'stall' }, %scan);
interrupted('a scan waits as told', 3, \%busy, %scan);
interrupted('a load waits for an answer', 4, { behaviour => 'hang' }, load());
interrupted('a load waits as told', 4, \%busy, load());

# While rows are decoded: pages come as fast as they are wanted.
$t->reset_log;
my $running = session('SELECT count(*) FROM generate_series(1, 1000000) AS i, LATERAL (SELECT name FROM crm.account WHERE revenue > i - 1000000 OFFSET 0) AS a');
my $victim = victim($running);
wait_for_requests($scan{request}, 20);
$t->is_query("SELECT ends_after('cancel', $victim)", 'in time', 'cancel while rows are decoded');
like(went_on($running), qr/ERROR:  57014: canceling statement due to user request/, '... with its own SQLSTATE');

sub timed_out
{
    my ($name, $n, %what) = @_;

    $t->reset_log;
    $t->faults({ match => { path => $what{path} }, skip => $n - 1, times => -1, behaviour => 'hang' });
    my $running = session(<<"SQL");
SET statement_timeout = '1s';
SELECT clock_timestamp() AS began \\gset
$what{sql};
SELECT CASE WHEN took BETWEEN '1 s' AND '1.1 s' THEN 'in time' ELSE 'took ' || took END
  FROM (SELECT clock_timestamp() - :'began' AS took) AS t;
RESET statement_timeout
SQL
    wait_for_requests($what{request}, $n);
    my $said = '';
    for (1 .. 300)
    {
        $said = DataverseTest::_slurp("$running->{name}.out");
        last if $said =~ /^(in time|took)/m;
        sleep 0.05;
    }
    like($said, qr/^in time$/m, "$name ends it in time");
    $t->reset_log;
    my $err = went_on($running);
    like($err, qr/ERROR:  57014: canceling statement due to statement timeout/, '... with its own SQLSTATE');
    return $err;
}

timed_out('statement_timeout in a scan', 3, %scan);
%load = load();
$err = timed_out('statement_timeout in a load', 4, %load);
like($err, qr/WARNING:  01000: 300 rows had been written/, '... told what stays');
is(there($load{mark}), '300', '... and what stays is there');

# --- transactions are rolled back

# The warnings of a script, in order.
sub warnings_are
{
    my ($name, $sql, @want) = @_;
    my ($status, $out, $err) = $t->psql("\\set ON_ERROR_STOP off\n$sql;\nSELECT 'done'");
    my @got = $err =~ /WARNING:  01000: (.*)/g;

    like($out, qr/^done$/m, $name);
    is_deeply(\@got, [ map { "$_ to foreign server \"crm\" and " . (/^1 / ? 'stays' : 'stay') . ' there' } @want ], '... its warnings')
        or diag($err);
    return $err;
}

sub insert
{
    my ($n) = @_;
    return "INSERT INTO crm.geo_country (geo_name) SELECT 'rolled back' FROM generate_series(1, $n)";
}

warnings_are('COMMIT', "BEGIN; @{[insert(3)]}; COMMIT");
warnings_are('ROLLBACK of a read', "BEGIN; $scan{sql}; ROLLBACK");
warnings_are('ROLLBACK', "BEGIN; @{[insert(3)]}; ROLLBACK", '3 rows had been written');
warnings_are('ROLLBACK of one row', "BEGIN; @{[insert(1)]}; ROLLBACK", '1 row had been written');
warnings_are('ROLLBACK of several statements', "BEGIN; @{[insert(3)]}; @{[insert(150)]}; @{[insert(1)]}; ROLLBACK", '154 rows had been written');
warnings_are('a later error', "BEGIN; @{[insert(3)]}; SELECT 1 / 0; COMMIT", '3 rows had been written');
warnings_are('ROLLBACK TO', "BEGIN; @{[insert(2)]}; SAVEPOINT a; @{[insert(3)]}; ROLLBACK TO a; @{[insert(1)]}; COMMIT", '3 rows had been written');
warnings_are('ROLLBACK TO, then ROLLBACK', "BEGIN; @{[insert(2)]}; SAVEPOINT a; @{[insert(3)]}; ROLLBACK TO a; @{[insert(2)]}; ROLLBACK",
    '3 rows had been written', '2 rows had been written', '2 rows had been written');
warnings_are('a released savepoint', "BEGIN; @{[insert(2)]}; SAVEPOINT a; @{[insert(3)]}; RELEASE a; ROLLBACK", '5 rows had been written');
warnings_are('an exception block',
    "DO \$\$ BEGIN @{[insert(2)]}; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END \$\$", '2 rows had been written');
warnings_are('updates and deletes', "BEGIN; UPDATE crm.geo_country SET geo_name = 'to go' WHERE geo_name = 'rolled back'; "
    . "DELETE FROM crm.geo_country WHERE geo_name = 'to go'; ROLLBACK",
    2 * $t->query(q{SELECT count(*) FROM crm.geo_country WHERE geo_name = 'rolled back'}) . ' rows had been written');
$t->is_query(q{SELECT count(*) FROM crm.geo_country WHERE geo_name IN ('rolled back', 'to go')}, '0', '... which are done all the same');
warnings_are('rows left alone', "ALTER FOREIGN TABLE crm.geo_country OPTIONS (ADD key 'geo_alpha2'); "
    . "INSERT INTO crm.geo_country (geo_alpha2, geo_name) VALUES ('ZZ', 'a'); BEGIN; "
    . "INSERT INTO crm.geo_country (geo_alpha2, geo_name) VALUES ('ZZ', 'b'), ('ZY', 'c') ON CONFLICT DO NOTHING; ROLLBACK",
    '1 row had been written');
warnings_are('a table without bulk messages',
    "BEGIN; INSERT INTO crm.geo_note (geo_name) SELECT 'note' FROM generate_series(1, 5); ROLLBACK", '5 rows had been written');

done_testing();
