# keys.t: by which key an INSERT addresses its rows: the table's, the session's,
# or none (what the key's values look like: write.t).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $t = DataverseTest->new(rows => 20, import => 'account, contact, sample_everything');
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

# The address of the one write that a script makes.
sub address
{
    my ($sql, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
        $t->query("DELETE FROM crm.account WHERE name = 'k'");
    $t->reset_log;
    $t->psql_ok($sql, $name);
    my @requests = grep { "$_->{method} $_->{url}" =~ $writes } $t->log;
    return join '; ', map { "$_->{method} " . ($_->{url} =~ s{^.*/v9\.2/}{}r) } @requests;
}

# --- the session's key

my $insert = "INSERT INTO crm.account (accountnumber, name) VALUES ('K1', 'k')";
is(address($insert, 'no key'), 'POST accounts', '... creates');
is(address("SET dataverse_fdw.key = 'crm.account(accountnumber)'; $insert", 'a key of the session'),
    q{PATCH accounts(accountnumber='K1')}, '... upserts by it');
is(address("SET search_path = crm; SET dataverse_fdw.key = ' ACCOUNT ( \"accountnumber\" ) , contact(firstname,emailaddress1)'; $insert",
    'names as SQL has them'), q{PATCH accounts(accountnumber='K1')}, '... work');
is(address("BEGIN; SET LOCAL dataverse_fdw.key = 'crm.account(accountnumber)'; COMMIT; $insert", 'SET LOCAL'), 'POST accounts', '... ends with its transaction');
is(address("BEGIN; SET LOCAL dataverse_fdw.key = 'crm.contact(emailaddress1)'; $insert; COMMIT", 'a key of another table'), 'POST accounts', '... is not this one\'s');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'name')");
is(address("SET dataverse_fdw.key = 'crm.account(accountnumber)'; $insert", 'before the table\'s own'), q{PATCH accounts(accountnumber='K1')}, '... it goes');
is(address("SET dataverse_fdw.key = 'crm.account()'; $insert", 'an empty list'), 'POST accounts', '... creates all the same');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP key)");

# Plans made before obey it.
is(address(<<'SQL', 'a generic plan'), q{POST accounts; PATCH accounts(accountnumber='P2'); POST accounts}, '... takes the key when it runs');
SET plan_cache_mode = force_generic_plan;
PREPARE p (text) AS INSERT INTO crm.account (accountnumber, name) VALUES ($1, 'k');
EXECUTE p ('P1');
SET dataverse_fdw.key = 'crm.account(accountnumber)';
EXECUTE p ('P2');
RESET dataverse_fdw.key;
EXECUTE p ('P3');
SQL
is(address("SET dataverse_fdw.key = 'crm.account(accountnumber)';\nCOPY crm.account (accountnumber, name) FROM STDIN;\nK3\tk\n\\.", 'COPY'),
    q{PATCH accounts(accountnumber='K3')}, '... too');
like($t->query("LOAD 'dataverse_fdw'; SET dataverse_fdw.key = 'crm.account(accountnumber)'; EXPLAIN (VERBOSE) $insert"),
    qr/Remote Operation: upsert by key accountnumber\n\s+Remote Address: PATCH accounts\(accountnumber=\{accountnumber\}\)/, 'EXPLAIN shows it');

# A trigger that writes another table.
$t->query(<<'SQL');
CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO crm.contact (emailaddress1, lastname, firstname) VALUES (NEW.no || '@k', 'k', 'f'); RETURN NULL; END $$;
CREATE TABLE local (no text);
CREATE TRIGGER also AFTER INSERT ON local FOR EACH ROW EXECUTE FUNCTION also();
SQL
is(address("SET dataverse_fdw.key = 'crm.account(accountnumber), crm.contact(firstname, emailaddress1)'; INSERT INTO local VALUES ('n1'); $insert", 'several tables'),
    q{PATCH contacts(firstname='f',emailaddress1='n1%40k'); PATCH accounts(accountnumber='K1')}, '... each by its own key');

for (
    [ 'crm.account(nope)', qr/42703|HV005.*"nope" in setting "dataverse_fdw.key".*does not exist/s ],
    [ 'crm.acount(accountnumber)', qr/42P01.*"crm.acount" in setting/s ],
    [ 'crm.account(industrycode_label)', qr/label/ ],
    [ 'crm.account(name), crm.account(accountnumber)', qr/names foreign table "account" twice/ ],
    (map { [ $_, qr/22023.*cannot be read/s ] } 'accountnumber', 'crm.account(', 'crm.account(a,)', 'crm.account(a) x', '"crm.account(a)', '(a)', 'crm.account(a),', '""(a)'))
{
    $t->reset_log;
    $t->fails_like("SET dataverse_fdw.key = '$_->[0]'; $insert", $_->[1], "setting $_->[0]");
    is($t->requests($writes), 0, '... sends nothing');
}
$t->query("DELETE FROM crm.account WHERE name = 'k'; DELETE FROM crm.contact WHERE lastname = 'k'");

done_testing();
