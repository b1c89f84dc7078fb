# async.t: scans below one Append wait together (async_capable), give the same
# rows as one after the other, and end like any other scan: early, with an
# error, by a cancel, or from the beginning once more.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use Time::HiRes qw(sleep);

my $latency = 100;
my $t = DataverseTest->new(rows => 200, import => 'account, contact, systemuser, opportunity',
    server_options => { async_capable => 'true', fetch_size => 5000, concurrency => 1 });
my @tables = qw(account contact systemuser opportunity);
my $sync = 'SET enable_async_append = off;';

sub latency
{
    $t->control('latency', { ms => $_[0] });
}

# The same name column of all of them, or of those given.
sub union
{
    return join ' UNION ALL ', map { "SELECT '$_' AS kind, " . (/contact|user/ ? 'fullname' : 'name') . " AS name FROM crm.$_" } @_;
}

sub digest
{
    my ($sql) = @_;
    return "SELECT count(*), md5(string_agg(r::text, '|' ORDER BY r::text COLLATE \"C\")) FROM ($sql) r";
}

# Data requests under way together at most.
sub together
{
    my ($most) = sort { $b <=> $a } map { $_->{in_flight} + 1 } $t->log;
    return $most;
}

my $tables_exist = $t->query("SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'f'");
is($tables_exist, 'account contact opportunity systemuser', 'four tables');
my $all = union(@tables);
my $expected = $t->query($sync . digest($all));

# --- together

latency($latency);
$t->reset_log;
$t->is_query($sync . digest($all), $expected, 'one after the other');
is(together(), 1, '... is one request at a time');
$t->reset_log;
$t->is_query(digest($all), $expected, 'together');
is(together(), 4, '... they are all on their way before the first answer');
is($t->requests, 4, '... and no request more');

$t->reset_log;
$t->query('ALTER SERVER crm OPTIONS (SET fetch_size \'20\', SET concurrency \'3\')');
$t->is_query(digest($all), $expected, 'many pages');
cmp_ok(together(), '>=', 4, '... together');
my $pages = $t->requests;
$t->reset_log;
$t->is_query($sync . digest($all), $expected, '... one after the other');
is($t->requests, $pages, '... with as many requests');
latency(0);

$t->query(<<'SQL');
CREATE TABLE near AS SELECT 'near' AS kind, 'n' || i AS name FROM generate_series(1, 500) i;
CREATE TABLE part (id uuid, kind text, name text) PARTITION BY LIST (kind);
CREATE TABLE part_near PARTITION OF part FOR VALUES IN ('near');
INSERT INTO part SELECT NULL, * FROM near;
CREATE FOREIGN TABLE part_a (id uuid OPTIONS (column_name 'accountid', attribute_type 'Uniqueidentifier'), kind text OPTIONS (label_of 'statecode'), name text OPTIONS (attribute_type 'String'))
    SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid');
ALTER TABLE part ATTACH PARTITION part_a FOR VALUES IN ('Active');
CREATE FOREIGN TABLE part_c (id uuid OPTIONS (column_name 'contactid', attribute_type 'Uniqueidentifier'), kind text OPTIONS (label_of 'statecode'), name text OPTIONS (column_name 'lastname', attribute_type 'String'))
    SERVER crm OPTIONS (table_name 'contact', entity_set_name 'contacts', primary_id 'contactid');
ALTER TABLE part ATTACH PARTITION part_c FOR VALUES IN ('Inactive');
SQL
for my $sql ("$all UNION ALL SELECT * FROM near", 'SELECT name FROM part', "SELECT * FROM part WHERE name LIKE '%e%' AND length(name) % 2 = 0")
{
    my $plan = $t->query("EXPLAIN (COSTS OFF) $sql");
    like($plan, qr/Async Foreign Scan.*Async Foreign Scan/s, 'planned to wait together');
    $t->is_query(digest($sql), $t->query($sync . digest($sql)), "... with the same rows: $sql");
}

# --- what each scan says of itself

$t->reset_log;
my $explained = $t->query("EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, SUMMARY OFF) $all");
my $counts = join ' ', $t->query("$sync SELECT count(*) FROM crm.account; SELECT count(*) FROM crm.contact") =~ /\d+/g;
my @rows = $explained =~ /Async Foreign Scan on (?:account|contact) .*?actual rows=(\d+)/g;
is("@rows", $counts, 'EXPLAIN ANALYZE counts the rows of each');

# --- from the beginning once more

for my $case (
    [ 'SELECT i, (SELECT count(*) FROM (' . union(@tables) . ' OFFSET 0) u WHERE length(u.name) > i) FROM generate_series(5, 9) i', 'rescans' ],
    [ 'SELECT s, u.* FROM (VALUES (0), (1), (0)) v(s), LATERAL (SELECT name FROM crm.account WHERE statecode = s '
            . 'UNION ALL SELECT fullname FROM crm.contact WHERE statecode = s) u', 'rescans with other values' ],
    [ 'SELECT s, (SELECT count(*) FROM (SELECT name FROM crm.account WHERE statecode = s UNION ALL '
            . 'SELECT fullname FROM crm.contact WHERE statecode = s LIMIT 3) u) FROM (VALUES (0), (1), (0)) v(s)', 'rescans after an early end' ])
{
    my ($sql, $name) = @$case;
    $t->is_query(digest($sql), $t->query($sync . digest($sql)), $name);
}

# --- an early end

latency($latency);
$t->is_query("SELECT count(*) FROM ($all LIMIT 1) x; SELECT count(*) FROM ($all LIMIT 7) x", "1\n7", 'LIMIT');
latency(0);
$t->is_query("BEGIN; DECLARE c CURSOR FOR $all; MOVE 3 c; DECLARE d CURSOR FOR $all; MOVE 5 d; MOVE 30 c; CLOSE c; "
    . "MOVE 3 d; SAVEPOINT s; DECLARE e CURSOR FOR $all; MOVE 1 e; ROLLBACK TO s; MOVE 1 d; COMMIT; " . digest($all),
    $expected, 'cursors that are left in the middle');
$t->is_query("SELECT count(*) FROM (SELECT dataverse_disconnect('crm') IS NULL FROM ($all) x OFFSET 0) y; " . digest($all),
    $t->query("SELECT count(*) FROM ($all) x") . "\n$expected", 'connections closed meanwhile');

# --- one that the service asks to wait

my %throttled = (status => 429, code => '0x80072322', message => 'Number of requests exceeded the limit.');
$t->query('ALTER SERVER crm OPTIONS (SET fetch_size \'5000\')');
my $others = $t->query("$sync SELECT count(*) FROM (" . union(grep { $_ ne 'contact' } @tables) . ') x');
$t->reset_log;
$t->faults({ %throttled, match => { path => 'contacts' }, times => -1, headers => { 'Retry-After' => '60' } });
$t->is_query("SET statement_timeout = '20s'; SELECT count(*), count(*) FILTER (WHERE kind = 'contact') FROM ($all LIMIT $others) x",
    "$others|0", 'does not hold the others');
$t->reset_log;
$t->faults({ %throttled, match => { path => 'contacts' }, times => 1, headers => { 'Retry-After' => '1' } });
$t->is_query(digest($all), $expected, '... and its rows come when the time is over');
is($t->requests, 5, '... with one request more');
$t->reset_log;
$t->faults({ match => { path => 'contacts' }, times => 1, behaviour => 'close' });
$t->is_query(digest($all), $expected, 'a lost connection is made good');

# --- one that fails

$t->reset_log;
$t->faults({ match => { path => 'contacts' }, times => -1, status => 403, code => '0x80048306', message => 'no right to read' });
$t->fails_like(digest($all), qr/foreign table "contact": .*no right to read/, 'the failure of one');
$t->reset_log;
$t->query("ALTER SERVER crm OPTIONS (ADD request_timeout '1')");
$t->faults({ match => { path => 'contacts' }, times => -1, behaviour => 'hang' });
$t->fails_like(digest($all), qr/08006: .*foreign table "contact": no complete answer within 1 s/, 'the lateness of one');
$t->query("ALTER SERVER crm OPTIONS (DROP request_timeout)");
$t->reset_log;
$t->is_query("DO \$\$ BEGIN PERFORM 1 / (length(name) - length(name)) FROM ($all) x; EXCEPTION WHEN division_by_zero THEN NULL; END \$\$; "
    . digest($all), $expected, 'an error above them');

# --- more of them than the service takes at a time

$t->query(<<'SQL');
CREATE SCHEMA many;
DO $$
BEGIN
    FOR i IN 1 .. 60 LOOP
        EXECUTE format('CREATE FOREIGN TABLE many.t%s (name text OPTIONS (attribute_type %L)) SERVER crm '
            'OPTIONS (table_name %L, entity_set_name %L, primary_id %L)', i, 'String', 'opportunity', 'opportunities', 'opportunityid');
    END LOOP;
END $$;
SQL
my $many = join ' UNION ALL ', map { "SELECT $_ AS i, name FROM many.t$_" } 1 .. 60;
$t->reset_log;
$t->limits(concurrent => 52);
latency(200);
$t->is_query("SELECT count(DISTINCT i), count(*) = 60 * count(*) FILTER (WHERE i = 60) FROM ($many) x; "
    . 'SELECT requests, retries FROM dataverse_connections()', "60|t\n60|0", 'sixty scans');
cmp_ok(together(), '>', 40, '... together');
cmp_ok(together(), '<=', 52, '... but no more than the service takes');
latency(0);
$t->limits(concurrent => undef);

# --- nothing is left behind

my $open = q{SELECT count(*) FROM pg_ls_dir('/proc/self/fd')};
my $endings = "SELECT count(*) > 0 FROM ($all) x; SELECT count(*) FROM ($all LIMIT 1) x; "
    . "DO \$\$ BEGIN PERFORM 1 / (length(name) - length(name)) FROM ($all) x; EXCEPTION WHEN division_by_zero THEN NULL; END \$\$;";
my @open = split /\n/, $t->query("$endings SELECT 'open', ($open); " . $endings x 5 . " SELECT 'open', ($open)");
@open = map { /^open\|(\d+)/ } @open;
cmp_ok($open[1], '<', $open[0] + 8, 'no descriptor stays open') or diag("@open");

# --- a cancel

$t->query(<<'SQL');
CREATE FUNCTION ends_after(how text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    victim int;
    began timestamptz;
BEGIN
    SELECT pid INTO victim FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'AppendReady';
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
for my $case (
    [ cancel => 'answers', { match => { path => 'api/data' }, times => -1, behaviour => 'hang' } ],
    [ terminate => 'bodies', { match => { path => 'api/data' }, times => -1, behaviour => 'stall' } ],
    [ cancel => 'the end of a Retry-After', { %throttled, match => { path => 'api/data' }, times => -1, headers => { 'Retry-After' => '60' } } ])
{
    my ($how, $what, $fault) = @$case;

    $t->reset_log;
    $t->faults($fault);
    my $running = $t->start(digest($all));
    ok($t->poll_until("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'AppendReady'", 1), "all wait for $what");
    sleep 0.2;
    $t->is_query("SELECT ends_after('$how')", 'in time', "... and $how ends it");
    my ($status, $stdout, $stderr) = $t->finish($running, 20);
    like($stderr, $how eq 'cancel' ? qr/57014/ : qr/57P01|server closed the connection/, '... with its own SQLSTATE');
}

# --- rows that are being changed

$t->reset_log;
$t->query("ALTER SERVER crm OPTIONS (SET fetch_size '30', ADD batch_size '10')");
my $short = 'length(name) < 40';
my $matched = $t->query("$sync SELECT count(*) FROM part WHERE kind <> 'near' AND $short");
cmp_ok($matched, '>', 100, 'rows to be changed ...');
$t->query("UPDATE part SET name = name || '!' WHERE kind <> 'near' AND $short");
$t->is_query("$sync SELECT count(*) FILTER (WHERE name LIKE '%!'), count(*) FILTER (WHERE name LIKE '%!!') FROM part",
    "$matched|0", '... are changed once each');

# --- who does not want to

$t->reset_log;
$t->query("ALTER FOREIGN TABLE crm.contact OPTIONS (ADD async_capable 'false')");
my @scans = map { s/ on//r } $t->query("EXPLAIN (COSTS OFF) $all") =~ /((?:Async )?Foreign Scan on \w+)/g;
is(join(', ', @scans), 'Async Foreign Scan account, Foreign Scan contact, Async Foreign Scan systemuser, '
    . 'Async Foreign Scan opportunity', 'a table may be left out');

done_testing();
