# memory.t: a large table arrives whole, down to the last digit, and the
# backend's memory does not grow: neither with the rows of a scan or of a load,
# nor with the number of statements in a session.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

# The figures of the project's promise; fewer rows for a first look.
my $rows = $ENV{DATAVERSE_TEST_ROWS} // 100_000;
my $t = DataverseTest->new(rows => $rows, import => 'account, geo_country');
my $mb = 1024;

# What the kernel says of the session's own process, in kB.
my $peak = q{(SELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s+(\d+)')::int)};
my $resident = q{(SELECT substring(pg_read_file('/proc/self/status') FROM 'VmRSS:\s+(\d+)')::int)};
my $allocated = '(SELECT sum(total_bytes) FROM pg_backend_memory_contexts)';

# --- every row and every digit

my $figures = $t->figures('account');
my %type = map { split /=/ } split /\n/, $t->query(<<'SQL');
SELECT attname || '=' || atttypid::regtype FROM pg_attribute
 WHERE attrelid = 'crm.account'::regclass AND attnum > 0
SQL

# Digits without zeros after the point that say nothing.
sub plain
{
    my ($text) = @_;

    return '' unless defined $text;
    $text =~ s/\.?0+$// if $text =~ /\./;
    return $text;
}

# A time on the wire as PostgreSQL writes it.
sub moment
{
    my ($type, $text) = @_;
    my $zone = $type =~ /with time zone/ ? '+00' : '';

    return $text =~ s/T/ /r =~ s/Z$/$zone/r;
}

# The four figures of a column in SQL; sums of floating-point numbers are not exact, and dates have none.
sub expressions
{
    my ($column) = @_;
    my $quoted = "a.\"$column\"";

    return map { "$_($quoted)" } qw(count min max) if $type{$column} =~ /^(date|timestamp)/;
    return ("count($quoted)", map { "trim_scale($_($quoted)::numeric)" }
            qw(min max), ($type{$column} eq 'double precision' ? () : 'sum'));
}

sub expected
{
    my ($column) = @_;
    my %of = %{ $figures->{columns}{$column} };

    return ($of{count}, map { moment($type{$column}, $_) } @of{qw(min max)}) if $type{$column} =~ /^(date|timestamp)/;
    return ($of{count}, map { plain($of{$_}) } qw(min max), ($type{$column} eq 'double precision' ? () : 'sum'));
}

my @columns = grep { $figures->{columns}{$_}{count} > 0 && $type{$_} } sort keys %{ $figures->{columns} };
my %kinds = map { $type{$_} => 1 } @columns;
is_deeply([ grep { !$kinds{$_} } 'integer', 'numeric', 'double precision', 'timestamp with time zone' ],
    [], 'the table has integers, decimals, doubles and times');
my $list = join ', ', map { expressions($_) } @columns;
$t->reset_log;
my @got = split /\|/, $t->query(<<"SQL"), -1;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT count(*), $list FROM (SELECT * FROM crm.account OFFSET 0) AS a
SQL
my $pages = int(($rows + 4999) / 5000);
cmp_ok($t->requests, '<=', $pages * 1.5 + 5, "the whole table takes few more requests than its $pages pages (" . $t->requests . ')');
is(shift @got, $rows, '... and has all rows');
is($figures->{count}, $rows, '... that the service has');
for my $column (@columns)
{
    my @want = expected($column);

    is_deeply([ splice @got, 0, scalar @want ], \@want, "... account.$column: count, least, greatest and sum");
}

# --- a scan

# Peak of a fresh backend at the end of a script, in kB.  The compiler's library
# is larger than all that is measured here.
sub peak
{
    my ($sql) = @_;
    my @lines = split /\n/, $t->query("SET timezone = 'UTC';\nSET jit = off;\n$sql;\nSELECT $peak");
    return ($lines[-1], $lines[0]);
}

my $wide = 'count(*), count(name), max(description), sum(revenue), max(createdon), count(industrycode_label), '
    . 'count(address1_composite), max(length(websiteurl)), count(primarycontactid), count(telephone1)';
my $fifth_percent = $t->query('SELECT percentile_disc(5000.0 / count(*)) WITHIN GROUP (ORDER BY createdon) FROM crm.account'
        =~ s/count\(\*\)/$rows/r);
my ($idle) = peak('SELECT 1');
my ($few, $few_rows) = peak("SELECT $wide FROM crm.account WHERE createdon <= '$fifth_percent'");
my ($all, $all_rows) = peak("SELECT $wide FROM crm.account");
($few_rows) = split /\|/, $few_rows;
($all_rows) = split /\|/, $all_rows;
note("peak RSS: idle $idle kB, $few_rows rows $few kB, $all_rows rows $all kB");
cmp_ok(abs($few_rows - 5000), '<', 100, 'a scan of about 5,000 rows');
is($all_rows, $rows, '... and one of all');
cmp_ok($few, '>', $idle, '... take some memory');
cmp_ok($all - $few, '<', 32 * $mb, "... the second at most 32 MB more");

# Eight requests at a time: pages wait to be read, but not too many.
$t->query("ALTER SERVER crm OPTIONS (ADD concurrency '8')");
my ($eight, $eight_rows) = peak("SELECT $wide FROM crm.account");
note("peak RSS: eight requests at a time $eight kB");
like($eight_rows, qr/^$rows\|/, 'the same with eight requests at a time');
cmp_ok($eight - $idle, '<', 48 * $mb, '... takes less than 48 MB over the idle backend');
$t->query('ALTER SERVER crm OPTIONS (DROP concurrency)');

# --- a load

sub load
{
    my ($n) = @_;
    my ($kb) = peak("INSERT INTO crm.account (name, description, revenue) "
            . "SELECT 'load $n', repeat(md5(i::text), 20), i FROM generate_series(1, $n) AS i");
    return $kb;
}

my $small_load = load(2000);
my $large_load = load(20_000);
note("peak RSS: creating 2,000 rows $small_load kB, 20,000 rows $large_load kB");
cmp_ok($large_load - $small_load, '<', 16 * $mb, 'creating ten times the rows takes at most 16 MB more');
$t->is_query("SELECT count(*), sum(revenue) FROM crm.account WHERE name LIKE 'load %'", '22000|202011000.0000', '... and all of them are there');

# --- a session

# How RSS (kB) and what PostgreSQL has allocated (bytes) grow from the first
# tenth of a number of statements to the last.
sub growth
{
    my ($n, $prepare, $statement) = @_;
    my $first = int($n / 10);
    my @lines = split /\n/, $t->query(<<"SQL");
$prepare;
\\o /dev/null
SELECT format(\$\$$statement\$\$, i) FROM generate_series(1, $first) AS i \\gexec
\\o
SELECT $resident, $allocated;
\\o /dev/null
SELECT format(\$\$$statement\$\$, i) FROM generate_series(1, $n - $first) AS i \\gexec
\\o
SELECT $resident, $allocated;
SELECT sum(requests) FROM dataverse_connections();
SQL
    my ($before, $after, $requests) = @lines[ -3 .. -1 ];
    my @before = split /\|/, $before;
    my @after = split /\|/, $after;

    is($requests, $n, '... each by one request');
    return ($after[0] - $before[0], $after[1] - $before[1]);
}

my ($grown, $bytes) = growth(200, 'SELECT 1', 'SELECT name, revenue, %s FROM crm.account LIMIT 20');
note("200 small queries: RSS +$grown kB, allocated +$bytes bytes");
cmp_ok($grown, '<', 4 * $mb, '200 small queries do not add 4 MB');
cmp_ok($bytes, '<', 64 * 1024, '... nor does PostgreSQL keep anything of them');

($grown, $bytes) = growth(3000, <<'SQL', 'EXECUTE lookup(%s)');
SET plan_cache_mode = force_generic_plan;
PREPARE lookup(int) AS SELECT accountid FROM crm.account WHERE accountnumber = 'A-' || $1
SQL
note("3,000 prepared lookups: RSS +$grown kB, allocated +$bytes bytes");
cmp_ok($grown, '<', 2 * $mb, '3,000 prepared lookups do not add 2 MB');
cmp_ok($bytes, '<', 64 * 1024, '... nor does PostgreSQL keep anything of them');

($grown, $bytes) = growth(500, 'SELECT 1', "INSERT INTO crm.geo_country (geo_name) VALUES ('memory %s')");
note("500 inserts: RSS +$grown kB, allocated +$bytes bytes");
cmp_ok($grown, '<', 2 * $mb, '500 single inserts do not add 2 MB');
cmp_ok($bytes, '<', 64 * 1024, '... nor does PostgreSQL keep anything of them');

# Rescans of one statement.
sub rescans
{
    my ($n) = @_;
    my ($kb, $found) = peak(<<"SQL");
SELECT count(*) FROM generate_series(1, $n) AS i,
       LATERAL (SELECT name FROM crm.account WHERE accountnumber = 'A-' || i OFFSET 0) AS a
SQL
    return $kb;
}

my $few_rescans = rescans(200);
$t->reset_log;
my $many_rescans = rescans(3000);
is($t->requests, 3000, 'an inner scan is asked 3,000 times');
note("peak RSS: 200 rescans $few_rescans kB, 3,000 rescans $many_rescans kB");
cmp_ok($many_rescans - $few_rescans, '<', 2 * $mb, '... and 2,800 of them do not add 2 MB');

# Failures leave nothing behind, either.
my $failures = $t->query(<<"SQL");
\\set ON_ERROR_STOP off
\\o /dev/null
ALTER FOREIGN TABLE crm.account ALTER name OPTIONS (ADD column_name 'nome');
SELECT 'SELECT name FROM crm.account' FROM generate_series(1, 20) \\gexec
\\o
SELECT $resident, $allocated;
\\o /dev/null
SELECT 'SELECT name FROM crm.account' FROM generate_series(1, 200) \\gexec
\\o
SELECT $resident, $allocated;
SQL
my ($r1, $a1, $r2, $a2) = $failures =~ /^(\d+)\|(\d+)\n(\d+)\|(\d+)$/m;
note('200 failures: RSS +' . ($r2 - $r1) . ' kB, allocated +' . ($a2 - $a1) . ' bytes');
cmp_ok($r2 - $r1, '<', 2 * $mb, '200 failing queries do not add 2 MB');
cmp_ok($a2 - $a1, '<', 64 * 1024, '... nor does PostgreSQL keep anything of them');

done_testing();
