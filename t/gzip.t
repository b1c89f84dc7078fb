# gzip.t: packed answers are read as what they hold, or are an error: never a
# shorter answer.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use WireTap;
use Encode qw(encode_utf8);
use IO::Compress::Gzip qw(gzip);
use IO::Socket::INET;
use POSIX ();

my $t = DataverseTest->new(rows => 300, import => 'account', server_options => { fetch_size => 100 });

# --- the service's own answers

my $all = 'SELECT count(*), sum(length(name)), min(name), max(accountid::text) FROM crm.account a';
my $packed = 'SELECT bytes_received FROM dataverse_connections()';
$t->reset_log;
my ($answer, $packed_bytes) = split /\n/, $t->query("$all WHERE a.name || '' <> ''; $packed");
like($answer, qr/^300\|/, 'pages that came packed');
my ($on_wire) = map { my $sum = 0; $sum += $_->{response_bytes} for @$_; $sum } [ $t->log ];
cmp_ok($packed_bytes, '>=', $on_wire, 'bytes are those on the wire ...');
cmp_ok($packed_bytes, '<', $on_wire + 20_000, '... and of the headers');

my $wire = WireTap->new($t->url);
$t->query("CREATE SERVER tapped FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url '${\ $wire->url}'); "
    . "CREATE USER MAPPING FOR CURRENT_USER SERVER tapped OPTIONS (access_token 'x')");
$t->psql("SELECT dataverse_whoami('tapped')");
my ($request) = $wire->requests;
is($request->{headers}{'accept-encoding'}, 'gzip', 'what can be unpacked is what is asked for');

# --- answers of every kind, from a server that says what it is told

my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', Listen => 8, ReuseAddr => 1)
    or die "no free port: $!";
my $file = "$t->{dir}/answer";

sub serve
{
    local $SIG{TERM} = sub { POSIX::_exit(0) };
    while (my $client = $listen->accept)
    {
        my $head = '';
        my $length;

        $head .= $_ while $head !~ /\r\n\r\n\z/ && sysread $client, $_, 1;
        ($length) = $head =~ /^content-length:\s*(\d+)/mi;
        sysread $client, my $body, $length if $length;
        open my $handle, '<:raw', $file or next;
        syswrite $client, do { local $/; <$handle> };
        open my $count, '>>', "$file.count";
        print $count '.';
        close $client;
    }
}

my $pid = fork() // die "fork: $!";
if ($pid == 0)
{
    serve();
    POSIX::_exit(0);
}
END { local $?; kill 'TERM', $pid if $pid }

sub canned
{
    my ($body, %arguments) = @_;
    my $encoding = $arguments{encoding} // 'gzip';

    unlink "$file.count";
    open my $handle, '>:raw', $file or die $!;
    print $handle join("\r\n", 'HTTP/1.1 ' . ($arguments{status} // '200 OK'), 'OData-Version: 4.0',
        'Content-Type: application/json', 'Connection: close', 'Content-Length: ' . length($body),
        ($encoding ? "Content-Encoding: $encoding" : ()), '', $body);
    close $handle;
}

# How often it was asked since.
sub asked
{
    return -s "$file.count";
}

sub packed
{
    my ($text) = @_;
    my $packed;

    $text = encode_utf8($text);
    gzip(\$text, \$packed);
    return $packed;
}

my $url = 'http://127.0.0.1:' . $listen->sockport;
$t->query("CREATE SERVER canned FOREIGN DATA WRAPPER dataverse_fdw OPTIONS (url '$url', retry_timeout '2'); "
    . "CREATE USER MAPPING FOR CURRENT_USER SERVER canned OPTIONS (access_token 'x'); "
    . "CREATE FOREIGN TABLE thing (id uuid, name text) SERVER canned "
    . "OPTIONS (table_name 'thing', entity_set_name 'things', primary_id 'thingid')");
$t->query('ALTER FOREIGN TABLE thing ALTER id OPTIONS (ADD column_name \'thingid\')');

my @ids = map { sprintf '00000000-0000-0000-0000-%012d', $_ } 1 .. 2000;
my $rows = join ',', map { qq({"thingid":"$_","name":"n\x{e9} $_"}) } @ids;
my $page = qq({"value":[$rows]});
my $scan = 'SELECT count(*), max(name) FROM (SELECT name FROM thing OFFSET 0) x';
my $good = "2000|n\x{e9} $ids[-1]";

canned(packed($page));
$t->is_query($scan, $good, 'a packed page');
canned(packed($page), encoding => 'GZIP');
$t->is_query($scan, $good, 'whatever the case of the header');
canned(packed(substr $page, 0, 5000) . packed(substr $page, 5000), encoding => 'x-gzip');
$t->is_query($scan, $good, 'a page in two members');
canned(encode_utf8($page), encoding => '');
$t->is_query($scan, $good, 'a page that is not packed');
canned(encode_utf8($page), encoding => 'identity');
$t->is_query($scan, $good, 'a page that says that it is not packed');

my $damaged = qr/ERROR:  08P01: could not read from foreign table "thing": .*damaged or incomplete/;
my $whole = packed($page);
for my $case (
    [ substr($whole, 0, length($whole) / 2), 'half of a packed page' ],
    [ substr($whole, 0, -1), 'a packed page but for its last byte' ],
    [ substr($whole, 0, 40) . chr(ord(substr $whole, 40, 1) ^ 0x55) . substr($whole, 41), 'a damaged byte' ],
    [ $whole . "\0", 'a byte too many' ],
    [ packed(substr $page, 0, 5000) . 'and so on', 'one member and then something else' ],
    [ encode_utf8($page), 'plain text that calls itself packed' ])
{
    canned($case->[0]);
    $t->fails_like($scan, $damaged, $case->[1]);
    is(asked(), 1, '... is not asked for again');
}

canned($whole, encoding => 'br');
$t->fails_like($scan, qr/08P01: .*encoded as "br", which was not asked for/, 'another encoding');

# A part of a page that is JSON by itself would be the worst: fewer rows and no error.
canned(packed(qq({"value":[]})) . packed($page));
$t->fails_like($scan, qr/ERROR:  08P01/, 'two documents, the first of which is whole');

# --- refusals

my $fault = '{"error":{"code":"0x80040217","message":"no such thing"}}';
canned(packed($fault), status => '404 Not Found');
$t->fails_like($scan, qr/no such thing.*0x80040217/s, 'a packed fault is understood');
canned('this is not gzip', status => '503 Service Unavailable');
$t->fails_like($scan, qr/HTTP status 503/s, 'a fault that cannot be unpacked counts by its status ...');
cmp_ok(asked(), '>', 1, '... and is tried again');

# --- writes

my $insert = "INSERT INTO thing (id, name) VALUES ('$ids[0]', 'x')";
canned(substr packed($fault), 0, 30);
$t->fails_like($insert, qr/08P01: .*damaged or incomplete/, 'a write whose answer cannot be read');
is(asked(), 1, '... is not repeated');

# --- tokens

$t->query("CREATE SERVER authority FOREIGN DATA WRAPPER dataverse_fdw "
    . "OPTIONS (url '$url', authority '$url', tenant_id 'x'); "
    . "CREATE USER MAPPING FOR CURRENT_USER SERVER authority OPTIONS (client_id 'x', client_secret 'y')");
canned(substr packed('{"access_token":"abc","expires_in":3600}'), 0, 30);
$t->fails_like("SELECT dataverse_whoami('authority')", qr/damaged or incomplete/, 'a token that cannot be unpacked');

done_testing();
