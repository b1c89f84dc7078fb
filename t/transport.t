# transport.t: what a request survives, what it does not, and that every wait
# of it can be interrupted at once.  dataverse_whoami() stands for any request:
# it is the smallest.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use IO::Socket::INET;
use Socket qw(SOCK_STREAM);
use Time::HiRes qw(sleep);

my $t = DataverseTest->new(rows => 5, import => 0);
my $whoami = "SELECT user_id IS NOT NULL FROM dataverse_whoami('crm')";
my %whoami = (path => 'WhoAmI');
my %throttled = (
    match => {%whoami}, status => 429, code => '0x80072322',
    message => 'Number of requests exceeded the limit of 6000 over time window of 300 seconds.');

# What dataverse_connections() says after the request, in the same session.
sub after
{
    my ($columns, $sql) = @_;
    return "$sql; SELECT $columns FROM dataverse_connections()";
}

# --- what a request survives

$t->reset_log;
$t->is_query(after('requests, retries', "$whoami; $whoami"), "t\nt\n2|0", 'two requests');
is(scalar(grep { $_->{url} =~ /oauth2/ } $t->log(tokens => 1)), 1, '... with one token');

$t->reset_log;
$t->faults({ %throttled, times => 2, headers => { 'Retry-After' => '1' } });
my $out = $t->query(after('requests, retries, throttled_ms BETWEEN 2000 AND 3500', $whoami));
is($out, "t\n3|2|t", '429 waits as long as Retry-After says');

$t->reset_log;
$t->faults({ match => {%whoami}, times => 2, status => 503, body => '<html>restarting</html>' });
$t->is_query(after('requests, retries, throttled_ms', $whoami), "t\n3|2|0", '503 with HTML is repeated');

$t->reset_log;
$t->faults({ match => {%whoami}, times => 1, status => 401, code => '0x8004A101', message => 'expired' });
$t->is_query(after('requests', $whoami), "t\n2", '401 is repeated');
is(scalar(grep { $_->{url} =~ /oauth2/ } $t->log(tokens => 1)), 2, '... with a new token');

$t->reset_log;
$t->faults({ match => {%whoami}, times => -1, status => 401, code => '0x8004A101', message => 'expired' });
$t->fails_like($whoami, qr/28000.*expired.*0x8004A101.*HTTP status 401/s, 'a second 401 is the end');
is($t->requests(qr/WhoAmI/), 2, '... after two requests');

for my $behaviour (qw(close close_after truncate bad_json))
{
    $t->reset_log;
    $t->faults({ match => {%whoami}, times => 1, behaviour => $behaviour });
    if ($behaviour eq 'bad_json')
    {
        $t->fails_like($whoami, qr/ERROR:  08P01/, 'an answer that is not JSON is an error');
    }
    else
    {
        $t->is_query($whoami, 't', "a read survives: $behaviour");
    }
}

# --- where patience ends

$t->reset_log;
$t->faults({ %throttled, times => -1, headers => { 'Retry-After' => '30' } });
my ($status, $stdout, $stderr, $seconds) = $t->psql("ALTER SERVER crm OPTIONS (ADD retry_timeout '5'); $whoami");
like($stderr, qr/ERROR:  53400: .*Number of requests.*0x80072322.*HINT:  .*retry_timeout/s,
    'Retry-After beyond retry_timeout is an error');
cmp_ok($seconds, '<', 3, '... at once, since waiting would not help');
$t->query("ALTER SERVER crm OPTIONS (DROP retry_timeout, ADD request_timeout '1')");

$t->reset_log;
$t->faults({ match => {%whoami}, times => 1, behaviour => 'hang' });
$t->fails_like($whoami, qr/08006: .*within 1 s.*request_timeout/s, 'request_timeout');
$t->query('ALTER SERVER crm OPTIONS (DROP request_timeout)');

$t->reset_log;
$t->faults({ match => { path => 'token' }, times => -1, status => 400,
    body => '{"error":"invalid_client","error_description":"AADSTS7000215: no.\r\nTrace ID: 1","error_codes":[7000215]}' });
$t->fails_like($whoami, qr/28000: .*token.*AADSTS7000215: no\.\n.*client_secret/s, 'a refused secret');
$t->reset_log;

$t->query("ALTER USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (SET client_secret 'wrong-one-4711')");
($status, $stdout, $stderr) = $t->psql($whoami);
like($stderr, qr/28000: .*invalid_client/s, 'a wrong secret');
unlike($stderr, qr/wrong-one-4711/, '... is not printed');
$t->query("ALTER USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (SET client_secret 'demo-secret')");

# --- options count from the next statement on

$t->is_query("$whoami; ALTER SERVER crm OPTIONS (ADD tag 'x'); SELECT valid FROM dataverse_connections(); "
    . "$whoami; SELECT valid, requests FROM dataverse_connections()",
    "t\nf\nt\nt|2", 'a changed server is read again, totals stay');
$t->is_query("$whoami; SELECT dataverse_disconnect('crm'); SELECT dataverse_disconnect('crm'); "
    . 'SELECT count(*) FROM dataverse_connections()', "t\nt\nf\n0", 'dataverse_disconnect');

# --- addresses that do not answer

sub server
{
    my ($name, $url) = @_;
    $t->query("CREATE SERVER $name FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url '$url', connect_timeout '30'); "
        . "CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS (access_token 'x')");
    return "SELECT 1 FROM dataverse_whoami('$name')";
}

sub listener
{
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, ReuseAddr => 1) // die "listen: $!";
}

my $closed = listener();
my $nobody = server('nobody', 'http://127.0.0.1:' . $closed->sockport);
$closed->close;
($status, $stdout, $stderr, $seconds) = $t->psql($nobody);
like($stderr, qr/ERROR:  08001: request to server "nobody" failed: .*HINT: .*"url"/s, 'nobody listens');
cmp_ok($seconds, '<', 2, '... is told at once');

# --- every wait ends with a cancel

# A listening socket whose queue is full drops what comes: connecting hangs.
my $full = listener();
my @fillers = map {
    IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0)
} 1 .. 6;
my $hole = server('hole', 'http://127.0.0.1:' . $full->sockport);

$t->query(<<'SQL');
CREATE FUNCTION ends_after(how text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    victim int;
    began timestamptz;
BEGIN
    SELECT pid INTO victim FROM pg_stat_activity
     WHERE state = 'active' AND query LIKE '%dataverse_whoami%' AND pid <> pg_backend_pid();
    began := clock_timestamp();
    EXECUTE format('SELECT pg_%s_backend($1)', how) USING victim;
    LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = victim AND state = 'active');
        EXIT WHEN clock_timestamp() > began + interval '10 s';
        PERFORM pg_sleep(0.001);
    END LOOP;
    RETURN CASE WHEN victim IS NULL THEN 'nobody was waiting'
                WHEN clock_timestamp() - began <= interval '100 ms' THEN 'in time'
                ELSE (clock_timestamp() - began)::text END;
END $$;
SQL

sub interrupted
{
    my ($name, $sql, @faults) = @_;

    for my $how (qw(cancel terminate))
    {
        $t->reset_log;
        $t->faults(@faults) if @faults;
        my $running = $t->start($sql);
        $t->poll_until(q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event_type = 'Extension'}, 1);
        sleep 0.3;
        $t->is_query("SELECT ends_after('$how')", 'in time', "$how while $name");
        my ($status, $stdout, $stderr) = $t->finish($running, 20);
        like($stderr, $how eq 'cancel' ? qr/57014/ : qr/57P01|server closed the connection/, '... with its own SQLSTATE');
    }
}

interrupted('connecting', $hole);
interrupted('waiting for an answer', $whoami, { match => {%whoami}, times => -1, behaviour => 'hang' });
interrupted('reading an answer', $whoami, { match => {%whoami}, times => -1, behaviour => 'stall' });
interrupted('waiting for a token', $whoami, { match => { path => 'token' }, times => -1, behaviour => 'hang' });
interrupted('sleeping on Retry-After', $whoami, { %throttled, times => -1, headers => { 'Retry-After' => '60' } });

$t->reset_log;
$t->faults({ match => {%whoami}, times => 1, behaviour => 'stall' });
$t->fails_like("SET statement_timeout = '300ms'; $whoami", qr/57014/, 'statement_timeout');
$t->faults({ match => {%whoami}, times => 1, behaviour => 'stall' });
$t->is_query("SET statement_timeout = '300ms'; DO \$\$ BEGIN PERFORM dataverse_whoami('crm'); "
    . "EXCEPTION WHEN query_canceled THEN NULL; END \$\$; RESET statement_timeout; $whoami",
    't', 'the session goes on after a cancel');

# --- the service goes away and comes back

my $url_before = $t->url;
my $session = $t->start("$whoami; SELECT pg_sleep(2); $whoami; SELECT pg_sleep(2); $whoami");
sleep 1;
$t->stop_service('KILL');
sleep 1.2;
$t->start_service;
($status, $stdout, $stderr) = $t->finish($session, 60);
is($t->url, $url_before, 'the service is back at its address');
like($stdout, qr/^t\n+t\n+t$/s, 'requests in a session outlive a restart of the service') or diag($stderr);

done_testing();
