# fetchquery.t: conditions in FetchXML mean what they mean in SQL.
#
# Every operator on every column type, in every place where a join has
# conditions, goes to the local service as the document that odata/fetchquery
# prints, and to a local copy of the rows as SQL.  EXACT must be just the rows that SQL
# selects, SUPERSET at least those.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $root = "$FindBin::Bin/..";
my $program = 'test/unit/bin/print_fetch';
my @make = ('make', '-s', '-C', $root, '-f', 'test/unit/Makefile', 'PG_CONFIG=' . DataverseTest::_bindir() . '/pg_config', $program);
is(system(@make), 0, 'the program that prints documents') or BAIL_OUT('it cannot be built');

my %services = (
    'first answers' => {},
    'second answers' => {
        ne_null => 'dropped', not_like_null => 'dropped', null_order => 'last', fractions => 'stored',
        trailing_blanks => 'significant', accents => 'sensitive', empty_string => 'kept', eq_wildcards => 'honoured',
        in_counts => 'each', cookie_page => 'counted', lookup_under_alias => 'value', fetch_times => 'zoned' });

# The rows of each shape: ids of the row and of the linked one, and a lookup of that one.
my $linked = 'FROM loc.sample_everything t LEFT JOIN loc.sample_everything k ON k.sample_everythingid = t.sample_parentid';
my $exists = 'EXISTS (SELECT FROM loc.sample_everything k WHERE k.sample_everythingid = t.sample_parentid AND %s)';
my $both = 't.sample_everythingid, k.sample_everythingid, k.sample_accountid';
my $one = 't.sample_everythingid, NULL::uuid, NULL::uuid';
my %shapes = (
    plain => [ 't', "SELECT $one FROM loc.sample_everything t WHERE %s" ],
    inner => [ 'k', "SELECT $both $linked WHERE t.sample_parentid IS NOT NULL AND k.sample_everythingid IS NOT NULL AND %s" ],
    outer => [ 'k', "SELECT $both $linked AND %s" ],
    after => [ 'k', "SELECT $both $linked WHERE %s" ],
    exists => [ 'k', "SELECT $one FROM loc.sample_everything t WHERE $exists" ],
    'not any' => [ 'k', "SELECT $one FROM loc.sample_everything t WHERE NOT $exists" ],
    anti => [ 'k', "SELECT $one FROM loc.sample_everything t WHERE NOT $exists" ]);

# How a value stands in literal.h's forms.
my %forms = (
    'timestamp with time zone' => '(extract(epoch FROM v) * 1000000)::bigint',
    'timestamp without time zone' => '(extract(epoch FROM v) * 1000000)::bigint',
    date => "v - date '1970-01-01'",
    boolean => "CASE WHEN v THEN 'true' ELSE 'false' END");

# What lies beside a value, on the column's grid or off it.
my %beside = (
    'timestamp with time zone' => "v + interval '0.4 s', v - interval '1 s', timestamptz '9999-12-31 23:59:59Z'",
    date => "v + 1, date '9999-12-31', date '1753-01-01'",
    numeric => 'v + 0.00000000001, -v, 0',
    integer => 'v / 2, 0',
    bigint => 'v / 2, 0',
    text => q{upper(v), v || ' ', left(v, 3), '', ' ', E'a\x01b', E'tab\tline\n&<>''"', '100%', '[a]'});

my @scalar = ('=', '<>', '<', '<=', '>', '>=', 'IS DISTINCT FROM', 'IS NOT DISTINCT FROM');
my @patterns = ('LIKE', 'ILIKE', '^@');

sub quoted
{
    my ($text) = @_;
    return q{E'} . ($text =~ s/\\/\\\\/gr =~ s/'/''/gr =~ s/\n/\\n/gr) . q{'};
}

sub field
{
    return $_[0] =~ s/\\/\\\\/gr =~ s/\t/\\t/gr =~ s/\n/\\n/gr;
}

# The columns, up to three of a type: name, SQL type, logical name, attribute type, and values, each in SQL's words and literal.h's.
sub columns
{
    my ($t) = @_;
    my (@columns, %of_type);

    for (split /\n/, $t->query(q{
        SELECT attname, format_type(atttypid, NULL), attname,
               (SELECT option_value FROM pg_options_to_table(attfdwoptions) WHERE option_name = 'attribute_type')
          FROM pg_attribute WHERE attrelid = 'crm.sample_everything'::regclass AND attnum > 0 AND NOT attisdropped
           AND NOT EXISTS (SELECT FROM pg_options_to_table(attfdwoptions) WHERE option_name IN ('label_of', 'target_of'))}))
    {
        my ($name, $type, $logical, $attribute) = split /\|/;
        next if !$attribute || ($of_type{$attribute} // 0) >= 3 || $attribute =~ /^(Image|MultiSelectPicklist)$/ && $type ne 'integer[]';
        my $form = $forms{$type} // 'v::text';
        my $more = $beside{$type} ? "UNION SELECT w FROM picked, LATERAL (VALUES " . join(', ', map { "($_)" } _list($beside{$type})) . ') x(w)' : '';
        my $rows = $type eq 'integer[]' ? '' : $t->query(qq{
            SET TIME ZONE 'UTC'; SET extra_float_digits = 1;
            WITH picked AS (SELECT v FROM (SELECT DISTINCT "$name" AS v FROM loc.sample_everything WHERE "$name" IS NOT NULL) x
                             ORDER BY md5(v::text) LIMIT 2)
            SELECT encode(convert_to(v::text, 'UTF8'), 'hex'), encode(convert_to(($form)::text, 'UTF8'), 'hex') FROM (SELECT v FROM picked $more) x ORDER BY v});
        my @values = map { [ map { my $bytes = pack 'H*', $_; utf8::decode($bytes); $bytes } split /\|/, $_, -1 ] } split /\n/, $rows;
        next if @values < 2 && $attribute eq 'String' || $of_type{$attribute}++ >= 3;
        push @columns, { name => $name, type => $type, logical => $logical, attribute => $attribute, values => \@values };
    }
    return @columns;
}

# Splits at commas that are outside of text.
sub _list
{
    return grep { defined && length } map { s/^\s+|\s+$//gr } $_[0] =~ /((?:E?'(?:[^']|'')*'|\([^()]*\)|[^,'()])+)/g;
}

# Conditions on a column: operator, SQL with @ for the row, operands of the program.
sub conditions
{
    my ($c) = @_;
    my $column = qq{\@."$c->{name}"};
    my @values = @{ $c->{values} };
    my @found = ([ 'IS NULL', "$column IS NULL" ], [ 'IS NOT NULL', "$column IS NOT NULL" ]);

    for my $value (@values)
    {
        my ($sql, $form) = (quoted($value->[0]) . "::$c->{type}", $value->[1]);
        push @found, map { [ $_, "$column $_ $sql", $form ] } $c->{type} eq 'boolean' ? ('=', '<>', @scalar[ 6, 7 ]) : @scalar;
        push @found, map { [ $_, "$column $_ " . quoted($value->[0]), $form ] } @patterns if $c->{type} eq 'text';
    }
    if (@values)
    {
        my @some = @values > 4 ? @values[ 0 .. 4 ] : @values;
        my $array = 'ARRAY[' . join(', ', map { quoted($_->[0]) } @some) . "]::$c->{type}\[]";
        push @found, map { [ $_, "$column $_ ($array)", '{', map { $_->[1] } @some ] } '= ANY', '<> ALL';
        push @found, map { [ $_, "$column $_ (ARRAY[" . quoted($some[0][0]) . "]::$c->{type}\[])", '{', $some[0][1] ] } '= ANY', '<> ALL';
    }
    return @found;
}

# Every case as a line for the program, and its SQL.
sub cases
{
    my ($t) = @_;
    my @shapes = sort grep { $_ ne 'plain' } keys %shapes;
    my ($turn, @cases) = (0);

    for my $c (columns($t))
    {
        for my $condition (conditions($c))
        {
            my ($op, $sql, @operands) = @$condition;
            for my $shape ('plain', $shapes[ $turn++ % @shapes ])
            {
                my ($alias, $query) = @{ $shapes{$shape} };
                push @cases, {
                    label => "$shape: $sql",
                    attribute => $c->{attribute},
                    line => join("\t", map { field($_) } $shape, $op, $c->{logical}, $c->{attribute}, @operands),
                    sql => sprintf($query =~ s/%(?!s)/%%/gr, $sql =~ s/\@\./$alias./r),
                    negative => $shape eq 'not any' || $shape eq 'anti' };
            }
        }
    }
    return @cases;
}

sub print_documents
{
    my (@cases) = @_;
    open my $in, '>:encoding(UTF-8)', \my $bytes or die $!;
    print $in "$_->{line}\n" for @cases;
    close $in;
    my $file = File::Temp->new;
    binmode $file;
    print $file $bytes;
    close $file;
    open my $out, '-|:encoding(UTF-8)', "$root/$program < $file" or die $!;
    for my $case (@cases)
    {
        my $line = <$out>;
        die 'the program broke off' if !defined $line;
        chomp $line;
        @$case{qw(class document)} = split /\t/, $line, 2;
    }
    close $out or die 'the program failed';
}

my $judge = <<'SQL';
CREATE TABLE cases (n int, class text, document text, statement text);
CREATE FUNCTION judge(c cases) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    expected text[];
    got text[];
BEGIN
    EXECUTE format('SELECT array_agg(concat_ws('','', a, b, c) ORDER BY a, b, c) FROM (%s) x(a, b, c)', c.statement) INTO expected;
    SELECT array_agg(concat_ws(',', j->>'sample_everythingid', j->>'k.sample_everythingid', j->>'k_Id_sample_accountid')
                     ORDER BY (j->>'sample_everythingid')::uuid, (j->>'k.sample_everythingid')::uuid) INTO got
      FROM dataverse_fetchxml('crm', c.document) r(j);
    RETURN CASE
        WHEN c.class = 'exact' AND got IS NOT DISTINCT FROM expected THEN 'ok'
        WHEN c.class = 'superset' AND coalesce(got, '{}') @> coalesce(expected, '{}') THEN 'ok'
        ELSE format('%s rows, expected %s', coalesce(cardinality(got), 0), coalesce(cardinality(expected), 0)) END
        || CASE WHEN expected IS NULL THEN ', none' ELSE '' END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SQL

for my $service (sort keys %services)
{
    my $t = DataverseTest->new(rows => 60, quirks => $services{$service}, import => 'sample_everything', server_options => { fetch_size => 40 });

    $t->query("CREATE SCHEMA loc; CREATE TABLE loc.sample_everything AS SELECT * FROM crm.sample_everything; $judge");
    $t->is_query('SELECT count(*) > 40, count(sample_parentid) > 5, count(*) > count(sample_parentid) FROM loc.sample_everything',
        't|t|t', "$service: more rows than a page, some with a parent");
    my @cases = cases($t);
    print_documents(@cases);
    is(scalar(grep { $_->{class} eq 'unknown' } @cases), 0, "$service: the program knows all operators and types");

    # In a link nothing can be rechecked: supersets stand in the entity's own filter.
    my @sent = grep { $cases[$_]{class} eq 'exact' || $cases[$_]{class} eq 'superset' && $cases[$_]{label} =~ /^(?:plain|after)/ } 0 .. $#cases;
    my $insert = join ",\n", map { "($_, '$cases[$_]{class}', " . quoted($cases[$_]{document}) . ', ' . quoted($cases[$_]{sql}) . ')' } @sent;
    my ($status, $out, $err) = $t->psql("SET TIME ZONE 'UTC'; SET client_min_messages = error; INSERT INTO cases VALUES $insert;\n"
            . "SELECT n, judge(c) FROM cases c ORDER BY n;", timeout => 300);
    is($status, 0, "$service: all cases ran") or diag($err);
    my (@bad, %seen, %rows);
    for (split /\n/, $out)
    {
        my ($n, $verdict) = /^(\d+)\|(.*)/ or next;
        my $case = $cases[$n];
        my ($shape) = $case->{label} =~ /^([^:]+)/;
        $seen{$case->{attribute}}++;
        $rows{$shape}++ if $verdict eq 'ok';
        push @bad, "$case->{class} $case->{label}\n  $verdict\n  $case->{document}" if $verdict !~ /^ok/;
    }
    is(scalar(@bad), 0, "$service: " . @sent . ' conditions') or diag(join "\n", @bad[ 0 .. ($#bad > 9 ? 9 : $#bad) ]);
    is_deeply([ grep { !$rows{$_} } sort keys %shapes ], [], "$service: every shape selected rows");
    note(join ', ', map { "$_ $seen{$_}" } sort keys %seen);
}

done_testing();
