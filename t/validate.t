# validate.t: what the metadata tell is checked before anything is sent.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output todo_output);

my $t = DataverseTest->new(rows => 20, import => 'account, sample_everything', server_options => { validate => 'true' });
my $writes = qr{^(POST|PATCH|PUT|DELETE) };
my $metadata = qr{RetrieveMetadataChanges};

$t->query("ALTER FOREIGN TABLE crm.sample_everything OPTIONS (ADD key 'sample_code')");

# The third of four rows is refused, by name and without any request but that for the metadata.
sub refused
{
    my ($column, $value, $pattern, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->reset_log;
    $t->fails_like("INSERT INTO crm.sample_everything (sample_code, $column) SELECT 'v' || n, CASE n WHEN 3 THEN $value END FROM generate_series(1, 4) n",
        $pattern, "$name is refused");
    is($t->requests($writes) . ' ' . $t->requests($metadata), '0 1', '... before anything is sent');
    $t->fails_like("INSERT INTO crm.sample_everything (sample_code, $column) SELECT 'v' || n, CASE n WHEN 3 THEN $value END FROM generate_series(1, 4) n",
        qr/[Rr]ow:? sample_code='v3'/, '... and the row is named');
}

sub taken
{
    my ($column, $value, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->psql_ok("INSERT INTO crm.sample_everything (sample_code, $column) VALUES ('ok', $value)", "$name is taken");
}

refused('sample_name', "repeat('é', 101)", qr/22001.*value "é.*\.\.\." for column "sample_name" of foreign table "sample_everything" is too long.*101 characters.*takes 100/s, 'a text');
taken('sample_name', "repeat('é', 100)", 'one of just that length');
refused('sample_smallinteger', '1001', qr/22003.*"1001" for column "sample_smallinteger".*out of range.*-10 to 1000/s, 'a number above the range');
refused('sample_smallinteger', '-11', qr/22003.*"-11" for column "sample_smallinteger".*out of range/s, 'one below');
taken('sample_smallinteger', $_, "$_") for -10, 1000;
refused('sample_decimal2', '1.234', qr/22003.*"1.234" for column "sample_decimal2".*too many decimals.*has 2/s, 'a number with more decimals');
taken('sample_decimal2', $_, "$_") for '1.2300', '-0.01', '100000000000';
refused('sample_decimal2', '100000000001', qr/22003.*out of range/s, 'a decimal out of range');
refused('sample_money2', '0.001', qr/22003.*too many decimals/s, 'money with more decimals');
taken('sample_money', '922337203685477.5807', 'money at its limit');
refused('sample_double', '100000000001::float8', qr/22003.*out of range/s, 'a double out of range');
taken('sample_double', '0.123456789', 'a double with more decimals, as doubles have');
refused('sample_choice', '77', qr/23514.*"77" for column "sample_choice".*is no choice.*it has 100000000, /s, 'an unknown choice');
refused('sample_multi', "'{1,77}'::int[]", qr/23514.*"1,77" for column "sample_multi".*no choice 77/s, 'an unknown one of several');
taken('sample_multi', "'{1,9}'", 'known ones');
refused('sample_image', "decode(repeat('00', 100000), 'hex')", qr/22001.*"sample_image".*too large.*takes 64/s, 'an image');

$t->fails_like("INSERT INTO crm.sample_everything (sample_code, statecode, statuscode) VALUES ('s', 0, 2)", qr/23514.*value 2 for column "statuscode".*value 0 for column "statecode".*belongs to state 1/s, 'a status of another state');
$t->psql_ok("INSERT INTO crm.sample_everything (sample_code, statecode, statuscode) VALUES ('s1', 1, 2), ('s2', 0, 1), ('s3', NULL, 1)", '... and one of its own');
$t->fails_like("UPDATE crm.sample_everything SET statecode = 0, statuscode = 2 WHERE sample_code = 's1'", qr/23514.*"statuscode"/s, '... in an UPDATE');
$t->fails_like("UPDATE crm.sample_everything SET sample_smallinteger = 5000 WHERE sample_code = 's1'", qr/22003.*"sample_smallinteger".*[Rr]ow:? sample_everythingid=/s, 'UPDATE names the row, too');
$t->fails_like("COPY crm.sample_everything (sample_code, sample_smallinteger) FROM STDIN;\nc1\t1\nc2\t2000\n\\.", qr/22003.*[Rr]ow:? sample_code='c2'/s, 'so does COPY');
$t->fails_like("INSERT INTO crm.sample_everything (sample_code) VALUES (repeat('k', 101))", qr/22001.*"sample_code".*too long/s, 'a key is checked, too');
$t->is_query("SELECT count(*) FROM crm.sample_everything WHERE sample_code LIKE 'v%' OR sample_code LIKE 'c_'", 0, 'nothing of all that is there');

$t->reset_log;
$t->is_query("SET client_min_messages = error; DO \$\$ BEGIN FOR i IN 1 .. 5 LOOP BEGIN INSERT INTO crm.sample_everything (sample_code, sample_smallinteger) VALUES ('m', 2000); EXCEPTION WHEN numeric_value_out_of_range THEN NULL; END; END LOOP; END \$\$; SELECT 'done'",
    'done', 'many refusals in one session');
is($t->requests($metadata), 1, '... ask the metadata once');

$t->query("ALTER FOREIGN TABLE crm.sample_everything OPTIONS (ADD validate 'false')");
$t->reset_log;
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, sample_smallinteger) VALUES ('n', 1001)", qr/22003.*Service code 0x8004432F/s, 'without it the service refuses');
is($t->requests($metadata), 0, '... and the metadata are not asked');

done_testing();
