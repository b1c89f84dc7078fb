# away.t: a statement that looks away from its requests for longer than a
# request may take, since its user does something else between two rows, is no
# slow service: what came meanwhile counts.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use IO::Socket::INET;

my $t = DataverseTest->new(rows => 300, import => 'account, geo_country',
    server_options => { fetch_size => 100, batch_size => 5, request_timeout => 1 });
my $retries = "SELECT retries FROM dataverse_connections()";

$t->reset_log;
$t->is_query("BEGIN; DECLARE c CURSOR FOR SELECT name FROM crm.account; MOVE 2 c; "
    . "SELECT FROM pg_sleep(2.5); MOVE ALL c; COMMIT; SELECT 'done'; $retries",
    "done\n0", 'a cursor that rests');
is($t->requests(qr{/accounts}), 3, '... with one request a page');

$t->query(<<'SQL');
CREATE FUNCTION slowly(i int, rest int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF i % rest = 0 THEN
        PERFORM pg_sleep(1.3);
    END IF;
    RETURN 'a ' || i;
END $$;
SQL
$t->reset_log;
$t->is_query("INSERT INTO crm.account (name) SELECT slowly(i, 7) FROM generate_series(1, 20) i; $retries",
    '0', 'a load whose rows come slowly');
is($t->requests(qr{POST}), 4, '... with one request a batch');
$t->is_query("SELECT count(*) FROM crm.account WHERE name LIKE 'a %'", '20', '... and every row once');

# Patience counts from the first failure on: before it, nothing was repeated.
$t->query("ALTER SERVER crm OPTIONS (ADD retry_timeout '1')");
$t->reset_log;
$t->faults({ match => { path => 'accounts.*skiptoken' }, times => 1, behaviour => 'truncate' });
$t->is_query("BEGIN; DECLARE c CURSOR FOR SELECT name FROM crm.account; MOVE 2 c; "
    . "SELECT FROM pg_sleep(1.5); MOVE ALL c; COMMIT; $retries", '1', 'a connection lost while a cursor rests');
$t->query("ALTER SERVER crm OPTIONS (DROP retry_timeout)");

# A service that hangs is still one.
$t->reset_log;
$t->faults({ match => { path => 'accounts' }, times => -1, behaviour => 'hang' });
$t->fails_like("SELECT count(*) FROM (SELECT name FROM crm.account OFFSET 0) x", qr/08006: .*within 1 s/,
    'who looks on still waits no longer than that');

# Nor does one that does not even take the connection get more time.
my $full = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, ReuseAddr => 1) // die "listen: $!";
my @fillers = map {
    IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0)
} 1 .. 6;
$t->query("CREATE SERVER hole FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url 'http://127.0.0.1:"
    . $full->sockport . "', connect_timeout '1', request_timeout '9'); "
    . "CREATE USER MAPPING FOR CURRENT_USER SERVER hole OPTIONS (access_token 'x')");
$t->fails_like("SELECT dataverse_whoami('hole')", qr/08001: .*no connection within 1 s/, 'connect_timeout');

done_testing();
