# connections.t: connections and tokens are used again, within a statement and
# by the next one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use WireTap;

my $t = DataverseTest->new(rows => 400, import => 0);
my $wire = WireTap->new($t->url);

$t->query(sprintf <<'SQL', $wire->url, $t->url, $t->url);
CREATE SERVER wire FOREIGN DATA WRAPPER dataverse_fdw
    OPTIONS (url '%s', tenant_id '11111111-1111-1111-1111-111111111111', authority '%s', scope '%s/.default',
        concurrency '8', async_capable 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER wire OPTIONS (client_id '22222222-2222-2222-2222-222222222222', client_secret 'demo-secret');
IMPORT FOREIGN SCHEMA dataverse LIMIT TO (account, contact, opportunity, team) FROM SERVER wire INTO crm;
SQL

sub opened
{
    return $wire->connections;
}

sub tokens
{
    return scalar grep { $_->{url} =~ /oauth2/ } $t->log(tokens => 1);
}

my $before = opened();
$t->reset_log;
my $each = 'SELECT count(*) FROM (SELECT name FROM crm.account OFFSET 0) x; ';
$t->query($each x 10 . "SELECT dataverse_whoami('wire'); UPDATE crm.account SET telephone1 = '1' WHERE accountnumber LIKE '%1'; "
    . $each x 10);
cmp_ok($t->requests, '>', 20, 'many requests one after the other ...');
is(opened() - $before, 1, '... use one connection');
is(tokens(), 1, '... and one token');

my $together = join ' UNION ALL ', map { "SELECT statecode FROM crm.$_" } qw(account contact opportunity account contact opportunity);
$t->control('latency', { ms => 50 });
$before = opened();
$t->reset_log;
$t->query("SELECT count(*) FROM ($together) x; " x 3);
my ($most) = sort { $b <=> $a } map { $_->{in_flight} + 1 } $t->log;
cmp_ok($most, '>=', 6, 'requests side by side ...');
my $n = opened() - $before;
cmp_ok($n, '>=', $most, '... have a connection each ...');
cmp_ok($n, '<=', 12, '... for page after page and statement after statement');
is(tokens(), 1, '... and one token');

$t->control('latency', { ms => 0 });
$t->is_query("SELECT count(*) FROM crm.team; SELECT dataverse_disconnect('wire'); SELECT count(*) FROM crm.team",
    $t->query("SELECT count(*) FROM crm.team; SELECT true; SELECT count(*) FROM crm.team"), 'after dataverse_disconnect a new one is made');

done_testing();
