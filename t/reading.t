# reading.t: which requests a read makes, that every row comes just once and
# every value as it is, and what is said when pages do not add up.  One chain of
# pages at a time: what several do side by side is the topic of lanes.t.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use IO::Socket::INET;
use JSON::PP ();

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $rows = 1000;
my $t = DataverseTest->new(rows => $rows, server_options => { fetch_size => 300, concurrency => 1 });

# The read requests since the last reset: their query options, decoded, without the address.
sub sent
{
    my @sent;
    for ($t->log)
    {
        my ($path) = $_->{url} =~ m{/api/data/v9\.2/(.*)};
        $path =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
        utf8::decode($path);
        push @sent, $_->{method} eq 'GET' ? $path : "$_->{method} $path";
    }
    return @sent;
}

# A statement's answer and the requests it made: these, so many, or at most so
# many (a reference to a number).
sub reads
{
    my ($sql, $expected, $requests, $name) = @_;

    $t->reset_log;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->is_query($sql, $expected, $name);
    my @sent = sent();
    is_deeply(\@sent, $requests, '... by these requests') if ref $requests eq 'ARRAY';
    cmp_ok(scalar @sent, '<=', $$requests, "... by at most $$requests requests") if ref $requests eq 'SCALAR';
    is(scalar @sent, $requests, "... by $requests requests") if !ref $requests;
}

# --- pages

# Rows are counted here, not there.
my $rows_of_account = 'SELECT count(*) FROM (SELECT accountid FROM crm.account OFFSET 0) a';
reads('SELECT count(*), count(DISTINCT accountid), count(DISTINCT versionnumber) FROM (SELECT accountid, versionnumber FROM crm.account OFFSET 0) a',
    "$rows|$rows|$rows", 4, 'four pages, every row once');
my $figures = $t->figures('account');
my ($revenue, $employees) = @{ $figures->{columns} }{qw(revenue numberofemployees)};
$t->is_query("SELECT count(revenue), sum(revenue) = $revenue->{sum}, min(revenue), max(revenue), sum(numberofemployees) = $employees->{sum} FROM crm.account",
    "$revenue->{count}|t|$revenue->{min}|$revenue->{max}|t", 'the sums are those that the service computes');
reads("ALTER SERVER crm OPTIONS (SET fetch_size '5000'); $rows_of_account; ALTER SERVER crm OPTIONS (SET fetch_size '300')",
    $rows, [ 'accounts?$select=accountid' ], 'one page');
reads("ALTER FOREIGN TABLE crm.account OPTIONS (ADD fetch_size '500'); $rows_of_account;"
    . 'ALTER FOREIGN TABLE crm.account OPTIONS (DROP fetch_size)', $rows, 2, 'a page size of the table; its last page is full');
reads('SELECT count(*) FROM crm.account WHERE false', 0, 0, 'nothing to ask for');
reads(q{SELECT count(*) FROM crm.account WHERE accountnumber = 'nobody has it'}, 0, 1, 'no rows');

$t->faults({ match => { path => 'accounts' }, times => 2, behaviour => 'drip' });
$t->is_query('SELECT count(*), count(DISTINCT versionnumber) FROM (SELECT versionnumber FROM crm.account OFFSET 0) a', "$rows|$rows", 'pages that come in crumbs');

# --- what is asked for

reads(q{SELECT name, numberofemployees FROM crm.account WHERE accountnumber = 'ACC-000000'}, 'Fourth Coffee (sample)|0',
    [ q{accounts?$select=accountnumber,name,numberofemployees&$filter=accountnumber eq 'ACC-000000'} ], 'a row by its key');
$t->reset_log;
$t->query(q{SELECT name FROM crm.account WHERE accountnumber = 'ACC-000000'});
is(scalar($t->log(tokens => 1)), 2, '... and a new session needs one more for its token');
reads(q{SELECT count(*) FROM crm.account WHERE accountnumber = 'acc-000000'}, 0, 1, 'a key in another case is another key');
my $id = $t->query(q{SELECT accountid FROM crm.account WHERE accountnumber = 'ACC-000000'});
reads("SELECT name FROM crm.account WHERE accountid = '$id'", 'Fourth Coffee (sample)',
    [ "accounts?\$select=name&\$filter=accountid eq $id" ], 'a row by its id');
reads('SELECT count(*) FROM (SELECT name FROM crm.account LIMIT 7) a', 7, [ 'accounts?$select=accountid&$top=7' ], 'LIMIT');
reads('SELECT count(*) FROM (SELECT name FROM crm.account OFFSET 5 LIMIT 7) a', 7, [ 'accounts?$select=accountid&$top=12' ], 'OFFSET and LIMIT');
reads('SELECT versionnumber - min(versionnumber) OVER () FROM (SELECT versionnumber FROM crm.account WHERE versionnumber > 0 ORDER BY versionnumber LIMIT 3) a',
    "0\n1\n2", [ 'accounts?$select=versionnumber&$filter=versionnumber gt 0&$orderby=versionnumber,accountid&$top=3' ], 'ORDER BY and LIMIT');
reads('SELECT count(*) FROM (SELECT name FROM crm.account ORDER BY name LIMIT 7) a', 7, 4, 'LIMIT over an order of text stays here');
reads(q{SELECT count(*) FROM (SELECT name FROM crm.account WHERE name = 'NULL' LIMIT 1) a}, 1, 2,
    'LIMIT over a condition checked here: a small page first');
reads('SELECT count(*) FROM (SELECT name FROM crm.account LIMIT 700) a', 700, 3, 'LIMIT beyond a page stops in time');
reads('SELECT EXISTS (SELECT FROM crm.account)', 't', 2, 'EXISTS takes a page, while the next is on its way');
reads('SELECT count(a) FROM (SELECT a FROM crm.geo_country a LIMIT 3) x', 0, 1, 'a whole row of an empty table');
reads('SELECT max(industrycode_label), max(ownerid_target) FROM (SELECT * FROM crm.account WHERE industrycode = 1 AND ownerid_target = '
    . q{'systemuser' LIMIT 5) a}, 'Accounting|systemuser', 1, 'labels and targets');
$t->is_query('SELECT string_agg(DISTINCT customerid_target, $$ $$) FROM crm.incident', 'account contact', 'targets of a polymorphic lookup');
$t->is_query('SELECT count(*) FROM crm.incident i WHERE NOT EXISTS (SELECT FROM crm.account WHERE accountid = i.customerid AND i.customerid_target = '
    . q{'account') AND NOT EXISTS (SELECT FROM crm.contact WHERE contactid = i.customerid AND i.customerid_target = 'contact')}, 0, '... name the right table');
reads('SELECT industrycode_label FROM crm.account WHERE industrycode = 1 LIMIT 1', 'Accounting',
    [ 'accounts?$select=industrycode&$filter=industrycode eq 1&$top=1' ], 'a label brings its choice');

# --- long lists

$t->query('CREATE SCHEMA loc; CREATE TABLE loc.account AS SELECT * FROM crm.account; ANALYZE loc.account');

# The list in SQL; how many rows by the copy; at most so many requests.
sub long_list
{
    my ($column, $list, $most, $name) = @_;
    my ($expected) = $t->query("SELECT count(*) FROM loc.account WHERE $column = ANY (ARRAY($list))");

    $t->reset_log;
    $t->is_query("SELECT count(*), count(DISTINCT accountid) FROM (SELECT accountid FROM crm.account WHERE $column = ANY (ARRAY($list)) OFFSET 0) a", "$expected|$expected", $name);
    cmp_ok($expected, '>', 0, '... finds some');
    my $pieces = grep { !/skiptoken/ } sent();
    cmp_ok($pieces, '<=', $most, "... in at most $most queries");
}

long_list('accountid', 'SELECT accountid FROM loc.account', 3, '1,000 ids');
long_list('accountnumber', "SELECT coalesce(accountnumber, 'none' || versionnumber) FROM loc.account", 3, '1,000 keys');
long_list('numberofemployees', 'SELECT generate_series(1, 1000)', 3, '1,000 integers');
long_list('name', 'SELECT x FROM (SELECT name FROM loc.account GROUP BY name LIMIT 250) a, LATERAL (VALUES (name), (upper(name)), (lower(name)), (name || $$ $$)) v(x)',
    4, 'texts in every case');
reads('SELECT count(*) FROM (SELECT FROM crm.account WHERE numberofemployees = ANY (ARRAY[1, 1, 1, NULL]) OFFSET 0) a',
    $t->query('SELECT count(*) FROM loc.account WHERE numberofemployees = 1'), [ 'accounts?$select=accountid&$filter=numberofemployees eq 1' ],
    'a value that is listed several times counts once');

# --- joins by key, rescans

my $by_key = 'SET dataverse_fdw.enable_key_join = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET enable_memoize = off;';
my $keys = "(VALUES (1, 'ACC-000050'), (2, 'ACC-000054'), (3, NULL), (4, 'nobody'), (5, 'nobody')) k(n, v)";
reads("$by_key SELECT k.n, a.accountnumber FROM $keys JOIN crm.account a ON a.accountnumber = k.v ORDER BY 1",
    "1|ACC-000050\n2|ACC-000054",
    \3, 'a nested loop by key: null asks nothing, the same key again asks nothing');
ok(!(grep { !/ACC-000050|ACC-000054|nobody/ } sent()), '... and no request is without a key');
reads("$by_key SELECT k.n, a.accountnumber FROM $keys LEFT JOIN crm.account a ON a.accountnumber = k.v ORDER BY 1",
    "1|ACC-000050\n2|ACC-000054\n3|\n4|\n5|", \3, 'the same as a left join');
reads("$by_key SELECT k, count(*) FROM generate_series(1, 3) k, LATERAL (SELECT FROM crm.account a WHERE a.numberofemployees = 1 OFFSET 0) x GROUP BY 1 ORDER BY 1",
    join("\n", map { "$_|" . $t->query('SELECT count(*) FROM loc.account WHERE numberofemployees = 1') } 1 .. 3), 1,
    'a rescan of one page reads it again');
reads('SELECT k, (SELECT count(*) FROM crm.account a WHERE k > 0) FROM generate_series(0, 2) k', "0|0\n1|$rows\n2|$rows", 8, 'a rescan of four pages asks again');
reads("$by_key SELECT count(*) FROM crm.contact c JOIN crm.account a ON a.accountid = c.parentcustomerid AND c.contactid IN (SELECT contactid FROM crm.contact LIMIT 0)",
    0, 0, 'nothing to join');

# --- cursors, prepared statements

reads('BEGIN; DECLARE c CURSOR FOR SELECT name FROM crm.account; MOVE 10 FROM c; CLOSE c; COMMIT; SELECT 1', 1, 2,
    'a cursor closed early: the page read and the one ahead');
reads("BEGIN; DECLARE a CURSOR FOR SELECT accountid FROM crm.account; DECLARE b CURSOR FOR SELECT accountid FROM crm.account;\n"
    . "CREATE TEMP TABLE got (n text, id uuid);\n"
    . q{DO $$
DECLARE
    a refcursor := 'a';
    b refcursor := 'b';
    id uuid;
BEGIN
    FOR i IN 1..1001 LOOP
        FETCH a INTO id;
        IF FOUND THEN INSERT INTO got VALUES ('a', id); END IF;
        FETCH b INTO id;
        IF FOUND THEN INSERT INTO got VALUES ('b', id); END IF;
    END LOOP;
END $$;
SELECT n, count(*), count(DISTINCT id) FROM got GROUP BY 1 ORDER BY 1; COMMIT}, "a|$rows|$rows\nb|$rows|$rows", 8,
    'two scans of one server in turns');
reads(q{BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT accountid FROM crm.account ORDER BY versionnumber; COMMIT;
MOVE LAST FROM c; MOVE FIRST FROM c; MOVE FORWARD ALL IN c; CLOSE c; SELECT 1}, 1, 5, 'a cursor that is held, backward and forward: four pages, and the rows without a value');
$t->query('SELECT pg_sleep(0.3)');
is(scalar(sent()), 5, '... leaves no request behind');

my $prepare = 'SET plan_cache_mode = force_generic_plan; PREPARE p (int) AS SELECT count(*) FROM (SELECT FROM crm.account WHERE numberofemployees = $1 OFFSET 0) a;';
my $ones = $t->query('SELECT count(*) FROM loc.account WHERE numberofemployees = 1');
reads("$prepare EXECUTE p(1); EXECUTE p(NULL); EXECUTE p(-5)", "$ones\n0\n0",
    [ map { "accounts?\$select=accountid&\$filter=numberofemployees eq $_" } 1, -5 ], 'a prepared statement; NULL asks nothing');
reads(q{SET app.most = '2'; PREPARE p AS SELECT count(*) FROM (SELECT FROM crm.account LIMIT current_setting('app.most')::int) a;
EXECUTE p; SET app.most = '5'; EXECUTE p}, "2\n5", 4, 'a limit that is not known when planning');
reads('SET plan_cache_mode = force_generic_plan; PREPARE p (int) AS SELECT count(*) FROM (SELECT FROM crm.account LIMIT $1) a; EXECUTE p(2); EXECUTE p(650); EXECUTE p(NULL)',
    "2\n650\n$rows", 10, 'a limit that is a parameter');
reads(q{SELECT count(*) FROM crm.account WHERE numberofemployees = (SELECT NULL::int)}, 0, 0, 'a subquery that gives null');
reads(q{SELECT count(*) FROM crm.account WHERE createdon > now() + interval '10 years'}, 0, 1, 'now()');

# --- EXPLAIN

$t->reset_log;
my $explain = $t->query('EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS off, VERBOSE) SELECT name FROM crm.account WHERE numberofemployees = 1');
$explain =~ s/(actual rows=\d+)\.00/$1/; # 18 counts rows in hundredths
my $body = (grep { $_->{url} =~ /accounts/ } $t->log)[0]{response_bytes};
my ($bytes) = $explain =~ /Remote Bytes: (\d+)$/;
cmp_ok(abs($bytes - $body - 1000), '<', 1000, 'bytes are those of body and header');
is($explain, "Foreign Scan on crm.account (actual rows=$ones loops=1)\n  Output: name\n"
    . "  Remote Request: GET accounts?\$select=name&\$filter=numberofemployees%20eq%201\n  Remote Filter: numberofemployees eq 1\n"
    . "  Remote Requests: 1\n  Remote Rows: $ones\n  Remote Bytes: $bytes", 'EXPLAIN ANALYZE tells requests, rows and bytes');
$t->reset_log;
like($t->query('EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS off) SELECT name FROM crm.account'),
    qr/^Foreign Scan on account \(actual rows=$rows(?:\.00)? loops=1\)\n  Remote Requests: 4\n  Remote Rows: $rows\n  Remote Bytes: \d+$/, '... over all pages');
reads('EXPLAIN (COSTS off) SELECT name FROM crm.account', 'Foreign Scan on account', 0, 'EXPLAIN asks nothing');

# --- every type, at its limits

undef $t;
$t = DataverseTest->new(rows => 0, seed => 'none', server_options => { concurrency => 1 });

my $token;

# A row made without the extension; its id.
sub post
{
    my ($set, $json) = @_;
    my $http = HTTP::Tiny->new;
    my $url = $t->url;

    $token //= JSON::PP->new->decode($http->post_form("$url/11111111-1111-1111-1111-111111111111/oauth2/v2.0/token",
        { grant_type => 'client_credentials', client_id => '22222222-2222-2222-2222-222222222222', client_secret => 'demo-secret',
            scope => "$url/.default" })->{content})->{access_token};
    utf8::encode(my $body = $json);
    my $answer = $http->post("$url/api/data/v9.2/$set",
        { content => $body, headers => { Authorization => "Bearer $token", 'Content-Type' => 'application/json' } });
    die "$answer->{status} $answer->{content}" unless $answer->{success};
    return $answer->{headers}{'odata-entityid'} =~ /\(([-0-9a-f]{36})\)/ ? $1 : die 'no id';
}

# Column, value in JSON, text in PostgreSQL.
my @values = (
    [ sample_integer => '-2147483648' ], [ sample_integer => '2147483647' ], [ sample_integer => '0' ],
    [ sample_bigint => '-9223372036854775808' ], [ sample_bigint => '9223372036854775807' ],
    [ sample_decimal => '-100000000000.0000000000' ], [ sample_decimal => '99999999999.9999999999' ], [ sample_decimal => '0.0000000001' ],
    [ sample_decimal2 => '-0.01', '-0.0100000000' ],
    [ sample_money => '922337203685477.5807' ], [ sample_money => '-922337203685477.5807' ], [ sample_money => '0.0001' ],
    [ sample_double => '100000000000', '100000000000' ], [ sample_double => '-99999999999.99998' ], [ sample_double => '0.00001', '1e-05' ],
    [ sample_double0 => '-3' ],
    [ sample_boolean => 'true' ], [ sample_boolean => 'false' ],
    [ sample_choice => '-1' ], [ sample_choice => '100000002' ],
    [ sample_multi => '"1,9,100000000"', '{1,9,100000000}' ],
    [ sample_datetime => '"1753-01-01T00:00:00Z"', '1753-01-01 00:00:00+00' ],
    [ sample_datetime => '"9999-12-31T23:59:59Z"', '9999-12-31 23:59:59+00' ],
    [ sample_datetime => '"1969-12-31T23:59:59Z"', '1969-12-31 23:59:59+00' ],
    [ sample_datetimeindependent => '"2024-02-29T23:59:59Z"', '2024-02-29 23:59:59' ],
    [ sample_date => '"1753-01-01"', '1753-01-01' ], [ sample_date => '"9999-12-31"', '9999-12-31' ], [ sample_date => '"2000-02-29"', '2000-02-29' ],
    [ sample_guid => '"ffffffff-ffff-ffff-ffff-ffffffffffff"', 'ffffffff-ffff-ffff-ffff-ffffffffffff' ],
    [ sample_string => '"\ud83d\ude00 \u00e9e\u0301 👩‍👩‍👧"', "😀 ée\x{301} 👩‍👩‍👧" ],
    [ sample_string => '"trailing blanks   "', 'trailing blanks   ' ], [ sample_string => '"  leading"', '  leading' ],
    [ sample_string => '"\"quoted\" \\\\ back \/ slash \b\f\t"', "\"quoted\" \\ back / slash \b\f\t" ],
    [ sample_string => '"\u0001\u001f\u007f\u2028\ufeff\uffff"', "\x{1}\x{1f}\x{7f}\x{2028}\x{feff}\x{ffff}" ],
    [ sample_string => '"null"', 'null' ], [ sample_string => '"@odata.nextLink"', '@odata.nextLink' ],
    [ sample_string => '"\"value\":[{]}"', '"value":[{]}' ],
    [ sample_memo => '"' . ('0123456789' x 9999) . '"', '0123456789' x 9999 ],
    [ sample_memo => '"one\r\ntwo\n"', "one\r\ntwo\n" ],
    [ sample_longstring => '"' . ('é' x 4000) . '"', 'é' x 4000 ],
    [ sample_image => '"iVBORw0KGgoAAAANSUhEUg=="', '\x89504e470d0a1a0a0000000d49484452' ],
    [ sample_entityname => '"account"', 'account' ]);
for (@values)
{
    my ($column, $json, $text) = @$_;
    $text //= $json;
    my $new = post('sample_everythings', qq({"$column":$json}));
    # hex, so that no character is lost on the way here
    (my $hex = $text) =~ s/(.)/do { utf8::encode(my $c = $1); unpack 'H*', $c }/gse;
    $t->is_query("SELECT encode(convert_to(${column}::text, 'UTF8'), 'hex') FROM crm.sample_everything WHERE sample_everythingid = '$new'",
        $hex, "$column: " . (length $json > 60 ? substr($json, 0, 50) . '...' : $json));
}
my $nothing = post('sample_everythings', '{}');
$t->is_query("SELECT num_nulls(sample_integer, sample_bigint, sample_decimal, sample_money, sample_double, sample_choice, sample_multi, sample_datetime, sample_date,"
    . "sample_guid, sample_string, sample_memo, sample_image, sample_accountid, sample_customerid, sample_customerid_target, sample_choice_label)"
    . " FROM crm.sample_everything WHERE sample_everythingid = '$nothing'", 17, 'columns without a value are null');
$t->is_query(q{SET timezone = 'America/New_York'; SELECT sample_datetime, sample_datetimeindependent, sample_date FROM crm.sample_everything WHERE sample_everythingid = '}
    . post('sample_everythings', '{"sample_datetime":"2024-07-01T12:00:00Z","sample_datetimeindependent":"2024-07-01T12:00:00Z","sample_date":"2024-07-01"}') . "'",
    '2024-07-01 08:00:00-04|2024-07-01 12:00:00|2024-07-01', 'times in another zone');

# --- pages that do not add up

my $origin = $t->url;
my $api = "$origin/api/data/v9.2";
my $elsewhere = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, ReuseAddr => 1, Blocking => 0) // die "listen: $!";
my $other = 'http://127.0.0.1:' . $elsewhere->sockport;
my $all = 'SELECT count(*) FROM (SELECT geo_noteid FROM crm.geo_note OFFSET 0) n';
my $some_id = '0f000000-0000-4000-8000-00000000000';

sub note_row
{
    my ($n) = @_;
    return qq({"\@odata.etag":"W/\\"1\\"","geo_noteid":"$some_id$n"});
}

# A scripted page; its request must match.
sub page
{
    my ($path, $body, %more) = @_;
    return {
        match => { path => $path }, times => 1, status => 200, body => $body,
        headers => { 'Content-Type' => 'application/json; odata.metadata=minimal', 'OData-Version' => '4.0' }, %more };
}

sub linked
{
    my ($link, @notes) = @_;
    return '{"value":[' . join(',', map { note_row($_) } @notes) . ']' . (defined $link ? qq(,"\@odata.nextLink":"$link") : '') . '}';
}

sub wrong_pages
{
    my ($name, $pattern, $requests, @pages) = @_;

    $t->reset_log;
    $t->faults(@pages);
    my ($status, $out, $err) = $t->psql($all);
    is("$status|$out", '3|', "$name: an error, and no rows");
    like($err, $pattern, '... which says why');
    is($t->requests, $requests, "... after $requests requests");
}

my $second = "$api/geo_notes?p=2";
my $third = "$api/geo_notes?p=3";
$t->reset_log;
$t->faults(page('geo_notes\?\$select', linked($second, 1, 2)), page('p=2', linked($third, 3)), page('p=3', linked(undef, 4, 5)));
$t->is_query($all, 5, 'scripted pages that do add up');

my $do_not_follow = qr/ERROR:  HV000: pages of foreign table "geo_note" do not follow one another\n/;
my $outside = qr/ERROR:  08P01: .*"geo_note": the address of the next page lies outside of the service\n/;
wrong_pages('the next page on another server', $outside, 1, page('select', linked("$other/api/data/v9.2/geo_notes?p=2", 1)));
ok(!$elsewhere->accept, '... which was not asked');
wrong_pages('the next page with another scheme', $outside, 1, page('select', linked('file:///etc/passwd', 1)));
wrong_pages('the next page without a server', $outside, 1, page('select', linked('/api/data/v9.2/geo_notes?p=2', 1)));
wrong_pages('the next page at a look-alike', $outside, 1,
    page('select', linked("$origin\@127.0.0.1:" . $elsewhere->sockport . '/api/data/v9.2/geo_notes?p=2', 1)));
ok(!$elsewhere->accept, '... which was not asked');
wrong_pages('a page again', $do_not_follow, 2, page('select', linked($second, 1, 2)), page('p=2', linked(undef, 1, 2)));
wrong_pages('a row again', qr/Row ${some_id}2 came twice, the second time in page 2/, 2, page('select', linked($second, 1, 2)), page('p=2', linked(undef, 2)));
wrong_pages('a row twice in a page', qr/Row ${some_id}1 came twice, the second time in page 1/, 1, page('select', linked(undef, 1, 1)));
wrong_pages('a page that is its own next', $do_not_follow, 2, page('select', linked($second, 1)), page('p=2', linked($second, 2), times => -1));
wrong_pages('pages in a circle', $do_not_follow, 3, page('select', linked($second, 1)), page('p=2', linked($third, 2), times => -1),
    page('p=3', linked($second, 3), times => -1));
wrong_pages('two next pages', qr/ERROR:  08P01: .*stands twice/, 2,
    page('select', qq({"\@odata.nextLink":"$third","value":[) . note_row(1) . qq(],"\@odata.nextLink":"$second"})), page('p=', linked(undef, 2), times => -1));
wrong_pages('half a document', qr/ERROR:  08P01: /, 1, page('select', '{"value":[{"geo_noteid":"0f', times => -1));
wrong_pages('no JSON', qr/ERROR:  08P01: /, 1, page('select', 'Hello', times => -1));
wrong_pages('an empty answer', qr/ERROR:  08P01: /, 1, page('select', '', times => -1));
wrong_pages('no list of rows', qr/ERROR:  08P01: /, 1, page('select', '{"@odata.context":"x"}', times => -1));
wrong_pages('a list of rows that is none', qr/ERROR:  08P01: /, 1, page('select', '{"value":{}}', times => -1));
wrong_pages('rows that are none', qr/ERROR:  08P01: /, 1, page('select', '{"value":[1]}', times => -1));
wrong_pages('something after the document', qr/ERROR:  08P01: /, 1, page('select', linked(undef, 1) . '}', times => -1));
wrong_pages('a next page that is no address', qr/ERROR:  /, 1, page('select', '{"value":[],"@odata.nextLink":17}', times => -1));
wrong_pages('a second page that is half a document', qr/ERROR:  08P01: /, 2, page('select', linked($second, 1)), page('p=2', '{"value":[', times => -1));
wrong_pages('a second page refused', qr/ERROR:  .*out of luck.*0x80040265/s, 2, page('select', linked($second, 1)),
    { match => { path => 'p=2' }, times => -1, status => 400, code => '0x80040265', message => 'out of luck' });
# Values that do not fit name table, column, row and value.
sub wrong_value
{
    my ($sql, $name, $pattern, $body) = @_;
    $t->reset_log;
    $t->faults(page('select', $body, times => -1));
    $t->fails_like($sql, $pattern, $name);
}

wrong_value('SELECT numberofemployees FROM crm.account', 'a value of another type', qr/numberofemployees.*account.*${some_id}1|account.*numberofemployees.*${some_id}1/s,
    qq({"value":[{"accountid":"${some_id}1","numberofemployees":"many"}]}));
wrong_value('SELECT numberofemployees FROM crm.account', 'a value out of range', qr/22003.*${some_id}1/s,
    qq({"value":[{"accountid":"${some_id}1","numberofemployees":2147483648}]}));
wrong_value('SELECT name FROM crm.account', 'text that is no UTF-8', qr/08P01: .*"account".*half a surrogate pair/, qq({"value":[{"accountid":"${some_id}1","name":"\\ud800"}]}));
wrong_value('SELECT name FROM crm.account', 'a zero character', qr/08P01: .*"account".*u0000/, qq({"value":[{"accountid":"${some_id}1","name":"a\\u0000b"}]}));
wrong_value('SELECT createdon FROM crm.account', 'a time that is none', qr/createdon/, qq({"value":[{"accountid":"${some_id}1","createdon":"2024-13-01T00:00:00Z"}]}));

# --- trouble in the middle of a scan

my @three = (page('select', linked($second, 1)), page('p=2', linked($third, 2)), page('p=3', linked(undef, 3)));
sub survives
{
    my ($name, $requests, $tokens, @faults) = @_;

    $t->reset_log;
    $t->faults(@faults, map { { %$_, times => -1 } } @three);
    $t->is_query($all, 3, $name);
    is($t->requests, $requests, "... by $requests requests");
    is(scalar(grep { $_->{url} =~ /oauth2/ } $t->log(tokens => 1)), $tokens, "... with $tokens tokens");
}

survives('no trouble', 3, 1);
survives('401 at the second page', 4, 2, { match => { path => 'p=2' }, times => 1, status => 401, code => '0x8004A101', message => 'expired' });
survives('429 at the second page', 4, 1, { match => { path => 'p=2' }, times => 1, status => 429, code => '0x80072322', message => 'slow down', headers => { 'Retry-After' => '1' } });
survives('503 at the third page', 4, 1, { match => { path => 'p=3' }, times => 1, status => 503, body => 'restarting' });
survives('a connection cut at the second page', 4, 1, { match => { path => 'p=2' }, times => 1, behaviour => 'close' });
survives('a page cut off', 4, 1, { match => { path => 'p=3' }, times => 1, behaviour => 'truncate' });
wrong_pages('401 for good', qr/ERROR:  28000: .*expired/s, 3, $three[0], { match => { path => 'p=2' }, times => -1, status => 401, code => '0x8004A101', message => 'expired' });

done_testing();
