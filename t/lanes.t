# lanes.t: what is read side by side: pieces of long lists, batches of key
# joins, ranges of dates of large tables.  Requests do overlap, never more of
# them than allowed, and every row comes just once, whatever the dates are like.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use List::Util qw(max);
use Time::HiRes qw(sleep);

my $rows = 2000;
my $t = DataverseTest->new(
    rows => $rows,
    latency_ms => 20,
    import => 'account, geo_country, geo_note, sample_everything',
    server_options => { fetch_size => 100, concurrency => 4, request_timeout => 20 });

# The most requests that were being served at a time.
sub at_a_time
{
    return max(0, map { $_->{in_flight} + 1 } $t->log);
}

# Requests for a range of dates.
sub ranges
{
    return grep { $_->{url} =~ /createdon%20(ge|lt)|createdon%20eq%20null/ } $t->log;
}

# A statement's answer, how many requests it took at most, and how many of them at a time.
sub reads
{
    my ($name, $sql, $expected, $most, $at_a_time) = @_;

    $t->reset_log;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->is_query($sql, $expected, $name);
    cmp_ok($t->requests, '<=', $most, "... in at most $most requests (" . $t->requests . ')');
    is(at_a_time(), $at_a_time, "... $at_a_time at a time");
}

# One line for all rows of a table: how many, how many of them different, and what they add up to.
sub figures
{
    my ($table, $id) = @_;
    return "SELECT count(*), count(DISTINCT $id), sum(versionnumber) FROM (SELECT $id, versionnumber FROM $table OFFSET 0) a";
}

my $account = figures('crm.account', 'accountid');
my $figures = $t->figures('account');
my $sum = $figures->{columns}{versionnumber}{sum} =~ s/\.0*$//r;
my $whole = "$rows|$rows|$sum";

# --- ranges

reads('a whole table', $account, $whole, 40, 4);
cmp_ok(scalar(ranges()), '>=', 20, '... in ranges');
$t->is_query("SET timezone = 'UTC'; SELECT count(revenue), sum(revenue) = $figures->{columns}{revenue}{sum},"
        . ' min(createdon) IS NOT NULL, count(createdon) FROM (SELECT * FROM crm.account OFFSET 0) a',
    "$figures->{columns}{revenue}{count}|t|t|$rows", '... and all columns');
$t->query('CREATE SCHEMA loc; CREATE TABLE loc.account AS SELECT * FROM crm.account');
$t->is_query('SELECT count(*) FROM loc.account l FULL JOIN (SELECT accountid, name, createdon FROM crm.account) a USING (accountid)'
        . ' WHERE l.name IS DISTINCT FROM a.name OR l.createdon IS DISTINCT FROM a.createdon', 0, '... with and without the date among them');
reads('a condition', "SELECT count(*) FROM (SELECT accountid FROM crm.account WHERE numberofemployees > 100 OFFSET 0) a",
    $t->query('SELECT count(*) FROM loc.account WHERE numberofemployees > 100'), 40, 4);
reads('a condition checked here', "SELECT count(*) FROM crm.account WHERE name ~ 'e'",
    $t->query("SELECT count(*) FROM loc.account WHERE name ~ 'e'"), 40, 4);
my $late = $t->query("SET timezone = 'UTC'; SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY createdon) FROM loc.account");
reads('a condition on the date itself', "SELECT count(*) FROM (SELECT accountid FROM crm.account WHERE createdon >= '$late' OFFSET 0) a",
    $t->query("SELECT count(*) FROM loc.account WHERE createdon >= '$late'"), 40, 4);

my $explain = $t->query('EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT name FROM crm.account');
like($explain, qr/actual rows=$rows(?:\.00)? loops=1\)\n  Remote Ranges: \d+\n  Remote Requests: /, 'EXPLAIN ANALYZE tells the ranges');

# The size is known: what else must be known is asked for beside the first page.
$t->query('ANALYZE crm.account');
reads('an analyzed table', $account, $whole, 40, 4);
is(scalar(grep { $_->{in_flight} == 0 } ($t->log)[ 0 .. 3 ]), 1, '... by four requests at a time from the beginning');
unlike($t->query('EXPLAIN (VERBOSE) SELECT name FROM crm.account'), qr/createdon/, '... and a first page that is like any other');

# --- what is not read in ranges

sub serial
{
    my ($name, $sql, $expected, $requests, $before) = @_;

    $t->reset_log;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->is_query(($before // '') . $sql, $expected, $name);
    is($t->requests, $requests, "... by $requests requests");
    is(scalar(ranges()), 0, '... without ranges');
    is(at_a_time(), 1, '... one at a time');
}

serial('an order', 'SELECT count(*) FROM (SELECT versionnumber FROM crm.account WHERE versionnumber > 0 ORDER BY versionnumber OFFSET 0) a', $rows, 20);
serial('LIMIT', 'SELECT count(*) FROM (SELECT accountid FROM crm.account LIMIT 150) a', 150, 2);
serial('EXISTS', 'SELECT EXISTS (SELECT FROM crm.account)', 't', 2);
serial('a cursor', 'BEGIN; DECLARE c CURSOR FOR SELECT name FROM crm.account; MOVE 150 FROM c; CLOSE c; COMMIT; SELECT 1', 1, 3);
serial('one request at a time', $account, $whole, 20, "ALTER SERVER crm OPTIONS (SET concurrency '1');");
$t->query("ALTER SERVER crm OPTIONS (SET concurrency '4')");
serial('a few pages', $account, $whole, 3, "ALTER FOREIGN TABLE crm.account OPTIONS (ADD fetch_size '700');");
$t->query('ALTER FOREIGN TABLE crm.account OPTIONS (DROP fetch_size)');
$t->query("CREATE FOREIGN TABLE crm.bare (accountid uuid OPTIONS (attribute_type 'Uniqueidentifier'), versionnumber bigint OPTIONS (attribute_type 'BigInt'))"
        . " SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid')");
serial('a table without a date', figures('crm.bare', 'accountid'), $whole, 20);
my $long = join ' OR ', map { "a.numberofemployees > $_ AND a.versionnumber > $_" } 0 .. 123;
$long .= ' OR a.versionnumber < 0';
serial('a condition that leaves no room for another', "SELECT count(*) FROM crm.account a WHERE $long",
    $t->query("SELECT count(*) FROM loc.account a WHERE $long"), int(($t->query("SELECT count(*) FROM loc.account a WHERE $long") + 99) / 100));

# A table of unknown size that turns out to be small costs nothing more.
$t->query("INSERT INTO crm.geo_country (geo_name) SELECT 'a few' FROM generate_series(1, 60)");
serial('a small table', 'SELECT count(*) FROM (SELECT geo_name FROM crm.geo_country OFFSET 0) a', $t->figures('geo_country')->{count}, 1);

# What is asked beside the first page may fail: then pages come in a row.
sub after_fault
{
    my ($name, $path, @fault) = @_;

    $t->reset_log;
    $t->faults({ match => { path => $path }, times => -1, @fault });
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->is_query($account, $whole, $name);
}

$t->query("UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = 'crm.account'::regclass");
after_fault('no record count', 'RetrieveTotalRecordCount', status => 403, code => '0x80040220', message => 'no');
cmp_ok(scalar(ranges()), '>', 20, '... the planner\'s figure will do');
after_fault('no sample', 'select=createdon&\$filter=createdon%20ne%20null$', status => 400, code => '0x80040203', message => 'no');
is(scalar(ranges()), 0, '... there are no ranges');
after_fault('no latest date', 'createdon%20desc', status => 400, code => '0x80040203', message => 'no');
cmp_ok(scalar(ranges()), '>', 20, '... that is no hindrance');

# The service's recommendation holds.
$t->limits(dop_hint => 2);
$t->reset_log;
$t->is_query($account, $whole, 'the service recommends two requests at a time');
cmp_ok(max(map { $_->{in_flight} + 1 } ($t->log)[ 4 .. $t->requests - 1 ]), '<=', 2, '... so there are no more');
$t->limits;

# --- pieces of lists

my $ids = 'ARRAY(SELECT accountid FROM loc.account)';
$t->query('ALTER FOREIGN TABLE crm.account OPTIONS (ADD fetch_size \'400\')');
reads('a long list', "SELECT count(*), count(DISTINCT accountid) FROM (SELECT accountid FROM crm.account WHERE accountid = ANY ($ids) OFFSET 0) a", "$rows|$rows", 5, 4);
reads('... in an order',
    "SELECT count(*), bool_and(v > before) FROM (SELECT v, lag(v) OVER () AS before FROM (SELECT versionnumber AS v FROM crm.account WHERE accountid = ANY ($ids)"
        . ' AND versionnumber > 0 ORDER BY versionnumber OFFSET 0) a) b', "$rows|t", 7, 4);
reads('... under a LIMIT', "SELECT count(*) FROM (SELECT accountid FROM crm.account WHERE accountid = ANY ($ids) LIMIT 10) a", 10, 1, 1);
reads('nulls last', 'SELECT count(*), count(n), bool_or(n IS NULL AND after IS NOT NULL) FROM (SELECT n, lead(n) OVER () AS after FROM'
        . ' (SELECT numberofemployees AS n FROM crm.account ORDER BY numberofemployees OFFSET 0) a) b',
    $t->query('SELECT count(*), count(numberofemployees), false FROM loc.account') =~ s/f$/f/r, 7, 2);
reads('a text list', 'SELECT count(*), count(DISTINCT accountid) FROM crm.account WHERE accountnumber = ANY (ARRAY(SELECT accountnumber FROM loc.account))',
    $t->query('SELECT count(accountnumber), count(DISTINCT accountid) FILTER (WHERE accountnumber IS NOT NULL) FROM loc.account'), 6, 4);
reads('a key join', 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off;'
        . ' SELECT count(*), sum(a.versionnumber) FROM loc.account l JOIN crm.account a ON a.accountid = l.accountid', "$rows|$sum", 6, 4);

# Batches follow one another without a break: 30 requests, of which the first batch is one, in waves of six.
# Batch by batch there would be three waves more.
$t->query("CREATE TABLE keys AS SELECT accountid AS k, n FROM loc.account, generate_series(1, 6) n; ANALYZE keys;"
        . ' UPDATE keys SET k = gen_random_uuid() WHERE n > 1');
$t->query("ALTER SERVER crm OPTIONS (SET concurrency '6')");
$t->reset_log;
$t->is_query('SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off;'
        . ' SELECT count(*), sum(a.versionnumber) FROM keys JOIN crm.account a ON a.accountid = k', "$rows|$sum", 'a key join of many batches');
cmp_ok($t->requests, '<=', 12_000 / 400 + 3, '... in few requests');
my @alone = grep { $_->{in_flight} == 0 } $t->log;
cmp_ok(scalar @alone, '<=', 7, '... of which few are sent when nothing else is on its way');
cmp_ok(at_a_time(), '<=', 6, '... and never more than allowed at a time');
$t->query("ALTER SERVER crm OPTIONS (SET concurrency '4')");
$t->query('ALTER FOREIGN TABLE crm.account OPTIONS (DROP fetch_size)');

# --- dates of all kinds

# The whole table again, and what the service says of it.
sub complete
{
    my ($name, $table, $id, $most) = @_;
    my $want = $t->figures($table);
    my $versions = $want->{columns}{versionnumber}{sum} =~ s/\.0*$//r;

    $t->reset_log;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->is_query(figures("crm.$table", $id), "$want->{count}|$want->{count}|$versions", $name);
    cmp_ok($t->requests, '<=', $most, "... in at most $most requests (" . $t->requests . ')');
    return $want->{count};
}

# Two thirds of the rows in one second, in which nothing can be cut; a few far away on both sides.
$t->query(<<'SQL');
INSERT INTO crm.geo_country (geo_name, overriddencreatedon) SELECT 'heap', '2015-05-05 05:05:05+00' FROM generate_series(1, 1200);
INSERT INTO crm.geo_country (geo_name, overriddencreatedon) SELECT 'spread', '2001-01-01'::timestamptz + n * interval '7 days' FROM generate_series(1, 700) n;
INSERT INTO crm.geo_country (geo_name, overriddencreatedon) VALUES ('old', '1901-01-01'), ('new', '2031-01-01');
SQL
complete('most rows in one second', 'geo_country', 'geo_countryid', 80);
cmp_ok(at_a_time(), '>', 1, '... side by side');

# Ids that grow with the dates: the first page holds the oldest rows and is a bad sample.
$t->query("INSERT INTO crm.geo_note (geo_name, overriddencreatedon) SELECT n::text, '2020-01-01'::timestamptz + n * interval '1 hour' FROM generate_series(1, 1500) n");
complete('ids that grow with the dates', 'geo_note', 'geo_noteid', 60);
is(at_a_time(), 4, '... four requests at a time');
my @big = grep { $_->{url} =~ /skiptoken/ } ranges();
cmp_ok(scalar @big, '<', 10, '... and few ranges are larger than a page');

# And much faster at the end than at the beginning: what turns out too large is cut again.
$t->query("INSERT INTO crm.geo_note (geo_name, overriddencreatedon) SELECT n::text, '2020-03-10'::timestamptz + n * interval '1 s' FROM generate_series(1, 2500) n");
$t->query("INSERT INTO crm.geo_note (geo_name, overriddencreatedon) SELECT n::text, '2022-03-10'::timestamptz + n * interval '1 s' FROM generate_series(1, 10) n");
complete('dates that crowd together', 'geo_note', 'geo_noteid', 120);
is(at_a_time(), 4, '... four requests at a time');
my @third = grep { $_->{url} =~ /pagenumber=%226/ } ranges();
is(scalar @third, 0, '... and no range is read to its sixth page');

# The same with a sample that misleads: what is too large is cut again while it is read.
my $notes = $t->figures('geo_note');
$t->reset_log;
$t->faults({ match => { path => 'select=createdon&\$filter=createdon%20ne%20null$' }, times => 1, status => 200,
        body => '{"value":[' . join(',', map { qq({"createdon":"2020-01-01T0$_:00:00Z"}) } 1 .. 9) . ']}',
        headers => { 'Content-Type' => 'application/json; odata.metadata=minimal', 'OData-Version' => '4.0' } });
$t->is_query(figures('crm.geo_note', 'geo_noteid'), "$notes->{count}|$notes->{count}|" . $notes->{columns}{versionnumber}{sum} =~ s/\.0*$//r,
    'a sample that misleads');
# A page that is given up may still be served for a moment.
cmp_ok(at_a_time(), '>=', 4, '... four requests at a time');
cmp_ok($t->requests, '<=', 160, '... in at most 160 requests (' . $t->requests . ')');
my $waves = grep { $_->{in_flight} == 0 } $t->log;
cmp_ok($waves, '<=', $t->requests / 2, "... and mostly side by side ($waves times alone)");

# A date that may be null, in a table declared by hand.
my $everything = $t->query('SELECT count(*) FROM (SELECT sample_everythingid FROM crm.sample_everything OFFSET 0) a');
$t->query("ALTER FOREIGN TABLE crm.sample_everything OPTIONS (ADD partition_column 'sample_datetime', ADD fetch_size '50')");
my $nulls = $t->query('SELECT count(*) FROM crm.sample_everything WHERE sample_datetime IS NULL');
cmp_ok($nulls, '>', 0, 'a date that may be null');
complete('... by whose ranges all rows are read', 'sample_everything', 'sample_everythingid', 100);
is(scalar(grep { $_->{url} =~ /sample_datetime%20eq%20null/ && $_->{url} !~ /skiptoken/ } $t->log), 1, '... those without it as a range of their own');
$t->query('ALTER FOREIGN TABLE crm.sample_everything ALTER sample_datetime SET NOT NULL');
$t->query('SELECT count(*) FROM crm.sample_everything');
$t->query('ALTER FOREIGN TABLE crm.sample_everything ALTER sample_datetime DROP NOT NULL');

# --- rows that are added meanwhile

for my $when (q{now()}, q{'2020-06-01'::timestamptz + random() * interval '2 years'})
{
    my $before = $t->query('SELECT count(*) FROM crm.geo_note');
    my $scan = $t->start("CREATE TABLE seen AS SELECT geo_noteid FROM (SELECT geo_noteid FROM crm.geo_note, pg_sleep(0) OFFSET 0) a; SELECT count(*), count(DISTINCT geo_noteid) FROM seen");
    sleep 0.1;
    $t->query("INSERT INTO crm.geo_note (geo_name, overriddencreatedon) SELECT 'added', $when FROM generate_series(1, 300)");
    my ($status, $out) = $t->finish($scan);
    my ($n, $distinct) = split /\|/, $out;

    is($n, $distinct, 'no row comes twice while others are added');
    $t->is_query("SELECT count(*) >= $before - 0 FROM seen", 't', '... and none is lost');
    $t->is_query("SELECT count(*) FROM crm.geo_note n LEFT JOIN seen s USING (geo_noteid) WHERE s.geo_noteid IS NULL AND n.geo_name <> 'added'", 0, '... of those that were there');
    $t->query('DROP TABLE seen');
}

# --- what goes wrong in a lane

sub goes_wrong
{
    my ($name, $pattern, @faults) = @_;

    $t->reset_log;
    $t->faults(@faults);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $out, $err) = $t->psql("\\set ON_ERROR_STOP off\n$account;\nSELECT 'still ' || count(*) FROM crm.account WHERE accountnumber = 'nobody'");
    like($err, $pattern, $name);
    is($out, 'still 0', '... and the session goes on');
    $t->reset_log;
    sleep 0.2;
    is($t->requests, 0, '... with nothing left on its way');
}

my $range = 'createdon%20ge';
goes_wrong('a range is refused', qr/ERROR:  .*could not read from foreign table "account": no such luck/, { match => { path => $range }, skip => 3, times => 1, status => 400, code => '0x80040203', message => 'no such luck' });
my $row = '"accountid":"0f0f0f0f-0000-0000-0000-00000000000%d","versionnumber":1,"createdon":"%s"';
my $follow = qr/ERROR:  HV000: pages of foreign table "account" do not follow one another\n/;

# A page of a range with these rows' dates.
sub scripted
{
    my (@dates) = @_;
    my $n = 0;
    return {
        match => { path => $range }, skip => 2, times => 1, status => 200,
        body => '{"value":[' . join(',', map { sprintf "{$row}", ++$n, $_ } @dates) . ']}',
        headers => { 'Content-Type' => 'application/json; odata.metadata=minimal', 'OData-Version' => '4.0' } };
}

goes_wrong('a row outside of the range', qr/${follow}DETAIL:  A row of 1799-01-01T00:00:00Z is not within the range of dates asked for\./, scripted('1799-01-01T00:00:00Z'));
goes_wrong('a row without a date', qr/${follow}DETAIL:  A row of a range of dates has none that can be read\./, scripted('yesterday'));
goes_wrong('a page that is cut off', qr/ERROR:  08P01: /, { match => { path => $range }, skip => 3, times => 1, status => 200, body => '{"value":[{"accountid":"0f' });

$t->faults({ match => { path => $range }, skip => 2, times => -1, behaviour => 'hang' });
my ($status, $out, $err, $seconds) = $t->psql("\\set ON_ERROR_STOP off\nSET statement_timeout = '700ms';\n$account;\nRESET statement_timeout;\nSELECT 'on'");
like($err, qr/ERROR:  57014: canceling statement due to statement timeout/, 'cancelled while lanes wait');
is($out, 'on', '... the session goes on');
cmp_ok($seconds, '<', 10, '... in time');
$t->reset_log;
$t->is_query($account, $whole, 'all is well again');

done_testing();
