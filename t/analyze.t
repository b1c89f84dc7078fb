# analyze.t: ANALYZE within its bound of requests, and what the planner may ask.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $rows = 6000;
my $t = DataverseTest->new(rows => $rows, import => 'account, contact');

my $size = q{SELECT reltuples FROM pg_class WHERE oid = 'crm.account'::regclass};

sub column
{
    my ($what, $column) = @_;
    return $t->query("SELECT $what FROM pg_stats WHERE tablename = 'account' AND attname = '$column'");
}

# --- ANALYZE

$t->is_query($size, '-1', 'not analyzed yet');
$t->psql_ok('ANALYZE crm.account', 'ANALYZE');
is($t->requests, 3, '... of a table of two pages: its size and those');
is($t->requests(qr{RetrieveTotalRecordCount}), 1, '... asked once');
$t->is_query($size, $rows, '... counts it');
cmp_ok(abs(column('null_frac', 'revenue') - $t->query('SELECT avg((revenue IS NULL)::int) FROM crm.account')), '<', 0.0001,
    '... and sees all of it');
is(column('n_distinct', 'statecode'), $t->query('SELECT count(DISTINCT statecode) FROM crm.account'), '... the states');
is(column('n_distinct', 'accountid'), '-1', '... the ids, each once');

$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD fetch_size '100')");
$t->reset_log;
my (undef, undef, $words) = $t->psql('ANALYZE VERBOSE crm.account');
like($words, qr/"account": read 800 of about 6000 rows/, 'a table of 60 pages is sampled');
is($t->requests, 11, '... for 11 requests');
is($t->requests(qr{/accounts\?.*createdon%20(ge|lt)}), 8, '... eight of them for a part of its age each');
is($t->requests(qr{createdon%20ge.*createdon%20lt}), 6, '... the outermost open');
$t->is_query($size, $rows, '... its size is the service\'s figure');
$t->is_query('SELECT max(h::text::timestamptz) - min(h::text::timestamptz) > (SELECT (max(createdon) - min(createdon)) * 0.8 FROM crm.account)'
    . ' FROM pg_stats, unnest(histogram_bounds::text::text[]) h WHERE tablename = \'account\' AND attname = \'createdon\'', 't',
    '... the sample spans its age');
$t->reset_log;
$t->query('ANALYZE crm.account; ANALYZE crm.account;');
is($t->requests, 21, 'the size is remembered for a while');

$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (SET fetch_size '1000')");
$t->query('SET default_statistics_target = 1; ANALYZE crm.account');
$t->is_query($size, $rows, 'a small sample of the whole');
like(($t->psql('SET default_statistics_target = 1; ANALYZE VERBOSE crm.account'))[2],
    qr/"account": read 6000 of 6000 rows; 300 rows in sample/, '... chosen among all rows');

$t->query(q{CREATE FOREIGN TABLE crm.old_account (accountid uuid OPTIONS (attribute_type 'Uniqueidentifier') NOT NULL)
    SERVER crm OPTIONS (table_name 'account', entity_set_name 'accounts', primary_id 'accountid', table_type 'elastic', fetch_size '100')});
$t->reset_log;
like(($t->psql('ANALYZE VERBOSE crm.old_account'))[2], qr/read 800 of about 800 rows/, 'a table that has no size');
is($t->requests, 8, '... takes eight pages');
$t->faults({ match => { path => 'accounts' }, times => -1, status => 403, code => '0x80040220', message => 'missing prvReadAccount' });
$t->fails_like('ANALYZE crm.account', qr/ERROR:  42501: .*prvReadAccount/s, 'ANALYZE says what is wrong');
$t->reset_log;

# --- use_remote_estimate

# Estimated rows of the first line of a plan.
sub estimate
{
    my ($sql, $before) = @_;
    my $plan = $t->query(($before // '') . "EXPLAIN $sql");
    my ($estimate) = $plan =~ /rows=(\d+)/;
    return $estimate;
}

my $few = 'numberofemployees > 0 AND creditlimit > 0';
my $true = $t->query("SELECT count(*) FROM crm.account WHERE $few");
cmp_ok($true, '<', 5000, 'a condition that the service can count');
$t->reset_log;
estimate("SELECT * FROM crm.account WHERE $few");
is($t->requests, 0, 'nobody is asked without the option');

$t->query("ALTER SERVER crm OPTIONS (ADD use_remote_estimate 'true')");
$t->query("DELETE FROM pg_statistic WHERE starelid = 'crm.account'::regclass");
is(estimate("SELECT * FROM crm.account WHERE $few"), $true, 'a filter is counted by the service');
is($t->requests(qr{GET .*/accounts/\$count\?\$filter=}), 1, '... by one request');
is($t->requests, 1, '... and no other');

$t->reset_log;
$t->query(("EXPLAIN SELECT * FROM crm.account WHERE $few;") x 5);
is($t->requests, 1, 'the answer is remembered');

$t->reset_log;
is(estimate('SELECT * FROM crm.account'), $rows, 'a whole table');
is($t->requests(qr{RetrieveTotalRecordCount}), 1, '... by its record count');
is($t->requests, 1, '... alone');

$t->reset_log;
cmp_ok(estimate(q{SELECT * FROM crm.account WHERE createdon > '1990-01-01'}), '>=', 5000, 'more than the service counts');
is($t->requests, 2, '... takes both');

$t->reset_log;
is(estimate('SELECT * FROM crm.account WHERE numberofemployees < 0'), 1, 'no row');
is(estimate("SELECT * FROM crm.account WHERE accountid = '00000000-0000-0000-0000-000000000001'"), 1, 'a row by its id');
is($t->requests, 1, '... needs no question');

$t->reset_log;
my $local = estimate("SELECT * FROM crm.account WHERE $few AND name <> 'a' AND length(name) = 5");
cmp_ok($local, '<', $true, 'conditions that stay here are judged here');
is($t->requests, 1, '... the others by the service');

$t->reset_log;
is(estimate('EXECUTE p(0)', "PREPARE p(int) AS SELECT * FROM crm.account WHERE numberofemployees > \$1 AND creditlimit > 0; "),
    $true, 'a parameter with a value');
$t->reset_log;
my $generic = estimate('EXECUTE p(0)', "SET plan_cache_mode = force_generic_plan; "
    . "PREPARE p(int) AS SELECT * FROM crm.account WHERE numberofemployees > \$1; ");
is($t->requests(qr{\$count}), 0, 'one without is no question');
is($generic, $rows / 3, '... but a share of the table');

$t->reset_log;
like($t->query("EXPLAIN SELECT * FROM crm.account a JOIN crm.contact c ON c.contactid = a.accountid WHERE a.numberofemployees > 0 AND a.creditlimit > 0"), qr/Foreign Scan/,
    'a join');
is($t->requests, 2, '... asks once for each table');

# --- asking does no harm

$t->reset_log;
$t->faults({ match => { path => 'count|Count' }, times => -1, status => 503, code => '0x80040216', message => 'busy' });
my (undef, $plan, $debug) = $t->psql("SET client_min_messages = debug1; EXPLAIN SELECT * FROM crm.account WHERE $few");
like($plan, qr/Foreign Scan/, 'a service that does not answer');
like($debug, qr/DEBUG: .*no estimate .*busy/s, '... is told of quietly');
is($t->requests, 1, '... and not asked again');
$t->reset_log;
$t->faults({ match => { path => 'count|Count' }, times => -1, behaviour => 'hang' });
my $begin = time;
like($t->query("BEGIN; ALTER SERVER crm OPTIONS (ADD request_timeout '1'); EXPLAIN SELECT * FROM crm.account WHERE $few; ROLLBACK;"),
    qr/Foreign Scan/, 'one that hangs');
cmp_ok(time - $begin, '<', 6, '... is given up');
my $seconds = $t->fails_like("SET statement_timeout = '500ms'; EXPLAIN SELECT * FROM crm.account WHERE $few", qr/57014/,
    'a cancelled question cancels the statement');
cmp_ok($seconds, '<', 3, '... at once');
$t->reset_log;
like($t->query("BEGIN; ALTER USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (SET client_secret 'wrong'); "
    . "EXPLAIN SELECT * FROM crm.account WHERE $few; ROLLBACK;"), qr/Foreign Scan/, 'a refused token fails no plan');
$t->is_query("SELECT count(*) FROM crm.account WHERE $few", $true, 'afterwards all is well');

done_testing();
