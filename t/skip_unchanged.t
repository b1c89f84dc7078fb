# skip_unchanged.t: rows that the service has already are not written again.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use JSON::PP ();
use WireTap;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output todo_output);

my $tables = 'account, contact, opportunity, geo_country, geo_subdivision, geo_note, geo_indicator, contoso_sensordata, sample_everything, task';
my $t = DataverseTest->new(rows => 20, import => $tables);
my $wire = WireTap->new($t->url);

$t->query(sprintf <<"SQL", $wire->url, $t->url, $t->url);
CREATE SERVER wire FOREIGN DATA WRAPPER dataverse_fdw
    OPTIONS (url '%s', tenant_id '11111111-1111-1111-1111-111111111111', authority '%s', scope '%s/.default', skip_unchanged 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER wire
    OPTIONS (client_id '22222222-2222-2222-2222-222222222222', client_secret 'demo-secret');
CREATE SCHEMA wire;
IMPORT FOREIGN SCHEMA dataverse LIMIT TO ($tables) FROM SERVER wire INTO wire;
ALTER SERVER crm OPTIONS (ADD skip_unchanged 'true');
SQL
my $write = qr{^(PATCH|PUT|DELETE) |^POST \S+(Multiple|/[a-z_]+s|/geo_countries)$};
my $read = qr{^GET \S+/(?!sdkmessage)[a-z_]+\?\$select|^POST \S+/\$batch$};

# Runs statements; returns write requests and reads that compare.
sub cost
{
    my ($sql, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->reset_log;
    $t->psql_ok($sql, $name);
    return $t->requests($write) . ' ' . $t->requests($read);
}

# Runs statements; returns the bodies that were sent to write, as Perl data.
sub bodies
{
    my ($sql, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $wire->clear;
    $t->psql_ok($sql, $name);
    return map { JSON::PP->new->utf8->decode($_->{body}) } grep { $_->{target} !~ /\$batch/ } $wire->writes;
}

# --- upserts

for my $schema ('crm', 'wire')
{
    $t->query("ALTER FOREIGN TABLE $schema.account OPTIONS (ADD key 'accountnumber')");
    $t->query("ALTER FOREIGN TABLE $schema.sample_everything OPTIONS (ADD key 'sample_code')");
}
$t->query(<<'SQL');
CREATE TABLE load AS SELECT 'U' || n AS no, 'name ' || n AS name, n * 1.25 AS revenue, CASE WHEN n % 3 = 0 THEN 'd''é"' || n END AS description, n AS employees FROM generate_series(1, 2000) n;
SQL
my $push = 'INSERT INTO crm.account (accountnumber, name, revenue, description, numberofemployees) SELECT * FROM load ORDER BY length(no), no';
is(cost($push, '2,000 upserts of new rows'), '2 2', '... are written, after one read each batch');
is(cost($push, 'the same 2,000 again'), '0 2', '... write nothing');
is(cost("UPDATE load SET name = 'changed' WHERE no = 'U7'; $push", 'one of them changed'), '1 2', '... is one write');
$t->is_query("SELECT name, revenue, numberofemployees FROM crm.account WHERE accountnumber = 'U7'", 'changed|8.7500|7', '... which it has now, and all else');
$t->query("DELETE FROM crm.account WHERE accountnumber IN ('U8', 'U1500')");
is(cost($push, 'two gone'), '2 2', '... are written again');
$t->is_query("SELECT name, revenue FROM crm.account WHERE accountnumber = 'U1500'", 'name 1500|1875.0000', '... whole');
is(cost("UPDATE load SET description = NULL WHERE no = 'U9'; $push", 'a value that becomes null'), '1 2', '... is a change');
$t->is_query("SELECT description FROM crm.account WHERE accountnumber = 'U9'", '', '... that arrives');
my ($modify) = grep { $_->{'Node Type'} eq 'ModifyTable' }
    JSON::PP->new->decode($t->query("UPDATE load SET employees = employees + 1 WHERE no LIKE 'U1__'; EXPLAIN (ANALYZE, FORMAT JSON) $push"))->[0]{Plan};
is("$modify->{'Rows Unchanged'} $modify->{'Remote Rows'} $modify->{'Remote Requests'}", '1900 100 3', 'EXPLAIN ANALYZE counts them');

my ($body) = bodies("INSERT INTO wire.account (accountnumber, name, revenue, description) VALUES ('U1', 'name 1', 1.25, 'new'), ('U2', 'name 2', 2.50, NULL)", 'one changed column of one of two');
is_deeply($body, { description => 'new' }, '... travels alone');
($body) = bodies("INSERT INTO wire.account (accountnumber, name, revenue, description) VALUES ('U1', 'name 1', 9, 'new'), ('U2', 'name 2!', 2.50, NULL)", 'one of each');
is_deeply([ map { join ',', grep { !/^@/ } sort keys %$_ } @{ $body->{Targets} } ], [ 'revenue', 'name' ], '... go together, each its own');
is_deeply([ bodies("INSERT INTO wire.account (accountnumber, name) VALUES ('u1', 'name 1'), ('U2 ', 'name 2!')", 'keys in another spelling') ], [], '... are the same rows');
is_deeply([ bodies("INSERT INTO wire.account (accountnumber) VALUES ('U1'), ('U2')", 'keys alone, of rows that are there') ], [], '... are no writes');
is_deeply([ bodies("INSERT INTO wire.account (accountnumber, name) VALUES ('U1', 'a'), ('U1', 'a'), ('U1', 'name 1')", 'a key three times') ], [ { name => 'a' }, { name => 'name 1' } ],
    '... is compared with what the statement wrote before');
$t->query("INSERT INTO crm.account (accountnumber, name) VALUES ('U/1', 'slash'), ('U+2', 'plus')");
is_deeply([ bodies("INSERT INTO wire.account (accountnumber, name) VALUES ('U/1', 'slash'), ('U+2', 'plus')", 'keys that no address can hold') ], [], '... are compared, too');
($body) = bodies("INSERT INTO wire.account (accountnumber, name) VALUES ('u/1', 'slash'), ('U+2', 'plus')", '... in another spelling');
is_deeply([ values %$body ], ['u/1'], '... which is a change of the key there');

# --- no comparison where it cannot be

is(cost("INSERT INTO crm.account (accountnumber, name) VALUES ('U1', 'name 1') RETURNING name", 'RETURNING'), '1 0', '... writes');
is(cost("INSERT INTO crm.account (accountnumber, name) VALUES ('U1', 'x'), ('U2', 'x') ON CONFLICT DO NOTHING", 'DO NOTHING'), '0 1', '... is as ever');
is(cost("INSERT INTO crm.contact (lastname) VALUES ('x'), ('y')", 'creates'), '1 0', '... are not asked for');
is(cost("INSERT INTO crm.contoso_sensordata (contoso_deviceid, partitionid) VALUES ('d', 'p'), ('e', 'p')", 'elastic rows'), '1 0', '... neither');
is(cost("DELETE FROM crm.contact WHERE lastname IN ('x', 'y')", 'deletes'), '0 2', '... neither');

# --- UPDATE

is(cost("UPDATE crm.account SET revenue = revenue, numberofemployees = numberofemployees WHERE accountnumber LIKE 'U%' AND revenue > 5", 'UPDATE that changes nothing') =~ s/ \d+//r, 0, '... writes nothing');
($body) = bodies("UPDATE wire.account SET revenue = 5, description = 'same' WHERE accountnumber IN ('U3', 'U4')", 'UPDATE of two');
is(scalar @{ $body->{Targets} }, 2, '... that changes both');
($body) = bodies("UPDATE wire.account SET revenue = numberofemployees + 2, description = 'same' WHERE accountnumber IN ('U3', 'U4')", '... that changes one');
is_deeply($body, { revenue => 6 }, '... sends that value');

# --- values of every type

my @values = (
    [ sample_string => "E'q\" \\\\ \\n'", "'x'" ], [ sample_memo => "'é🎉'", "'e🎉'" ], [ sample_keepsempty => "''", "'x'" ], [ sample_email => 'NULL', "'a\@b'" ],
    [ sample_integer => -5, 5 ], [ sample_bigint => '9223372036854775807', '9223372036854775806' ],
    [ sample_decimal => '1.50', '1.5000000001' ], [ sample_decimal2 => '1.234', '1.236' ],
    [ sample_money => '12.5', '12.4999' ], [ sample_money2 => '12.344', '12.346' ],
    [ sample_double => '47.639583', '47.6396' ], [ sample_boolean => 'true', 'false' ], [ sample_choice => '1', '2' ],
    [ sample_choice_label => "'Straße'", "'First'", 'sample_choice' ], [ sample_multi => "'{9,1}'", "'{1}'" ], [ sample_multi => "'{1,9,1}'", "'{1,9,2}'" ],
    [ sample_datetime => "'2024-05-01 12:00:00.9Z'", "'2024-05-01 12:00:01Z'" ], [ sample_datetimeindependent => "'2024-05-01 12:00:00.9'", "'2024-05-01 12:01'" ],
    [ sample_date => "'2024-05-01'", "'2024-05-02'" ], [ sample_guid => "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12'" ],
);
for (@values)
{
    my ($column, $same, $other, $property) = @$_;
    my $put = sub { "INSERT INTO wire.sample_everything (sample_code, $column) VALUES ('v', $_[0]), ('w', $_[0]" . ($column eq 'sample_decimal' ? ' + 10)' : ')') };
    $t->query($put->($same));
    is_deeply([ bodies($put->($same), "$column again") ], [], "... $same is stored already");
    my ($body) = bodies($put->($other), "$column as $other");
    is_deeply([ map { grep { !/^@/ } keys %$_ } @{ $body->{Targets} } ], [ ($property // $column) x 2 ], '... is a change');
    ($body) = bodies($put->($other eq 'NULL' ? $same : 'NULL'), "$column as NULL");
    ok($body && exists $body->{Targets}[1]{ $property // $column }, '... too');
}
$t->query("INSERT INTO crm.sample_everything (sample_code, sample_image) VALUES ('v', decode('R0lGODlhAQABAAAAACw=', 'base64')), ('w', NULL)");
($body) = bodies("INSERT INTO wire.sample_everything (sample_code, sample_name, sample_image) VALUES ('v', 'n', decode('R0lGODlhAQABAAAAACw=', 'base64')), ('w', 'n', NULL)", 'images');
is_deeply([ map { exists $_->{sample_image} } @{ $body->{Targets} } ], [ 1, 1 ], '... of which only a thumbnail is read, always travel');

# --- lookups

my $account = $t->query("SELECT accountid FROM crm.account WHERE accountnumber = 'U1'");
my $contact = $t->query("SELECT contactid FROM crm.contact ORDER BY contactid LIMIT 1");
my $put = sub { "INSERT INTO wire.sample_everything (sample_code, sample_accountid, sample_customerid, sample_customerid_target) VALUES ('v', $_[0]), ('w', $_[0])" };
$t->query($put->("'$account', '$contact', 'contact'"));
is_deeply([ bodies($put->("'$account', '$contact', 'contact'"), 'lookups again') ], [], '... are there already');
($body) = bodies($put->("NULL, '$contact', 'contact'"), '... one cleared');
is_deeply([ grep { !/^@/ } keys %{ $body->{Targets}[0] } ], ['sample_AccountId'], '... is a change');
($body) = bodies($put->("NULL, '$account', 'account'"), '... the other to another table');
is_deeply([ grep { !/^@/ } keys %{ $body->{Targets}[0] } ], ["sample_CustomerId_account\@odata.bind"], '... too');
$t->query("ALTER FOREIGN TABLE wire.geo_subdivision OPTIONS (ADD key 'geo_code'), ADD country text OPTIONS (key_of 'geo_countryid', target_key 'geo_alpha2')");
$t->query("INSERT INTO crm.geo_country (geo_alpha2, geo_name) VALUES ('Q8', 'q')");
$t->query("INSERT INTO wire.geo_subdivision (geo_code, geo_name, country) VALUES ('K1', 'a', 'Q8'), ('K2', 'a', NULL)");
($body) = bodies("INSERT INTO wire.geo_subdivision (geo_code, geo_name, country) VALUES ('K1', 'a', 'Q8'), ('K2', 'a', NULL)", 'lookups by key');
is_deeply($body, { "geo_CountryId\@odata.bind" => "/geo_countries(geo_alpha2='Q8')" }, '... always travel, nulls not');

# --- compound keys, tables without bulk messages, failures

$t->query("ALTER FOREIGN TABLE crm.contact OPTIONS (ADD key 'firstname, emailaddress1')");
my $compound = "INSERT INTO crm.contact (firstname, emailaddress1, lastname) SELECT 'f' || n % 50, 'm' || n || '\@x', 'l' FROM generate_series(1, 300) n";
is(cost($compound, 'compound keys'), '1 1', '... new');
is(cost($compound, '... again'), '0 1', '... are compared by one request');
my $q8 = $t->query("SELECT geo_countryid FROM crm.geo_country WHERE geo_alpha2 = 'Q8'");
for (
    [ 'geo_indicator', 'geo_countryid, geo_year', "SELECT '$q8'::uuid, 2000 + n" ],
    [ 'sample_everything', 'sample_integer, sample_date', "SELECT n, date '2024-01-01' + n" ],
    [ 'sample_everything', 'sample_decimal', 'SELECT n + 1000.50' ],
    [ 'sample_everything', 'sample_choice, sample_datetime', "SELECT 1, timestamptz '2024-05-01 12:00+02' + n * interval '1 hour'" ])
{
    my ($table, $key, $values) = @$_;
    my $name = $table =~ s/_.*/_name/r;
    my $load = sub { "INSERT INTO crm.$table ($key, $name) $values, '$_[0] ' || CASE WHEN n = 3 THEN '$_[1]' ELSE '' END FROM generate_series(1, 5) n" };
    $t->query("ALTER FOREIGN TABLE crm.$table OPTIONS (" . ($table eq 'geo_indicator' ? 'ADD' : 'SET') . " key '$key')");
    is(cost($load->('a', ''), "$table by $key"), '1 1', '... new');
    is(cost($load->('a', ''), '... again'), '0 1', '... no write');
    is(cost($load->('a', 'b'), '... one changed'), '1 1', '... one write');
    is($t->requests(qr{^PATCH}), 1, '... of that row');
}
$t->query("ALTER FOREIGN TABLE crm.sample_everything OPTIONS (SET key 'sample_code')");
$t->query("ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD key 'geo_number')");
$t->query("INSERT INTO crm.geo_note (geo_number, geo_name) VALUES ('1', 'a'), ('2', 'b'), ('3', 'c')");
$t->reset_log;
$t->psql_ok("INSERT INTO crm.geo_note (geo_number, geo_name) VALUES ('1', 'a'), ('2', 'x'), ('3', 'y')", 'a table without bulk messages');
is(join(' ', map { $_->{operations} // 0 } grep { $_->{url} =~ /\$batch$/ } $t->log), '2', '... has only what differs in its batch');
$t->fails_like("INSERT INTO crm.sample_everything (sample_code, sample_integer, sample_smallinteger) VALUES ('v', 1, 1), ('w', 2, 1001), ('y', 3, 3)", qr/22003.*sample_code='w'/s,
    'a row that is refused is found among those that are sent');
$t->reset_log;
$t->faults({ match => { method => 'GET', path => '/accounts' }, times => 1, status => 403, code => '0x80048306', message => 'no' });
$t->fails_like("INSERT INTO crm.account (accountnumber, name) VALUES ('U1', 'x'), ('U2', 'x')", qr/could not read rows of foreign table "account" to compare them/, 'a read that fails says what it was for');

done_testing();
