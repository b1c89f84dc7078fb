# outage.t: the service dies in the middle of a scan and of a load: a clear
# error in time, and the same session goes on when it is back.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use Time::HiRes qw(sleep);

my $t = DataverseTest->new(
    rows => 12_000,
    import => 'account',
    database => 1,
    server_options => { retry_timeout => 2, request_timeout => 10, fetch_size => 1000 });

# A script that goes on after errors, and says when it waits for the service.
sub session
{
    my ($statement) = @_;
    return $t->start(<<"SQL");
\\set ON_ERROR_STOP off
SELECT 'backend ' || pg_backend_pid();
$statement
SELECT pg_sleep(6);
SELECT 'again ' || count(*) FROM crm.account WHERE accountnumber IS NOT NULL;
SELECT 'backend ' || pg_backend_pid();
SQL
}

sub check_outage
{
    my ($what, $statement, $busy, $error) = @_;

    $t->reset_log;
    $t->faults({ match => { path => $busy }, times => -1, skip => 2, behaviour => 'delay', delay_ms => 400 });
    my $running = session($statement);
    for (1 .. 200)
    {
        last if $t->requests(qr/$busy/) >= 3;
        sleep 0.05;
    }
    $t->stop_service('KILL');
    sleep 4;
    $t->start_service;
    my ($status, $out, $err, $seconds) = $t->finish($running, 60);
    like($err, $error, "$what: an error that says what happened") or diag($out);
    unlike($err, qr/server closed the connection/, '... from a backend that lives');
    like($out, qr/again \d+/, '... and reads on when the service is back');
    my @backends = $out =~ /backend (\d+)/g;
    is($backends[0], $backends[1], '... in the same session');
    cmp_ok($seconds, '<', 25, '... in time');
}

check_outage('scan', 'SELECT count(name), max(description) FROM crm.account;', '/accounts',
    qr/ERROR:  08\w{3}: /);
check_outage('load', "INSERT INTO crm.account (name) SELECT 'load ' || n FROM generate_series(1, 9000) AS n;",
    'CreateMultiple', qr/ERROR:  08\w{3}: /);

done_testing();
