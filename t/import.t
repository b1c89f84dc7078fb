# import.t: IMPORT FOREIGN SCHEMA against the local service: which tables and
# columns come, with which options, by how many requests, and which errors.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $t = DataverseTest->new(rows => 5, import => 0);

# One request lists the tables, one tells all about those wanted.
sub import_ok
{
    my ($what, $requests, $name) = @_;

    $t->query('DROP SCHEMA crm CASCADE; CREATE SCHEMA crm');
    $t->reset_log;
    $t->psql_ok("IMPORT FOREIGN SCHEMA $what", $name);
    is($t->requests, $requests, "... by $requests requests");
}

sub import_fails
{
    my ($what, $pattern, $name) = @_;
    $t->fails_like("IMPORT FOREIGN SCHEMA $what", $pattern, $name);
}

# type, NOT NULL and options of a column, as one line
sub column
{
    my ($table, $column) = @_;
    return $t->query(<<"SQL");
SELECT format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END ||
       coalesce(' ' || array_to_string(attfdwoptions, ' '), '')
  FROM pg_attribute WHERE attrelid = 'crm.$table'::regclass AND attname = '$column'
SQL
}

sub table_options
{
    my ($table) = @_;
    return $t->query("SELECT array_to_string(ftoptions, ' ') FROM pg_foreign_table WHERE ftrelid = 'crm.$table'::regclass");
}

my $tables = q{SELECT string_agg(relname, ' ' ORDER BY relname COLLATE "C") FROM pg_class WHERE relkind = 'f'};

# --- which tables

import_ok('dataverse LIMIT TO (account, contact) FROM SERVER crm INTO crm', 2, 'LIMIT TO');
$t->is_query($tables, 'account contact', '... brings just those');

import_ok('dataverse FROM SERVER crm INTO crm', 2, 'the whole environment');
my %all = map { $_ => 1 } split / /, $t->query($tables);
ok($all{account} && $all{geo_subdivision} && $all{contoso_sensordata}, '... standard, custom and elastic tables');
ok(!$all{sdkmessagefilter}, '... private tables stay out');

import_ok('dataverse LIMIT TO (sdkmessagefilter) FROM SERVER crm INTO crm', 2, 'a private table by name');
import_ok('dataverse EXCEPT (account) FROM SERVER crm INTO crm', 2, 'EXCEPT');
my %except = map { $_ => 1 } split / /, $t->query($tables);
ok(!$except{account} && keys %except == keys(%all) - 1, '... leaves out just that');

import_ok('"Geography" FROM SERVER crm INTO crm', 4, 'a solution');
$t->is_query($tables, 'geo_country geo_indicator geo_note geo_subdivision', '... brings its tables');
import_ok('geography LIMIT TO (geo_country) FROM SERVER crm INTO crm', 4, 'a solution by its name in lower case, LIMIT TO');
$t->is_query($tables, 'geo_country', '... brings that table');

# --- columns

import_ok('dataverse LIMIT TO (account, incident, task, sample_everything, contoso_sensordata) FROM SERVER crm INTO crm',
    2, 'tables of all kinds');
is(table_options('account'), 'table_name=account entity_set_name=accounts primary_id=accountid', 'table options');
is(table_options('contoso_sensordata'),
    'table_name=contoso_sensordata entity_set_name=contoso_sensordatas primary_id=contoso_sensordataid table_type=elastic',
    'an elastic table');
is(column('account', 'accountid'), 'uuid not null attribute_type=Uniqueidentifier', 'primary id');
is($t->query("SELECT attname FROM pg_attribute WHERE attrelid = 'crm.account'::regclass AND attnum = 1"),
    'accountid', '... is the first column');
is($t->query("SELECT count(*) FROM pg_attribute WHERE attrelid = 'crm.account'::regclass AND attnum > 0 AND attnotnull"),
    '1', '... and alone is not null');
is(column('account', 'name'), 'text attribute_type=String', 'text');
is(column('account', 'revenue'), 'numeric attribute_type=Money', 'money');
is(column('account', 'revenue_base'), 'numeric attribute_type=Money read_only=true', 'a column that is never sent');
is(column('account', 'numberofemployees'), 'integer attribute_type=Integer', 'integer');
is(column('account', 'versionnumber'), 'bigint attribute_type=BigInt read_only=true', 'bigint');
is(column('account', 'createdon'), 'timestamp with time zone attribute_type=DateTime read_only=true', 'an instant');
is(column('account', 'primarycontactid'),
    'uuid attribute_type=Lookup navigation_property=primarycontactid target=contacts',
    'a lookup and how it is bound, though its target is not imported');
is(column('account', 'primarycontactid_target'), '', '... one target needs no column for it');
is(column('account', 'industrycode'), 'integer attribute_type=Picklist', 'a choice');
is(column('account', 'industrycode_label'), 'text label_of=industrycode', '... and its label');
is(column('incident', 'customerid'), 'uuid attribute_type=Customer', 'a customer lookup');
is(column('incident', 'customerid_target'), 'text target_of=customerid', '... and its target');
is(column('task', 'regardingobjectid_target'), 'text target_of=regardingobjectid', 'the target of a regarding lookup');
is(column('task', 'ownerid'), 'uuid attribute_type=Owner navigation_property=ownerid', 'an owner');
is(column('account', 'primarycontactidname'), '', 'companions that rows do not have stay out');
my %types = map { $_ => 1 } split / /, $t->query(<<'SQL');
SELECT string_agg(DISTINCT substring(option FROM 'attribute_type=(.*)'), ' ')
  FROM pg_attribute, unnest(attfdwoptions) AS option WHERE option LIKE 'attribute_type=%'
SQL
ok($types{$_}, "some column is $_")
    for qw(String Memo EntityName Integer BigInt Decimal Double Money Boolean Picklist State Status
    MultiSelectPicklist DateTime TimeZoneIndependent DateOnly Uniqueidentifier Lookup Customer Owner Image);

import_ok(q{dataverse LIMIT TO (incident) FROM SERVER crm INTO crm OPTIONS (labels 'false')}, 2, 'without labels');
is(column('incident', 'caseorigincode_label'), '', '... no label');
is(column('incident', 'customerid_target'), '', '... no target');

# --- errors

import_fails('dataverse LIMIT TO (acount) FROM SERVER crm INTO crm',
    qr/HV00R: could not find table "acount" in the environment.*you meant the table "account"/s, 'a misspelt table');
import_fails('dataverse LIMIT TO (accounts) FROM SERVER crm INTO crm',
    qr/you meant the table "account"/, 'an entity set for a table');
import_fails('dataverse LIMIT TO (country) FROM SERVER crm INTO crm',
    qr/you meant the table "geo_country"/, 'a table without its prefix');
import_fails('dataverse LIMIT TO (account, qqqqqqqqqq, wwwwwwwwww) FROM SERVER crm INTO crm',
    qr/could not find tables "qqqqqqqqqq", "wwwwwwwwww".*logical names/s, 'several tables that do not exist');
import_fails('geography LIMIT TO (account) FROM SERVER crm INTO crm',
    qr/could not find table "account" in solution "geography".*exists outside/s, 'a table of another solution');
import_fails('nosuch FROM SERVER crm INTO crm',
    qr/HV00Q: could not find solution "nosuch".*"Geography"/s, 'an unknown solution');
import_fails(q{"geo%" FROM SERVER crm INTO crm}, qr/could not find solution "geo%"/, 'no wildcards in solutions');
import_fails(q{"o'hara" FROM SERVER crm INTO crm}, qr/could not find solution "o'hara"/, 'apostrophes in solutions');
import_fails(q{dataverse FROM SERVER crm INTO crm OPTIONS (lables 'true')},
    qr/invalid option "lables".*"labels"/s, 'an unknown option');

$t->faults({ match => { path => 'RetrieveMetadataChanges' }, times => 1, behaviour => 'bad_json' });
import_fails('dataverse LIMIT TO (task) FROM SERVER crm INTO crm',
    qr/could not read metadata of server "crm"/, 'an answer that is no metadata');
$t->reset_log;
$t->faults({ match => { path => 'EntityDefinitions' }, times => 1, status => 403, code => '0x80040220',
        message => 'no privilege' });
import_fails('dataverse LIMIT TO (task) FROM SERVER crm INTO crm', qr/no privilege/, 'a user who may not read metadata');

done_testing();
