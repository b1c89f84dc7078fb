# changeset.t: with option transaction 'statement', all rows of a statement are
# written or none, whatever happens on the way.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;

my $t = DataverseTest->new(rows => 10, import => 'account, geo_note, geo_subdivision, contoso_sensordata, opportunity',
    server_options => { request_timeout => 5 });
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

$t->query("ALTER SERVER crm OPTIONS (ADD transaction 'statement')");
$t->query("ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD key 'geo_number')");

sub held
{
    return $t->figures('geo_note')->{count};
}

sub notes
{
    return $t->query("SELECT string_agg(geo_number || '=' || coalesce(geo_name, ''), ',' ORDER BY geo_number) FROM crm.geo_note");
}

sub cost
{
    my ($sql, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->reset_log;
    $t->psql_ok($sql, $name);
    return $t->requests($writes);
}

sub emptied
{
    $t->reset_log;
    $t->query("TRUNCATE seen; DELETE FROM crm.geo_note");
    $t->reset_log;
}

$t->query("CREATE TABLE seen (n integer)");
my $insert = 'INSERT INTO crm.geo_note (geo_number, geo_name)';
my $too_long = "repeat('9', 60)";

# --- all of them

emptied();
is(cost("$insert SELECT 'N' || n, 'a' FROM generate_series(1, 1000) n", '1,000 rows'), 1, '... are one request');
is((grep { $_->{method} eq 'POST' } $t->log)[0]{operations}, 1000, '... of a thousand parts');
is(held(), 1000, '... all there');
is(cost("UPDATE crm.geo_note SET geo_text = geo_number || 'x'", 'UPDATE'), 1, '... is one');
$t->is_query("SELECT count(*) FROM crm.geo_note WHERE geo_text = geo_number || 'x'", 1000, '... of all rows');
is(cost("UPDATE crm.geo_note SET geo_text = 'direct'", 'UPDATE without the executor'), 1, '... is one');
is(cost("DELETE FROM crm.geo_note", 'DELETE'), 1, '... is one');
is(held(), 0, '... of all rows');
is(cost("COPY crm.geo_note (geo_number, geo_name) FROM STDIN;\nC1\tx\nC2\ty\n\\.", 'COPY'), 1, '... is one');
is(notes(), 'C1=x,C2=y', '... of its rows');
is(cost("INSERT INTO crm.account (name) VALUES ('one'), ('two')", 'creates'), 1, '... are one');
$t->is_query("SELECT count(*) FROM crm.account WHERE name IN ('one', 'two')", 2, '... both there');
is(cost("$insert VALUES ('C1', 'z')", 'one row'), 1, '... is one');

# --- or none

emptied();
$t->fails_like("$insert SELECT CASE n WHEN 7 THEN $too_long ELSE 'N' || n END, 'a' FROM generate_series(1, 20) n",
    qr/22001: .*geo_number='9{60}'.*[Nn]othing was written/s, 'a bad row is named');
is($t->requests($writes), 1, '... after one request');
is(held(), 0, '... and no row is there');
$t->query("$insert VALUES ('A', 'a'), ('B', 'b'), ('C', 'c')");
$t->fails_like("UPDATE crm.geo_note SET geo_number = CASE geo_number WHEN 'B' THEN $too_long ELSE 'x' || geo_number END",
    qr/22001: .*geo_noteid='.*[Nn]othing was written/s, 'UPDATE');
is(notes(), 'A=a,B=b,C=c', '... changes none');
$t->fails_like("UPDATE crm.geo_note SET geo_number = $too_long", qr/22001/, '... without the executor');
is(notes(), 'A=a,B=b,C=c', '... neither');
my $account = $t->query("SELECT accountid FROM crm.account WHERE name = 'one'");
$t->query("INSERT INTO crm.opportunity (name, customerid, customerid_target) VALUES ('o', '$account', 'account')");
my ($status, $out, $err) = $t->psql("BEGIN; $insert VALUES ('D', 'd'), (repeat('9', 60), 'e'); COMMIT");
unlike($err, qr/WARNING/, 'nothing to warn of');
($status, $out, $err) = $t->psql("BEGIN; $insert VALUES ('D', 'd'), ('E', 'e'); ROLLBACK");
like($err, qr/WARNING: .*2 rows had been written/, 'ROLLBACK warns when there is');
$t->fails_like("COPY crm.geo_note (geo_number, geo_name) FROM STDIN;\nF\tx\n" . '9' x 60 . "\ty\n\\.", qr/22001/, 'COPY');
is(notes(), 'A=a,B=b,C=c,D=d,E=e', '... writes none');

# --- too many

$t->reset_log;
$t->fails_like("$insert SELECT 'X' || n, 'x' FROM generate_series(1, 1001) n", qr/54000: .*more than 1000 rows.*Nothing was written.*HINT/s, '1,001 rows');
is($t->requests($writes), 0, '... are an error before anything is sent');
is(held(), 5, '... really');
$t->fails_like("COPY crm.geo_note (geo_number) FROM STDIN;\n" . join("\n", 1 .. 1001) . "\n\\.", qr/54000/, '... by COPY');
is(held(), 5, '... too');

# --- keys

emptied();
$t->fails_like("$insert VALUES ('A', 'a'), (NULL, 'b')", qr/23502/, 'a null key');
is($t->requests($writes), 0, '... is refused before anything is sent');
is(cost("$insert VALUES ('A', '1'), ('B', 'b'), ('a', '2'), ('A', '3')", 'a key three times'), 1, '... is one request');
is(notes(), 'A=3,B=b', '... in order');
is(cost("$insert VALUES ('S/1', '1'), ('S/2', 's'), ('s/1', '2'), ('S/1', '3')", 'keys that no address holds'), 1, '... are one request');
$t->is_query("SELECT geo_name, count(*) FROM crm.geo_note WHERE geo_number IN ('S/1', 's/1', 'S/2') GROUP BY 1 ORDER BY 1", "3|1\ns|1", '... each once, the last wins');
is(cost("$insert VALUES ('S/1', '4')", '... found'), 1, '... again');
$t->is_query("SELECT count(*), min(geo_name) FROM crm.geo_note WHERE geo_number IN ('S/1', 's/1')", '1|4', '... once');
emptied();
$t->query("$insert VALUES ('A', 'old')");
is(cost("$insert VALUES ('A', 'new'), ('B', 'new'), ('b', 'newer') ON CONFLICT DO NOTHING", 'ON CONFLICT DO NOTHING'), 3, '... takes out what is there');
is(notes(), 'A=old,B=new', '... and writes the others');
$t->query("$insert SELECT 'M' || n, 'old' FROM generate_series(1, 300) n");
is(cost("$insert SELECT 'M' || n, 'new' FROM generate_series(1, 600) n ON CONFLICT DO NOTHING", '... many of them'), 2, '... at once');
$t->is_query("SELECT geo_name, count(*) FROM crm.geo_note WHERE geo_number LIKE 'M%' GROUP BY 1 ORDER BY 1", "new|300|old|300" =~ s/\|old/\nold/r, '... and no other');
$t->query("DELETE FROM crm.geo_note WHERE geo_name = 'new' AND geo_number LIKE 'M%'; DELETE FROM crm.geo_note WHERE geo_number LIKE 'M%'");
$t->query("ALTER FOREIGN TABLE crm.geo_note OPTIONS (DROP key)");
$t->fails_like("$insert VALUES ('C', 'x'), ('A', 'x')", qr/23505.*[Nn]othing was written/s, 'a key that exists');
is(notes(), 'A=old,B=new', '... stops all');
$t->query("ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD key 'geo_number')");

# --- rows that are gone

emptied();
$t->query("$insert SELECT 'G' || n, n FROM generate_series(1, 6) n");
$t->query(<<'SQL');
CREATE FUNCTION vanish(number text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF number IN ('G2', 'G5') THEN DELETE FROM crm.geo_note WHERE geo_number = number; END IF;
    RETURN 'still there';
END $$;
SQL
$t->psql_ok("UPDATE crm.geo_note SET geo_text = vanish(geo_number)", 'rows that vanish');
is(notes(), 'G1=1,G3=3,G4=4,G6=6', '... are not made anew');
$t->is_query("SELECT count(*) FROM crm.geo_note WHERE geo_text = 'still there'", 4, '... and the others are updated');
$t->query("INSERT INTO crm.geo_note (geo_number) VALUES ('G2')");
$t->psql_ok("DELETE FROM crm.geo_note WHERE vanish(geo_number) = 'still there'", '... DELETE');
is(held(), 0, '... of all');

# --- answers that are lost

for my $faults (
    [ 'cut after the work', { behaviour => 'close_after' } ],
    [ 'cut before it', { behaviour => 'close' } ],
    [ 'an answer cut short', { behaviour => 'truncate' } ],
    [ 'a 503', { status => 503, headers => { 'Retry-After' => '1' } } ],
    [ 'a 429', { status => 429, code => '0x80072322', headers => { 'Retry-After' => '1' } } ])
{
    my ($what, $fault) = @$faults;
    my $once = { match => { path => 'batch' }, times => 1, %$fault };

    emptied();
    $t->faults($once);
    $t->psql_ok("$insert SELECT 'L' || n, 'x' FROM generate_series(1, 50) n", "$what: upserts");
    is(held(), 50, '... each once');
    next unless $what =~ /after/;
    $t->reset_log;
    $t->faults($once);
    $t->psql_ok("UPDATE crm.geo_note SET geo_text = 'y' || geo_number", '... updates');
    $t->reset_log;
    $t->is_query("SELECT count(*) FROM crm.geo_note WHERE geo_text = 'y' || geo_number", 50, '... are done');
    $t->faults($once);
    ($status, $out, $err) = $t->psql("\\set QUIET off\nBEGIN;\nDELETE FROM crm.geo_note;\nROLLBACK;");
    like($out, qr/^DELETE 50$/m, '... deletes');
    like($err, qr/WARNING: .* 50 rows had been written/, '... count as done');
    is(held(), 0, '... and are');
    $t->query("ALTER FOREIGN TABLE crm.geo_note OPTIONS (DROP key)");
    $t->reset_log;
    $t->faults($once);
    $t->psql_ok("INSERT INTO crm.geo_note (geo_name) SELECT 'x' FROM generate_series(1, 50) n", '... creates');
    is(held(), 50, '... are there once');
    $t->query("ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD key 'geo_number')");
}

# No answer ever comes.
emptied();
$t->query("ALTER SERVER crm OPTIONS (ADD retry_timeout '1')");
$t->faults({ match => { path => 'batch' }, times => -1, behaviour => 'close_after' });
($status, $out, $err) = $t->psql("BEGIN; $insert VALUES ('A', 'a'), ('B', 'b'); COMMIT");
like($err, qr/ERROR: .*It is not known whether all rows of the statement were written or none/s, 'no answer at all: upserts');
like($err, qr/WARNING: .*up to 2 rows were on their way/s, '... and the WARNING says so');
$t->query("ALTER FOREIGN TABLE crm.geo_note OPTIONS (DROP key)");
$t->psql_ok("INSERT INTO crm.geo_note (geo_name) VALUES ('x'), ('y')", '... creates are asked for');
$t->reset_log;
$t->is_query("SELECT count(*) FROM crm.geo_note WHERE geo_number IS NULL", 2, '... and are there once');
$t->query("ALTER SERVER crm OPTIONS (DROP retry_timeout); ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD key 'geo_number')");
$t->reset_log;

# --- RETURNING, triggers, reads of its own

emptied();
$t->is_query("INSERT INTO crm.geo_note (geo_number, geo_name) VALUES ('R1', 'r'), ('R2', 's') RETURNING geo_number, geo_name", "R1|r\nR2|s", 'RETURNING what is sent');
is(notes(), 'R1=r,R2=s', '... which is written');
$t->reset_log;
$t->fails_like("$insert VALUES ('R3', 't') RETURNING createdon", qr/0A000: .*"createdon".*not known before/s, '... what the service computes');
is($t->requests($writes), 0, '... is refused before anything is sent');
my $made = $t->query("INSERT INTO crm.account (name) VALUES ('made') RETURNING accountid");
$t->is_query("SELECT accountid FROM crm.account WHERE name = 'made'", $made, '... and an id made here is known');
$t->is_query("DELETE FROM crm.geo_note WHERE geo_number = 'R1' RETURNING geo_name", 'r', '... of a DELETE');
$t->query(<<'SQL');
CREATE FUNCTION look() RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*) FROM crm.geo_note); END $$;
SQL
is(cost("$insert SELECT 'T' || n, look() FROM generate_series(1, 3) n", 'a function that reads meanwhile'), 1, '... does not divide the rows');
is(notes(), 'R2=s,T1=1,T2=1,T3=1', '... and does not see them');

# --- with versions

$t->query("ALTER FOREIGN TABLE crm.account OPTIONS (ADD optimistic_concurrency 'true')");
$t->query(<<'SQL');
CREATE FUNCTION touch(id uuid, wanted boolean) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN IF wanted THEN UPDATE crm.account SET fax = clock_timestamp()::text WHERE accountid = id; END IF; RETURN 'touched'; END $$;
SQL
$t->fails_like("UPDATE crm.account SET description = touch(accountid, name = 'two') WHERE name IN ('one', 'two')", qr/40001.*[Nn]othing was written/s, 'a row that was changed meanwhile');
$t->is_query("SELECT count(*) FROM crm.account WHERE description = 'touched'", 0, '... stops all');
$t->psql_ok("UPDATE crm.account SET description = 'fine' WHERE name IN ('one', 'two')", '... none');
$t->is_query("SELECT count(*) FROM crm.account WHERE description = 'fine'", 2, '... lets all pass');

# --- where it cannot be

$t->fails_like("INSERT INTO crm.contoso_sensordata (contoso_name, contoso_quality, partitionid) VALUES ('s', 100000000, 'p')",
    qr/0A000.*all or nothing.*HINT/s, 'an elastic table');
$t->fails_like("ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD transaction 'session')", qr/statement/, 'a word that is none');
$t->query("ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD transaction 'none')");
$t->fails_like("$insert SELECT CASE n WHEN 7 THEN $too_long ELSE 'N' || n END, 'a' FROM generate_series(1, 20) n", qr/22001.*rows had been written/s, "transaction 'none'");
is($t->query("SELECT count(*) > 0 FROM crm.geo_note WHERE geo_number LIKE 'N%'"), 't', '... keeps the good rows');

# --- a failed change set answered by a plain part (sheet 5.7)

my $plain = DataverseTest->new(rows => 5, import => 'geo_note', quirks => { failed_changeset => 'plain' }, server_options => { transaction => 'statement' });
$plain->fails_like("INSERT INTO crm.geo_note (geo_number) SELECT CASE n WHEN 7 THEN $too_long ELSE 'N' || n END FROM generate_series(1, 20) n",
    qr/22001: .*number 7 of the statement.*[Nn]othing was written/s, 'the other form of a failure names its row, too');
is($plain->figures('geo_note')->{count}, 0, '... and none is there');

done_testing();
