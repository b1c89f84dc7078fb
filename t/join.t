# join.t: joins of foreign tables along lookups: one request, and the answer
# that a join of local copies gives, whatever the service's null rules.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my @tables = qw(account contact systemuser opportunity incident);
my $force = join ' ', map { "SET $_ = off;" }
    qw(enable_hashjoin enable_mergejoin enable_nestloop dataverse_fdw.enable_key_join);
my $t;
my $service;

# One line that stands for all rows.
sub digest
{
    my ($sql) = @_;
    return "SELECT count(*), md5(coalesce(string_agg(x::text, E'\\n' ORDER BY x::text), '')) FROM ($sql) x";
}

# The same answer over the service (the statement says T for the schema) and
# over the copies, by so many requests (1).
sub same
{
    my ($name, $sql, %arguments) = @_;
    my ($remote, $local) = map { $sql =~ s/\bT\./$_./gr } 'crm', 'loc';
    my $set = $arguments{set} // $force;
    my $expected = $t->query(digest($local));

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->reset_log;
    $t->is_query("$set " . digest($remote), $expected, "$service: $name");
    is($t->requests, $arguments{requests} // 1, '... in as many requests as are due') or diag(map { "$_->{url}\n" } $t->log);
    unlike($expected, qr/^0\|/, '... with rows') unless $arguments{none};
}

sub kinds
{
    same('INNER', 'SELECT a.name, c.fullname FROM T.account a JOIN T.contact c ON c.contactid = a.primarycontactid');
    same('INNER, the other way round', 'SELECT a.name, c.fullname FROM T.contact c JOIN T.account a ON a.primarycontactid = c.contactid');
    same('LEFT', 'SELECT a.name, c.fullname FROM T.account a LEFT JOIN T.contact c ON c.contactid = a.primarycontactid');
    same('EXISTS', 'SELECT a.accountid FROM T.account a WHERE EXISTS (SELECT FROM T.contact c WHERE c.contactid = a.primarycontactid AND c.statecode = 0)');
    same('IN', q{SELECT a.accountid FROM T.account a WHERE a.primarycontactid IN (SELECT contactid FROM T.contact WHERE lastname ILIKE 's%')});
    same('NOT EXISTS', 'SELECT a.accountid FROM T.account a WHERE NOT EXISTS (SELECT FROM T.contact c WHERE c.contactid = a.primarycontactid AND c.statecode = 0)');
    same('nobody there', 'SELECT a.accountid, c.fullname FROM T.account a LEFT JOIN T.contact c ON c.contactid = a.primarycontactid WHERE c.contactid IS NULL');
}

# A related row's null, the null of a row that is not there, and either of them.
sub nulls
{
    my $inner = 'SELECT a.accountid, c.fullname FROM T.account a JOIN T.contact c ON c.contactid = a.primarycontactid WHERE';
    my $left = $inner =~ s/JOIN/LEFT JOIN/r;

    same('IS NULL, INNER', "$inner c.numberofchildren IS NULL");
    same('IS NULL, LEFT', "$left c.numberofchildren IS NULL");
    same('IS NOT NULL, LEFT', "$left c.numberofchildren IS NOT NULL");
    same('<>, INNER', "$inner c.numberofchildren <> 2");
    same('NOT IN, INNER', "$inner c.numberofchildren NOT IN (1, 2)");
    same('IS DISTINCT FROM, INNER', "$inner c.numberofchildren IS DISTINCT FROM 2");
    same('IS DISTINCT FROM, LEFT', "$left c.numberofchildren IS DISTINCT FROM 2");
    same('IS NOT TRUE, LEFT', "$left (c.donotphone = true) IS NOT TRUE");
    same('OR over both sides, INNER', "$inner c.numberofchildren = 2 OR a.revenue > 1000000");
    same('OR over both sides and null, INNER', "$inner c.numberofchildren IS NULL OR a.revenue IS NULL");
    same('OR over both sides, LEFT', "$left c.numberofchildren = 2 OR a.revenue > 1000000");
    same('OR over both sides and null, LEFT', "$left c.numberofchildren IS NULL OR a.revenue IS NULL");
    same('NOT of both sides, INNER', "$inner NOT (c.numberofchildren = 2 AND a.revenue > 1000000)");
    same('NOT of both sides, LEFT', "$left NOT (c.numberofchildren = 2 AND a.revenue > 1000000)");
    same('text of both sides', "$inner c.lastname = 'smith' OR a.name LIKE 'A%'");
    same('one column beside another', "$inner c.createdon > a.createdon");
}

# Conditions of LEFT JOIN decide about the match, not about the row.
sub matching
{
    my $left = 'SELECT a.accountid, c.contactid, c.fullname FROM T.account a LEFT JOIN T.contact c ON c.contactid = a.primarycontactid AND';

    same('ON, the related side', "$left c.statecode = 0");
    same('ON, the main side', "$left a.revenue > 1000000");
    same('ON, text', "$left c.lastname = 'Smith'");
    same('ON, both', "$left c.createdon > a.createdon");
    same('ON, a subquery that is a join', "$left c.lastname IN (SELECT lastname FROM loc.contact WHERE statecode = 1)", requests => 2);
    same('ON, a subquery of the row', "$left EXISTS (SELECT FROM loc.contact l WHERE l.lastname = c.lastname AND l.createdon > a.createdon)");
    same('ON, a value found first', "$left c.createdon > (SELECT min(createdon) + interval '900 days' FROM loc.contact)");
    same('WHERE, a subquery of the row', 'SELECT a.accountid, c.fullname FROM T.account a JOIN T.contact c ON c.contactid = a.primarycontactid'
            . ' WHERE a.revenue > (SELECT avg(l.revenue) FROM loc.account l WHERE l.primarycontactid = c.contactid)');
    same('ON and WHERE', "$left c.statecode = 0 WHERE c.contactid IS NULL OR c.numberofchildren IS NULL");
}

sub several
{
    same('a chain', 'SELECT o.name, a.name AS account, c.fullname FROM T.opportunity o JOIN T.account a ON a.accountid = o.parentaccountid'
            . ' JOIN T.contact c ON c.contactid = a.primarycontactid');
    same('a chain, LEFT', 'SELECT o.name, a.name AS account, c.fullname FROM T.opportunity o LEFT JOIN T.account a ON a.accountid = o.parentaccountid AND a.statecode = 0'
            . ' LEFT JOIN T.contact c ON c.contactid = a.primarycontactid AND c.statecode = 0');
    same('a chain on the nullable side', 'SELECT o.name, a.name AS account, c.fullname FROM T.opportunity o'
            . ' LEFT JOIN (T.account a JOIN T.contact c ON c.contactid = a.primarycontactid AND c.statecode = 0) ON a.accountid = o.parentaccountid');
    same('LEFT within the nullable side', 'SELECT o.name, a.name AS account, c.fullname FROM T.opportunity o'
            . ' LEFT JOIN (T.account a LEFT JOIN T.contact c ON c.contactid = a.primarycontactid AND c.statecode = 0) ON a.accountid = o.parentaccountid AND c.contactid IS NULL');
    same('a star', 'SELECT o.name, a.name AS account, c.fullname, u.fullname AS "user" FROM T.opportunity o JOIN T.account a ON a.accountid = o.parentaccountid'
            . ' LEFT JOIN T.contact c ON c.contactid = o.parentcontactid JOIN T.systemuser u ON u.systemuserid = o.modifiedby');
    same('two lookups of one table', 'SELECT i.title, c.fullname, r.fullname AS responsible FROM T.incident i LEFT JOIN T.contact c ON c.contactid = i.primarycontactid'
            . ' LEFT JOIN T.contact r ON r.contactid = i.responsiblecontactid');
    same('one lookup twice', q{SELECT a.name, c.fullname, d.fullname AS other FROM T.account a LEFT JOIN T.contact c ON c.contactid = a.primarycontactid AND c.statecode = 0}
            . q{ LEFT JOIN T.contact d ON d.contactid = a.primarycontactid AND d.statecode <> 0});
    same('itself', 'SELECT a.name, p.name AS parent FROM T.account a JOIN T.account p ON p.accountid = a.parentaccountid');
    same('itself, twice', 'SELECT a.name, p.name AS parent, pp.name AS grand FROM T.account a LEFT JOIN T.account p ON p.accountid = a.parentaccountid'
            . ' LEFT JOIN T.account pp ON pp.accountid = p.parentaccountid');
    same('EXISTS of a join', 'SELECT o.name FROM T.opportunity o WHERE NOT EXISTS (SELECT FROM T.account a LEFT JOIN T.contact c ON c.contactid = a.primarycontactid'
            . ' WHERE a.accountid = o.parentaccountid AND c.contactid IS NULL)');
    same('labels of both', 'SELECT a.industrycode_label, c.preferredcontactmethodcode_label, c.customertypecode_label FROM T.account a JOIN T.contact c ON c.contactid = a.primarycontactid');
    same('a label compared', q{SELECT a.name FROM T.account a JOIN T.contact c ON c.contactid = a.primarycontactid WHERE c.statecode_label = 'Active'});
    same('numbers to the last digit', 'SELECT a.revenue, p.revenue AS parent, p.versionnumber, p.exchangerate FROM T.account a JOIN T.account p ON p.accountid = a.parentaccountid');
}

# Rows that lead to a row: FetchXML.
sub children
{
    my $with = 'SELECT c.contactid, c.fullname, c.preferredcontactmethodcode_label, c.modifiedby FROM T.contact c WHERE';
    my $account = 'SELECT FROM T.account a WHERE a.primarycontactid = c.contactid';

    same('EXISTS of children', "$with EXISTS ($account)");
    same('NOT EXISTS of children', 'SELECT a.name, a.industrycode_label FROM T.account a WHERE NOT EXISTS (SELECT FROM T.opportunity o WHERE o.parentaccountid = a.accountid)');
    same('NOT EXISTS where all have some', "$with NOT EXISTS ($account)", none => 1);
    same('IN of children', "$with c.contactid IN (SELECT primarycontactid FROM T.account)");
    same('EXISTS with conditions', "$with EXISTS ($account AND a.statecode = 0 AND a.revenue > 100000 AND a.createdon < '2024-01-01') AND c.statecode = 0");
    same('NOT EXISTS with conditions', "$with NOT EXISTS ($account AND a.statecode = 0 AND a.revenue IS DISTINCT FROM 5)");
    same('EXISTS with a list', "$with EXISTS ($account AND a.industrycode IN (1, 2, 3, 4, 5, 6, 7))");
    same('EXISTS and a superset', "$with EXISTS ($account) AND c.lastname LIKE 'S%'");
    same('EXISTS and what is not sent', "$with EXISTS ($account) AND c.lastname > 'S'");
    same('two kinds of children', "$with NOT EXISTS (SELECT FROM T.opportunity o WHERE o.parentcontactid = c.contactid) AND EXISTS ($account)");
    same('children of its own kind', 'SELECT a.accountid FROM T.account a WHERE NOT EXISTS (SELECT FROM T.account b WHERE b.parentaccountid = a.accountid)');
    same('how many have children', "SELECT count(*) AS n FROM T.contact c WHERE EXISTS ($account)");
    same('children under two names', "$with EXISTS ($account) AND EXISTS ($account AND a.statecode = 0)");
    same('no child can be so', "$with NOT EXISTS ($account AND a.numberofemployees > 3000000000)");
    same('no child can be so, and must', "$with EXISTS ($account AND a.numberofemployees > 3000000000)", none => 1, requests => 0);
    same('OR beside children', "$with EXISTS ($account AND (a.statecode = 1 OR a.creditonhold IS TRUE)) AND (c.statecode = 0 OR c.numberofchildren IS NULL)");
}

for my $related_null ('returned', 'dropped')
{
    $service = "related nulls $related_null";
    $t = DataverseTest->new(rows => 200, quirks => { related_null => $related_null, ne_null => $related_null }, import => join ', ', @tables);
    $t->query('CREATE SCHEMA loc; ' . join ' ', map { "CREATE TABLE loc.$_ AS SELECT * FROM crm.$_; ANALYZE loc.$_; ANALYZE crm.$_;" } @tables);
    kinds();
    nulls();
    matching();
    several();
    children();
}

# --- order and limit: never more requests than it takes, never fewer rows

my $join = 'FROM crm.account a JOIN crm.contact c ON c.contactid = a.primarycontactid';

$t->reset_log;
$t->is_query("SELECT count(*), count(name), count(fullname) FROM (SELECT a.name, c.fullname $join LIMIT 10 OFFSET 0) x", '10|10|10', 'LIMIT 10 has ten rows');
is($t->requests, 1, '... in one request');
is(scalar(grep { $_->{url} =~ /top=/ } $t->log), 0, '... without $top');
like(($t->log)[0]{url}, qr/expand=primarycontactid\(\$select=fullname,contactid\)/, '... with what is selected');

$t->reset_log;
$t->is_query("$force SELECT count(*) FROM (SELECT a.name $join WHERE c.lastname = 'smith' LIMIT 2) x", '2', 'LIMIT above what is checked here');
cmp_ok($t->requests, '<=', 4, '... goes on only as far as needed (' . $t->requests . ')');

my $listed = 'SELECT a.versionnumber, c.fullname FROM T.account a LEFT JOIN T.contact c ON c.contactid = a.primarycontactid WHERE a.versionnumber > 0 ORDER BY a.versionnumber DESC LIMIT 7 OFFSET 3';
$t->reset_log;
$t->is_query($listed =~ s/\bT\./crm./gr, $t->query($listed =~ s/\bT\./loc./gr), 'ORDER BY and LIMIT');
is($t->requests, 1, '... in one request');
like(($t->log)[0]{url}, qr/orderby=versionnumber/, '... sorted there');

my $nulls = 'SELECT a.numberofemployees FROM T.account a JOIN T.contact c ON c.contactid = a.primarycontactid ORDER BY a.numberofemployees DESC LIMIT 70';
$t->is_query("$force " . $nulls =~ s/\bT\./crm./gr, $t->query($nulls =~ s/\bT\./loc./gr), 'ORDER BY with nulls first');
$nulls =~ s/DESC LIMIT 70//;
$t->is_query("$force " . $nulls =~ s/\bT\./crm./gr, $t->query($nulls =~ s/\bT\./loc./gr), 'ORDER BY with nulls last');

# --- many pages

$t->query(q{ALTER FOREIGN TABLE crm.account OPTIONS (ADD fetch_size '40')});
same('several pages', 'SELECT a.accountid, c.fullname FROM T.account a LEFT JOIN T.contact c ON c.contactid = a.primarycontactid', requests => 5);
same('several pages, sorted', 'SELECT a.accountid, c.fullname FROM T.account a LEFT JOIN T.contact c ON c.contactid = a.primarycontactid ORDER BY a.versionnumber', requests => 5);
$t->query(q{ALTER FOREIGN TABLE crm.account OPTIONS (DROP fetch_size)});

$t->query(q{ALTER FOREIGN TABLE crm.contact OPTIONS (ADD fetch_size '20')});
same('several pages of FetchXML', 'SELECT c.contactid, c.fullname FROM T.contact c WHERE NOT EXISTS (SELECT FROM T.opportunity o WHERE o.parentcontactid = c.contactid)',
    requests => 4);
is(scalar(grep { $_->{url} =~ /paging-cookie/ } $t->log), 3, '... by cookies');
my $standing = '{"value":[],"@Microsoft.Dynamics.CRM.morerecords":true,"@Microsoft.Dynamics.CRM.fetchxmlpagingcookie":"<cookie pagenumber=\\"2\\"'
    . ' pagingcookie=\\"%253ccookie%2520page%253d%25221%2522%253e%253ccontactid%2520last%253d%2522x%2522%2520%252f%253e%253c%252fcookie%253e\\" istracking=\\"False\\" />"}';
$t->faults({ match => { path => 'fetchXml' }, status => 200, body => $standing, headers => { 'Content-Type' => 'application/json' }, times => 9 });
$t->fails_like("$force SELECT c.fullname FROM crm.contact c WHERE NOT EXISTS (SELECT FROM crm.opportunity o WHERE o.parentcontactid = c.contactid)",
    qr/pages of foreign table "contact" do not follow one another.*earlier page/s, 'a cookie that does not advance');
$t->reset_log;
$t->query(q{ALTER FOREIGN TABLE crm.contact OPTIONS (DROP fetch_size)});

my $some = 'FROM crm.contact c WHERE EXISTS (SELECT FROM crm.account a WHERE a.primarycontactid = c.contactid AND a.statecode = 0)';
$t->reset_log;
$t->is_query("$force SELECT count(*), count(DISTINCT contactid) FROM (SELECT c.contactid, c.fullname $some LIMIT 7) x", '7|7', 'EXISTS and LIMIT');
is($t->requests(qr/top%3D'7'/), 1, '... as top');
$t->is_query("$force SELECT count(*) FROM (SELECT c.contactid $some AND c.lastname ILIKE '%s%' LIMIT 3) x", '3', 'EXISTS and LIMIT above what is checked here');
my $again = 'SELECT k, (SELECT count(*) FROM T.contact c WHERE c.numberofchildren = k AND EXISTS (SELECT FROM T.account a WHERE a.primarycontactid = c.contactid AND a.statecode = k % 2)) FROM generate_series(0, 3) k';
$t->is_query("$force " . $again =~ s/\bT\./crm./gr, $t->query($again =~ s/\bT\./loc./gr), 'EXISTS run again and again');
like($t->query("$force EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT c.contactid $some"), qr/SEMI JOIN.*Remote Dialect: FetchXML.*Remote Requests: 1\b/s, 'EXPLAIN names the dialect');

# --- long lists, parameters, rescans

same('a long list of ids', 'SELECT a.accountid, c.fullname FROM T.account a JOIN T.contact c ON c.contactid = a.primarycontactid WHERE c.contactid = ANY (ARRAY('
        . 'SELECT contactid FROM loc.contact UNION ALL SELECT gen_random_uuid() FROM generate_series(1, 1000)))', requests => 3);
same('a long list of texts, which cannot be cut', 'SELECT a.accountid, c.fullname FROM T.account a JOIN T.contact c ON c.contactid = a.primarycontactid WHERE c.lastname = ANY (ARRAY('
        . q{SELECT lastname FROM loc.contact UNION ALL SELECT 'nobody ' || n FROM generate_series(1, 1000) n))});

for my $plan ('force_custom_plan', 'force_generic_plan')
{
    my $sql = 'SELECT count(*), min(a.name COLLATE "C") FROM T.account a JOIN T.contact c ON c.contactid = a.primarycontactid WHERE c.statecode = $1 AND a.createdon > $2 AND c.lastname <> $3';
    my $arguments = q{(0, '2019-01-01', 'Smith'), (1, '2016-01-01', ''), (NULL, '2019-01-01', '')};
    my $run = sub {
        my ($schema) = @_;
        my $prepare = $sql =~ s/\bT\./$schema./gr;
        return "SET plan_cache_mode = $plan; PREPARE p (int, timestamptz, text) AS $prepare;"
            . join '', map { "EXECUTE p($_);" } $arguments =~ /\(([^)]*)\)/g;
    };
    $t->is_query($force . $run->('crm'), $t->query($run->('loc')), "a prepared statement, $plan");
}
my $rescans = 'SELECT k, (SELECT count(*) FROM T.account a JOIN T.contact c ON c.contactid = a.primarycontactid WHERE c.numberofchildren = k) FROM generate_series(0, 4) k';
$t->is_query("$force " . $rescans =~ s/\bT\./crm./gr, $t->query($rescans =~ s/\bT\./loc./gr), 'a subquery run again and again');
$t->is_query("$force BEGIN; DECLARE d CURSOR FOR SELECT c.contactid IS NULL FROM crm.account a LEFT JOIN crm.contact c ON c.contactid = a.primarycontactid"
        . " ORDER BY a.versionnumber; MOVE 5 FROM d; CLOSE d; COMMIT; SELECT 'closed'", 'closed', 'a cursor closed early');

# --- more tables than a query may expand, more paths than it may filter by

my $chain = 'SELECT a0.name' . join('', map { ", a$_.name AS n$_" } 1 .. 17) . ' FROM T.account a0'
    . join('', map { my $p = $_ - 1; " LEFT JOIN T.account a$_ ON a$_.accountid = a$p.parentaccountid" } 1 .. 17);
my ($far, $near) = map { $chain =~ s/\bT\./$_./gr } 'crm', 'loc';
$t->is_query('SET join_collapse_limit = 1; ' . digest($far), $t->query(digest($near)), 'eighteen tables');
same('nine tables', 'SELECT o.name FROM T.opportunity o JOIN T.account a ON a.accountid = o.parentaccountid JOIN T.contact c ON c.contactid = a.primarycontactid'
        . join('', map { " JOIN T.systemuser u$_ ON u$_.systemuserid = " . (qw(o.modifiedby a.modifiedby c.modifiedby o.createdby a.createdby c.createdby))[$_] } 0 .. 5)
        . ' WHERE u0.isdisabled = false AND c.statecode = 0 AND a.statecode = 0', set => "$force SET join_collapse_limit = 1;");

# --- rows that the user may not see: the service leaves them out

my ($id, $other) = split /\n/, $t->query('SELECT accountid FROM loc.account ORDER BY accountid LIMIT 2');
my $contact = $t->query('SELECT contactid FROM loc.contact LIMIT 1');
my $answer = qq({"value":[{"accountid":"$id","name":"one","_primarycontactid_value":"$contact","primarycontactid":null},)
    . qq({"accountid":"$other","name":"two","_primarycontactid_value":"$contact","primarycontactid":{"contactid":"$contact","fullname":"x","statecode":0}}]});
my %unseen = (
    'JOIN' => 'two|x',
    'LEFT JOIN' => "one|\ntwo|x");
for my $kind (sort keys %unseen)
{
    $t->reset_log;
    $t->faults({ match => { path => '/accounts' }, status => 200, body => $answer, headers => { 'Content-Type' => 'application/json' }, times => 1 });
    $t->is_query("$force SELECT a.name, c.fullname FROM crm.account a $kind crm.contact c ON c.contactid = a.primarycontactid", $unseen{$kind}, "a contact that is not seen, $kind");
}
$t->reset_log;
$t->faults({ match => { path => '/accounts' }, status => 200, body => $answer, headers => { 'Content-Type' => 'application/json' }, times => 1 });
$t->is_query("$force SELECT a.name FROM crm.account a WHERE NOT EXISTS (SELECT FROM crm.contact c WHERE c.contactid = a.primarycontactid AND c.statecode = 0)", 'one', 'a contact that is not seen, NOT EXISTS');
$t->reset_log;

# --- errors name the related row

$t->query(q{CREATE FOREIGN TABLE crm.odd (contactid uuid OPTIONS (attribute_type 'Uniqueidentifier'), fullname integer OPTIONS (attribute_type 'String'))
    SERVER crm OPTIONS (table_name 'contact', entity_set_name 'contacts', primary_id 'contactid')});
$t->fails_like("$force SELECT a.name, c.fullname FROM crm.account a JOIN crm.odd c ON c.contactid = a.primarycontactid",
    qr/invalid input syntax for type integer.*"odd".*[0-9a-f]{8}-/s, 'a value that does not fit');

# --- what may lock or change rows is joined here, and right

$t->is_query('SELECT count(*) FROM (SELECT a.name FROM crm.account a JOIN crm.contact c ON c.contactid = a.primarycontactid FOR UPDATE OF a) x', $t->query('SELECT count(*) FROM loc.account a JOIN loc.contact c ON c.contactid = a.primarycontactid'), 'FOR UPDATE');
$t->is_query('CREATE TABLE names AS SELECT accountid, name FROM loc.account; UPDATE names SET name = c.fullname FROM crm.account a JOIN crm.contact c ON c.contactid = a.primarycontactid'
        . ' WHERE a.accountid = names.accountid; SELECT count(*) FROM names n JOIN loc.account a USING (accountid) JOIN loc.contact c ON c.contactid = a.primarycontactid WHERE n.name IS DISTINCT FROM c.fullname', '0', 'UPDATE of a local table');
$t->is_query('CREATE TABLE copied (name text, fullname text); INSERT INTO copied SELECT a.name, c.fullname FROM crm.account a JOIN crm.contact c ON c.contactid = a.primarycontactid;'
        . ' SELECT count(*) FROM copied', $t->query('SELECT count(*) FROM loc.account a JOIN loc.contact c ON c.contactid = a.primarycontactid'), 'INSERT of a join');

like($t->query("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT a.name, c.fullname $join LIMIT 3"), qr/INNER JOIN.*Remote Dialect: OData.*Remote Requests: 1\b.*Remote Rows: 3\b/s, 'EXPLAIN ANALYZE counts');

done_testing();
