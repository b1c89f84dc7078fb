# passthrough.t: OData paths and FetchXML in the service's own words, rows as jsonb.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use JSON::PP ();

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $rows = 2500;
my $t = DataverseTest->new(rows => $rows, import => 'account, contact', server_options => { fetch_size => 1000 });

sub quoted
{
    my ($text) = @_;
    $text =~ s/'/''/g;
    return "'$text'";
}

# The function's rows, as a table "row(j)".
sub odata
{
    return 'dataverse_odata(\'crm\', ' . quoted($_[0]) . ') AS r(j)';
}

sub fetchxml
{
    return 'dataverse_fetchxml(\'crm\', ' . quoted($_[0]) . ') AS r(j)';
}

# --- OData: rows, pages, requests

$t->is_query('SELECT count(*), count(DISTINCT j->>\'accountid\'), count(*) FILTER (WHERE j ? \'@odata.etag\') FROM '
        . odata('accounts?$select=name'), "$rows|$rows|$rows", 'all rows of all pages, as they came');
is($t->requests(qr{GET .*/accounts\?}), 3, '... in as many requests as there are pages');
is($t->requests, 3, '... and no others');

my $whole = $t->query('SELECT sum((j->>\'revenue\')::numeric) FROM ' . odata('accounts?$select=revenue'));
is($whole, $t->query('SELECT sum(revenue) FROM crm.account'), 'no row is lost between pages');
$t->is_query('SELECT count(*) FROM ' . odata('accounts?$select=name&$filter=revenue eq null and name eq \'nobody\''),
    '0', 'no rows');
$t->is_query('SELECT count(*) > 0, bool_and((j->>\'revenue\')::numeric > 1000000) FROM '
        . odata('accounts?$select=name,revenue&$filter=revenue gt 1000000'), 't|t', 'plain text is encoded');

$t->reset_log;
$t->is_query('SELECT count(*) FROM ' . odata('accounts?$select=name&$top=1500'), '1500', '$top');
is($t->requests, 1, '... is no matter of pages');

$t->reset_log;
$t->query('SELECT dataverse_odata(\'crm\', \'accounts?$select=name\') LIMIT 5');
is($t->requests, 1, 'a page is asked for when it is needed');

# --- OData: values

my ($id, $no) = split /\|/, $t->query('SELECT accountid, accountnumber FROM crm.account WHERE accountnumber LIKE \'A%\' LIMIT 1');

$t->psql_ok("UPDATE crm.account SET name = 'Straße & Söhne #1; 100% + ''x''? 🜚', revenue = 123456789012.3400 WHERE accountid = '$id'",
    'a row with difficult letters');
$t->is_query('SELECT count(*), min(j->>\'accountid\') FROM '
        . odata(q{accounts?$select=name&$filter=name eq 'Straße & Söhne #1; 100% + ''x''? 🜚'}), "1|$id",
    'delimiters, percent signs and letters of all kinds in a literal');
$t->is_query('SELECT count(*) FROM ' . odata(q{accounts?$select=name&$filter=startswith(name,%27Stra%C3%9Fe%20%26%27)}), '1',
    'what is encoded already stays');
$t->is_query('SELECT j->\'revenue\' FROM ' . odata("accounts($id)?\$select=revenue"), '123456789012.3400',
    'every digit of a number, trailing zeros too');
$t->is_query('SELECT count(*), min(j->>\'accountnumber\') FROM ' . odata("accounts($id)"), "1|$no", 'one object is one row');
$t->is_query('SELECT j->>\'value\' FROM ' . odata("accounts($id)/accountnumber"), $no, 'a single property is one row');
$t->is_query('SELECT jsonb_typeof(j), j FROM ' . odata('accounts/$count'), "number|$rows", '$count is one number');
$t->is_query('SELECT j FROM ' . odata(q{accounts/$count?$filter=name eq 'nobody'}), '0', '... with a filter');
$t->is_query('SELECT j->\'EntityRecordCountCollection\'->\'Values\' FROM '
        . odata('RetrieveTotalRecordCount(EntityNames=@p1)?@p1=["account","contact"]') , "[$rows, " . $t->query('SELECT count(*) FROM crm.contact') . ']',
    'a function with parameters');
$t->is_query('SELECT j->>\'UserId\' = (SELECT user_id::text FROM dataverse_whoami(\'crm\')) FROM ' . odata('WhoAmI'), 't', 'one without');
$t->is_query('SELECT sum((j->>\'n\')::int) FROM ' . odata('accounts?$apply=groupby((statecode),aggregate($count as n))'), $rows,
    'groups');

# --- OData: refusals

$t->reset_log;
for my $bad ([ 'https://example.com/accounts', qr/absolute address/ ], [ '//example.com/accounts', qr/begins with a slash/ ],
    [ '/api/data/v9.2/accounts', qr/begins with a slash/ ], [ '../../accounts', qr/leads out of the service/ ],
    [ '%2e%2e/accounts', qr/leads out of the service/ ], [ 'accounts//x', qr/leads out/ ], [ '  ', qr/the path is empty/ ])
{
    $t->fails_like('SELECT * FROM ' . odata($bad->[0]), qr/ERROR:  22023: .*$bad->[1].*HINT: /s, "refused: $bad->[0]");
}
is($t->requests, 0, '... before anything is sent');
$t->fails_like('SELECT * FROM ' . odata('accounts?$skip=5'), qr/could not read from server "crm".*\$skip/is, 'what the service refuses');
$t->fails_like('SELECT * FROM ' . odata('nosuches'), qr/ERROR:  (42P01|HV00R): .*nosuches/s, 'an unknown table');
$t->fails_like('SELECT * FROM ' . odata('$metadata'), qr/is not JSON but "application\/xml/, 'an answer that is no JSON');
$t->fails_like(q{SELECT * FROM dataverse_odata('nobody', 'accounts')}, qr/server "nobody" does not exist/, 'an unknown server');
$t->fails_like('CREATE ROLE stranger; SET ROLE stranger; SELECT * FROM ' . odata('accounts'),
    qr/ERROR:  42501: permission denied for foreign server crm/, 'a role without USAGE');

# --- OData: answers that cannot be trusted

my $root = $t->url . '/api/data/v9.2';
my $json = JSON::PP->new->canonical;

sub page
{
    my ($rows, %envelope) = @_;
    return $json->encode({ value => $rows, %envelope });
}

# What the service is made to say to one request after another.
sub answers
{
    my ($path, @bodies) = @_;
    $t->reset_log;
    $t->faults(map { { match => { path => $path }, times => 1, status => 200, body => $_ } } @bodies);
}

my $names = 'SELECT count(*) FROM ' . odata('accounts?$select=name');

sub linked
{
    return page([ { name => 'a' } ], '@odata.nextLink' => $_[0]);
}

answers('/accounts', linked('http://127.0.0.1:1/api/data/v9.2/accounts?x'));
$t->fails_like($names, qr/outside of the service/, 'a link to another server is not followed');
answers('/accounts', linked($t->url . '/elsewhere/accounts?x'));
$t->fails_like($names, qr/outside of the service/, 'nor is one out of the service');
answers('/accounts', linked("$root/accounts?p=2"), linked("$root/accounts?p=3"), linked("$root/accounts?p=2"));
$t->fails_like($names, qr/ERROR:  HV000: .*earlier page/s, 'links that go round');
is($t->requests, 3, '... at the first that comes again');
answers('/accounts', linked("$root/accounts?p=2"), page([]), );
$t->is_query($names, '1', 'an empty last page');
answers('/accounts', '{"value":[{"name":"a"}');
$t->fails_like($names, qr/08P01: could not read from server "crm": .*breaks off/, 'an answer cut short');
answers('/accounts', '{"value":[{"name":"a"}],"value":[]}');
$t->fails_like($names, qr/stands twice/, 'two lists of rows');
answers('/accounts', page([ { name => 'a' } ], '@odata.count' => 2));
$t->fails_like($names, qr/counts 2 rows and sent 1/, 'fewer rows than were counted');
answers('/accounts', page([ map { { n => $_ } } 1 .. 5000 ]));
$t->fails_like('SELECT count(*) FROM ' . odata('accounts?$apply=groupby((name))'), qr/full page of groups/,
    '5,000 groups without word of more');
answers('/accounts', page([ 1, 'two', undef, [ 3.50 ] ]));
$t->is_query('SELECT string_agg(j::text, \' \') FROM ' . odata('accounts/list'), '1 "two" null [3.5]', 'rows that are no objects');
answers('/accounts', '{"value":[{"a":1.000000000000000000000000000001,"e":1e2,"n":-0.10}]}');
$t->is_query('SELECT j FROM ' . odata('accounts?$select=name'), '{"a": 1.000000000000000000000000000001, "e": 100, "n": -0.10}', 'numbers as they were written');
$t->reset_log;

# --- waiting

$t->faults({ match => { path => '/accounts' }, times => -1, behaviour => 'hang' });
my $seconds = $t->fails_like("SET statement_timeout = '500ms'; SELECT * FROM " . odata('accounts?$select=name'),
    qr/57014/, 'a statement that is cancelled while it waits');
cmp_ok($seconds, '<', 3, '... ends at once');
$t->reset_log;

# --- FetchXML: rows, pages, requests

$t->reset_log;
my $names_xml = q{<fetch><entity name='account'><attribute name='name'/><attribute name='revenue'/><order attribute='name'/></entity></fetch>};
$t->is_query('SELECT count(*), count(DISTINCT j->>\'accountid\'), sum((j->>\'revenue\')::numeric) FROM ' . fetchxml($names_xml),
    $t->query('SELECT count(*), count(*), sum(revenue) FROM crm.account'), 'FetchXML: all rows of all pages');
$t->reset_log;
$t->query("SELECT count(*) FROM dataverse_fetchxml('crm', " . quoted($names_xml) . ')');
is($t->requests(qr{GET .*/accounts\?fetchXml=}), 3, '... in as many requests as there are pages');
is($t->requests(qr{RetrieveMetadataChanges}), 1, '... and one for the entity set');
is($t->requests, 4, '... and no others');

$t->reset_log;
$t->is_query('SELECT count(*), count(DISTINCT j->>\'accountid\') FROM ' . fetchxml(q{
    <fetch count='800'><entity name='account'><attribute name='accountid'/>
      <link-entity name='contact' from='contactid' to='primarycontactid' link-type='outer' alias='c'>
        <attribute name='fullname'/><order attribute='fullname'/></link-entity></entity></fetch>}), "$rows|$rows",
    'an order that has no cookie');
is($t->requests(qr{fetchXml}), 4, '... is paged by numbers');

$t->is_query('SELECT count(*) FROM ' . fetchxml(q{
    <fetch><entity name='account'><attribute name='name'/><filter><condition attribute='primarycontactid' operator='not-null'/></filter>
      <link-entity name='contact' from='contactid' to='primarycontactid' alias='c'><attribute name='fullname'/></link-entity>
      </entity></fetch>}) . ' WHERE j ? \'c.fullname\'',
    $t->query('SELECT count(*) FROM crm.account a JOIN crm.contact c ON c.contactid = a.primarycontactid WHERE c.fullname IS NOT NULL'),
    'a join, its columns under their alias');
$t->is_query('SELECT sum((j->>\'n\')::int), sum((j->>\'total\')::numeric)::numeric(30,4) FROM ' . fetchxml(q{
    <fetch aggregate='true'><entity name='account'><attribute name='accountid' aggregate='count' alias='n'/>
      <attribute name='revenue' aggregate='sum' alias='total'/>
      <attribute name='statecode' groupby='true' alias='s'/></entity></fetch>}),
    $t->query('SELECT count(*), sum(revenue) FROM crm.account'), 'groups');
$t->is_query('SELECT count(*) FROM ' . fetchxml(q{<fetch top='7'><entity name='account'><attribute name='name'/></entity></fetch>}),
    '7', 'a limit');
$t->is_query('SELECT min(j->>\'accountid\') FROM ' . fetchxml(q{<fetch><entity name='account'><attribute name='name'/>
    <filter><condition attribute='name' operator='like' value='Straße &amp; S%'/></filter></entity></fetch>}), $id,
    'letters of all kinds');
$t->fails_like('SELECT * FROM ' . fetchxml(q{<fetch><entity name='account'><attribute name='nosuch'/></entity></fetch>}),
    qr/could not read from server "crm".*nosuch/s, 'what the service refuses');

my $values = join '', map { "<value>$_</value>" } split /\n/,
    $t->query('SELECT accountid FROM crm.account ORDER BY accountid LIMIT 480');
my $long = qq{<fetch count='300'><entity name='account'><attribute name='name'/><filter>}
    . qq{<condition attribute='accountid' operator='in'>$values</condition></filter>@{[ ' ' x 2500 ]}</entity></fetch>};
$t->reset_log;
$t->is_query('SELECT count(*), count(DISTINCT j->>\'accountid\') FROM ' . fetchxml($long), '480|480', 'a query longer than an address');
is($t->requests(qr{POST .*/\$batch$}), 2, '... goes in a batch, page by page');
is($t->requests(qr{fetchXml}), 0, '... and not as an address');
$t->fails_like('SELECT * FROM ' . fetchxml($long =~ s/<filter>/'<filter>' . ' ' x 20000/er), qr/54\d\d\d.*more than the 65536|more than the 65536/s, 'one too long for that');

# --- FetchXML: paging, by a service made to say so

sub cookie
{
    my ($last, $number) = @_;
    my $inner = qq{<cookie page="@{[ $number // 1 ]}"><accountid last="$last" first="x" /></cookie>};
    for (1, 2)
    {
        $inner =~ s/([^A-Za-z0-9])/sprintf '%%%02x', ord $1/ge;
    }
    return qq{<cookie pagenumber="2" pagingcookie="$inner" istracking="False" />};
}

sub fetched
{
    my ($n, $cookie) = @_;
    return page([ map { { n => $_ } } 1 .. $n ],
        '@Microsoft.Dynamics.CRM.morerecords' => JSON::PP::true,
        (defined $cookie ? ('@Microsoft.Dynamics.CRM.fetchxmlpagingcookie' => $cookie) : ()));
}

# The FetchXML of each request, in plain text.
sub fetch_sent
{
    my @sent;
    for my $entry ($t->log)
    {
        my ($xml) = $entry->{url} =~ /[?&]fetchXml=([^&]*)/ or next;
        $xml =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
        push @sent, $xml;
    }
    return @sent;
}

my $query = q{<fetch count='2'><entity name='account'><attribute name='name'/></entity></fetch>};
my $all = 'SELECT count(*) FROM ' . fetchxml($query);

answers('fetchXml', fetched(2, cookie("{A'&<1}")), fetched(2, cookie('{B}', 2)), page([ { n => 1 } ]));
$t->is_query($all, '5', 'FetchXML: pages by their cookies');
is_deeply(
    [ fetch_sent() ],
    [ map { "<fetch count='2' page='$_->[0]'$_->[1]><entity name='account'><attribute name='name'/></entity></fetch>" }
        [ 1, '' ],
        [ 2, q{ paging-cookie='&lt;cookie page=&quot;1&quot;&gt;&lt;accountid last=&quot;{A&apos;&amp;&lt;1}&quot; first=&quot;x&quot; /&gt;&lt;/cookie&gt;'} ],
        [ 3, q{ paging-cookie='&lt;cookie page=&quot;2&quot;&gt;&lt;accountid last=&quot;{B}&quot; first=&quot;x&quot; /&gt;&lt;/cookie&gt;'} ] ],
    '... pages counted, cookies decoded twice and escaped');
answers('fetchXml', fetched(2, cookie('{A}', 1)), fetched(2, cookie('{A}', 2)));
$t->fails_like($all, qr/ERROR:  HV000: .*paging cookie of an earlier page/s, 'a cookie that stands still, whatever page it claims');
is(scalar fetch_sent(), 2, '... at once');
answers('fetchXml', fetched(2), fetched(2), page([], '@Microsoft.Dynamics.CRM.morerecords' => JSON::PP::false));
$t->is_query($all, '4', 'pages without cookies');
is((fetch_sent())[2] =~ s/<entity.*//r, q{<fetch count='2' page='3'>}, '... by their numbers');
my $big = fetched(5000);
answers('fetchXml', ($big) x 11);
$t->fails_like('SELECT count(*) FROM ' . fetchxml($query =~ s/ count='2'//r), qr/ERROR:  HV000: .*without a cookie.*50000/s,
    'more than 50,000 rows without a cookie');
is(scalar fetch_sent(), 10, '... are not asked for');
answers('fetchXml', page([ map { { n => $_ } } 1 .. 5000 ]));
$t->fails_like('SELECT count(*) FROM ' . fetchxml(q{<fetch aggregate='true'><entity name='account'/></fetch>}),
    qr/full page of groups/, '5,000 groups without word of more');
answers('fetchXml', fetched(3, 'nonsense'));
$t->fails_like($all, qr/08P01.*not a cookie/, 'a cookie that is none');
answers('fetchXml', fetched(3, cookie('{A}')));
$t->is_query('SELECT count(*) FROM ' . fetchxml(q{<fetch top='3'><entity name='account'/></fetch>}), '3', 'a limit has no pages');
$t->reset_log;

# --- FetchXML: refusals

for my $bad (
    [ 'SELECT 1', qr/22023: the FetchXML does not begin with <fetch>/ ],
    [ '<fetch><entity/></fetch>', qr/22023: .*no <entity name/ ],
    [ q{<fetch page='2'><entity name='account'/></fetch>}, qr/22023: .*all pages are read anyway/ ],
    [ q{<fetch><entity name='nosuch'/></fetch>}, qr/HV00R: server "crm" has no table "nosuch"/ ])
{
    $t->fails_like('SELECT * FROM ' . fetchxml($bad->[0]), $bad->[1], "refused: $bad->[0]");
}

# --- FetchXML: the other answer to what the documentation leaves open

undef $t;
$t = DataverseTest->new(rows => 50, import => 'account', quirks => { cookie_page => 'counted', top_and_page => 'page_ignored' });
$t->is_query('SELECT count(*), count(DISTINCT j->>\'accountid\') FROM ' . fetchxml($query =~ s/ count='2'/ count='20'/r),
    '50|50', 'pages by their cookies');
$t->is_query('SELECT count(*) FROM ' . odata('accounts?$select=name&$top=7'), '7', '$top');

done_testing();
