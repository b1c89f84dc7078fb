# read.t: whole tables with the right sums, few requests for few rows, and a
# backend whose memory does not grow with the rows.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

# A full run reads the hundred thousand rows that the project promises.
my $rows = $ENV{DATAVERSE_TEST_ROWS} // 100_000;
my $t = DataverseTest->new(rows => $rows, import => 'account, geo_country, contact');

# --- every digit arrives

# Of the numeric columns, those whose sum is exact in SQL too.
sub check_figures
{
    my ($table) = @_;
    my $figures = $t->figures($table);
    my %types = map { split /=/ } split /\n/, $t->query(<<"SQL");
SELECT attname || '=' || atttypid::regtype FROM pg_attribute WHERE attrelid = 'crm.$table'::regclass AND attnum > 0
SQL
    my @columns = grep { ($types{$_} // '') =~ /^(integer|bigint|numeric)$/ } sort keys %{ $figures->{columns} };
    my $list = join ', ', map { "count($_), trim_scale(sum($_)::numeric), trim_scale(min($_)::numeric), trim_scale(max($_)::numeric)" } @columns;
    my @got = split /\|/, $t->query("SELECT count(*), $list FROM crm.$table"), -1;

    is(shift @got, $figures->{count}, "$table: number of rows");
    for my $column (@columns)
    {
        my %want = %{ $figures->{columns}{$column} };
        my @want = ($want{count}, map { defined $want{$_} ? _plain($want{$_}) : '' } qw(sum min max));
        is_deeply([ splice @got, 0, 4 ], \@want, "$table.$column: count, sum, least and greatest");
    }
}

# Digits without zeros after the point that say nothing.
sub _plain
{
    my ($text) = @_;
    $text =~ s/\.?0+$// if $text =~ /\./;
    return $text eq '-0' ? '0' : $text;
}

check_figures('account');
check_figures('contact');

# --- few requests

$t->reset_log;
$t->query('SELECT count(*) FROM (SELECT name FROM crm.account OFFSET 0) AS whole');
is($t->requests(qr{GET .*/accounts}), int(($rows + 4999) / 5000), 'a whole table takes a request for every page');
ok(!(grep { $_->{url} !~ /%24select=|\$select=/ } $t->log), '... that names the columns it wants');

my $number = $t->query("SELECT min(accountnumber COLLATE \"C\") FROM crm.account WHERE accountnumber LIKE 'A%'");
$t->reset_log;
$t->is_query("SELECT count(*) FROM crm.account WHERE accountnumber = '$number'", '1', 'a row by its alternate key');
is($t->requests, 1, '... is one request');
$t->reset_log;
my $id = $t->query("SELECT accountid FROM crm.account WHERE accountnumber = '$number'");
$t->reset_log;
$t->is_query("SELECT accountnumber FROM crm.account WHERE accountid = '$id'", $number, 'a row by its id');
is($t->requests, 1, '... is one request');
$t->reset_log;
$t->query('SELECT name FROM crm.account LIMIT 10');
is($t->requests, 1, 'the first rows are one request');
cmp_ok(($t->log)[0]{response_bytes}, '<', 20_000, '... and not a whole page');

# --- memory

# Peak of a fresh backend after one query, in kB.
sub peak
{
    my ($sql) = @_;
    return $t->query("$sql \\g /dev/null\nSELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\\s+(\\d+)')");
}

my $columns = 'count(name), sum(revenue), max(createdon), max(description), count(industrycode_label)';
my $few = peak("SELECT $columns FROM (SELECT * FROM crm.account LIMIT 5000) AS few");
my $many = peak("SELECT $columns FROM crm.account");
note("peak after 5000 rows $few kB, after $rows rows $many kB");
cmp_ok($many - $few, '<', 32 * 1024, "reading $rows rows takes at most 32 MB more than reading 5000");

done_testing();
