# aggregate.t: aggregates and DISTINCT are computed by the service, in few
# requests, and the answer is the one PostgreSQL computes over a local copy,
# digit by digit; what the service cannot or will not compute is computed here.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $t;

# --- comparing

# A copy of what the foreign tables hold, made by plain scans.
sub copy_tables
{
    my ($columns) = @_;

    $t->query('CREATE SCHEMA loc');
    for my $table (sort keys %$columns)
    {
        $t->query("CREATE TABLE loc.$table AS SELECT $columns->{$table} FROM crm.$table OFFSET 0");
    }
}

# The same query here and there. sent: how many requests it takes, all of them $apply; sent => 0: the rows are read.
sub same
{
    my ($name, $query, %how) = @_;
    (my $local = $query) =~ s/\bcrm\./loc./g;
    my ($expected) = ($t->psql($local))[1];

    $t->reset_log;
    $t->is_query($query, $expected, $name);
    my @log = $t->log;
    my $applies = grep { $_->{url} =~ /apply=/ } @log;

    return unless exists $how{sent};
    if ($how{sent})
    {
        is("$applies of " . @log, "$how{sent} of $how{sent}", "... in $how{sent} requests");
    }
    else
    {
        is($applies, 0, '... and is not sent');
    }
}

# Why a query's rows were aggregated here; '' when they were not.
sub reason
{
    my ($query) = @_;
    my ($reason) = $t->query("EXPLAIN (ANALYZE, VERBOSE) $query") =~ /Aggregated Here: (.*)/;

    return $reason // '';
}

my $everything = 'sample_everythingid, sample_string, sample_integer, sample_decimal, sample_money, sample_double,'
    . ' sample_boolean, sample_choice, sample_datetime, sample_datetimeindependent, sample_date, sample_accountid, statecode';
my $account = 'accountid, name, accountnumber, statecode, statuscode, industrycode, numberofemployees, revenue,'
    . ' creditlimit, exchangerate, creditonhold, primarycontactid, ownerid, createdon, modifiedon, versionnumber';

# Random aggregates, all in one session on either side; every difference is shown.
my $seed = $ENV{DATAVERSE_SEED} // int rand 1_000_000;
my $queries = $ENV{DATAVERSE_QUERIES} // 150;
srand $seed;
note("DATAVERSE_SEED=$seed");

sub pick
{
    return $_[ rand @_ ];
}

my %columns = (
    account => {
        groups => [qw(statecode statuscode industrycode creditonhold primarycontactid ownerid)],
        numbers => [qw(numberofemployees revenue creditlimit exchangerate versionnumber)],
        others => [qw(createdon modifiedon)],
        conditions => [
            'statecode = 0', 'industrycode < 20', 'revenue > 100000', 'revenue IS NULL', 'numberofemployees BETWEEN 10 AND 5000',
            'creditonhold', 'creditonhold IS NOT TRUE', 'industrycode IN (1, 5, 9, 12)', "createdon > '2020-01-01'", 'primarycontactid IS NOT NULL',
            'numberofemployees = -77', 'exchangerate <> 1' ] },
    sample_everything => {
        groups => [qw(sample_choice sample_boolean statecode sample_integer sample_accountid)],
        numbers => [qw(sample_integer sample_decimal sample_money)],
        others => [qw(sample_double sample_datetime sample_datetimeindependent sample_date)],
        conditions => [
            'sample_integer > 0', 'sample_decimal < 0', 'sample_money IS NOT NULL', 'sample_choice IS NULL', 'sample_boolean',
            "sample_datetime < '2020-01-01'", 'sample_integer IS NULL', 'statecode = 0' ] });

sub random_condition
{
    my ($of) = @_;
    my $condition = pick(@{ $of->{conditions} });
    my $kind = rand;

    return "NOT ($condition)" if $kind < 0.15;
    return "($condition) OR (" . pick(@{ $of->{conditions} }) . ')' if $kind < 0.3;
    return "($condition) AND (" . pick(@{ $of->{conditions} }) . ')' if $kind < 0.45;
    return $condition;
}

sub random_aggregate
{
    my ($of) = @_;
    my $number = pick(@{ $of->{numbers} });
    my $any = pick(@{ $of->{numbers} }, @{ $of->{others} });
    my $aggregate = pick('count(*)', "count($any)", "sum($number)", "avg($number)", "min($any)", "max($any)",
        'count(DISTINCT ' . pick(@{ $of->{groups} }, @{ $of->{numbers} }) . ')', "sum($number)", "avg($number)");

    $aggregate .= ' FILTER (WHERE ' . random_condition($of) . ')' if rand() < 0.2;
    return $aggregate;
}

sub random_query
{
    my $table = pick(sort keys %columns);
    my $of = $columns{$table};
    my @groups = map { pick(@{ $of->{groups} }) } 1 .. pick(0, 0, 1, 1, 2);
    my @aggregates = map { random_aggregate($of) } 1 .. 1 + rand 4;
    my $query = rand() < 0.1 && @groups ? 'SELECT DISTINCT ' . join(', ', @groups) : 'SELECT ' . join(', ', @groups, @aggregates);

    $query .= " FROM crm.$table";
    $query .= ' WHERE ' . random_condition($of) if rand() < 0.5;
    return $query if $query =~ /DISTINCT \w/ && $query !~ /\(/;
    $query .= ' GROUP BY ' . join(', ', @groups) if @groups;
    $query .= ' HAVING ' . random_aggregate($of) . ' IS NOT NULL' if rand() < 0.15;
    $query .= ' HAVING count(*) > 3' if $query !~ /HAVING/ && rand() < 0.15;
    return $query;
}

sub answers
{
    my (@queries) = @_;
    my $script = join '', map { qq{SELECT array_agg(x::text ORDER BY x::text COLLATE "C") FROM ($_) x;\n} } @queries;

    return split /\n/, $t->query($script), -1;
}

sub same_at_random
{
    my ($name) = @_;
    my @queries = grep { !/SELECT DISTINCT.*(HAVING|GROUP BY)/ } map { random_query() } 1 .. $queries;
    my @expected = answers(map { s/\bcrm\./loc./r } @queries);
    $t->reset_log;
    my @got = answers(@queries);
    my @wrong = grep { $got[$_] ne $expected[$_] } 0 .. $#queries;

    is(scalar @got, scalar @queries, "$name: every random aggregate has an answer");
    ok(!@wrong, '... and it is PostgreSQL\'s');
    diag("$queries[$_]\n  got      $got[$_]\n  expected $expected[$_]") for @wrong[ 0 .. ($#wrong > 4 ? 4 : $#wrong) ];
    note(scalar(grep { $_->{url} =~ /apply=/ } $t->log) . ' of ' . $t->requests . ' requests are aggregates');
}

# --- one request each, under both answers to what a sum over nothing is

for my $nothing (qw(absent zero))
{
    # Rows are dear, so that few of them are aggregated by the service, too.
    $t = DataverseTest->new(rows => 1500, import => 'account, sample_everything', server_options => { fdw_tuple_cost => 10 },
        quirks => { sum_of_nothing => $nothing, group_dates => $nothing eq 'zero' ? 'accepted' : 'refused' });
    copy_tables({ account => $account, sample_everything => $everything });

    same("count(*), nothing $nothing", 'SELECT count(*) FROM crm.account', sent => 1);
    same('count(*) of some', 'SELECT count(*) FROM crm.account WHERE statecode = 0 AND numberofemployees > 100', sent => 1);
    same('count(*) of none', 'SELECT count(*) FROM crm.account WHERE numberofemployees = -77', sent => 1);
    same('count(*) of what cannot be', 'SELECT count(*), sum(revenue) FROM crm.account WHERE numberofemployees = 5000000000', sent => 0);
    same('count(1)', 'SELECT count(1) FROM crm.account', sent => 1);
    same('count(column)', 'SELECT count(revenue) FROM crm.account', sent => 1);
    same('count(column) that is never null', 'SELECT count(accountid) FROM crm.account', sent => 1);
    same('sum, avg, min, max of one column',
        'SELECT count(revenue), sum(revenue), avg(revenue), min(revenue), max(revenue) FROM crm.account', sent => 1);
    same('the same in another order',
        'SELECT max(revenue), min(revenue), avg(revenue), sum(revenue), count(revenue) FROM crm.account', sent => 1);
    same('two columns', 'SELECT sum(revenue), sum(creditlimit), count(*) FROM crm.account', sent => 3);
    same('sum of integers is a bigint',
        'SELECT pg_typeof(sum(numberofemployees)), sum(numberofemployees) FROM crm.account', sent => 1);
    same('average of integers is not cut',
        'SELECT avg(numberofemployees), avg(sample) FROM (SELECT numberofemployees, numberofemployees AS sample FROM crm.account) s', sent => 1);
    same('a third of one', 'SELECT avg(statecode) FROM crm.account', sent => 0);
    same('averages by group', 'SELECT industrycode, avg(numberofemployees), avg(revenue), avg(exchangerate) FROM crm.account GROUP BY 1 ORDER BY 1', sent => 4);
    same('money with four decimals', 'SELECT sum(sample_money), avg(sample_money), min(sample_money), max(sample_money) FROM crm.sample_everything', sent => 1);
    same('decimals with ten', 'SELECT sum(sample_decimal), avg(sample_decimal), min(sample_decimal), max(sample_decimal) FROM crm.sample_everything', sent => 1);
    same('averages of large money', 'SELECT avg(sample_money), sum(sample_money) FROM crm.sample_everything WHERE sample_money > 100000000000', sent => 1);
    same('doubles are summed here', 'SELECT sum(sample_double) IS NOT NULL FROM crm.sample_everything', sent => 0);
    same('extremes of doubles', 'SELECT count(*), min(sample_double), max(sample_double) FROM crm.sample_everything', sent => 1);
    same('extremes of dates', 'SELECT count(*), min(sample_datetime), max(sample_datetime), min(sample_datetimeindependent),'
            . ' max(sample_datetimeindependent), min(sample_date), max(sample_date) FROM crm.sample_everything', sent => 1);
    same('extremes of text stay here', 'SELECT min(name), max(name) FROM crm.account', sent => 0);
    same('nothing to sum',
        'SELECT count(*), count(revenue), sum(revenue), avg(revenue), min(revenue), max(revenue) FROM crm.account WHERE numberofemployees = -77', sent => 2);
    same('nothing to sum in whole numbers', 'SELECT sum(numberofemployees), avg(numberofemployees) FROM crm.account WHERE numberofemployees = -77', sent => 1);

    # groups
    same('groups with a null', 'SELECT industrycode, count(*) FROM crm.account GROUP BY industrycode ORDER BY 1 NULLS LAST', sent => 1);
    same('groups none of whose values count', 'SELECT creditonhold, statecode, count(sample), sum(sample), min(sample) FROM'
            . ' (SELECT creditonhold, statecode, revenue AS sample FROM crm.account WHERE revenue IS NULL) s GROUP BY 1, 2 ORDER BY 1, 2');
    same('groups of two columns', 'SELECT statecode, statuscode, count(*), max(createdon) FROM crm.account GROUP BY 1, 2 ORDER BY 1, 2', sent => 1);
    same('groups of booleans', 'SELECT sample_boolean, sum(sample_integer), count(*) FROM crm.sample_everything GROUP BY 1 ORDER BY 1', sent => 2);
    same('groups of integers', 'SELECT sample_integer, count(*) FROM crm.sample_everything WHERE sample_integer > 5 GROUP BY 1 ORDER BY 1', sent => 1);
    same('groups of lookups', 'SELECT primarycontactid, count(*) FROM crm.account WHERE statecode = 1 GROUP BY 1 ORDER BY 2 DESC, 1', sent => 1);
    same('groups of owners', 'SELECT ownerid, count(*), sum(creditlimit) FROM crm.account GROUP BY 1 ORDER BY 1', sent => 2);
    same('groups not shown', 'SELECT count(*) FROM crm.account GROUP BY industrycode ORDER BY industrycode', sent => 1);
    same('a group that is known', 'SELECT statecode, count(*) FROM crm.account WHERE statecode = 1 GROUP BY statecode', sent => 1);
    same('... and does not exist', 'SELECT statecode, count(*) FROM crm.account WHERE statecode = 1 AND numberofemployees = -77 GROUP BY statecode');
    same('no groups', 'SELECT industrycode, sum(revenue) FROM crm.account WHERE numberofemployees = -77 GROUP BY 1');
    same('groups without aggregates', 'SELECT industrycode FROM crm.account GROUP BY 1 ORDER BY 1', sent => 1);
    same('groups of text stay here', 'SELECT sample_string, count(*) FROM crm.sample_everything GROUP BY 1 ORDER BY sample_string COLLATE "C"', sent => 0);
    same('groups of numerics stay here', 'SELECT sample_money, count(*) FROM crm.sample_everything GROUP BY 1 ORDER BY 1', sent => 0);
    same('groups of dates stay here', 'SELECT sample_date, count(*) FROM crm.sample_everything GROUP BY 1 ORDER BY 1', sent => 0);
    same('groups of expressions stay here', 'SELECT industrycode % 2, count(*) FROM crm.account GROUP BY 1 ORDER BY 1', sent => 0);
    same('grouping sets stay here', 'SELECT statecode, statuscode, count(*) FROM crm.account GROUP BY ROLLUP (1, 2) ORDER BY 1, 2', sent => 0);

    # around them
    same('HAVING', 'SELECT industrycode, count(*) FROM crm.account GROUP BY 1 HAVING count(*) > 30 AND sum(revenue) > 0 ORDER BY 1', sent => 2);
    same('HAVING that is not shown', 'SELECT industrycode FROM crm.account GROUP BY 1 HAVING max(numberofemployees) > 1000 ORDER BY 1', sent => 1);
    same('HAVING without groups', 'SELECT count(*) FROM crm.account HAVING count(*) < 0', sent => 1);
    same('HAVING with a subquery', 'SELECT industrycode, count(*) FROM crm.account GROUP BY 1 HAVING count(*) > (SELECT count(*) / 40 FROM crm.account) ORDER BY 1', sent => 2);
    same('expressions', 'SELECT industrycode + 1, sum(numberofemployees) / count(*), count(*) * 2 FROM crm.account GROUP BY industrycode ORDER BY 1', sent => 2);
    same('FILTER', 'SELECT count(*) FILTER (WHERE statecode = 0), sum(revenue) FILTER (WHERE statecode = 0),'
            . ' count(*) FILTER (WHERE statecode = 1), count(*) FROM crm.account', sent => 4);
    same('FILTER by group', 'SELECT industrycode, count(*) FILTER (WHERE numberofemployees > 500), max(revenue) FILTER (WHERE statecode = 1)'
            . ' FROM crm.account GROUP BY 1 ORDER BY 1', sent => 3);
    same('FILTER that is not exact stays here', q{SELECT count(*) FILTER (WHERE name LIKE 'A%') FROM crm.account}, sent => 0);
    same('conditions that are not exact', q{SELECT count(*) FROM crm.account WHERE name LIKE 'A%'}, sent => 0);
    same('LIMIT', 'SELECT industrycode, count(*) FROM crm.account GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3', sent => 1);
    same('a join above', 'SELECT v.n, g.count FROM (VALUES (0, 1), (1, 2)) v(s, n) JOIN'
            . ' (SELECT statecode, count(*) FROM crm.account GROUP BY 1) g ON g.statecode = v.s ORDER BY 1', sent => 1);
    same('once for every outer row', 'SELECT v.s, (SELECT count(*) FROM crm.account a WHERE a.statecode = v.s),'
            . ' (SELECT sum(a.revenue) FROM crm.account a WHERE a.statecode = v.s) FROM (VALUES (0), (1), (NULL), (1)) v(s)', sent => 6);
    same('a parameter', 'PREPARE p(int) AS SELECT count(*), max(revenue) FROM crm.account WHERE industrycode = $1;'
            . ' SET plan_cache_mode = force_generic_plan; EXECUTE p(1); EXECUTE p(7); EXECUTE p(NULL)', sent => 2);
    same('a subquery in the condition', 'SELECT count(*) FROM crm.account WHERE numberofemployees > (SELECT avg(numberofemployees)::int FROM crm.account)', sent => 2);
    same('a cursor', 'BEGIN; DECLARE c SCROLL CURSOR FOR SELECT industrycode, count(*) FROM crm.account GROUP BY 1 ORDER BY 1;'
            . ' FETCH 2 FROM c; FETCH BACKWARD 1 FROM c; FETCH 3 FROM c; COMMIT', sent => 1);

    # distinct
    same('DISTINCT', 'SELECT DISTINCT industrycode FROM crm.account ORDER BY 1', sent => 1);
    same('DISTINCT of two', 'SELECT DISTINCT statuscode, statecode FROM crm.account WHERE revenue > 0 ORDER BY 1, 2', sent => 1);
    same('DISTINCT of text stays here', 'SELECT DISTINCT sample_string FROM crm.sample_everything ORDER BY 1', sent => 0);
    same('DISTINCT ON stays here', 'SELECT DISTINCT ON (statecode) statecode, industrycode FROM crm.account ORDER BY 1, 2', sent => 0);
    same('count(DISTINCT)', 'SELECT count(DISTINCT industrycode), count(DISTINCT statecode), count(industrycode) FROM crm.account', sent => 3);
    same('count(DISTINCT) of money', 'SELECT count(DISTINCT sample_money), count(DISTINCT sample_decimal) FROM crm.sample_everything', sent => 2);
    same('count(DISTINCT) of an id', 'SELECT count(DISTINCT primarycontactid) FROM crm.account', sent => 1);
    same('count(DISTINCT) by group', 'SELECT statecode, count(DISTINCT industrycode), count(*) FROM crm.account GROUP BY 1 ORDER BY 1', sent => 2);
    same('count(DISTINCT) of the group', 'SELECT statecode, count(DISTINCT statecode) FROM crm.account GROUP BY 1 ORDER BY 1', sent => 0);
    same('count(DISTINCT) of text stays here', 'SELECT count(DISTINCT name) FROM crm.account', sent => 0);
    same('count(DISTINCT) of nothing', 'SELECT count(DISTINCT industrycode) FROM crm.account WHERE numberofemployees = -77', sent => 1);
    same('min(DISTINCT)', 'SELECT count(*), min(DISTINCT numberofemployees) FROM crm.account', sent => 1);
    same('sum(DISTINCT) stays here', 'SELECT sum(DISTINCT numberofemployees) FROM crm.account', sent => 0);

    same_at_random("nothing $nothing");
}

# --- waits end when they are told to

$t->faults({ match => { path => 'apply=' }, times => 1, behaviour => 'hang' });
my $seconds = $t->fails_like("SET statement_timeout = '500ms'; SELECT count(*) FROM crm.account", qr/57014/, 'a request that hangs can be cancelled');
cmp_ok($seconds, '<', 5, '... in time');
$t->reset_log;
$t->is_query('SELECT count(*) FROM crm.account', 1500, '... and the next one is answered');

# --- what the service refuses

$t->faults({ match => { path => 'apply=' }, times => -1, status => 400, code => '0x80040216', message => 'Aggregates are not supported' });
my $sums = 'SELECT statecode, count(*), sum(revenue), count(DISTINCT industrycode) FROM crm.account GROUP BY 1 HAVING count(*) > 5 ORDER BY 1';
my $expected = $t->query($sums =~ s/crm\./loc./r);
$t->is_query($sums, $expected, 'a table that does not aggregate is read instead');
is(reason($sums), 'Aggregates are not supported', '... and EXPLAIN says so');
$t->is_query('SELECT v.s, (SELECT count(*) FROM crm.account a WHERE a.statecode = v.s) FROM (VALUES (0), (1)) v(s)',
    $t->query('SELECT v.s, (SELECT count(*) FROM loc.account a WHERE a.statecode = v.s) FROM (VALUES (0), (1)) v(s)'), '... again for every outer row');
$t->faults({ match => { path => 'apply=' }, times => 1, status => 500, code => '0x80044150', message => 'Arithmetic overflow error converting expression to data type int.' });
$t->is_query('SELECT sum(numberofemployees) FROM crm.account', $t->query('SELECT sum(numberofemployees) FROM loc.account'), 'a sum that is too large for the service');
$t->reset_log;
$t->faults({ match => { path => 'apply=' }, times => 1, status => 403, code => '0x80040220', message => 'No privilege' });
$t->fails_like('SELECT count(*) FROM crm.account', qr/42501/, 'a missing privilege is said, and nothing is read');
$t->reset_log;
same('a list too long for one request', 'SELECT count(*), sum(revenue) FROM crm.account WHERE numberofemployees = ANY (ARRAY(SELECT generate_series(1, 3000)))', sent => 0);

# --- too many rows for one request

$t = DataverseTest->new(rows => 3000, import => 'account, sample_everything', aggregate_limit => 400,
    latency_ms => 10);
copy_tables({ account => $account, sample_everything => $everything });
my @large = (
    [ 'count(*)', 'SELECT count(*) FROM crm.account' ],
    [ 'count(*) of some', 'SELECT count(*) FROM crm.account WHERE statecode = 0' ],
    [ 'sums', 'SELECT count(*), count(revenue), sum(revenue), avg(revenue), min(revenue), max(revenue), sum(numberofemployees), avg(numberofemployees) FROM crm.account' ],
    [ 'extremes', 'SELECT count(*), min(createdon), max(createdon), min(modifiedon), max(exchangerate) FROM crm.account' ],
    [ 'groups', 'SELECT industrycode, count(*), sum(revenue), avg(revenue), max(createdon) FROM crm.account GROUP BY 1 ORDER BY 1' ],
    [ 'groups of two', 'SELECT statecode, creditonhold, count(*), count(creditlimit) FROM crm.account GROUP BY 1, 2 ORDER BY 1, 2' ],
    [ 'distinct values', 'SELECT count(DISTINCT industrycode), count(DISTINCT primarycontactid), count(DISTINCT exchangerate) FROM crm.account' ],
    [ 'distinct values by group', 'SELECT statecode, count(DISTINCT industrycode) FROM crm.account GROUP BY 1 ORDER BY 1' ],
    [ 'DISTINCT', 'SELECT DISTINCT industrycode, statecode FROM crm.account ORDER BY 1, 2' ],
    [ 'FILTER', 'SELECT count(*) FILTER (WHERE statecode = 0), count(*) FROM crm.account' ],
);
for my $case (@large)
{
    my ($name, $query) = @$case;
    same("in ranges: $name", $query);
    is(scalar(grep { $_->{url} !~ /apply=/ && $_->{url} =~ /select=(?!createdon&)/ } $t->log), 0, '... without reading the rows');
}
same_at_random('in ranges');
$t->reset_log;
$t->query('SELECT count(*) FROM crm.account');
ok((grep { $_->{in_flight} > 0 } $t->log) > 0, 'ranges are asked for side by side');
like($t->query('EXPLAIN (ANALYZE) SELECT count(*) FROM crm.account'), qr/Remote Ranges: \d+/, 'EXPLAIN ANALYZE tells how many ranges');

# rows without a date, and many in one second
$t->query('ALTER FOREIGN TABLE crm.sample_everything OPTIONS (ADD partition_column \'sample_datetime\')');
my $nulls = 390 - $t->query('SELECT count(*) FROM loc.sample_everything WHERE sample_datetime IS NULL');
$t->query("INSERT INTO crm.sample_everything (sample_integer) SELECT n FROM generate_series(1, $nulls) n");
$t->query('INSERT INTO crm.sample_everything (sample_integer, sample_datetime) SELECT n, \'2001-02-03 04:05:06+00\' FROM generate_series(1, 350) n');
$t->query('INSERT INTO crm.sample_everything (sample_integer, sample_datetime) SELECT n, \'2001-02-03 04:05:07+00\' FROM generate_series(1, 390) n');
$t->query("TRUNCATE loc.sample_everything; INSERT INTO loc.sample_everything SELECT $everything FROM crm.sample_everything OFFSET 0");
my $counts = 'SELECT count(*), count(sample_integer), sum(sample_integer), max(sample_datetime) FROM crm.sample_everything';
same('nulls and crowded seconds', $counts);
is(reason($counts), '', '... in ranges');
$t->query('INSERT INTO crm.sample_everything (sample_integer, sample_datetime) SELECT n, \'2001-02-03 04:05:06+00\' FROM generate_series(1, 60) n');
$t->query("TRUNCATE loc.sample_everything; INSERT INTO loc.sample_everything SELECT $everything FROM crm.sample_everything OFFSET 0");
same('a second with more rows than the service aggregates', $counts);
is(reason($counts), 'one second holds more rows than the service aggregates', '... is read');
$t->query('DELETE FROM crm.sample_everything WHERE sample_datetime = \'2001-02-03 04:05:06+00\'');
$t->query('INSERT INTO crm.sample_everything (sample_integer) SELECT n FROM generate_series(1, 300) n');
$t->query("TRUNCATE loc.sample_everything; INSERT INTO loc.sample_everything SELECT $everything FROM crm.sample_everything OFFSET 0");
same('too many rows without a date', $counts);
like(reason($counts), qr/have no date/, '... are read');
$t->query('ALTER FOREIGN TABLE crm.account OPTIONS (ADD partition_column \'nonsense\')');
$t->fails_like('SELECT count(*) FROM crm.account', qr/column "nonsense" in option "partition_column"/, 'a partition column that does not exist');
$t->query('ALTER FOREIGN TABLE crm.account OPTIONS (SET partition_column \'name\')');
$t->fails_like('SELECT count(*) FROM crm.account', qr/is not a date with time/, 'a partition column that is no date');
$t->query('ALTER FOREIGN TABLE crm.account OPTIONS (DROP partition_column)');
$t->query('CREATE FOREIGN TABLE crm.bare (statecode int OPTIONS (attribute_type \'State\')) SERVER crm'
        . ' OPTIONS (table_name \'account\', entity_set_name \'accounts\', primary_id \'accountid\'); CREATE TABLE loc.bare AS SELECT statecode FROM loc.account');
same('a table without a date', 'SELECT statecode, count(*) FROM crm.bare GROUP BY 1 ORDER BY 1');
like(reason('SELECT count(*) FROM crm.bare'), qr/no column to cut them by/, '... is read');

# --- the real limit, dates as skewed as histories are

my $rows = $ENV{DATAVERSE_TEST_ROWS} // 200_000;
$t = DataverseTest->new(rows => $rows, import => 'account');
$t->reset_log;
$t->is_query('SELECT count(*) FROM crm.account', $t->figures('account')->{count}, "count(*) of $rows rows");
note($t->requests . ' requests');
cmp_ok($t->requests, '<=', 16, '... in at most 16 requests');
my $figures = $t->figures('account')->{columns}{numberofemployees};
$t->reset_log;
$t->is_query('SELECT count(numberofemployees), sum(numberofemployees) FROM crm.account', "$figures->{count}|" . $figures->{sum} =~ s/\.0+$//r, 'the sum of a column');
cmp_ok($t->requests, '<=', 16, '... in at most 16 requests, too');
my $many = 'SELECT count(*) FROM (SELECT accountid FROM crm.account GROUP BY accountid) g';
$t->is_query($many, $rows, 'more groups than the service returns');

done_testing();
