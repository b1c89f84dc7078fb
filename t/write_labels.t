# write_labels.t: choices written by their labels, and what an unknown label costs.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use JSON::PP ();

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output todo_output);

my $t = DataverseTest->new(rows => 40, import => 'account, opportunity, sample_everything');
my $writes = qr{^(POST|PATCH|PUT|DELETE) };
my $metadata = qr{RetrieveMetadataChanges};
sub shown
{
    my ($code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $t->is_query("SELECT sample_choice, sample_choice_label FROM crm.sample_everything WHERE sample_code = '$code'", @_[ 1, 2 ]);
}

# --- INSERT and UPDATE

$t->psql_ok("INSERT INTO crm.sample_everything (sample_code, sample_choice_label) VALUES ('a', 'Second')", 'a label');
shown('a', '100000001|Second', '... is its value');
$t->reset_log;
$t->psql_ok("INSERT INTO crm.sample_everything (sample_code, sample_choice_label, sample_multi_label, sample_boolean_label, sample_onoff_label, statecode_label, statuscode_label)"
    . " VALUES ('b', 'Straße', 'Entrée', 'Yes', 'Off', 'Inactive', 'Inactive'), ('c', 'it''s; 50% [x]', 'Drink; hot; Appetizer ;Drink; cold', 'No', 'On', 'Active', 'Active')",
    'labels of every kind of choice');
is($t->requests($writes), 1, '... are one request');
cmp_ok($t->requests($metadata), '<=', 1, '... after at most one question');
$t->is_query("SELECT sample_choice, sample_multi, sample_boolean, sample_onoff, statecode, statuscode FROM crm.sample_everything WHERE sample_code IN ('b', 'c') ORDER BY sample_code",
    "1|{2}|t|f|1|2\n2|{1,9,10}|f|t|0|1", '... are there, labels with semicolons in them, too');
$t->psql_ok("UPDATE crm.sample_everything SET sample_choice_label = 'First', sample_multi_label = NULL WHERE sample_code = 'c'", 'UPDATE');
$t->is_query("SELECT sample_choice, sample_multi, sample_onoff FROM crm.sample_everything WHERE sample_code = 'c'", '100000000||t', '... sets and clears, and nothing else');
$t->psql_ok("UPDATE crm.sample_everything SET sample_choice_label = NULL WHERE sample_code = 'c'", 'NULL');
shown('c', '|', '... clears');
$t->is_query("UPDATE crm.sample_everything SET sample_choice_label = 'Third' WHERE sample_code = 'c' RETURNING sample_choice, sample_choice_label", '100000002|Third', 'RETURNING tells both');
$t->is_query("INSERT INTO crm.sample_everything (sample_code, sample_choice_label) VALUES ('d', 'First') RETURNING sample_choice, sample_choice_label", '100000000|First', '... of an INSERT');
$t->is_query("UPDATE crm.sample_everything SET sample_choice = 1 WHERE sample_code = 'd' RETURNING sample_choice, sample_choice_label", '1|Straße', '... of the value alone');

# --- labels that nobody has

$t->reset_log;
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, sample_choice_label) VALUES ('e', 'First'), ('f', 'Fifth')",
    qr/22023.*label "Fifth" for column "sample_choice_label".*not known.*Known labels are "First"/s, 'an unknown label names itself, and some others');
is($t->requests($writes), 0, '... and nothing was sent');
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, sample_choice_label) VALUES ('e', '$_')", qr/22023.*not known/s, "no label: '$_'")
    for 'first', 'STRASSE', 'Strasse', ' First', '', '1';
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, sample_multi_label) VALUES ('e', 'Appetizer; Soup')", qr/22023.*label "Soup" for column "sample_multi_label"/s, 'one of several');
$t->fails_like("INSERT INTO crm.opportunity (name, parentaccountid_label) VALUES ('x', 'y')", qr/parentaccountid_label.*does not exist/s, 'lookups have no label column');
$t->query("ALTER FOREIGN TABLE crm.opportunity ADD parent_name text OPTIONS (label_of 'parentaccountid')");
$t->fails_like("INSERT INTO crm.opportunity (name, parent_name) VALUES ('x', 'y')", qr/HV007.*"parent_name".*label of a column that is not written/s, '... and one made by hand is not written');
$t->fails_like("UPDATE crm.opportunity SET parent_name = 'y'", qr/HV007.*"parent_name".*cannot be set/s, '... nor set');

# --- value and label

$t->psql_ok("INSERT INTO crm.sample_everything (sample_code, sample_choice, sample_choice_label, sample_multi, sample_multi_label)"
    . " VALUES ('g1', 1, 'Straße', '{9,1}', 'Appetizer; Drink; hot'), ('g2', NULL, 'Straße', NULL, NULL), ('g3', 1, NULL, '{1}', NULL)", 'value and label, one or both');
$t->is_query("SELECT sample_choice, sample_multi FROM crm.sample_everything WHERE sample_code LIKE 'g_' ORDER BY sample_code", "1|{1,9}\n1|\n1|{1}", '... are taken');
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, sample_choice, sample_choice_label) VALUES ('g4', 2, 'Straße')",
    qr/22023.*"Straße".*does not belong to the value 2.*"sample_choice"/s, '... refused where they contradict');
$t->fails_like("UPDATE crm.sample_everything SET sample_choice = 2, sample_choice_label = 'Straße' WHERE sample_code = 'g3'", qr/22023.*does not belong/s, '... in an UPDATE');
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, sample_multi, sample_multi_label) VALUES ('g4', '{1,9}', 'Appetizer')", qr/22023.*does not belong/s, '... of several');
$t->psql_ok("CREATE TABLE copied AS SELECT sample_code || 'x' AS sample_code, sample_choice, sample_choice_label FROM crm.sample_everything WHERE sample_code LIKE 'g_'; INSERT INTO crm.sample_everything (sample_code, sample_choice, sample_choice_label) TABLE copied",
    'rows as they were read');

$t->query(<<'SQL');
CREATE FUNCTION choose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.sample_code = 'g1' THEN NEW.sample_choice := 2; END IF; NEW.sample_string := 'touched'; RETURN NEW; END $$;
CREATE TRIGGER choose BEFORE UPDATE ON crm.sample_everything FOR EACH ROW EXECUTE FUNCTION choose();
SQL
$t->psql_ok("UPDATE crm.sample_everything SET sample_memo = 'm' WHERE sample_code IN ('g1', 'g2')", 'a trigger that sets the value');
$t->is_query("SELECT sample_choice, sample_string FROM crm.sample_everything WHERE sample_code IN ('g1', 'g2') ORDER BY sample_code", "2|touched\n1|touched", '... is not contradicted by the label as it was');
$t->psql_ok("UPDATE crm.sample_everything SET sample_choice_label = 'First' WHERE sample_code = 'g2'", '... nor an UPDATE of the label by the value as it was');
shown('g2', '100000000|First', '... which it sets');
$t->query('DROP TRIGGER choose ON crm.sample_everything');

# --- rows that move between partitions

$t->query(<<'SQL');
CREATE TABLE parent (code text, choice integer, label text, region text, sample_everythingid uuid) PARTITION BY LIST (region);
CREATE TABLE part_here PARTITION OF parent FOR VALUES IN ('here');
CREATE FOREIGN TABLE part_there PARTITION OF parent FOR VALUES IN ('there')
    SERVER crm OPTIONS (table_name 'sample_everything', entity_set_name 'sample_everythings', primary_id 'sample_everythingid', key 'code');
ALTER FOREIGN TABLE part_there ALTER code OPTIONS (ADD column_name 'sample_code');
ALTER FOREIGN TABLE part_there ALTER choice OPTIONS (ADD column_name 'sample_choice', ADD attribute_type 'Picklist');
ALTER FOREIGN TABLE part_there ALTER label OPTIONS (ADD label_of 'sample_choice');
ALTER FOREIGN TABLE part_there ALTER region OPTIONS (ADD column_name 'sample_string');
INSERT INTO parent VALUES ('p1', 1, 'Straße', 'here'), ('p2', 1, 'Straße', 'here'), ('p3', 1, 'Straße', 'here'), ('p4', NULL, NULL, 'here');
SQL
$t->psql_ok("UPDATE parent SET region = 'there' WHERE region = 'here' AND code = 'p1'", 'a row with a label that moves to a foreign partition');
$t->psql_ok("UPDATE parent SET region = 'there', choice = 2 WHERE region = 'here' AND code = 'p2'", '... with another value');
$t->psql_ok("UPDATE parent SET region = 'there', label = 'First' WHERE region = 'here' AND code = 'p3'", '... with another label');
$t->psql_ok("UPDATE parent SET region = 'there', label = NULL WHERE region = 'here' AND code = 'p4'", '... with none');
$t->is_query("SELECT sample_code, sample_choice FROM crm.sample_everything WHERE sample_code LIKE 'p_' ORDER BY 1", "p1|1\np2|2\np3|100000000\np4|", '... arrives as the statement says');
$t->psql_ok("COPY parent (code, choice, label, region) FROM STDIN;\np5\t\\N\tThird\tthere\np6\t2\t\\N\tthere\n\\.", 'COPY into a parent');
$t->is_query("SELECT sample_code, sample_choice FROM crm.sample_everything WHERE sample_code IN ('p5', 'p6') ORDER BY 1", "p5|100000002\np6|2", '... by value or label');
$t->fails_like("COPY parent (code, choice, label, region) FROM STDIN;\np7\t2\tThird\tthere\n\\.", qr/22023.*does not belong/s, '... which must agree');

# --- a label without the value's column, keys, other types

$t->query(<<'SQL');
CREATE FOREIGN TABLE labels (code text OPTIONS (column_name 'sample_code'), label varchar(20) OPTIONS (label_of 'sample_choice'),
    locked text OPTIONS (label_of 'sample_onoff', read_only 'true'), sample_everythingid uuid)
    SERVER crm OPTIONS (table_name 'sample_everything', entity_set_name 'sample_everythings', primary_id 'sample_everythingid', key 'code');
SQL
$t->psql_ok("INSERT INTO labels (code, label) VALUES ('l1', 'Second'), ('l2', NULL)", 'a table with the label alone');
$t->is_query("SELECT code, label FROM labels WHERE code LIKE 'l_' ORDER BY 1", "l1|Second\nl2|", '... reads it back');
$t->psql_ok("UPDATE labels SET label = 'First' WHERE code = 'l1'", '... sets it');
shown('l1', '100000000|First', '... really');
$t->fails_like("INSERT INTO labels (code, locked) VALUES ('l3', 'On')", qr/HV007.*"locked"/s, "a label with read_only is refused");
$t->query("CREATE FOREIGN TABLE nochoice (code text OPTIONS (column_name 'sample_code'), label text OPTIONS (label_of 'sample_integer')) SERVER crm OPTIONS (table_name 'sample_everything', entity_set_name 'sample_everythings')");
$t->fails_like("INSERT INTO nochoice VALUES ('l4', 'x')", qr/"label".*choices of "sample_integer" are not known/s, 'the label of what is no choice');

# --- two values with one label

my $twins = JSON::PP->new->encode({ EntityMetadata => [ {
    LogicalName => 'sample_everything', EntitySetName => 'sample_everythings', PrimaryIdAttribute => 'sample_everythingid',
    Attributes => [ { LogicalName => 'sample_choice', AttributeTypeName => { Value => 'PicklistType' }, OptionSet => { Options => [
        map { { Value => $_, Label => { UserLocalizedLabel => { Label => $_ == 1 ? 'Single' : 'Twin' } } } } 1, 2, 100000000 ] } } ] } ] });
sub with_twins
{
    $t->reset_log;
    $t->faults({ match => { path => 'RetrieveMetadataChanges' }, status => 200, body => JSON::PP->new->decode($twins), times => 1 });
}
with_twins();
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, sample_choice_label) VALUES ('w', 'Twin')", qr/22023.*label "Twin".*ambiguous.*Give the value itself/s, 'a label of two values is refused');
with_twins();
$t->psql_ok("INSERT INTO crm.sample_everything (sample_code, sample_choice, sample_choice_label) VALUES ('w1', 2, 'Twin'), ('w2', 100000000, 'Twin'), ('w3', NULL, 'Single')", '... unless the value is beside it');
$t->is_query("SELECT sample_choice FROM crm.sample_everything WHERE sample_code LIKE 'w_' ORDER BY sample_code", "2\n100000000\n1", '... which then counts');

# --- reading: an unknown label asks once, not in every row

$t->query('CREATE TABLE names AS SELECT \'nobody \' || n AS name FROM generate_series(1, 30) n');
my $join = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET dataverse_fdw.enable_key_join = off; SET enable_material = off;"
    . " SELECT count(a.name) FROM names n LEFT JOIN LATERAL (SELECT a.name FROM crm.account a WHERE a.industrycode_label = n.name OFFSET 0) a ON true";
$t->reset_log;
$t->is_query($join, 0, 'thirty unknown labels, each a rescan');
is($t->requests($metadata), 1, '... ask the metadata once');
is($t->requests(qr{/accounts}), 0, '... and no rows');

done_testing();
