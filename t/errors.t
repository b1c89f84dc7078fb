# errors.t: bad input gives an error that says what to do.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $t = DataverseTest->new(rows => 20, import => 'account');
my $url = $t->url;

# The same server with some options set otherwise, for one statement.
sub with_server
{
    my ($options, $sql) = @_;
    return "BEGIN; ALTER SERVER crm OPTIONS ($options); $sql; ROLLBACK;";
}

my $read = 'SELECT count(*) FROM (SELECT name FROM crm.account OFFSET 0) AS whole';

# --- servers and users

$t->fails_like(with_server("SET url 'http://127.0.0.1:1', ADD scope '$url/.default', ADD retry_timeout '1'", $read),
    qr/ERROR:  08001: .*HINT: .*"url"/s, 'nobody at the url');
$t->fails_like(with_server("SET url 'https://contoso.invalid'", $read),
    qr/ERROR:  28000: .*AADSTS500011: .*contoso\.invalid/s, 'an environment that the authority does not know');
$t->fails_like(with_server("SET url 'http://contoso.crm.dynamics.com'", $read), qr/url.*https/s, 'no plain http to the outside');
$t->fails_like(with_server("SET url 'contoso'", $read), qr/invalid value for option "url"/, 'no address at all');
$t->fails_like(with_server("ADD api_version 'v7'", $read), qr/v9\.2/, 'a version of another form');
$t->fails_like(
    "BEGIN; ALTER USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (SET client_secret 'wrong-one'); $read; ROLLBACK;",
    qr/ERROR:  28000: .*AADSTS7000215/s, 'a wrong secret');
$t->fails_like("CREATE ROLE nobody_here; SET ROLE nobody_here; SELECT * FROM crm.account",
    qr/permission denied|user mapping not found/, 'no mapping');

# --- options

$t->fails_like("ALTER SERVER crm OPTIONS (ADD fetchsize '5')", qr/invalid option "fetchsize".*"fetch_size"/s, 'an unknown option, with the nearest');
$t->fails_like("ALTER FOREIGN TABLE crm.account OPTIONS (ADD kee 'accountnumber')", qr/invalid option "kee".*"key"/s, '... of a table');
$t->fails_like("ALTER SERVER crm OPTIONS (ADD fetch_size '5001')", qr/fetch_size.*5000/s, 'a page larger than there is');
$t->fails_like("ALTER SERVER crm OPTIONS (ADD client_secret 'x')", qr/client_secret.*user mapping/s, 'a secret in the wrong place');

# --- tables and columns

sub table
{
    my ($columns, $options) = @_;
    return "BEGIN; CREATE FOREIGN TABLE t ($columns) SERVER crm OPTIONS ($options); SELECT * FROM t LIMIT 1; ROLLBACK;";
}

my $account = q{table_name 'account', entity_set_name 'accounts', primary_id 'accountid'};
$t->fails_like(table('name text', q{table_name 'nosuch', entity_set_name 'nosuches'}),
    qr/ERROR:  (42P01|HV00R): .*nosuches/s, 'an unknown table');
$t->fails_like(table('nosuch text', $account), qr/ERROR:  (42703|HV005): .*nosuch/s, 'an unknown column');
$t->fails_like(table('name integer', $account), qr/ERROR:  22P02: .*name.*accountid|22P02.*"name"/s, 'a type that does not fit');

# --- what the service refuses

$t->faults({ match => { path => '/accounts' }, times => 1, status => 403, code => '0x80040220', message => 'Principal user is missing prvReadAccount privilege' });
$t->fails_like($read, qr/ERROR:  42501: .*prvReadAccount/s, 'a missing privilege');
$t->reset_log;
$t->faults({ match => { path => '/accounts' }, times => 1, behaviour => 'bad_json' });
$t->fails_like($read, qr/ERROR:  08P01: /, 'an answer that is not JSON');
$t->reset_log;
$t->is_query($read, '20', 'afterwards all is well');

done_testing();
