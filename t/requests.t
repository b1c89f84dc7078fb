# requests.t: how many requests large statements take, by the service's own log:
# upserts of 100,000 rows with half existing, updates and deletes, and sizes that
# adapt to what is too slow or too large.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $rows = $ENV{DATAVERSE_TEST_ROWS} // 100_000;
my $t = DataverseTest->new(rows => 10, import => 'account, geo_subdivision', server_options => { batch_size => 1000 });
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

sub held
{
    return $t->figures($_[0])->{rows} // $t->figures($_[0])->{count};
}

# Rows of each write request, in order, and its status.
sub sizes
{
    return map { $_->{operations} } grep { "$_->{method} $_->{url}" =~ $writes } $t->log;
}

$t->query("ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (ADD key 'geo_code'); DELETE FROM crm.geo_subdivision");

# --- updates and deletes

$t->query("INSERT INTO crm.geo_subdivision (geo_code, geo_name) SELECT 'U' || n, 'old' FROM generate_series(1, 2000) n");
$t->reset_log;
$t->psql_ok("UPDATE crm.geo_subdivision SET geo_name = upper(geo_name)", '2,000 rows updated');
cmp_ok($t->requests($writes), '<=', 4, '... take four requests at most');
is($t->requests(qr{^GET \S+/geo_subdivisions}), 1, '... and a read');
$t->reset_log;
$t->psql_ok("DELETE FROM crm.geo_subdivision WHERE upper(geo_name) = 'OLD'", '... and deleted');
cmp_ok($t->requests($writes), '<=', 4, '... take four requests at most');
is($t->requests(qr{^GET \S+/geo_subdivisions}), 1, '... and a read');
is(held('geo_subdivision'), 0, '... all of them');

# --- sizes that adapt

my $load = "INSERT INTO crm.geo_subdivision (geo_code, geo_name) SELECT 'S' || n, 'x' FROM generate_series(1, %d) n";
$t->query("ALTER SERVER crm OPTIONS (ADD concurrency '1')");
$t->reset_log;
$t->faults({ match => { path => 'UpsertMultiple', min_operations => 600 }, times => 2, status => 500, code => '0x80044151', message => 'SQL timeout' });
$t->psql_ok(sprintf($load, 12_000), 'a time-out of the service');
my @sizes = sizes();
is($sizes[0], 1000, '... begins with the batch_size');
is("@sizes[1, 2]", '500 500', '... which is halved');
cmp_ok($sizes[-2], '>', 500, '... and grows back after requests that went well');
cmp_ok((sort { $b <=> $a } @sizes)[0], '<=', 1000, '... never above the batch_size') or diag("@sizes");
note("@sizes");
is(held('geo_subdivision'), 12_000, '... and all rows are there');

$t->reset_log;
$t->faults({ match => { path => 'UpsertMultiple', min_bytes => 50_000 }, times => -1, status => 413, code => '', message => 'too large' });
$t->psql_ok(sprintf($load, 10_000), 'requests that are too large');
my @refused = grep { $_->{status} == 413 } $t->log;
cmp_ok(scalar @refused, '<=', 6, '... are few');
my @last = grep { "$_->{method} $_->{url}" =~ $writes } $t->log;
cmp_ok($last[-2]{request_bytes}, '>', 25_000, '... and later ones as large as may be');
note(join ' ', map { "$_->{request_bytes}:$_->{status}" } @last);
is(held('geo_subdivision'), 12_000, '... and no row is there twice');

# --- many

$t->reset_log;
$t->query('ALTER SERVER crm OPTIONS (DROP concurrency)');
$t->query('DELETE FROM crm.geo_subdivision');
$t->query("INSERT INTO crm.geo_subdivision (geo_code, geo_name) SELECT 'K' || n, 'old' FROM generate_series(2, $rows, 2) n");
is(held('geo_subdivision'), $rows / 2, 'half of the rows');
$t->reset_log;
$t->psql_ok("INSERT INTO crm.geo_subdivision (geo_code, geo_name) SELECT 'K' || n, 'new' FROM generate_series(1, $rows) n", "an upsert of $rows rows, half of which exist");
cmp_ok($t->requests($writes), '<=', $rows / 1000 + 5, '... takes a request for every thousand, and five at most');
cmp_ok($t->requests, '<=', $rows / 1000 + 6, '... others included');
is(held('geo_subdivision'), $rows, '... and all are there');

done_testing();
