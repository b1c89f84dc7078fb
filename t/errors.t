# errors.t: bad input, one kind after the other.  Each gives an error with its
# SQLSTATE, what happened, the service's code and the row, and what to do; after
# each the same session goes on working, and no secret is printed or logged.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $t = DataverseTest->new(rows => 60, import => 'account, contact, geo_note');
my $url = $t->url;
my $secret = 'demo-secret';
my $client = '22222222-2222-2222-2222-222222222222';
my $tenant = '11111111-1111-1111-1111-111111111111';
my $token_url = "$url/$tenant/oauth2/v2.0/token";
my $mapping = "client_id '$client', client_secret '$secret'";
my $contacts = $t->query('SELECT count(firstname) FROM crm.contact');
my $seen = '';

# Everything that the log can say, but for the statements themselves: they are
# the user's own words.
$t->query(<<'SQL');
ALTER SYSTEM SET log_statement = 'none';
ALTER SYSTEM SET log_min_messages = 'debug1';
ALTER SYSTEM SET log_min_error_statement = 'panic';
SELECT pg_reload_conf();
SQL

# Parts of the first message of a severity in psql's verbose output.
sub parts
{
    my ($err, $severity) = @_;
    my %parts;
    my $part;

    for my $line (split /\n/, $err)
    {
        $line =~ s/^psql:\S+ //;
        if ($line =~ /^(ERROR|FATAL|WARNING|NOTICE):  (\w{5}): (.*)/)
        {
            last if $parts{message};
            $part = $1 eq $severity ? 'message' : undef;
            next unless $part;
            @parts{qw(state message)} = ($2, $3);
        }
        elsif ($line =~ /^(DETAIL|HINT|CONTEXT|LOCATION|QUERY):  (.*)/)
        {
            $part = lc $1 if defined $part;
            $parts{$part} = $2 if defined $part;
        }
        elsif (defined $part)
        {
            $parts{$part} .= "\n$line";
        }
    }
    delete $parts{location};
    return %parts;
}

# A pattern for a text in which <id> stands for a GUID, and ... for anything.
sub pattern
{
    my ($text) = @_;
    my $pattern = quotemeta $text;

    $pattern =~ s/\\<id\\>/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
    $pattern =~ s/(?:\\\.){3}/.*/g;
    return qr/^$pattern$/s;
}

# The statements fail as told: every part that is not named must be absent.  The
# session then rolls back and reads another table.  Faults are gone by then if
# they are for some requests only.
sub bad
{
    my ($name, $sql, %want) = @_;
    my $warning = delete $want{warning};
    my ($status, $out, $err) = $t->psql(<<"SQL", timeout => 60);
\\set ON_ERROR_STOP off
BEGIN;
$sql;
ROLLBACK;
SELECT 'goes on ' || count(firstname) FROM crm.contact;
SQL
    my %got = parts($err, 'ERROR');
    my @wrong;

    $seen .= $out . $err;
    for my $part (qw(state message detail hint context))
    {
        my ($is, $should) = ($got{$part}, $want{$part});

        next if !defined $is && !defined $should;
        push @wrong, "$part: " . ($is // '(none)') . "\n   should be: " . ($should // '(none)')
            if !defined $is || !defined $should || $is !~ pattern($should);
    }
    ok(!@wrong, $name) or diag(join "\n", @wrong);
    like($got{message} // '', qr/^[a-z"0-9].*[^.]$|: /s, '... in the form of PostgreSQL\'s messages');
    like($out, qr/^goes on $contacts$/m, '... and the session goes on') or diag($err);
    is({ parts($err, 'WARNING') }->{message}, $warning, '... told what stays') if $warning;
}

# Something that the service says: the usual detail.
sub refused
{
    my ($code, $status, $rest) = @_;
    return "Service code $code, HTTP status $status, request id <id>." . ($rest ? " $rest" : '');
}

# --- servers that are not there, or are something else

my $servers = 0;
sub server
{
    my ($options, $user) = @_;
    my $name = 'x' . ++$servers;
    $user //= $mapping;
    return <<"SQL";
CREATE SERVER $name FOREIGN DATA WRAPPER dataverse_fdw OPTIONS ($options);
CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS ($user);
SELECT * FROM dataverse_whoami('$name')
SQL
}

my $authority = "tenant_id '$tenant', authority '$url'";
my $connect = q{Check the server's option "url", the network and the proxy settings of the database server's environment.};
my $url_hint = 'Give scheme and host only, for example https://contoso.crm.dynamics.com.';
my $port = DataverseTest::_free_port();

bad('nobody listens', server("url 'http://127.0.0.1:$port'", "access_token 'x'"),
    state => '08001', message => "request to server \"x1\" failed: Failed to connect to 127.0.0.1 port $port ...",
    hint => $connect, context => "request to http://127.0.0.1:$port/api/data/v9.2/WhoAmI");
bad('nobody listens at the authority', server("url '$url', tenant_id '$tenant', authority 'http://127.0.0.1:$port'"),
    state => '08001', message => "could not get a token for server \"x2\": Failed to connect to 127.0.0.1 port $port ...",
    hint => q{Check the server's option "authority", the network and the proxy settings of the database server's environment.},
    context => "request to http://127.0.0.1:$port/$tenant/oauth2/v2.0/token");
(my $https = $url) =~ s/^http/https/;
bad('no https there', server("url '$https'", "access_token 'x'"),
    state => '08001', message => 'request to server "x3" failed: the TLS handshake failed: ...',
    hint => $connect, context => "request to $https/api/data/v9.2/WhoAmI");
bad('no file of certificate authorities', server("url '$https', sslrootcert '/nowhere/ca.pem'", "access_token 'x'"),
    state => '08001', message => 'request to server "x4" failed: error setting certificate file: /nowhere/ca.pem',
    hint => q{Check that the address is the right one; for a private certificate authority set the server's option "sslrootcert".},
    context => "request to $https/api/data/v9.2/WhoAmI");
bad('an unknown host', server("url 'https://contoso.invalid'", "access_token 'x'"),
    state => '08001', message => 'request to server "x5" failed: Could not resolve host: contoso.invalid',
    hint => $connect, context => 'request to https://contoso.invalid/api/data/v9.2/WhoAmI');
bad('http to the outside', server("url 'http://contoso.crm.dynamics.com'"),
    state => 'HV024', message => 'invalid value for option "url"', hint => $url_hint,
    detail => '"http://contoso.crm.dynamics.com" would send the token in clear text: http is allowed to a loopback address only.');
bad('http to a host that only looks like this one', server("url 'http://127.0.0.1.contoso.com'"),
    state => 'HV024', message => 'invalid value for option "url"', hint => $url_hint,
    detail => '"http://127.0.0.1.contoso.com" would send the token in clear text: http is allowed to a loopback address only.');
bad('no address', server("url 'contoso.crm.dynamics.com'"),
    state => 'HV024', message => 'invalid value for option "url"', hint => $url_hint,
    detail => '"contoso.crm.dynamics.com" is not an absolute http or https address.');
bad('an address below the root', server("url 'https://contoso.crm.dynamics.com/api/data/v9.2'"),
    state => 'HV024', message => 'invalid value for option "url"', hint => $url_hint,
    detail => '"https://contoso.crm.dynamics.com/api/data/v9.2" is not the root of an environment: it must end after the host.');
bad('no url', server($authority), state => 'HV00J', message => 'option "url" is required',
    hint => 'Give the environment\'s address, for example https://contoso.crm.dynamics.com.');
bad('a version that the environment does not have', "ALTER SERVER crm OPTIONS (ADD api_version 'v8.0'); SELECT name FROM crm.account",
    state => 'HV00R', message => q{could not read from foreign table "account": Resource not found for the segment 'api'.},
    detail => refused('0x8006088A', 404),
    hint => q{Compare the foreign table's option "entity_set_name" with the table in Dataverse, or import it again; the server's option "api_version" may be wrong, too.},
    context => "request to $url/api/data/v8.0/accounts");

# --- who is asking

my %token_error = (state => '28000', context => "request to $token_url");

bad('a wrong secret', server("url '$url', $authority", "client_id '$client', client_secret 'wrong-secret-4711'"),
    %token_error, message => 'could not get a token for server "x11": AADSTS7000215: Invalid client secret provided. ...',
    detail => 'Service code invalid_client, HTTP status 401.',
    hint => q{Check client_secret of the user mapping: it must be the secret's value, not its id, and it may have expired.});
bad('an unknown client', server("url '$url', $authority", "client_id '33333333-3333-3333-3333-333333333333', client_secret '$secret'"),
    %token_error, message => q{could not get a token for server "x12": AADSTS700016: Application with identifier '33333333-3333-3333-3333-333333333333' ...},
    detail => 'Service code unauthorized_client, HTTP status 400.',
    hint => 'Check client_id of the user mapping and tenant_id of the server: the application must be registered in that tenant.');
bad('a wrong tenant', server("url '$url', tenant_id 'contoso.onmicrosoft.com', authority '$url'"),
    state => '28000', message => q{could not get a token for server "x13": AADSTS90002: Tenant 'contoso.onmicrosoft.com' not found. ...},
    detail => 'Service code invalid_request, HTTP status 400.', hint => 'Check tenant_id and authority of the server.',
    context => "request to $url/contoso.onmicrosoft.com/oauth2/v2.0/token");
bad('an environment that the tenant does not know', server("url '$url', $authority, scope 'https://contoso.crm.dynamics.com/.default'"),
    %token_error, message => 'could not get a token for server "x14": AADSTS500011: The resource principal named https://contoso.crm.dynamics.com was not found ...',
    detail => 'Service code invalid_resource, HTTP status 400.',
    hint => 'Check url and scope of the server: the tenant must know the environment.');
bad('no tenant', server("url '$url', authority '$url'"),
    state => '28000', message => 'no credentials for Dataverse: tenant_id is missing',
    hint => 'Set the server\'s option "tenant_id" to the Entra ID tenant of the environment.');
bad('no credentials', "ALTER USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (DROP client_id, DROP client_secret); SELECT name FROM crm.account",
    state => '28000', message => 'no credentials for Dataverse: client_id is missing',
    hint => 'Set client_id and client_secret, or access_token, in the user mapping.');
bad('no user mapping', 'DROP USER MAPPING FOR CURRENT_USER SERVER crm; SELECT name FROM crm.account',
    state => '42704', message => 'user mapping not found for ...postgres"...');
my $auth_hint = 'Check the user mapping (an access_token may have expired), and that the application is an application user of the environment, enabled and with a security role.';
bad('a token that the environment does not take', server("url '$url', $authority", "access_token 'abc.def.ghi'"),
    state => '28000', message => 'request to server "x16" failed: The auth ticket is invalid.',
    detail => refused('0x8004A100', 401), hint => $auth_hint, context => "request to $url/api/data/v9.2/WhoAmI");

# --- tables and columns that are not there

my $read = 'SELECT count(name) FROM crm.account';
my $mismatch = 'A name, a type or the key is not as in Dataverse. Compare the foreign table with it (columns and their types, '
    . 'options "column_name", "attribute_type", "navigation_property", "key"), or import it again.';
my %reading = (context => "request to $url/api/data/v9.2/accounts");
my $nothing = '0 rows had been written before.';

bad('IMPORT of an unknown table', 'IMPORT FOREIGN SCHEMA dataverse LIMIT TO (opportunities) FROM SERVER crm INTO crm',
    state => 'HV00R', message => 'could not find table "opportunities" in the environment of server "crm"',
    hint => 'Perhaps you meant the table "opportunity".');
bad('a table without its set', 'CREATE FOREIGN TABLE y (name text) SERVER crm',
    state => 'HV00J', message => 'option "entity_set_name" is required',
    hint => "Use IMPORT FOREIGN SCHEMA, or take the name from the table's metadata (EntitySetName).");
bad('a set that does not exist', "CREATE FOREIGN TABLE y (name text) SERVER crm OPTIONS (entity_set_name 'acounts'); SELECT * FROM y",
    state => 'HV00R', message => q{could not read from foreign table "y": Resource not found for the segment 'acounts'.},
    detail => refused('0x8006088A', 404), context => "request to $url/api/data/v9.2/acounts",
    hint => q{Compare the foreign table's option "entity_set_name" with the table in Dataverse, or import it again; the server's option "api_version" may be wrong, too.});
bad('a column that does not exist', 'ALTER FOREIGN TABLE crm.account ADD COLUMN nome text; SELECT nome FROM crm.account',
    %reading, state => 'HV021', message => q{could not read from foreign table "account": Could not find a property named 'nome' on type 'Microsoft.Dynamics.CRM.account'.},
    detail => refused('0x80060888', 400), hint => $mismatch);
bad('a column_name that does not exist', "ALTER FOREIGN TABLE crm.account ALTER name OPTIONS (ADD column_name 'nome'); $read",
    %reading, state => 'HV021', message => q{could not read from foreign table "account": Could not find a property named 'nome' on type 'Microsoft.Dynamics.CRM.account'.},
    detail => refused('0x80060888', 400), hint => $mismatch);
bad('a column that does not exist, written',
    "ALTER FOREIGN TABLE crm.account ADD COLUMN nome text; INSERT INTO crm.account (nome) VALUES ('a'), ('b')",
    %reading, state => 'HV021', message => q{could not insert into foreign table "account": Invalid property 'nome' was found in entity 'Microsoft.Dynamics.CRM.account'. ...},
    detail => refused('0x80048D19', 400, qq{Row: number 1 of the statement, {"nome":"a","accountid":"<id>"}. $nothing}), hint => $mismatch);

# --- types

my $row = $t->query(q{SELECT accountid FROM crm.account WHERE name IS NOT NULL ORDER BY accountid::text LIMIT 1});
my $value = $t->query(qq{SELECT name FROM crm.account WHERE accountid = '$row'});
bad('an integer over a text', "ALTER FOREIGN TABLE crm.account ADD COLUMN number integer OPTIONS (column_name 'name'); SELECT number FROM crm.account WHERE accountid = '$row'",
    state => '22P02', message => qq{invalid input syntax for type integer: "$value"},
    context => qq{column "number" of foreign table "account", row $row, value "$value"});
bad('an integer over a text, compared',
    "ALTER FOREIGN TABLE crm.account ADD COLUMN number integer OPTIONS (column_name 'name', attribute_type 'Integer'); SELECT number FROM crm.account WHERE number = 5",
    %reading, state => 'HV021', message => q{could not read from foreign table "account": A binary operator with incompatible types was detected. ...},
    detail => refused('0x80060888', 400), hint => $mismatch);
bad('a text for an integer, written',
    "ALTER FOREIGN TABLE crm.account ADD COLUMN number text OPTIONS (column_name 'numberofemployees'); INSERT INTO crm.account (number) VALUES ('many')",
    %reading, state => 'HV021', message => q{could not insert into foreign table "account": ...Cannot convert the literal 'many' to the expected type 'Edm.Int32'.},
    detail => refused('0x80048D19', 400, qq{Row: number 1 of the statement, {"numberofemployees":"many","accountid":"<id>"}. $nothing}), hint => $mismatch);

# --- values that the service does not take

my $key = "ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'accountnumber')";
my %keyed = (context => "request to $url/api/data/v9.2/accounts(...)");
my $validation = 'could not insert into foreign table "account": A validation error occurred. ';

bad('a text that is too long', "$key; INSERT INTO crm.account (accountnumber, name) VALUES ('LONG', repeat('x', 161))",
    %keyed, state => '22001', message => $validation . q{The length of the 'name' attribute of the 'account' entity exceeded the maximum allowed length of '160'.},
    detail => refused('0x80044331', 400, "Row: accountnumber='LONG'. $nothing"), hint => 'Shorten the value, or lengthen the column in Dataverse.');
bad('one among many', "$key; INSERT INTO crm.account (accountnumber, name) SELECT 'L' || i, repeat('x', CASE i WHEN 7 THEN 161 ELSE 160 END) FROM generate_series(1, 10) AS i",
    %keyed, state => '22001', message => $validation . q{The length of the 'name' attribute of the 'account' entity exceeded the maximum allowed length of '160'.},
    detail => refused('0x80044331', 400, q{Row: accountnumber='L7'. 6 rows had been written before.}), hint => 'Shorten the value, or lengthen the column in Dataverse.',
    warning => '6 rows had been written to foreign server "crm" and stay there');
$t->is_query(q{SELECT string_agg(accountnumber, ' ' ORDER BY accountnumber) FROM crm.account WHERE accountnumber LIKE 'L%'},
    'L1 L2 L3 L4 L5 L6', '... and just they do');
bad('a number out of range', "$key; INSERT INTO crm.account (accountnumber, numberofemployees) VALUES ('RANGE', -1)",
    %keyed, state => '22003', message => $validation . q{The value -1 of 'numberofemployees' on record of type 'account' is outside the valid range. ...},
    detail => refused('0x8004432F', 400, "Row: accountnumber='RANGE'. $nothing"), hint => q{Keep the value within the column's range, or widen the range in Dataverse.});
bad('an amount out of range', "$key; INSERT INTO crm.account (accountnumber, creditlimit) VALUES ('RANGE', 1e20)",
    %keyed, state => '22003', message => $validation . q{The value 100000000000000000000 of 'creditlimit' on record of type 'account' is outside the valid range. ...},
    detail => refused('0x80044330', 400, "Row: accountnumber='RANGE'. $nothing"), hint => q{Keep the value within the column's range, or widen the range in Dataverse.});
bad('an unknown choice', "$key; INSERT INTO crm.account (accountnumber, industrycode) VALUES ('CHOICE', 4711)",
    %keyed, state => '23514', message => $validation . q{The value '4711' of 'industrycode' on record of type 'account' is outside the valid range. ...},
    detail => refused('0x8004431A', 400, "Row: accountnumber='CHOICE'. $nothing"), hint => 'Use a value that the column has in Dataverse, or add the value there.');
bad('a date before all dates', "INSERT INTO crm.contact (firstname, birthdate) VALUES ('Old', '1600-01-01')",
    state => '22008', message => 'value 1600-01-01 cannot be sent for column "birthdate" of foreign table "contact"',
    detail => 'The service takes dates from 1753-01-01 to 9999-12-31. Row: number 1 of the statement. 0 rows had been written before.', context => 'column "birthdate" of foreign table "contact"');
bad('a label that no choice has', "INSERT INTO crm.account (name, industrycode_label) VALUES ('a', 'Retailing')",
    state => '22023', message => 'label "Retailing" for column "industrycode_label" of foreign table "account" is not known',
    detail => 'No value of "industrycode" has it in the language of the service\'s user. Row: number 1 of the statement. 0 rows had been written before.',
    hint => 'Known labels are "Accounting", "Agriculture and Non-petrol Natural Resource Extraction", "Broadcasting Printing and Publishing", "Brokers", "Building Supply Retail" and 28 more.');
bad('a column that is never sent', "INSERT INTO crm.account (name, createdon) VALUES ('a', now())",
    state => 'HV007', message => 'column "createdon" of foreign table "account" cannot be given a value: it has option read_only',
    hint => 'Leave the column out of the statement.');

# --- keys and lookups

my %null_key = (
    state => '23502', message => 'null value in key column "accountnumber" of foreign table "account"',
    detail => "No row can be addressed by it (an empty text counts as null there). Row: number ... of the statement. $nothing",
    hint => 'Give every row a value for the columns of the table\'s option "key", or drop the option to create rows.');
my $duplicate = 'could not insert into foreign table "account": Entity Key Account Number violated. A record with the same value for Account Number already exists. ...';

$t->reset_log;
bad('a null key', "$key; INSERT INTO crm.account (accountnumber, name) VALUES ('FIRST', 'a'), (NULL, 'b')", %null_key);
bad('an empty key', "$key; INSERT INTO crm.account (accountnumber, name) VALUES ('', 'b')", %null_key);
bad('a key column that the statement leaves out', "$key; INSERT INTO crm.account (name) VALUES ('b')", %null_key);
is($t->requests(qr{^(POST|PATCH) }), 0, '... all before anything was sent');
bad('a key column that the table does not have', "ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'acountnumber'); INSERT INTO crm.account (name) VALUES ('b')",
    state => 'HV005', message => 'column "acountnumber" in option "key" of foreign table "account" does not exist',
    hint => 'List the columns of the alternate key by their names in the foreign table.');
bad('a key that Dataverse does not have', "ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'name'); INSERT INTO crm.account (name) VALUES ('b')",
    %keyed, state => 'HV021', message => q{could not insert into foreign table "account": The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.account'. ...},
    detail => refused('0x80060888', 400, "Row: name='b'. $nothing"), hint => $mismatch);
bad('a key that is there already, created', "INSERT INTO crm.account (accountnumber, name) VALUES ('L1', 'again')",
    %reading, state => '23505', message => $duplicate,
    detail => refused('0x80060892', 412, qq{Row: number 1 of the statement, {"accountnumber":"L1","name":"again","accountid":"<id>"}. $nothing}),
    hint => 'Set the table\'s option "key" to update rows that exist, or "on_conflict" to skip them.');
bad('one among many', "INSERT INTO crm.account (accountnumber, name) VALUES ('M1', 'new'), ('L1', 'again'), ('M2', 'new')",
    %reading, state => '23505', message => $duplicate,
    detail => refused('0x80060892', 412, q{Row: number 2 of the statement, {"accountnumber":"L1","name":"again","accountid":"<id>"}. 1 row had been written before.}),
    hint => 'Set the table\'s option "key" to update rows that exist, or "on_conflict" to skip them.',
    warning => '1 row had been written to foreign server "crm" and stays there');
my $nowhere = '00000000-0000-0000-0000-000000000001';
my %dangling = (
    state => '23503', message => qq{could not insert into foreign table "account": contact With Id = $nowhere Does Not Exist},
    hint => 'A lookup of the row points to a row that does not exist: create that one first, or set the lookup to NULL.');
bad('a lookup to nowhere', "$key; INSERT INTO crm.account (accountnumber, primarycontactid) VALUES ('LOOKUP', '$nowhere')",
    %keyed, %dangling, detail => refused('0x80040217', 404, "Row: accountnumber='LOOKUP'. $nothing"));
bad('one among many', "$key; INSERT INTO crm.account (accountnumber, primarycontactid) VALUES ('N1', NULL), ('N2', NULL), ('N3', '$nowhere')",
    %keyed, %dangling, detail => refused('0x80040217', 404, q{Row: accountnumber='N3'. 2 rows had been written before.}),
    warning => '2 rows had been written to foreign server "crm" and stay there');
bad('a lookup to nowhere, updated', "UPDATE crm.account SET primarycontactid = '$nowhere' WHERE accountnumber = 'L1'",
    %keyed, %dangling, message => qq{could not update foreign table "account": contact With Id = $nowhere Does Not Exist},
    detail => refused('0x80040217', 404, "Row: accountid='<id>'. $nothing"));

# --- options

my %options = (
    server => 'ALTER SERVER crm OPTIONS (%s)',
    table => 'ALTER FOREIGN TABLE crm.account OPTIONS (%s)',
    column => 'ALTER FOREIGN TABLE crm.account ALTER revenue OPTIONS (%s)',
    user => 'ALTER USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (%s)',
    wrapper => 'ALTER FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (%s)',
    import => 'IMPORT FOREIGN SCHEMA dataverse LIMIT TO (team) FROM SERVER crm INTO crm OPTIONS (%s)');

sub bad_option
{
    my ($place, $option, %want) = @_;
    bad("$place: $option", sprintf($options{$place}, $option), %want);
}

sub unknown
{
    my ($name, $hint) = @_;
    return (state => 'HV00D', message => "invalid option \"$name\"", hint => $hint);
}

bad_option('server', "ADD fetchsize '1'", unknown('fetchsize', 'Perhaps you meant the option "fetch_size".'));
bad_option('table', "ADD keys 'a'", unknown('keys', 'Perhaps you meant the option "key".'));
bad_option('column', "ADD colum_name 'a'", unknown('colum_name', 'Perhaps you meant the option "column_name".'));
bad_option('user', "ADD client_idd 'a'", unknown('client_idd', 'Perhaps you meant the option "client_id".'));
bad_option('import', "lables 'true'", unknown('lables', 'The only option of IMPORT FOREIGN SCHEMA here is "labels".'));
bad_option('wrapper', "ADD nonsense 'a'", unknown('nonsense', 'There are no valid options in this context.'));
bad_option('user', "ADD nonsense 'a'",
    unknown('nonsense', 'Valid options in this context are: client_id, client_secret, access_token, caller_object_id...'));
bad_option('server', "ADD client_id 'x'", unknown('client_id', 'This option belongs to a user mapping.'));
bad_option('table', "ADD url 'https://x'", unknown('url', 'This option belongs to a server.'));
bad_option('user', "ADD key 'x'", unknown('key', 'This option belongs to a foreign table.'));
bad_option('server', "ADD column_name 'x'", unknown('column_name', 'This option belongs to a column.'));
bad_option('column', "ADD batch_size '5'", unknown('batch_size', 'This option belongs to a server or a foreign table.'));
bad_option('wrapper', "ADD url 'https://x'", unknown('url', 'This option belongs to a server.'));

sub invalid
{
    my ($name, $detail, $hint) = @_;
    return (state => 'HV024', message => "invalid value for option \"$name\"", detail => $detail,
        $hint ? (hint => $hint) : ());
}

bad_option('server', "ADD fetch_size '5001'", invalid('fetch_size', 'The value must be a whole number from 1 to 5000.'));
bad_option('server', "ADD fetch_size '0'", invalid('fetch_size', 'The value must be a whole number from 1 to 5000.'));
bad_option('server', "ADD batch_size '1.5'", invalid('batch_size', 'The value must be a whole number from 1 to 1000.'));
bad_option('server', "ADD concurrency '53'", invalid('concurrency', 'The value must be a whole number from 1 to 52.'));
bad_option('server', "ADD retry_timeout '-1'", invalid('retry_timeout', 'The value must be a whole number from 0 to 86400.'));
bad_option('server', "ADD connect_timeout '0'", invalid('connect_timeout', 'The value must be a whole number from 1 to 3600.'));
bad_option('server', "ADD fdw_tuple_cost 'x'", invalid('fdw_tuple_cost', 'The value must be a number from 0 to 1e+10.'));
bad_option('server', "ADD updatable 'perhaps'", invalid('updatable', 'The value must be true or false.'));
bad_option('server', "ADD on_conflict 'replace'", invalid('on_conflict', 'The value must be one of "update", "nothing", "error".'));
bad_option('server', "ADD on_error 'skip'", invalid('on_error', 'The value must be one of "stop", "ignore".'));
bad_option('table', "ADD reject_limit '0'", invalid('reject_limit', 'The value must be a whole number from 1 to 2147483647.'));
bad_option('table', "ADD reject_table 'rejects'", invalid('reject_table', 'The value must be a table\'s name with its schema, like public.rejects.'));
bad_option('server', "ADD result_table 'a.b.c'", invalid('result_table', 'The value must be a table\'s name with its schema, like public.rejects.'));
bad_option('server', "ADD null_columns 'x'", invalid('null_columns', 'The value must be one of "send", "omit".'));
bad_option('server', "ADD bypass_business_logic 'all'",
    invalid('bypass_business_logic', 'The value must be one of "CustomSync", "CustomAsync", "CustomSync,CustomAsync".'));
bad_option('server', "ADD api_version '9.2'", invalid('api_version', 'Versions look like v9.2.'));
bad_option('server', "SET tenant_id 'a/b'", invalid('tenant_id', 'A tenant is an id or a domain name.'));
bad_option('server', "ADD tag ''", invalid('tag', 'The value is empty.'));
bad_option('server', "ADD tag E'a\\nb'", invalid('tag', 'The value contains a control character.'));
bad_option('table', "ADD table_type 'elastik'", invalid('table_type', 'The value must be one of "standard", "elastic", "virtual".'));
bad_option('table', "ADD key 'name,,x'", invalid('key', 'The value must be a list of column names, separated by commas.'));
bad_option('table', "ADD key 'name, name'", invalid('key', 'Column "name" is listed twice.'));
bad_option('column', "SET attribute_type 'Cash'",
    invalid('attribute_type', '"Cash" is not a Dataverse column type.', 'Leave the option out for columns of other types.'));
bad_option('user', "SET client_id 'a b'", invalid('client_id', 'The value contains a blank or a character outside ASCII.'));
bad_option('user', "ADD caller_object_id 'x'", invalid('caller_object_id', 'An object id is a GUID of 36 characters.'));
bad_option('user', "ADD access_token 'x'",
    state => 'HV00D', message => 'options "access_token" and "client_secret" cannot be used together');
bad_option('user', 'DROP client_id', state => 'HV00J', message => 'option "client_id" is required',
    hint => 'Give the application (client) id that the secret belongs to.');
bad_option('table', 'DROP entity_set_name', state => 'HV00J', message => 'option "entity_set_name" is required',
    hint => "Use IMPORT FOREIGN SCHEMA, or take the name from the table's metadata (EntitySetName).");
bad_option('server', 'DROP url', state => 'HV00J', message => 'option "url" is required',
    hint => "Give the environment's address, for example https://contoso.crm.dynamics.com.");

# --- answers that are none

my $insert = q{INSERT INTO crm.account (name) VALUES ('a')};
my $inserts = q{INSERT INTO crm.account (name) SELECT 'a' || i FROM generate_series(1, 10) AS i};
my %bulk = (context => "request to $url/api/data/v9.2/accounts/Microsoft.Dynamics.CRM.CreateMultiple");

sub bad_answer
{
    my ($name, $fault, $sql, %want) = @_;

    $t->reset_log;
    $t->faults({ match => { path => '/accounts' }, times => -1, %$fault });
    bad($name, $sql, %want);
    $t->reset_log;
}

$t->query("ALTER SERVER crm OPTIONS (ADD retry_timeout '0')");
my $html = 'the answer is not JSON (HTTP 502 Bad Gateway) and begins: 502 Bad Gateway ...';
my $down = 'The service, or a gateway before it, was down or busy for longer than the server\'s option "retry_timeout". Try again later.';
bad_answer('HTML for a page', { behaviour => 'html' }, $read, %reading, state => '08006',
    message => "could not read from foreign table \"account\": $html", detail => 'HTTP status 502, request id <id>.', hint => $down);
bad_answer('HTML for a later page', { behaviour => 'html', skip => 2 },
    "ALTER SERVER crm OPTIONS (ADD fetch_size '10'); $read", %reading, state => '08006',
    message => "could not read from foreign table \"account\": $html", detail => 'HTTP status 502, request id <id>.', hint => $down);
bad_answer('HTML for a row', { behaviour => 'html' }, $insert, %reading, state => '08006',
    message => "could not insert into foreign table \"account\": $html",
    detail => "HTTP status 502, request id <id>. 0 rows had been written before; of 1 more it is not known whether it was written.", hint => $down,
    warning => '1 row was on its way to foreign server "crm" and may be there now');
bad_answer('HTML for many rows', { behaviour => 'html' }, $inserts, %bulk, state => '08006',
    message => "could not insert into foreign table \"account\": $html",
    detail => "HTTP status 502, request id <id>. 0 rows had been written before; of 10 more it is not known whether they were written.", hint => $down,
    warning => 'up to 10 rows were on their way to foreign server "crm" and may be there now');
my $foreign = 'This is not how Dataverse answers. Check that the server\'s option "url" is the root address of an environment, '
    . 'and that no proxy on the way gives answers of its own.';
my $foreign_write = 'This is not how Dataverse answers. Check that no proxy on the way gives answers of its own, and what was written before you repeat the statement.';
bad_answer('a redirect', { status => 302, body => '', headers => { Location => "$url/login" } }, $read, %reading, state => '08P01',
    message => 'could not read from foreign table "account": the answer has no body (HTTP 302 Found)', detail => 'HTTP status 302, request id <id>.', hint => $foreign);
is($t->requests(qr/login/), 0, '... that is not followed');
bad_answer('a page that breaks off', { behaviour => 'bad_json' }, $read, state => '08P01',
    message => 'could not read from foreign table "account": the answer breaks off after 29 bytes: it is not complete', hint => $foreign);
bad_answer('a sign-in page for a page', { status => 200, body => '<html>Sign in</html>' }, $read, state => '08P01',
    message => 'could not read from foreign table "account": the answer is malformed at byte 1: it is not a JSON object', hint => $foreign);
bad_answer('another document for a page', { status => 200, body => '{}' }, $read, state => '08P01',
    message => 'could not read from foreign table "account": the answer is malformed at byte 2: it has no "value"', hint => $foreign);
bad_answer('a sign-in page for a row', { status => 200, body => '<html>Sign in</html>' }, $insert, state => '08P01',
    message => 'could not insert into foreign table "account": the answer (HTTP status 200) is not one that the service gives',
    detail => 'HTTP status 200. 0 rows had been written before; of 1 more it is not known whether it was written.', hint => $foreign_write,
    warning => '1 row was on its way to foreign server "crm" and may be there now');
bad_answer('too few ids for many rows', { status => 200, body => { Ids => [ $nowhere ] } }, $inserts, state => '08P01',
    message => 'could not insert into foreign table "account": the answer to 10 creates names 1 rows',
    detail => 'HTTP status 200. 0 rows had been written before; of 10 more it is not known whether they were written.', hint => $foreign_write,
    warning => 'up to 10 rows were on their way to foreign server "crm" and may be there now');
my $other = 'The service does not say what is wrong. Its operators find more by the request id.';
bad_answer('an empty code', { behaviour => 'empty_code', message => 'Something happened' }, $read, %reading, state => 'HV000',
    message => 'could not read from foreign table "account": Something happened', detail => 'HTTP status 500, request id <id>.', hint => $other);
bad_answer('an empty code for a row', { behaviour => 'empty_code', message => 'Something happened' }, $insert, %reading, state => 'HV000',
    message => 'could not insert into foreign table "account": Something happened',
    detail => qq{HTTP status 500, request id <id>. Row: number 1 of the statement, {"name":"a","accountid":"<id>"}. $nothing}, hint => $other);
bad_answer('a decimal code', { status => 400, body => { error => { code => '-2147204303', message => 'Too long' } } }, $insert, %reading, state => '22001',
    message => 'could not insert into foreign table "account": Too long', hint => 'Shorten the value, or lengthen the column in Dataverse.',
    detail => qq{Service code -2147204303, HTTP status 400, request id <id>. Row: number 1 of the statement, {"name":"a","accountid":"<id>"}. $nothing});
bad_answer('an error without "error"', { status => 400, body => { Message => 'No such thing', ErrorCode => '0x80040203' } }, $read, %reading, state => 'HV000',
    message => 'could not read from foreign table "account": No such thing', detail => refused('0x80040203', 400));
bad_answer('no body at all', { status => 500, body => '' }, $read, %reading, state => 'HV000',
    message => 'could not read from foreign table "account": the answer has no body (HTTP 500 Internal Server Error)', detail => 'HTTP status 500, request id <id>.', hint => $other);
bad_answer('a missing privilege', { status => 403, code => '0x80040220', message => 'Principal user is missing prvReadAccount privilege' }, $read, %reading,
    state => '42501', message => 'could not read from foreign table "account": Principal user is missing prvReadAccount privilege',
    detail => refused('0x80040220', 403), hint => 'Give the application user a security role with the privilege that is missing.');
bad_answer('a plug-in that refuses', { status => 400, code => '0x80040265', message => 'No accounts on Sundays' }, $insert, %reading,
    state => 'P0001', message => 'could not insert into foreign table "account": No accounts on Sundays',
    detail => refused('0x80040265', 400, qq{Row: number 1 of the statement, {"name":"a","accountid":"<id>"}. $nothing}),
    hint => 'Custom logic in the environment refused the request; the option "bypass_business_logic" skips it where the user has the right to.');
bad_answer('the line cut before the work', { behaviour => 'close' }, $read, %reading, state => '08006',
    message => 'could not read from foreign table "account": ...',
    hint => 'Check the network, and try again. The server\'s option "retry_timeout" says for how long a request is repeated.');
bad_answer('the line cut after the work', { behaviour => 'close_after' }, $inserts, %bulk, state => '08006',
    message => 'could not insert into foreign table "account": ...',
    detail => '0 rows had been written before; of 10 more it is not known whether they were written.',
    hint => 'The service may have processed the request: check before you repeat the statement.',
    warning => 'up to 10 rows were on their way to foreign server "crm" and may be there now');
$t->query("ALTER SERVER crm OPTIONS (ADD request_timeout '1')");
bad_answer('no answer', { behaviour => 'hang' }, $read, %reading, state => '08006',
    message => 'could not read from foreign table "account": no complete answer within 1 s',
    hint => 'Raise the server\'s option "request_timeout", or ask for less at a time with "fetch_size".');
bad_answer('no answer to a row', { behaviour => 'hang' }, $insert, %reading, state => '08006',
    message => 'could not insert into foreign table "account": no complete answer within 1 s',
    detail => '0 rows had been written before; of 1 more it is not known whether it was written.',
    hint => 'The service may have processed the request: check before you repeat the statement. Raise the server\'s option "request_timeout", or send less at a time with "batch_size".',
    warning => '1 row was on its way to foreign server "crm" and may be there now');
$t->query('ALTER SERVER crm OPTIONS (DROP request_timeout)');

$t->faults({ match => { path => 'token' }, times => 1, status => 200, body => '<html>Sign in</html>' });
bad('HTML for a token', $read, state => '08P01', context => "request to $token_url",
    message => q{could not get a token for server "crm": the token authority's answer holds no token},
    hint => q{Check the server's option "authority", the network and the proxy settings of the database server's environment.});
$t->query('ALTER SERVER crm OPTIONS (DROP retry_timeout)');

# --- a token that expires

my $total = $t->query($read);
my %expired = (match => { path => '/accounts' }, status => 401, code => '0x8004A101', message => 'The auth ticket has expired.');
my $paged = "ALTER SERVER crm OPTIONS (ADD fetch_size '10'); $read";
$t->reset_log;
$t->faults({ %expired, skip => 2, times => 1 });
$t->is_query("BEGIN; $paged; ROLLBACK", $total, 'a token that expires between pages is renewed');
is(scalar(grep { $_->{url} =~ /oauth2/ } $t->log(tokens => 1)), 2, '... once');
bad_answer('a renewed token that is refused, too', { %expired, skip => 2 }, $paged, %reading, state => '28000',
    message => 'could not read from foreign table "account": The auth ticket has expired.', detail => refused('0x8004A101', 401), hint => $auth_hint);
is($t->query("BEGIN; ALTER SERVER crm OPTIONS (ADD batch_size '2'); SELECT dataverse_disconnect('crm'); $inserts; ROLLBACK"), 'f', 'rows go in');
$t->reset_log;
my $given = HTTP::Tiny->new->post_form($token_url, {
        grant_type => 'client_credentials', client_id => $client, client_secret => $secret, scope => "$url/.default" });
my ($token) = $given->{content} =~ /"access_token": *"([^"]+)"/;
like($token, qr/^eyJ[\w-]{20}/, 'a token looks like one');
my $fixed = "ALTER USER MAPPING FOR CURRENT_USER SERVER crm OPTIONS (DROP client_id, DROP client_secret, ADD access_token '$token'); $read";
$t->is_query("BEGIN; $fixed; ROLLBACK", $t->query($read), 'a ready token serves');
$t->clock(advance_seconds => 4000);
bad('a ready token that has expired', $fixed, %reading, state => '28000',
    message => 'could not read from foreign table "account": The auth ticket has expired.', detail => refused('0x8004A101', 401), hint => $auth_hint);

# --- front ends that repeat what they were sent

my $hidden = 'the answer repeats what was sent, and is not shown';
my $echo = "<html><body>Authorization: Bearer $token</body></html>";
$t->reset_log;
$t->faults({ match => { path => '/accounts' }, times => 1, status => 403, body => $echo });
bad('a page that shows the token', $fixed, %reading, state => '42501',
    message => "could not read from foreign table \"account\": $hidden", detail => 'HTTP status 403, request id <id>.',
    hint => 'Give the application user a security role with the privilege that is missing.');
$t->reset_log;
$t->faults({ match => { path => 'token' }, times => 1, status => 400,
        body => { error => 'invalid_request', error_description => "client_secret=$secret&scope=x" } });
bad('an authority that shows the secret', $read, state => '28000', context => "request to $token_url",
    message => "could not get a token for server \"crm\": $hidden", detail => 'Service code invalid_request, HTTP status 400.',
    hint => 'Check tenant_id and authority of the server.');

# --- no secrets anywhere

my $log = DataverseTest::_slurp("$t->{dir}/data/log");
like($log, qr/ERROR:  could not get a token for server "x11"/, 'the log has the errors');
like($log, qr/DEBUG:  /, '... and is talkative');
like($seen, qr/ERROR:  28000/, 'so have the clients');
for my $words ($log, $seen)
{
    unlike($words, qr/\Q$secret\E|wrong-secret-4711/, '... but no secret');
    unlike($words, qr/eyJ[\w-]{8}/, '... and no token');
    unlike($words, qr/Bearer/, '... and no header');
}

done_testing();
