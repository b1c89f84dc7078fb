# The README's claims that can be checked by machine.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use DataverseTest;

my $test = DataverseTest->new();

sub slurp
{
    my $path = shift;
    open my $file, '<:encoding(UTF-8)', "$FindBin::Bin/../$path" or die "$path: $!";
    local $/;
    return <$file>;
}

my $readme = slurp('README.md');

# The options table is dataverse_options(), line by line.
my ($table) = $readme =~ /<!-- options:.*?-->\n(.*?)\n<!-- end of options -->/s;
my $expected = $test->query(
    q{SELECT '| ' || context || ' | `' || option || '` | ' || coalesce('`' || "default" || '`', '')
             || ' | ' || description || ' |' FROM dataverse_options()});
is($table, "| where | option | default | meaning |\n|---|---|---|---|\n$expected",
    'the options table is the code\'s');

# What is sent, by column type and operator, is what the code's table says ...
my $program = 'test/unit/bin/print_shipping';
my @make = ('make', '-s', '-C', "$FindBin::Bin/..", '-f', 'test/unit/Makefile',
    'PG_CONFIG=' . DataverseTest::_bindir() . '/pg_config', $program);
is(system(@make), 0, 'the program that prints the table of conditions');

sub printed
{
    open my $out, '-|:encoding(UTF-8)', "$FindBin::Bin/../$program", @_ or die $!;
    local $/;
    my $text = <$out>;
    close $out or die "$program failed";
    return $text;
}

my ($matrix) = $readme =~ /<!-- shipping:.*?-->\n(.*?)<!-- end of shipping -->/s;
is($matrix, printed(), 'the table of conditions is the code\'s (scripts/readme writes it)');

# ... and what the planner does: every cell of it as a query.
my %types = (
    String => 'text', Memo => 'text', EntityName => 'text', Integer => 'integer', BigInt => 'bigint',
    Decimal => 'numeric', Money => 'numeric', Double => 'float8', Boolean => 'boolean', Picklist => 'integer',
    State => 'integer', Status => 'integer', MultiSelectPicklist => 'integer[]', DateTime => 'timestamptz',
    TimeZoneIndependent => 'timestamp', DateOnly => 'date', Uniqueidentifier => 'uuid', Lookup => 'uuid',
    Customer => 'uuid', Owner => 'uuid', Image => 'bytea');
my %values = (
    text => [ '1x2', '3y4' ], boolean => [ 'true', 'false' ], 'integer[]' => [ '{1}', '{2}' ],
    timestamptz => [ '2024-01-31 08:00Z', '2024-02-01 08:00Z' ], timestamp => [ '2024-01-31 08:00', '2024-02-01 08:00' ],
    date => [ '2024-01-31', '2024-02-01' ],
    uuid => [ '8151925c-cde2-e411-80db-00155d2a68cb', '7d51925c-cde2-e411-80db-00155d2a68cb' ], bytea => [ 'a', 'b' ]);
my @cells = map { [ split /\t/ ] } split /\n/, printed('--cells');
my %named = map { $_->[0] => 1 } @cells;
is_deeply([ sort keys %named ], [ sort keys %types ], 'all attribute types');

sub cell_condition
{
    my ($type, $op) = @_;
    my ($one, $two) = map { "'$_'::$types{$type}" } @{ $values{ $types{$type} } // [ 1, 2 ] };

    return qq{"$type" $op} if $op =~ /NULL$/;
    return qq{"$type" $op (ARRAY[$one, $two])} if $op =~ /A(?:NY|LL)$/;
    return qq{"$type" $op $one};
}

$test->query('CREATE FOREIGN TABLE matrix (id uuid OPTIONS (attribute_type \'Uniqueidentifier\', column_name \'matrixid\')'
        . join('', map { qq{, "$_" $types{$_} OPTIONS (attribute_type '$_')} } sort keys %types) . q{) SERVER crm
        OPTIONS (table_name 'matrix', entity_set_name 'matrices', primary_id 'matrixid');
    CREATE FUNCTION planned(condition text) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
        line text;
        here bool := false;
        there bool := false;
    BEGIN
        FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM matrix WHERE ' || condition LOOP
            here := here OR line ~ '^ *Filter: ';
            there := there OR line ~ 'Remote Filter: ';
        END LOOP;
        RETURN CASE WHEN NOT here AND there THEN 'exact' WHEN there THEN 'superset' WHEN here THEN 'none' ELSE 'folded' END;
    EXCEPTION WHEN undefined_function THEN
        RETURN 'none';
    END $$;});
my @planned = split /\n/, $test->query(join '', map { 'SELECT planned($c$' . cell_condition(@$_[ 0, 1 ]) . '$c$);' } @cells);
is_deeply([ map { "$cells[$_][0] $cells[$_][1]: $planned[$_]" } 0 .. $#cells ], [ map { "$_->[0] $_->[1]: $_->[2]" } @cells ],
    scalar(@cells) . ' cells of the table are what the planner does');

# Both commands are there and can be run.
for my $command ($readme =~ m{^(scripts/\w+)}mg) {
    ok(-x "$FindBin::Bin/../$command", "$command can be run");
}

# Every quirk of the service is in its README, with its values.
my $core = slurp('test/service/dataverse_service/core.py');
my ($quirks) = $core =~ /class Quirks:(.*?)\n\@dataclasses/s;
my $service_readme = slurp('test/service/README.md');
my $found = 0;
while ($quirks =~ /^    (\w+): str = "\w+"  #: ([\w| ]+?):/mg) {
    my ($name, $values) = ($1, join(', ', split / \| /, $2));
    $found++;
    like($service_readme, qr/^\| `$name` \| $values \|$/m, "quirk $name is described");
}
cmp_ok($found, '>=', 14, 'quirks were found');

done_testing();
