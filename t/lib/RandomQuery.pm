# RandomQuery: random queries over given tables, for differential tests.
#
#     my $random = RandomQuery->new(seed => 42, tables => { account => { id => 'accountid', columns => [...] } });
#     my $query = $random->query;
#     $query->{sql}($schema)     # the statement over the tables of that schema
#
# A table is { id, columns, lookups }; a lookup, which need not be given, is
# { column, target }: a column of it and the table whose id that holds.
#
# A column is { name, type, values => [texts], collation }; the last only where
# equal texts may differ.  Literals come from the values
# and from near misses: another case, a trailing blank, an accent dropped, one
# unit more, a fraction, what no column can hold.  No query made here fails on
# sound data, so any error is a finding.
#
# A query is { kind, sql, params }.  kind says how answers are compared:
#     bag   as multisets
#     list  row by row: the order is total over the selected columns
#     some  the first rows of an order that has ties, or of none: as many rows
#           as the limit allows, all of them from the answer without the limit
# joins says that there is another way to join; linked, that there is one along lookups.
package RandomQuery;

use strict;
use warnings;
use utf8;

use Unicode::Normalize qw(NFD NFC);

# Stands for the schema in a statement; no data holds it.
my $SCHEMA = "\x01";

sub new
{
    my ($class, %arguments) = @_;
    my $self = bless {%arguments}, $class;

    srand $arguments{seed};
    for my $table (values %{ $self->{tables} })
    {
        # Columns with several values say more.
        $table->{likely} = [ grep { @{ $_->{values} } > 2 } @{ $table->{columns} } ];
    }
    return $self;
}

# --- chance --------------------------------------------------------------------------------------

sub chance
{
    return rand() < $_[0];
}

sub one_of
{
    return $_[ int rand @_ ];
}

sub some_of
{
    my ($least, $most, $make) = @_;
    return map { $make->() } 1 .. $least + int rand($most - $least + 1);
}

# --- words ---------------------------------------------------------------------------------------

sub quote
{
    my ($text) = @_;
    $text =~ s/'/''/g;
    return "'$text'";
}

sub value_of
{
    my ($column) = @_;
    return @{ $column->{values} } ? one_of(@{ $column->{values} }) : undef;
}

# --- literals ------------------------------------------------------------------------------------

# Each takes a value (text, maybe undef) and gives SQL of just the type asked for.
my %NEAR = (
    integer => \&near_integer,
    bigint => \&near_bigint,
    numeric => \&near_numeric,
    'double precision' => \&near_double,
    boolean => sub { one_of('true', 'false') },
    uuid => \&near_uuid,
    text => sub { quote(near_text($_[0])) },
    date => \&near_date,
    'timestamp with time zone' => \&near_instant,
    'timestamp without time zone' => \&near_instant,
    'integer[]' => \&near_choices,
    bytea => sub { quote($_[0] // '\x') });

sub near_integer
{
    my $value = $_[0] // 0;
    my $near = one_of($value, $value, $value, $value + 1, $value - 1, -$value, 0, 2147483647, -2147483648, int rand 200);
    return $near > 2147483647 || $near < -2147483648 ? $value : $near;
}

# Sums on the text's end, since a Perl number may not hold the value.
sub near_bigint
{
    my $value = $_[0] // 0;
    (my $next = $value) =~ s/([0-6])$/$1 + 1/e;
    return one_of($value, $value, $next, 0, '9223372036854775807', "'-9223372036854775808'", '4611686018427387905');
}

sub near_numeric
{
    my $value = $_[0] // '0';
    my @near = ($value, $value, $value, "$value + 0.0000000001", "$value - 0.0000000001", "$value + 0.00000000001",
        "$value - 0.00000000001", "$value + 0.5", "$value + 1", "-($value)", '0', '0.00', "($value)::numeric(38,20)");
    push @near, qw('NaN' 'Infinity' '-Infinity' 1e30 -1e30 922337203685477.5807 -922337203685477.5808
        100000000000.0000000001 1e-15 -1e-15 2.5);
    return one_of(@near);
}

sub near_double
{
    my $value = $_[0] // '0';
    return one_of($value, $value, $value, "$value + 0.00001", "$value - 0.00001", "$value + 0.000004",
        "$value - 0.000004", "$value * 1.0000000000000002", "$value + 0.5", 'pi()', '0', "'-0'", '1e300', '-1e300',
        "'NaN'", "'Infinity'", "'-Infinity'", '1e15', '-1e15', '1e-300', '100000000000', '0.1::float4::float8');
}

sub near_uuid
{
    my $value = $_[0] // '00000000-0000-0000-0000-000000000000';
    (my $next = $value) =~ tr/0123456789abcdef/123456789abcdef0/ if chance(0.2);
    return quote(one_of($value, $value, $value, uc $value, $next // $value, '00000000-0000-0000-0000-000000000000'));
}

sub near_text
{
    my $value = length($_[0] // '') ? $_[0] : 'x';
    my $plain = NFD($value) =~ s/\p{Mn}//gr;
    return one_of($value, $value, $value, $value, uc $value, lc $value, ucfirst lc $value, "$value ", "$value  ",
        $value =~ s/\s+$//r, " $value", $plain, NFC($value), NFD($value), substr($value, 0, 1), substr($value, 1),
        '', ' ', '%', '_', '[', '[a-z]', "O'", '\\', 'ß', 'ss', '😀', 'null', "$value\n");
}

sub near_date
{
    my $value = $_[0] // '2020-02-29';
    return one_of("date '$value'", "date '$value'", "date '$value'", "(date '$value' + 1)", "(date '$value' - 1)",
        "date 'infinity'", "date '-infinity'", "date '0001-01-01'", "date '1752-12-31'", "date '1753-01-01'",
        "date '9999-12-31'", "date '10000-01-01'", "date '4713-01-01 BC'", "date '5874897-12-31'", 'current_date');
}

sub near_instant
{
    my ($value, $type) = @_;
    my $at = "$type '" . ($value // '2020-02-29 12:00:00+00') . "'";
    return one_of($at, $at, $at, "($at + interval '1 s')", "($at - interval '1 s')", "($at + interval '0.5 s')",
        "($at - interval '0.000001 s')", "($at + interval '0.000001 s')", "($at + interval '0.999999 s')",
        "date_trunc('day', $at)", "$type 'infinity'", "$type '-infinity'", "$type '1752-12-31 23:59:59.999999+00'",
        "$type '1753-01-01 00:00:00+00'", "$type '9999-12-31 23:59:59+00'", "$type '9999-12-31 23:59:59.5+00'",
        "$type '10000-01-01 00:00:00+00'", "$type '294276-12-31 23:59:59+00'", "$type '4713-01-01 00:00:00+00 BC'",
        "$type '1969-12-31 23:59:59.5+00'", "(now() - interval '400 days')::$type");
}

sub near_choices
{
    my $value = $_[0] // '{}';
    return quote(one_of($value, $value, '{}', '{1}', '{1,2}', '{9,10}', '{100000000}', '{NULL}'));
}

# A value of the column's own type; now and then NULL.
sub own_literal
{
    my ($self, $column, $nulls) = @_;
    my $type = $column->{type};
    return "NULL::$type" if chance($nulls // 0.04);
    my $sql = $NEAR{$type}->(value_of($column), $type);
    return "($sql)::$type";
}

# The same, or of a neighbouring type that has an operator with the column's.
my %NEIGHBOURS = (
    integer => [ 'bigint', 'smallint', 'numeric', 'double precision' ],
    bigint => [ 'integer', 'numeric' ],
    numeric => [ 'integer', 'bigint', 'double precision' ],
    'double precision' => [ 'numeric', 'integer', 'real' ],
    date => [ 'timestamp with time zone', 'timestamp without time zone' ],
    'timestamp with time zone' => [ 'date', 'timestamp without time zone' ],
    'timestamp without time zone' => [ 'date', 'timestamp with time zone' ],
    text => ['varchar', 'char(12)']);
my %SAFE = (
    bigint => [qw(3000000000 -3000000000 5 0 2147483648 9223372036854775807)],
    smallint => [qw(5 0 -1 32767 100)],
    integer => [qw(5 0 -1 2147483647 1000)],
    numeric => [qw(2.5 -2.5 5.0 1e30 'NaN' 0.1 2147483647.5 100000000.0)],
    real => [qw(0.1 2.5 'Infinity' 16777217)],
    'double precision' => [qw(2.5 1e10 'NaN' 'Infinity' 0.1)],
    date => ["'2020-02-29'", "'infinity'", "'1753-01-01'", "'2019-06-15'"],
    'timestamp with time zone' => ["'2020-02-29 12:00:00.25+02'", "'infinity'", "'2019-06-15 05:00:00+00'"],
    'timestamp without time zone' => ["'2020-02-29 12:00:00'", "'-infinity'", "'2019-06-15'"]);

sub literal
{
    my ($self, $column) = @_;
    my $neighbours = $NEIGHBOURS{ $column->{type} };

    return $self->parameter($column) if $self->{params} && chance(0.7);
    if ($neighbours && chance(0.15))
    {
        my $type = one_of(@$neighbours);
        return $self->own_literal($column) . "::$type" if !$SAFE{$type};
        return '(' . one_of(@{ $SAFE{$type} }) . ")::$type";
    }
    return $self->own_literal($column);
}

# A parameter with three values, the last of them often NULL.
sub parameter
{
    my ($self, $column) = @_;

    push @{ $self->{params} },
        {
        type => $column->{type},
        values => [ $self->own_literal($column), $self->own_literal($column), $self->own_literal($column, 0.5) ] };
    return '$' . @{ $self->{params} };
}

sub head
{
    my ($text, $length) = @_;
    return length $text > $length ? substr($text, 0, $length) : $text;
}

# --- patterns ------------------------------------------------------------------------------------

sub escape_pattern
{
    my ($text, $escape) = @_;
    return $text =~ s/([%_\Q$escape\E])/$escape$1/gr;
}

sub pattern
{
    my ($column, $escape) = @_;
    my $value = value_of($column);
    $value = 'abc' if !length($value // '');
    my $at = int rand(length $value);
    my $piece = substr $value, $at, 1 + int rand 6;
    my $case = one_of(sub { $_[0] }, sub { $_[0] }, sub { lc $_[0] }, sub { uc $_[0] });
    my ($head, $tail) = (substr($value, 0, $at), substr($value, $at));
    my $e = sub { escape_pattern($case->($_[0]), $escape) };

    my $pattern = one_of(
        sub { $e->($head) . '%' },
        sub { '%' . $e->($tail) },
        sub { '%' . $e->($piece) . '%' },
        sub { $e->(substr $head, 0, 3) . '%' . $e->(substr $tail, 1) },
        sub { '%' . $e->($piece) . '%' . $e->($tail) },
        sub { '_' . $e->(substr $value, 1 < length $value ? 1 : 0) },
        sub { $e->($value) },
        sub { $e->($value) . ' ' },
        sub { my $with = $e->($value); length $with ? substr($with, 0, -1) =~ s/\Q$escape\E$//r . '_' : '_' },
        sub { one_of('%', '', '_', '%%', '__%', '% ', '%[%', '%]%', '%^%', '[a-c]%', '%-%', '-%', "%'%", '%_ ') },
        sub { '%' . $case->($piece =~ s/\Q$escape\E//gr) . '%' })->();
    return quote($pattern);
}

# --- conditions ----------------------------------------------------------------------------------

my @ORDER = ('=', '=', '=', '<>', '<', '<=', '>', '>=');

sub column_of
{
    my ($self, $table) = @_;
    return one_of(@{ chance(0.85) ? $table->{likely} : $table->{columns} });
}

sub list
{
    my ($self, $column, $nulls) = @_;
    return join ', ', some_of(1, 6, sub { $self->own_literal($column, $nulls) });
}

sub array
{
    my ($self, $column) = @_;
    return one_of("'{}'", 'NULL') . "::$column->{type}\[]" if chance(0.07);
    return 'ARRAY[[' . $self->own_literal($column) . '], [' . $self->own_literal($column) . ']]' if chance(0.05);
    return 'ARRAY[' . $self->list($column, chance(0.3) ? 0.3 : 0) . ']';
}

# Conditions that every type has.
sub general_leaf
{
    my ($self, $table, $column) = @_;
    my $name = "t.$column->{name}";
    my $literal = sub { $self->literal($column) };

    # an array of arrays is another thing
    return one_of("$name IS NULL", "$name IS NOT NULL", "$name <> " . $literal->()) if $column->{type} =~ /\[/;
    return one_of(
        sub { "$name IS NULL" },
        sub { "$name IS NOT NULL" },
        sub { "$name IN (" . $self->list($column, chance(0.3) ? 0.3 : 0) . ')' },
        sub { "$name IN (" . $self->list($column, 0) . ')' },
        sub { "$name NOT IN (" . $self->list($column, chance(0.2) ? 0.3 : 0) . ')' },
        sub { "$name = ANY (" . $self->array($column) . ')' },
        sub { "$name <> ALL (" . $self->array($column) . ')' },
        sub { "$name <> ANY (" . $self->array($column) . ')' },
        sub { "$name = ALL (" . $self->array($column) . ')' },
        sub { "$name IS DISTINCT FROM " . $literal->() },
        sub { "$name IS NOT DISTINCT FROM " . $literal->() },
        sub { '(' . $self->order_leaf($column) . ') IS ' . one_of('TRUE', 'NOT TRUE', 'FALSE', 'UNKNOWN', 'NOT FALSE') },
        sub { "coalesce($name, " . $self->own_literal($column, 0) . ') = ' . $literal->() },
        sub { "$name = (SELECT u.v FROM (VALUES (" . $self->own_literal($column, 0) . ')) u(v))' },
        sub { "$name = ANY (ARRAY(SELECT u.v FROM (VALUES (" . join('), (', some_of(1, 4, sub { $self->own_literal($column) })) . ')) u(v)))' },
        sub { "$name = t." . $self->partner($table, $column) },
        sub { 'nullif(' . $name . ', ' . $literal->() . ') IS NULL' })->();
}

sub partner
{
    my ($self, $table, $column) = @_;
    return one_of(map { $_->{name} } grep { $_->{type} eq $column->{type} && ($_->{collation} // '') eq ($column->{collation} // '') }
            @{ $table->{columns} });
}

sub order_leaf
{
    my ($self, $column) = @_;
    my ($left, $right) = ("t.$column->{name}", $self->literal($column));
    ($left, $right) = ($right, $left) if chance(0.15);
    return "$left " . one_of(@ORDER) . " $right";
}

sub range_leaf
{
    my ($self, $column) = @_;
    return "t.$column->{name} " . one_of('', '', 'NOT ') . 'BETWEEN ' . one_of('', '', 'SYMMETRIC ')
        . $self->literal($column) . ' AND ' . $self->literal($column);
}

sub text_leaf
{
    my ($self, $table, $column) = @_;
    my $name = "t.$column->{name}";
    # patterns are not for such collations
    return $self->order_leaf($column) if $column->{collation};

    my $like = one_of('LIKE', 'LIKE', 'LIKE', 'ILIKE', 'ILIKE', 'NOT LIKE', 'NOT ILIKE');

    return one_of(
        sub { "$name $like " . pattern($column, '\\') },
        sub { "$name $like " . pattern($column, '\\') },
        sub { "$name $like " . pattern($column, '!') . q{ ESCAPE '!'} },
        sub { "starts_with($name, " . quote(head(near_text(value_of($column)), int rand 8)) . ')' },
        sub { "$name ^@ " . quote(head(near_text(value_of($column)), 3)) },
        sub { $self->order_leaf($column) },
        sub { "$name = " . $self->literal($column) },
        sub { "$name = " . $self->literal($column) },
        sub { 'NOT starts_with(' . $name . ', ' . quote(head(near_text(value_of($column)), int rand 8)) . ')' },
        sub { qq{$name COLLATE "C" = } . $self->literal($column) },
        sub { "$name ~ '^[A-Z]'" },
        sub { "lower($name) = lower(" . $self->own_literal($column, 0) . ')' },
        sub { "length($name) > 5" })->();
}

sub boolean_leaf
{
    my ($self, $table, $column) = @_;
    my $name = "t.$column->{name}";

    return one_of(
        sub { $name },
        sub { "NOT $name" },
        sub { "$name IS " . one_of('TRUE', 'NOT TRUE', 'FALSE', 'NOT FALSE', 'UNKNOWN', 'NOT UNKNOWN') },
        sub { $self->order_leaf($column) })->();
}

sub choices_leaf
{
    my ($self, $table, $column) = @_;
    return one_of(
        sub { "t.$column->{name} " . one_of('@>', '&&', '<@', '=', '<>') . ' ' . $self->own_literal($column) },
        sub { "1 = ANY (t.$column->{name})" })->();
}

my %LEAF = (text => \&text_leaf, boolean => \&boolean_leaf, 'integer[]' => \&choices_leaf);

sub leaf
{
    my ($self, $table) = @_;
    my $column = $self->column_of($table);
    my $own = $LEAF{ $column->{type} };

    return one_of('true', 'false', 'NULL::boolean') if chance(0.02);
    return $self->general_leaf($table, $column) if chance(0.35);
    return $own->($self, $table, $column) if $own;
    return $self->range_leaf($column) if chance(0.2) && $column->{type} !~ /uuid|bytea/;
    return $self->order_leaf($column);
}

sub condition
{
    my ($self, $table, $depth) = @_;

    return '(' . $self->leaf($table) . ')' if $depth == 0 || chance(0.4);
    return 'NOT ' . $self->condition($table, $depth - 1) if chance(0.25);
    return '(' . join(one_of(' AND ', ' OR '), some_of(2, 3, sub { $self->condition($table, $depth - 1) })) . ')';
}

# --- statements ----------------------------------------------------------------------------------

sub selected
{
    my ($self, $table) = @_;
    my %seen;

    return 'count(*)' if chance(0.1);
    my @names = grep { !$seen{$_}++ } some_of(1, 4, sub { one_of(@{ $table->{columns} })->{name} });
    push @names, $table->{id} if chance(0.7) && !$seen{ $table->{id} };
    return join ', ', map { "t.$_" } @names;
}

sub plain
{
    my ($self, $name, $table, $condition) = @_;
    return { kind => 'bag', sql => 'SELECT ' . $self->selected($table) . " FROM $SCHEMA$name t WHERE $condition" };
}

sub sortable
{
    my ($self, $table) = @_;
    my %seen;
    my @columns = grep { $_->{type} ne 'bytea' && !$_->{collation} } @{ $table->{likely} };
    return grep { !$seen{ $_->{name} }++ } some_of(1, 3, sub { one_of(@columns) });
}

# Only the sort keys are selected, so that ties cannot be seen.
sub sorted
{
    my ($self, $name, $table, $condition) = @_;
    my @columns = $self->sortable($table);
    my @keys = map { "t.$_->{name}" . one_of('', '', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST') } @columns;
    my $given = chance(0.6) ? join('', map { " AND t.$_->{name} IS NOT NULL" } @columns) : '';
    my $sql = 'SELECT ' . join(', ', map { "t.$_->{name}" } @columns)
        . " FROM $SCHEMA$name t WHERE $condition$given ORDER BY " . join(', ', @keys);

    $sql .= ' LIMIT ' . int rand 30 if chance(0.7);
    $sql .= ' OFFSET ' . int rand 10 if chance(0.3);
    return { kind => 'list', sql => $sql };
}

sub first_rows
{
    my ($self, $name, $table, $condition) = @_;
    my ($column) = $self->sortable($table);
    my $order = chance(0.5) && $column ? " ORDER BY t.$column->{name}" : '';
    my $whole = "SELECT t.$table->{id} FROM $SCHEMA$name t WHERE $condition";

    return {
        kind => 'some',
        whole => $whole,
        sql => "$whole$order LIMIT " . int(rand 20) . (chance(0.3) ? ' OFFSET ' . int rand 5 : '') };
}

sub aggregated
{
    my ($self, $name, $table, $condition) = @_;
    my @columns = grep { $_->{type} !~ /uuid|bytea|boolean/ && !$_->{collation} } map { $self->column_of($table) } 1 .. 9;
    my $column = $columns[0];
    my $of = "t.$column->{name}";

    return { kind => 'bag', sql => "SELECT DISTINCT $of FROM $SCHEMA$name t WHERE $condition" } if chance(0.2);
    return { kind => 'bag', sql => "SELECT $of, count(*) FROM $SCHEMA$name t WHERE $condition GROUP BY $of" }
        if chance(0.3);
    my $sql = join ', ', some_of(1, 3, sub { aggregate(one_of(@columns)) });
    my ($group) = chance(0.3) ? grep { $_->{type} =~ /integer$|boolean|date|text/ && !$_->{collation} } map { $self->column_of($table) } 1 .. 9 : ();
    return { kind => 'bag', sql => "SELECT $sql FROM $SCHEMA$name t WHERE $condition" } if !$group;
    my $having = chance(0.3) ? ' HAVING count(*) > 1' : '';
    return { kind => 'bag', sql => "SELECT t.$group->{name}, $sql FROM $SCHEMA$name t WHERE $condition GROUP BY t.$group->{name}$having" };
}

# Sums of doubles depend on the order of the rows.
sub aggregate
{
    my ($column) = @_;
    my $of = "t.$column->{name}";
    my @functions = ('count(%s)', 'count(DISTINCT %s)', 'count(*)');

    push @functions, 'min(%s)', 'max(%s)', 'min(%s)', 'max(%s)' if $column->{type} ne 'integer[]';
    push @functions, 'sum(%s)', 'avg(%s)', 'sum(%s)' if $column->{type} =~ /^(integer|bigint|numeric)$/;
    my $sql = one_of(@functions) =~ s/%s/$of/r;
    return $sql . (chance(0.15) ? " FILTER (WHERE $of IS NOT NULL)" : '');
}

sub joined
{
    my ($self, $name, $table, $condition) = @_;
    my $column = one_of(grep { $_->{type} !~ /bytea|\[/ } @{ $table->{likely} });
    my $n = 0;
    my $values = join ', ', map { '(' . ++$n . ", $_)" } some_of(2, 6, sub { $self->own_literal($column, 0.15) });
    my $keys = "(VALUES $values) k(n, v)";
    my $of = "t.$column->{name}";
    my $op = $column->{type} =~ /uuid|boolean/ ? '=' : one_of('=', '=', '=', '<', '>=');

    return {
        kind => 'bag',
        joins => 1,
        sql => one_of(
            "SELECT k.n, t.$table->{id} FROM $keys JOIN $SCHEMA$name t ON $of $op k.v AND $condition",
            "SELECT k.n, t.$table->{id} FROM $keys LEFT JOIN $SCHEMA$name t ON $of $op k.v AND $condition",
            "SELECT k.n, x.n FROM $keys, LATERAL (SELECT count(*) AS n FROM $SCHEMA$name t WHERE $of $op k.v AND $condition) x",
            "SELECT t.$table->{id} FROM $SCHEMA$name t WHERE $of IN (SELECT k.v FROM $keys) AND $condition",
            "SELECT t.$table->{id} FROM $SCHEMA$name t WHERE $of NOT IN (SELECT k.v FROM $keys) AND $condition",
            "SELECT k.n FROM $keys WHERE EXISTS (SELECT FROM $SCHEMA$name t WHERE $of $op k.v AND $condition)",
            "SELECT k.n FROM $keys WHERE NOT EXISTS (SELECT FROM $SCHEMA$name t WHERE $of $op k.v AND $condition)") };
}

# Two tables, along columns of one type.
sub crossed
{
    my ($self, $name, $table, $condition) = @_;
    my $other_name = one_of(sort keys %{ $self->{tables} });
    my $other = $self->{tables}{$other_name};
    my $type = one_of('uuid', 'uuid', 'integer', 'text', 'timestamp with time zone');
    my ($left) = grep { $_->{type} eq $type && !$_->{collation} } map { $self->column_of($table) } 1 .. 40;
    my @right = grep { $_->{type} eq $type && !$_->{collation} } @{ $other->{likely} };

    return $self->plain($name, $table, $condition) if !$left || !@right;
    my $on = "u." . one_of(@right)->{name} . " = t.$left->{name}";
    return {
        kind => 'bag',
        joins => 1,
        sql => one_of(
            "SELECT t.$table->{id}, u.$other->{id} FROM $SCHEMA$name t JOIN $SCHEMA$other_name u ON $on WHERE $condition",
            "SELECT t.$table->{id}, u.$other->{id} FROM $SCHEMA$name t LEFT JOIN $SCHEMA$other_name u ON $on WHERE $condition",
            "SELECT t.$table->{id}, u.$other->{id} FROM $SCHEMA$name t RIGHT JOIN $SCHEMA$other_name u ON $on AND $condition",
            "SELECT t.$table->{id}, u.$other->{id} FROM $SCHEMA$name t FULL JOIN $SCHEMA$other_name u ON $on",
            "SELECT t.$table->{id} FROM $SCHEMA$name t WHERE $condition AND EXISTS (SELECT FROM $SCHEMA$other_name u WHERE $on)",
            "SELECT t.$table->{id} FROM $SCHEMA$name t WHERE $condition AND NOT EXISTS (SELECT FROM $SCHEMA$other_name u WHERE $on)") };
}

# A condition on a table under another alias.
sub condition_on
{
    my ($self, $alias, $table, $depth) = @_;
    return $self->condition($table, $depth) =~ s/\bt\./$alias./gr;
}

# A column of each of two tables that can be compared, as text.
sub across
{
    my ($alias, $table, $other_alias, $other) = @_;
    my ($left) = grep { $_->{type} !~ /bytea|\[/ && !$_->{collation} } map { one_of(@{ $table->{likely} }) } 1 .. 9;
    my @right = $left ? grep { $_->{type} eq $left->{type} && !$_->{collation} } @{ $other->{likely} } : ();
    return 'true' if !@right;
    my $op = $left->{type} =~ /uuid|boolean/ ? one_of('=', '<>') : one_of('=', '<>', '<', '>=', 'IS DISTINCT FROM');
    return "$alias.$left->{name} $op $other_alias." . one_of(@right)->{name};
}

# One further table, reached from one that is there; undef when none leads on.
sub link_to
{
    my ($self, $members) = @_;
    my @from = grep { @{ $_->{table}{lookups} // [] } } @$members;
    return if !@from;
    my $from = one_of(@from);
    my $lookup = one_of(@{ $from->{table}{lookups} });
    my $alias = 'u' . scalar @$members;
    my $to = { alias => $alias, name => $lookup->{target}, table => $self->{tables}{ $lookup->{target} } };
    my @sides = ("$from->{alias}.$lookup->{column}", "$alias.$to->{table}{id}");

    push @$members, $to;
    $to->{on} = join ' = ', chance(0.5) ? @sides : reverse @sides;
    $to->{on} .= ' AND ' . $self->condition_on($alias, $to->{table}, one_of(0, 0, 1, 2)) if chance(0.4);
    $to->{on} .= ' AND ' . across($alias, $to->{table}, $from->{alias}, $from->{table}) if chance(0.15);
    $to->{text} = one_of('JOIN', 'LEFT JOIN', 'LEFT JOIN') . " $SCHEMA$to->{name} $alias ON $to->{on}";
    return $to;
}

# A table that must be there, or must not.
sub exists_clause
{
    my ($self, $members, $depth) = @_;
    my $at = @$members;
    my $to = $self->link_to($members) or return 'true';
    my $where = $to->{on};

    # one more table in there
    if ($depth == 0 && chance(0.3) && @{ $to->{table}{lookups} // [] })
    {
        my @inner = ($to);
        push @inner, (undef) x ($at);
        my $lookup = one_of(@{ $to->{table}{lookups} });
        my $other = $self->{tables}{ $lookup->{target} };
        my $join = one_of('JOIN', 'LEFT JOIN');
        $to->{text} = "$SCHEMA$to->{name} $to->{alias} $join $SCHEMA$lookup->{target} v ON v.$other->{id} = $to->{alias}.$lookup->{column}";
        $to->{text} .= ' AND ' . $self->condition_on('v', $other, 1) if chance(0.4);
        $where .= ' AND ' . $self->condition_on('v', $other, 1) if chance(0.5);
    }
    else { $to->{text} = "$SCHEMA$to->{name} $to->{alias}" }
    pop @$members;
    return one_of('', 'NOT ') . "EXISTS (SELECT FROM $to->{text} WHERE $where)";
}

# Rows that lead to one of ours.
sub children_clause
{
    my ($self, $name, $table) = @_;
    my @from = map { my $child = $_; map { [ $child, $_ ] } grep { $_->{target} eq $name } @{ $self->{tables}{$child}{lookups} // [] } }
        sort keys %{ $self->{tables} };
    return 'true' if !@from;
    my ($child, $lookup) = @{ one_of(@from) };
    my $where = "w.$lookup->{column} = t.$table->{id}";
    # conditions that can be said exactly are likelier to be left to the service
    my %exact = (%{ $self->{tables}{$child} });
    $exact{likely} = [ grep { $_->{type} =~ /integer$|bigint|numeric|boolean|uuid|date|timestamp/ } @{ $exact{likely} } ];
    my $of = chance(0.6) && @{ $exact{likely} } ? { %exact, columns => $exact{likely} } : $self->{tables}{$child};
    $where .= ' AND ' . $self->condition_on('w', $of, one_of(0, 0, 1, 2)) if chance(0.7);
    return one_of('', 'NOT ') . "EXISTS (SELECT FROM $SCHEMA$child w WHERE $where)";
}

# Tables along their lookups.
sub linked
{
    my ($self, $name, $table, $condition) = @_;
    my @members = ({ alias => 't', name => $name, table => $table });
    if (chance(0.3))
    {
        my @children = some_of(1, 2, sub { $self->children_clause($name, $table) });
        return $self->of_linked($table, \@members, "FROM $SCHEMA$name t WHERE " . join(' AND ', chance(0.6) ? $condition : (), @children), 1);
    }
    return $self->plain($name, $table, $condition) if !@{ $table->{lookups} // [] };

    my $least = chance(0.75);
    $self->link_to(\@members) for 1 .. ($least ? one_of(1, 1, 1, 2, 2, 3) : 0);
    my @where = chance(0.7) ? $condition : ();
    for my $member (@members[ 1 .. $#members ])
    {
        push @where, $self->condition_on($member->{alias}, $member->{table}, one_of(0, 0, 1, 2)) if chance(0.35);
    }
    @where = '(' . join(one_of(' OR ', ' AND '), @where) . ')' if @where > 1 && chance(0.4);
    push @where, across('t', $table, $members[1]{alias}, $members[1]{table}) if @members > 1 && chance(0.1);
    push @where, $self->exists_clause(\@members, 0) if !$least || chance(0.1);
    push @where, $self->children_clause($name, $table) if chance($least ? 0.05 : 0.3);
    my $from = "FROM $SCHEMA$name t" . join('', map { " $_->{text}" } @members[ 1 .. $#members ])
        . (@where ? ' WHERE ' . join(' AND ', @where) : '');
    return $self->of_linked($table, \@members, $from, scalar @where);
}

sub of_linked
{
    my ($self, $table, $members, $from, $has_where) = @_;
    my @ids = map { "$_->{alias}.$_->{table}{id} AS i$_->{alias}" } @$members;
    my @some = map { my $m = one_of(@$members); my $c = one_of(@{ $m->{table}{columns} })->{name}; "$m->{alias}.$c AS c$_" } 1 .. one_of(1, 2, 3);
    my $all = join ', ', @ids, @some;
    my ($key) = $self->sortable($table);

    return { kind => 'bag', linked => 1, sql => 'SELECT ' . join(', ', @some) . " $from" } if chance(0.2);
    return { kind => 'some', linked => 1, whole => "SELECT $all $from", sql => "SELECT $all $from"
            . ($key && chance(0.5) ? " ORDER BY t.$key->{name}" : '') . ' LIMIT ' . int(rand 15) . (chance(0.3) ? ' OFFSET ' . int rand 5 : '') }
        if chance(0.25);
    return { kind => 'list', linked => 1, sql => "SELECT t.$key->{name} $from" . ($has_where && chance(0.5) ? " AND t.$key->{name} IS NOT NULL" : '')
            . " ORDER BY t.$key->{name}" . one_of('', ' DESC', ' NULLS FIRST') . (chance(0.6) ? ' LIMIT ' . int rand 20 : '') }
        if $key && chance(0.25);
    return { kind => 'bag', linked => 1, sql => "SELECT count(*), count($members->[-1]{alias}.$members->[-1]{table}{id}) $from" } if chance(0.1);
    return { kind => 'bag', linked => 1, sql => "SELECT $all $from" };
}

sub query
{
    my ($self) = @_;
    my $name = one_of(@{ $self->{weights} // [ sort keys %{ $self->{tables} } ] });
    my $table = $self->{tables}{$name};
    my $prepared = chance(0.12);
    my $make = $prepared ? \&plain : one_of((\&plain) x 5, (\&sorted) x 3, (\&first_rows) x 2, (\&aggregated) x 2, (\&joined) x 2, \&crossed, (\&linked) x ($self->{linked} // 3));

    $self->{params} = $prepared ? [] : undef;
    my $query = $make->($self, $name, $table, $self->condition($table, one_of(0, 0, 0, 1, 1, 2, 3)));
    $query->{params} = $self->{params};
    $self->{params} = undef;
    return $query;
}

# The statement over the tables of a schema.
sub over
{
    my ($class, $sql, $schema) = @_;
    return $sql =~ s/$SCHEMA/$schema./gr;
}

1;
