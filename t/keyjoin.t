# keyjoin.t: joins in which the keys of many rows travel in one request: few
# requests, and the answer that a local join gives.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $rows = 20_000;
my $t = DataverseTest->new(rows => $rows, import => 'account, contact, sample_everything');

$t->query(<<'SQL');
CREATE SCHEMA loc;
CREATE TABLE loc.account AS SELECT * FROM crm.account;
CREATE TABLE loc.contact AS SELECT * FROM crm.contact;
CREATE TABLE loc.sample_everything AS SELECT * FROM crm.sample_everything;
CREATE TABLE numbered AS SELECT row_number() OVER (ORDER BY versionnumber)::int AS n, * FROM loc.account;

-- 10,000 keys of each kind; every fifth is another text, or none
CREATE TABLE ids AS SELECT n, accountid AS k FROM numbered WHERE n <= 10000;
CREATE TABLE numbers AS SELECT n, CASE n % 5 WHEN 0 THEN lower(accountnumber) WHEN 1 THEN upper(accountnumber)
    WHEN 2 THEN accountnumber || ' ' ELSE accountnumber END AS k, n % 7 AS few FROM numbered WHERE n <= 10000;
CREATE TABLE versions AS SELECT n, versionnumber::int AS k FROM numbered WHERE n <= 10000 AND versionnumber < 2000000000;

-- few rows with every difficulty: the same key often, no key, keys that nobody has
CREATE TABLE mixed AS SELECT n, accountid AS id, CASE n % 6 WHEN 0 THEN NULL WHEN 1 THEN upper(accountnumber) WHEN 2 THEN 'nobody ' || n
    ELSE accountnumber END AS no, numberofemployees AS employees, n % 50 AS small FROM numbered WHERE n % 40 = 0
    UNION ALL SELECT n, accountid, accountnumber, NULL, 3 FROM numbered WHERE n % 80 = 0
    UNION ALL SELECT -n, NULL, NULL, n, n FROM generate_series(1, 20) n;
CREATE TABLE nothing (k uuid);
ANALYZE;
SQL

my $only = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off;';
my $loops = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET enable_memoize = off;';

# One line that stands for all rows.
sub digest
{
    my ($sql) = @_;
    return "SELECT count(*), md5(coalesce(string_agg(x::text, E'\\n' ORDER BY x::text), '')) FROM ($sql) x";
}

# The same answer over the service (the statement says T for the schema) and
# over the copies, by a key join, in at most so many requests.
sub same
{
    my ($name, $sql, %arguments) = @_;
    my $set = $arguments{set} // $only;
    my ($remote, $local) = map { $sql =~ s/\bT\./$_./gr } 'crm', 'loc';
    my $expected = $t->query(digest($local));

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $plan = $t->query("$set EXPLAIN (COSTS OFF) $remote");
    like($plan, qr/Key Join/, "$name: a key join") or diag($plan);
    like($plan, $arguments{plan}, '... as planned') if $arguments{plan};
    $t->reset_log;
    $t->is_query("$set " . digest($remote), $expected, '... with the rows of a local join');
    cmp_ok($t->requests, '<=', $arguments{most}, "... in at most $arguments{most} requests (" . $t->requests . ')')
        if defined $arguments{most};
    unlike($expected, qr/^0\|/, '... which are some') unless $arguments{none};
}

# --- ten thousand keys

my $most = 10_000 / 400 + 2;
same('ids', 'SELECT ids.n, a.name FROM ids JOIN T.account a ON a.accountid = ids.k', most => $most);
same('texts', 'SELECT l.n, l.k, a.name FROM numbers l JOIN T.account a ON a.accountnumber = l.k', most => $most);
same('integers', 'SELECT l.n, a.name FROM versions l JOIN T.account a ON a.versionnumber = l.k', most => $most);
same('ids, LEFT', 'SELECT l.n, l.k, a.name FROM numbers l LEFT JOIN T.account a ON a.accountnumber = l.k', most => $most);
same('IN (SELECT)', 'SELECT a.accountid, a.name FROM T.account a WHERE a.accountid IN (SELECT k FROM ids)', most => $most);
same('IN (SELECT) of texts', 'SELECT a.accountid, a.name FROM T.account a WHERE a.accountnumber IN (SELECT k FROM numbers)', most => $most);
same('EXISTS', 'SELECT l.n FROM numbers l WHERE EXISTS (SELECT FROM T.account a WHERE a.accountnumber = l.k)', most => $most);
same('NOT EXISTS', 'SELECT l.n FROM numbers l WHERE NOT EXISTS (SELECT FROM T.account a WHERE a.accountnumber = l.k)', most => $most);
same('work_mem is small', 'SELECT ids.n, a.name FROM ids JOIN T.account a ON a.accountid = ids.k', set => "$only SET work_mem = '64kB';");

# --- duplicates, nulls, further conditions

for my $join ('JOIN', 'LEFT JOIN')
{
    same("$join, texts", "SELECT l.n, l.no, a.name FROM mixed l $join T.account a ON a.accountnumber = l.no");
    same("$join, many rows to a key", "SELECT l.n, a.accountid FROM mixed l $join T.account a ON a.numberofemployees = l.employees");
    same("$join, a condition on both",
        "SELECT l.n, a.accountid FROM mixed l $join T.account a ON a.numberofemployees = l.employees AND a.address1_utcoffset > l.small - 40 AND a.name > 'F'");
    same("$join, two equalities", "SELECT l.n, a.name FROM mixed l $join T.account a ON a.accountid = l.id AND a.numberofemployees = l.employees");
    same("$join, conditions sent and not", "SELECT l.n, a.name FROM mixed l $join T.account a ON a.accountid = l.id AND a.statecode = 0 AND a.name ~ 'e'");
    same("$join, whole rows", "SELECT l.n, a, a.tableoid::regclass::text = '' FROM mixed l $join T.account a ON a.accountid = l.id");
    same("$join, expressions", "SELECT l.n, a.name || l.no AS x FROM mixed l $join T.account a ON a.accountnumber = upper(l.no) || ''");
    same("$join, columns made of the inner side",
        "SELECT l.n, a.found, a.name FROM mixed l $join (SELECT accountid, 1 AS found, coalesce(name, 'none') AS name FROM T.account) a ON a.accountid = l.id");
    same("$join, a subquery in the condition",
        "SELECT l.n, a.name FROM mixed l $join T.account a ON a.accountid = l.id AND a.numberofemployees > (SELECT min(m.small) FROM mixed m WHERE m.n <> l.n)");
    same("$join of a join", "SELECT l.n, c.contactid, a.name FROM (SELECT n, accountid AS id FROM numbered WHERE n <= 600) l $join T.account a ON a.accountid = l.id $join T.contact c ON c.parentcustomerid = a.accountid");
    same("$join to a column that may be null",
        "SELECT l.n, m.n AS m, a.name FROM mixed l LEFT JOIN mixed m ON m.n = l.n + 40 $join T.account a ON a.accountid = m.id",
        set => 'SET enable_mergejoin = off; SET enable_nestloop = off; SET enable_hashjoin = on;');
}
same('rows that found nobody', 'SELECT l.n FROM mixed l LEFT JOIN T.account a ON a.accountnumber = l.no WHERE a.accountid IS NULL');
same('LEFT JOIN, filtered after', 'SELECT l.n, a.name FROM mixed l LEFT JOIN T.account a ON a.accountnumber = l.no WHERE coalesce(a.numberofemployees, 0) < l.small * 50');
same('EXISTS with a condition on both', 'SELECT l.n FROM mixed l WHERE EXISTS (SELECT FROM T.account a WHERE a.numberofemployees = l.employees AND a.address1_utcoffset > l.small)');
same('NOT EXISTS with a condition on both', 'SELECT l.n FROM mixed l WHERE NOT EXISTS (SELECT FROM T.account a WHERE a.numberofemployees = l.employees AND a.address1_utcoffset > l.small)');
same('IN of two columns', 'SELECT a.name FROM T.account a WHERE (a.accountid, a.numberofemployees) IN (SELECT id, employees FROM mixed)');
same('IN of an expression', 'SELECT a.name FROM T.account a WHERE a.accountnumber IN (SELECT upper(no) FROM mixed)');
same('IN of rows that come often', 'SELECT a.accountid FROM T.account a WHERE a.numberofemployees IN (SELECT employees FROM mixed)');
same('LATERAL', 'SELECT l.n, x.name FROM mixed l, LATERAL (SELECT a.name FROM T.account a WHERE a.accountid = l.id AND l.small > 5) x');
same('all keys null', 'SELECT l.n, a.name FROM mixed l LEFT JOIN T.account a ON a.accountid = l.id WHERE l.n < 0', most => 0);

# --- types of keys

for my $column (qw(sample_decimal sample_money sample_date sample_datetime sample_datetimeindependent sample_independentdate
    sample_integer sample_bigint sample_guid sample_accountid sample_string sample_keepsempty sample_memo sample_choice sample_boolean))
{
    same($column, "SELECT l.sample_everythingid AS l, r.sample_everythingid AS r FROM loc.sample_everything l LEFT JOIN T.sample_everything r ON r.$column = l.$column"
            . ' AND r.versionnumber % 50 = l.versionnumber % 50');
}
same('an integer beside a numeric column', 'SELECT l.n, r.sample_everythingid FROM mixed l JOIN T.sample_everything r ON r.sample_decimal = l.small', none => 1);
same('a short text beside a text column', 'SELECT l.n, a.name FROM (SELECT n, no::varchar(20) AS no FROM mixed OFFSET 0) l JOIN T.account a ON a.accountnumber = l.no');

# --- requests

sub asks
{
    my ($sql, $expected, $requests, $name) = @_;

    $t->reset_log;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->is_query($sql, $expected, $name);
    is($t->requests, $requests, "... by $requests requests");
}

asks("$only SELECT count(*) FROM nothing JOIN crm.account a ON a.accountid = k", 0, 0, 'no outer row');
asks("$only SELECT count(*) FROM (SELECT a.name FROM ids JOIN crm.account a ON a.accountid = k LIMIT 10) x", 10, 1, 'LIMIT stops early');
asks("$only SELECT count(*) FROM (SELECT k FROM ids WHERE EXISTS (SELECT FROM crm.account a WHERE a.accountid = k) LIMIT 400) x", 400, 1,
    'and before the next batch');
$t->reset_log;
$t->query("$only SELECT count(*) FROM ids JOIN crm.account a ON a.accountid = k WHERE n <= 400");
is((grep { $_->{url} =~ /In\(/ } $t->log)[0]{url} =~ tr/"//, 0, 'the list is encoded');

# ANALYZE and the service count the same.
$t->reset_log;
my $plan = $t->query("$only EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT ids.n, a.name FROM ids JOIN crm.account a ON a.accountid = ids.k");
like($plan, qr/Key Batches: 5\n\s+Keys Sent: 10000\n/, 'EXPLAIN ANALYZE tells batches and keys');
my ($requests) = $plan =~ /Remote Requests: (\d+)/;
is($requests, $t->requests, '... and requests');
like($plan, qr/PropertyValues=\[?\$1/, '... and the request without the keys') or diag($plan);

# --- rescans

my $few = '(SELECT * FROM ids WHERE n <= 100)';
asks("$loops SELECT s, (SELECT count(*) FROM $few l JOIN crm.account a ON a.accountid = l.k AND l.n <= s * 10) FROM generate_series(1, 3) s",
    "1|10\n2|20\n3|30", 3, 'a rescan with another outer side');
asks("$loops SELECT s, (SELECT count(*) FROM (SELECT FROM $few l JOIN crm.account a ON a.accountid = l.k AND a.statecode >= 0 * s LIMIT 7) x) FROM generate_series(1, 3) s",
    "1|7\n2|7\n3|7", 1, 'a rescan with the same keys, after a LIMIT: the page at hand is read again');
asks("$loops SELECT s, x.n FROM generate_series(1, 3) s, LATERAL (SELECT count(*) AS n FROM $few l LEFT JOIN crm.account a ON a.accountid = l.k AND a.versionnumber > s OFFSET 0) x",
    "1|100\n2|100\n3|100", 3, 'a rescan with another condition');

# --- row marks

$t->query('CREATE TABLE target AS SELECT n, k, NULL::text AS name FROM ids WHERE n <= 1000; ANALYZE target');
asks("$only UPDATE target SET name = a.name FROM crm.account a WHERE a.accountid = k; SELECT count(*) FROM target JOIN loc.account a ON a.accountid = k AND a.name = target.name",
    $t->query('SELECT count(name) FROM loc.account WHERE accountid IN (SELECT k FROM target)'), 3, 'UPDATE from a key join');

# A row that changes while the statement waits for it is joined anew.
my $holder = $t->start("BEGIN; UPDATE target SET k = (SELECT k FROM ids WHERE n = 2000) WHERE n = 5; SELECT pg_sleep(2); COMMIT;");
$t->poll_until("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(2)%'", 1);
$t->query("$only UPDATE target SET name = 'new ' || a.name FROM crm.account a WHERE a.accountid = k AND n IN (4, 5)");
$t->finish($holder);
$t->is_query('SELECT n, k = (SELECT k FROM ids WHERE n = 2000) FROM target WHERE n = 5', '5|t', 'the other statement won');
like($t->query('SELECT name FROM target WHERE n = 4'), qr/^new /, 'a row that did not change is updated');
unlike($t->query('SELECT coalesce(name, $$$$) FROM target WHERE n = 5'), qr/^new /, 'a row whose key changed meanwhile finds nobody in the row at hand');

# The foreign table that a statement changes is read at once.
unlike($t->query("$only EXPLAIN UPDATE crm.account a SET name = 'x' FROM ids WHERE a.accountid = ids.k"), qr/Key Join/, 'not for a table that is being changed');

# --- planning

$t->query('ANALYZE crm.account');
my $ten_thousand = 'EXPLAIN (COSTS OFF) SELECT ids.n, a.name FROM ids JOIN crm.account a ON a.accountid = ids.k';
$t->query("UPDATE pg_class SET reltuples = 1000000, relpages = 100000 WHERE oid = 'crm.account'::regclass");
like($t->query($ten_thousand), qr/Key Join/, 'ten thousand keys to a million rows: a key join');
like($t->query('EXPLAIN (COSTS OFF) SELECT a.name FROM crm.account a WHERE a.accountid IN (SELECT k FROM ids)'), qr/Key Join/, '... and as IN (SELECT)');
$t->query("UPDATE pg_class SET reltuples = 2000, relpages = 200 WHERE oid = 'crm.account'::regclass");
like($t->query($ten_thousand), qr/Hash Join/, 'ten thousand keys to a few rows: all of them are read');
unlike($t->query('EXPLAIN (COSTS OFF) SELECT ids.n, a.name FROM ids JOIN crm.account a ON a.accountid = ids.k WHERE ids.n = 5'), qr/Hash Join/, 'one key: that key');
unlike($t->query("SET dataverse_fdw.enable_key_join = off; $only $ten_thousand"), qr/Key Join/, 'not when it is switched off');

done_testing();
