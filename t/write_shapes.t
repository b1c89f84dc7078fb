# write_shapes.t: by which requests rows travel, and that each is written once,
# whatever happens on the way: bad rows, time-outs, cut connections, throttling.
# How many rows are there is the service's own word.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use JSON::PP ();
use List::Util qw(max);

my $t = DataverseTest->new(rows => 20, server_options => { request_timeout => 20 });
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

# Nothing that points to accounts, so that those can be deleted.
$t->query("DELETE FROM crm.$_") for qw(opportunity task incident sample_everything);

$t->query(<<'SQL');
ALTER FOREIGN TABLE crm.geo_country OPTIONS (ADD key 'geo_alpha2');
ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (ADD key 'geo_code');
ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD key 'geo_number');
SQL

# Rows that the service holds.
sub held
{
    return $t->figures($_[0])->{rows} // $t->figures($_[0])->{count};
}

# A column's sum, as the service computes it.
sub sum
{
    my ($table, $column) = @_;
    return $t->figures($table)->{columns}{$column}{sum} =~ s/\.0*$//r;
}

sub without_faults
{
    $t->reset_log;
    $t->limits;
}

sub emptied
{
    my ($table) = @_;

    without_faults();
    $t->query("DELETE FROM crm.$table");
    $t->reset_log;
    return $table;
}

# How many requests were under way at most when one began, itself included.
sub most_at_once
{
    return max(map { $_->{in_flight} + 1 } grep { "$_->{method} $_->{url}" =~ $writes } $t->log);
}

# "n rows had been written before", and what the service holds beyond what was there.
sub told_is_true
{
    my ($table, $sql, $error, $name) = @_;
    my $before = held($table);
    my ($status, $out, $err) = $t->psql($sql);
    my $after = held($table);
    my ($told) = $err =~ /(\d+) rows? had been written before/;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    like($err, $error, $name);
    is($told, $after - $before, '... and the number told is that of the rows written');
    return $told;
}

# --- a bad row among many

my $some = 'INSERT INTO crm.geo_subdivision (geo_code, geo_name)';
emptied('geo_subdivision');
my $told = told_is_true('geo_subdivision',
    "$some SELECT CASE WHEN n = 700 THEN 'much too long' ELSE 'A' || n END, 'x' FROM generate_series(1, 1000) n",
    qr/22001: .*0x80044331.*geo_code='much too long'/s, 'a bad row among 1,000 is named');
is($told, 699, '... when those before it are in');
cmp_ok($t->requests($writes), '<=', 20, '... after 2 log2(n) requests at most');

emptied('geo_subdivision');
$told = told_is_true('geo_subdivision',
    "$some SELECT CASE WHEN n % 100 = 50 THEN 'much too long' || n ELSE 'A' || n END, 'x' FROM generate_series(1, 1000) n",
    qr/geo_code='much too long50'/, 'of ten bad rows the first is named');
is($told, 49, '... when those before it are in');

emptied('geo_subdivision');
$t->query("ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (ADD batch_size '100', ADD concurrency '4')");
told_is_true('geo_subdivision',
    "$some SELECT CASE WHEN n = 150 THEN 'much too long' ELSE 'A' || n END, 'x' FROM generate_series(1, 1000) n",
    qr/geo_code='much too long'/, 'a bad row with other requests in flight');
$t->query("ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (DROP batch_size, DROP concurrency, DROP key)");
emptied('geo_subdivision');
told_is_true('geo_subdivision', "$some SELECT 'A' || n, CASE WHEN n = 321 THEN repeat('x', 500) ELSE 'x' END FROM generate_series(1, 1000) n",
    qr/number 321 of the statement/, 'a bad row without a key goes by its number');
$t->query("ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (ADD key 'geo_code')");
emptied('geo_subdivision');
$t->query("$some SELECT 'A' || n, 'x' FROM generate_series(1, 1000) n");
$t->fails_like("UPDATE crm.geo_subdivision SET geo_type = CASE geo_code WHEN 'A77' THEN repeat('x', 200) ELSE 'new' END",
    qr/22001: .*geo_subdivisionid='/s, 'a bad row of an UPDATE');

# --- tables without bulk messages

emptied('geo_note');
$t->psql_ok("INSERT INTO crm.geo_note (geo_number, geo_name) SELECT 'N' || n, 'x' FROM generate_series(1, 700) n", 'a table without bulk messages');
is($t->requests($writes), 1, '... takes a batch');
is(max(map { $_->{operations} } $t->log), 700, '... of plain requests');
$t->reset_log;
$t->psql_ok("INSERT INTO crm.geo_note (geo_number, geo_name) SELECT 'N' || n, 'y' FROM generate_series(1, 701) n", '... again');
$t->is_query("SELECT geo_name, count(*) FROM crm.geo_note GROUP BY 1", 'y|701', '... is an upsert');
$t->reset_log;
$t->psql_ok("UPDATE crm.geo_note SET geo_text = geo_number", 'UPDATE there');
is($t->requests($writes), 1, '... is one request');
$t->is_query("SELECT count(*) FROM crm.geo_note WHERE geo_text = geo_number", 701, '... for the right rows');
told_is_true('geo_note', "INSERT INTO crm.geo_note (geo_number, geo_name) SELECT CASE n WHEN 100 THEN repeat('9', 60) ELSE 'M' || n END, 'x' FROM generate_series(1, 300) n",
    qr/22001: .*geo_number='9{60}'/s, 'a bad row there');
$t->fails_like("ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD batch_size '1001')", qr/batch_size.*1 to 1000/s, 'a batch_size that no batch may have');
$t->query("ALTER FOREIGN TABLE crm.geo_note OPTIONS (DROP key)");
emptied('geo_note');
$t->psql_ok("INSERT INTO crm.geo_note (geo_name) SELECT 'create ' || n FROM generate_series(1, 2500) n", 'creates there');
is(join(' ', map { $_->{operations} } grep { $_->{method} eq 'POST' } $t->log), '1000 1000 500', '... go by the thousand');
is(held('geo_note'), 2500, '... and all rows are there');
$t->query("ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD key 'geo_number')");

# --- elastic tables

emptied('contoso_sensordata');
my $sensor = 'INSERT INTO crm.contoso_sensordata (contoso_name, contoso_value, contoso_quality, partitionid)';
$t->psql_ok("$sensor SELECT 's' || n, n, 100000000, 'p' || n % 3 FROM generate_series(1, 250) n", 'an elastic table');
is($t->requests($writes), 3, '... takes a hundred rows a request');
is(held('contoso_sensordata'), 250, '... all of them');
$t->psql_ok("UPDATE crm.contoso_sensordata SET contoso_value = -contoso_value", 'UPDATE there');
$t->is_query("SELECT sum(contoso_value), count(*) FROM crm.contoso_sensordata", -31375 . '|250', '... by id and partition');
told_is_true('contoso_sensordata', "$sensor SELECT 't' || n, n, CASE n WHEN 150 THEN 7 ELSE 100000000 END, 'q' FROM generate_series(1, 200) n",
    qr/number 150 of the statement/, 'a bad row, while the others of its request are kept');
is(held('contoso_sensordata'), $t->query('SELECT count(DISTINCT contoso_name) FROM crm.contoso_sensordata'), '... none twice');
emptied('contoso_sensordata');
told_is_true('contoso_sensordata', "INSERT INTO crm.contoso_sensordata (contoso_sensordataid, contoso_name, contoso_quality, partitionid)
    SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'g' || n, CASE n WHEN 50 THEN 7 ELSE 100000000 END, 'p' FROM generate_series(1, 80) n",
    qr/contoso_sensordataid='00000000-0000-4000-8000-000000000050'/, '... and with ids of the user');
$t->reset_log;
$t->faults({ match => { path => 'CreateMultiple', body => 'again' }, times => 1, behaviour => 'close_after' });
$t->query('DELETE FROM crm.contoso_sensordata');
$t->psql_ok("$sensor SELECT 'again', n, 100000000, 'p' FROM generate_series(1, 50) n", 'an answer lost there');
is(held('contoso_sensordata'), 50, '... and each row is there once');
$t->psql_ok("UPDATE crm.contoso_sensordata SET contoso_value = 7", 'UPDATE of one column');
$t->is_query("SELECT contoso_name, contoso_value, partitionid, count(*) FROM crm.contoso_sensordata GROUP BY 1, 2, 3", 'again|7|p|50', '... leaves the others');
$t->query(<<'SQL');
CREATE FUNCTION vanish(n integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF n = 40 THEN
        DELETE FROM crm.contoso_sensordata WHERE contoso_value = 40;
        RETURN 4040;
    END IF;
    RETURN 8;
END $$;
SQL
my $marked = 'UPDATE crm.contoso_sensordata SET contoso_value = 40
 WHERE contoso_sensordataid = (SELECT contoso_sensordataid FROM crm.contoso_sensordata ORDER BY 1 LIMIT 1)';
my $vanishing = 'UPDATE crm.contoso_sensordata SET contoso_value = vanish(contoso_value)';
$t->query($marked);
$t->reset_log;
$t->psql_ok($vanishing, 'UPDATE there, of a row that vanishes');
$t->is_query('SELECT contoso_value, count(*) FROM crm.contoso_sensordata GROUP BY 1', '8|49', '... updates the others');
is($t->requests(qr{^(POST|PATCH)}), 2, '... by one request more, since the answer tells which is gone');
$t->query($marked);
$t->reset_log;
$t->faults({ match => { path => 'UpdateMultiple', body => '4040' }, times => -1, status => 404, code => '404', message => 'not there' });
$t->psql_ok($vanishing, '... when the answer does not tell');
$t->is_query('SELECT contoso_value, count(*) FROM crm.contoso_sensordata GROUP BY 1', '8|48', '... updates the others');
cmp_ok($t->requests(qr{^(POST|PATCH)}), '<=', 12, '... after 2 log2(n) requests at most');
$t->reset_log;
$t->psql_ok('DELETE FROM crm.contoso_sensordata', 'DELETE there');
is(held('contoso_sensordata'), 0, '... by id and partition');

# --- too large, too slow

emptied('account');
$t->faults({ match => { method => 'POST', min_bytes => 30_000 }, times => -1, status => 413, message => 'too large' });
my $load = "INSERT INTO crm.account (name, numberofemployees) SELECT 'load ' || n, n FROM generate_series(1, %d) n";
$t->psql_ok(sprintf($load, 3000), 'requests that are too large');
is(held('account') . ' ' . sum('account', 'numberofemployees'), '3000 4501500', '... are halved until they fit, each row once');
is(scalar(grep { $_->{status} == 413 } $t->log), 0 + grep({ $_->{request_bytes} >= 30_000 && $_->{method} eq 'POST' } $t->log), '... (those refused are the large ones)');
cmp_ok(scalar(grep { $_->{status} == 413 } $t->log), '<=', 12, '... and later ones are as small from the start');

emptied('account');
$t->query("ALTER SERVER crm OPTIONS (SET request_timeout '1')");
$t->faults({ match => { method => 'POST', min_operations => 300 }, times => -1, behaviour => 'delay_after', delay_ms => 2500 });
$t->psql_ok(sprintf($load, 1000), 'requests that take too long although they are processed');
is(held('account') . ' ' . sum('account', 'numberofemployees'), '1000 500500', '... leave each row once');
emptied('account');
$t->faults({ match => { method => 'PATCH' }, times => 1, behaviour => 'delay_after', delay_ms => 2500 });
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'accountnumber')");
$t->psql_ok("INSERT INTO crm.account (accountnumber, name) VALUES ('slow', 'x')", 'a single row that takes too long');
is(held('account'), 1, '... is there once');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP key)");
$t->query("ALTER SERVER crm OPTIONS (SET request_timeout '20')");

# --- lost answers, throttling, failures on the way

$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD batch_size '250')");
my @plan = (
    [ 'connections cut after the work' => { behaviour => 'close_after', every => 4 } ],
    [ 'connections cut before it' => { behaviour => 'close', every => 4 } ],
    [ 'answers cut half-way' => { behaviour => 'truncate', every => 5 } ],
    [ '429 with Retry-After' => { status => 429, code => '0x80072322', headers => { 'Retry-After' => '1' }, every => 9, times => 2 } ],
    [ '503' => { status => 503, code => '0x80072321', headers => { 'Retry-After' => '1' }, every => 10, times => 2 } ],
    [ 'a gateway\'s 502' => { behaviour => 'html', every => 12 } ],
);
for (@plan)
{
    my ($what, $fault) = @$_;
    emptied('account');
    $t->faults({ match => { path => '/accounts/.*CreateMultiple' }, times => 4, %$fault });
    my $plan = JSON::PP->new->decode($t->query('EXPLAIN (ANALYZE, FORMAT JSON) ' . sprintf($load, 5000)))->[0]{Plan};
    is(held('account') . ' ' . sum('account', 'numberofemployees'), '5000 12502500', "$what: creates leave each row once");
    is($plan->{'Remote Rows'}, 5000, '... and are counted once');
    cmp_ok($plan->{'Remote Retries'} // 0, '>=', 1, '... though some went twice');
    is($plan->{'Remote Requests'}, $t->requests(qr{/accounts}), '... requests are counted, too');
}
emptied('account');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'accountnumber')");
my $upsert = "INSERT INTO crm.account (accountnumber, name, numberofemployees) SELECT 'U' || n, 'up', n FROM generate_series(1, 3000) n";
$t->faults(
    { match => { path => '/accounts/.*UpsertMultiple' }, times => -1, behaviour => 'close_after', every => 3 },
    { match => { path => '/accounts/.*UpsertMultiple' }, times => 1, skip => 2, status => 503, headers => { 'Retry-After' => '1' } },
    { match => { path => '/accounts/.*UpsertMultiple' }, times => 1, skip => 5, status => 412, code => '0x80040237', message => 'A record with matching key values already exists.' });
$t->psql_ok($upsert, 'upserts under all of that, and a lost race');
is(held('account') . ' ' . sum('account', 'numberofemployees'), '3000 4501500', '... leave each row once');
$t->reset_log;
$t->faults({ match => { path => '/accounts/.*UpdateMultiple' }, times => 2, behaviour => 'close_after', every => 3 });
$t->psql_ok('UPDATE crm.account SET numberofemployees = numberofemployees + 1', 'updates');
is(sum('account', 'numberofemployees'), 4504500, '... are done once');
$t->reset_log;
$t->faults({ match => { path => 'batch' }, times => 2, behaviour => 'close_after', every => 2 });
my $plan = JSON::PP->new->decode($t->query('EXPLAIN (ANALYZE, FORMAT JSON) DELETE FROM crm.account WHERE numberofemployees <= 2001'))->[0]{Plan};
is(held('account'), 1000, 'deletes whose answer was lost');
is($plan->{Plans}[0]{'Remote Rows'}, 2000, '... count as done');
without_faults();

# One row whose answer is lost.
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP key)");
emptied('account');
my $once = { match => { method => 'POST', path => '/accounts' }, times => 1, behaviour => 'close_after' };
$t->faults($once);
$t->psql_ok("INSERT INTO crm.account (name) VALUES ('single')", 'a single create whose answer was lost');
is(held('account'), 1, '... is there once');
$t->reset_log;
$t->faults($once, { match => { method => 'POST', path => '/accounts' }, times => 1, status => 412, code => '0x80060892', message => 'Entity Key violated.' });
$t->psql_ok("INSERT INTO crm.account (name, accountnumber) VALUES ('single 2', 'S2')", '... also when the repeat meets its own alternate key');
is(held('account'), 2, '... is there once');
$t->reset_log;
$t->faults($once, { match => { method => 'POST', path => '/accounts' }, times => 1, status => 412, code => '0x80060892', message => 'Entity Key violated.' });
$t->psql_ok("INSERT INTO crm.account (name, accountnumber) VALUES ('single 3', 'S3'), ('single 4', 'S4')", '... and so two rows');
is(held('account'), 4, '... are there once');
$t->reset_log;
$t->faults($once);
$t->is_query("INSERT INTO crm.account (name) VALUES ('returned') RETURNING name, createdon IS NOT NULL", 'returned|t', '... with RETURNING of what the service computes');
$t->reset_log;
$t->faults({ match => { method => 'DELETE', path => '/accounts' }, times => 1, behaviour => 'close_after' });
$t->is_query("DELETE FROM crm.account WHERE name = 'returned' RETURNING name", 'returned', '... of a DELETE');
is(held('account'), 4, '... which is done');
$t->reset_log;
$t->faults($once);
($told) = ($t->psql("INSERT INTO crm.account (accountid, name) VALUES (gen_random_uuid(), 'given'), (gen_random_uuid(), 'given')"))[2];
like($told, qr/23505: .*0 rows had been written before; of 2 more it is not known.*HINT: .*may be this one/s,
    'ids of the user: whose they are after a lost answer, nobody knows, and that is told');
like($told, qr/WARNING: .* 2 rows were on their way/, '... in the warning, too');
$t->reset_log;
$t->faults({ match => { method => 'POST', path => '/accounts' }, times => -1, behaviour => 'close_after' });
$t->query("ALTER SERVER crm OPTIONS (ADD retry_timeout '1')");
$t->fails_like("INSERT INTO crm.account (name) SELECT 'doubt' FROM generate_series(1, 10)", qr/0 rows had been written before; of 10 more it is not known/s,
    'an answer that never comes leaves rows of which nothing is known');
$t->query("ALTER SERVER crm OPTIONS (DROP retry_timeout)");

# --- tokens

emptied('account');
$t->faults({ match => { path => '/accounts/.*CreateMultiple' }, times => 1, skip => 3, status => 401, message => 'expired' });
$t->psql_ok(sprintf($load, 2500), 'a token that expires in the middle of a load');
is(held('account'), 2500, '... is renewed, each row once');
is(scalar(grep { $_->{url} =~ /oauth2/ } $t->log(tokens => 1)), 2, '... with one more token');
is(scalar(grep { $_->{status} == 401 } $t->log), 1, '... after one refusal');
without_faults();

# --- side by side

$t->control('latency', { ms => 50 });
emptied('account');
$t->psql_ok(sprintf($load, 3000), 'twelve requests at 50 ms');
is(most_at_once(), 4, '... go four at a time');
emptied('account');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD concurrency '1')");
$t->psql_ok(sprintf($load, 1000), "concurrency '1'");
is(most_at_once(), 1, '... goes one by one');
emptied('account');
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (SET concurrency '8')");
$t->psql_ok(sprintf($load, 4000), "concurrency '8'");
is(most_at_once(), 8, '... goes eight at a time');
emptied('account');
$t->limits(dop_hint => 2);
$t->psql_ok(sprintf($load, 3000), '... unless the service recommends two');
is(most_at_once(), 2, '... which is heeded');
is(held('account'), 3000, '... and all rows are there');
$t->limits;
$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD key 'accountnumber')");
emptied('account');
$t->faults({ match => { path => '/accounts/.*UpsertMultiple' }, times => -1, every => 3, behaviour => 'delay', delay_ms => 200 });
$t->psql_ok("INSERT INTO crm.account (accountnumber, name, numberofemployees) SELECT 'O' || n % 900, 'order', n FROM generate_series(1, 4000) n", 'keys that come again while others are on their way');
$t->is_query("SELECT count(*), count(*) FILTER (WHERE numberofemployees > 3100) FROM crm.account", '900|900', '... the last of each wins');
cmp_ok(most_at_once(), '>', 1, '... though requests went side by side');
$t->control('latency', { ms => 0 });
without_faults();

# --- given up

$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (DROP key, SET concurrency '4')");
emptied('account');
$t->faults({ match => { path => '/accounts/.*CreateMultiple' }, times => -1, skip => 4, behaviour => 'hang' });
my ($status, $out, $err, $seconds) = $t->psql("SET statement_timeout = '2s'; " . sprintf($load, 4000));
like($err, qr/57014/, 'statement_timeout in the middle of a load');
like($err, qr/WARNING:.*1000 rows had been written.*Up to 1000 more were on their way/s, '... tells what is written and what may be');
is(held('account'), 1000, '... and that is true');
cmp_ok($seconds, '<', 4, '... in time');

done_testing();
