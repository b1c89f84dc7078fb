# verdicts.t: what is told of each row, in the result table and in counts, is
# true, also when answers are lost, come in part, or the transaction is prepared.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use JSON::PP ();

my $t = DataverseTest->new(rows => 10, import => 'account, geo_country, geo_subdivision, geo_note, contoso_sensordata');
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

sub held
{
    return $t->figures($_[0])->{rows} // $t->figures($_[0])->{count};
}

# The ModifyTable node of a statement.
sub plan_of
{
    my ($sql) = @_;
    return JSON::PP->new->decode($t->query("EXPLAIN (ANALYZE, FORMAT JSON) $sql"))->[0]{Plan};
}

$t->query(<<'SQL');
ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (ADD key 'geo_code');
ALTER FOREIGN TABLE crm.geo_note OPTIONS (ADD key 'geo_number');
DELETE FROM crm.geo_note;
DELETE FROM crm.geo_subdivision;
SQL

# --- rows left alone, and our own that look like them

my $careful = "INSERT INTO crm.geo_subdivision (geo_code, geo_name) SELECT 'D' || n, 'x' FROM generate_series(1, %d) n ON CONFLICT DO NOTHING";
$t->query(sprintf $careful, 3);
$t->reset_log;
$t->faults({ match => { path => 'batch' }, times => 1, behaviour => 'close_after' });
my $plan = plan_of(sprintf $careful, 10);
is($plan->{'Remote Rows'}, 7, 'ON CONFLICT DO NOTHING whose answer is lost: its own rows count as written');
is(held('geo_subdivision'), 10, '... and are there');
is($t->requests(qr{^GET \S+/geo_subdivisions\?}), 1, '... which is asked once for all of them');
$t->reset_log;
$t->faults({ match => { method => 'PATCH' }, times => 1, behaviour => 'close_after' });
$t->is_query("INSERT INTO crm.geo_subdivision (geo_code, geo_name) VALUES ('D11', 'x') ON CONFLICT DO NOTHING RETURNING geo_code", 'D11', '... also a single one');
$t->is_query("INSERT INTO crm.geo_subdivision (geo_code, geo_name) VALUES ('D11', 'x') ON CONFLICT DO NOTHING RETURNING geo_code", '', '... but not one that was there');
$t->psql_ok("INSERT INTO crm.geo_subdivision (geo_code, geo_name) VALUES ('E/1', 'first'), ('E/1', 'second'), ('D1', 'third'), ('e/1', 'fourth') ON CONFLICT DO NOTHING", '... a key twice');
$t->is_query("SELECT geo_code, geo_name FROM crm.geo_subdivision WHERE geo_code IN ('E/1', 'D1') ORDER BY 1", "D1|x\nE/1|first", '... the first stays');
$t->query("ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (SET key 'geo_name')");
$t->fails_like("INSERT INTO crm.geo_subdivision (geo_code, geo_name) VALUES ('F1', 'x'), ('F2', 'y') ON CONFLICT DO NOTHING", qr/ERROR: .*key/, 'a key that Dataverse does not have is not made up');
$t->query("ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (SET key 'geo_code')");

# --- a batch that answers in part

my $part = "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 %s\r\n\r\n\r\n";
my $notes = "INSERT INTO crm.geo_note (geo_number, geo_name) SELECT 'N' || n, 'x' FROM generate_series(1, 10) n";
$t->reset_log;
$t->faults({ match => { path => 'batch' }, times => 1, status => 200, headers => { 'Content-Type' => 'multipart/mixed; boundary=b' },
        body => sprintf($part, '503 Service Unavailable') . "--b--\r\n" });
$plan = plan_of($notes);
is(held('geo_note'), 10, 'a batch with too few answers: what has none is sent again');
is($plan->{'Remote Rows'}, 10, '... and counted once');
$t->query(<<'SQL');
CREATE FUNCTION vanish(n integer) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF n = 10 THEN
        DELETE FROM crm.geo_note WHERE geo_number < 'N5';
    END IF;
    RETURN 'gone';
END $$;
SQL
$t->reset_log;
$t->psql_ok("UPDATE crm.geo_note SET geo_text = vanish(substr(geo_number, 2)::int) WHERE geo_number LIKE 'N%'", 'UPDATE of rows that vanish meanwhile');
$t->is_query("SELECT count(*), count(*) FILTER (WHERE geo_text = 'gone') FROM crm.geo_note", '5|5', '... updates the others');
cmp_ok($t->requests(qr{^GET \S+/geo_notes\?}), '<=', 4, '... after one question for all that are gone');
$t->reset_log;
$t->faults({ match => { path => 'batch' }, times => -1, status => 200, headers => { 'Content-Type' => 'multipart/mixed; boundary=b' }, body => "--b--\r\n" });
$t->fails_like($notes, qr/ERROR:  08P01: .*a batch of 10 operations has 0 answers/, '... none at all is an error that says so');
my $raced = qq({"error":{"code":"0x80040237","message":"A record with matching key values already exists."}});
my $race = "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 412 Precondition Failed\r\nContent-Type: application/json\r\n\r\n$raced\r\n";
for ([ 1, 'races of two rows that are lost in a batch' ], [ -1, '... again and again' ])
{
    my ($times, $name) = @$_;
    $t->reset_log;
    $t->faults({ match => { path => 'batch' }, times => $times, status => 200, headers => { 'Content-Type' => 'multipart/mixed; boundary=b' },
            body => "$race$race--b--\r\n" });
    my $two = "INSERT INTO crm.geo_note (geo_number, geo_name) VALUES ('Q1', 'x'), ('Q2', 'x')";
    $times > 0 ? $t->psql_ok($two, $name) : $t->fails_like($two, qr/ERROR:  23505: /, $name);
}
$t->reset_log;
$t->is_query("SELECT count(*) FROM crm.geo_note WHERE geo_number IN ('Q1', 'Q2')", 2, '... and those that had a second chance are there');
$t->query('DELETE FROM crm.geo_note');

# --- PREPARE TRANSACTION

my $err = ($t->psql("BEGIN; $notes; PREPARE TRANSACTION 'p'"))[2];
like($err, qr/ERROR:  0A000: cannot PREPARE a transaction that has written to foreign server "crm"/, 'PREPARE TRANSACTION after writes is refused');
like($err, qr/WARNING:  01000: 10 rows had been written to foreign server "crm" and stay there/, '... and what stays is told');
$t->fails_like("BEGIN; SELECT count(*) FROM crm.geo_note; PREPARE TRANSACTION 'p'", qr/ERROR:  55000: prepared transactions are disabled/, '... and not after reads');

# --- the result table

$t->query(<<'SQL');
SELECT dataverse_create_result_table('public.results');
ALTER SERVER crm OPTIONS (ADD result_table 'public.results', ADD on_error 'ignore');
DELETE FROM crm.geo_subdivision;
INSERT INTO crm.geo_subdivision (geo_code, geo_name) SELECT 'U' || n, 'old' FROM generate_series(1, 500) n;
TRUNCATE results;
SQL

# Lines by outcome, and how many of them have the row's true id.
sub results
{
    my ($table, $key) = @_;
    return $t->query(<<"SQL");
SELECT outcome, count(*), count(s.$key), count(r.code) FROM results r LEFT JOIN (SELECT *, ${table}id AS sid FROM crm.$table) s ON s.sid = r.id
   AND r.key = '$key=''' || s.$key || ''''
 WHERE target = 'crm.$table' GROUP BY 1 ORDER BY 1
SQL
}

$t->reset_log;
$t->faults({ match => { path => 'UpsertMultiple' }, times => 1, behaviour => 'close_after' });
$t->psql_ok("INSERT INTO crm.geo_subdivision (geo_code, geo_name) SELECT CASE WHEN n = 700 THEN 'much too long' ELSE 'U' || n END, 'new' FROM generate_series(101, 1100) n", 'an upsert of 1,000 rows');
my $reads = $t->requests(qr{^GET \S+/geo_subdivisions\?});
is($reads, 5, '... with five reads: three before it, two for the ids of new rows');
is(results('geo_subdivision', 'geo_code'), "created|599|599|0\nrefused|1|0|1\nupdated|400|400|0", '... what was created, updated and refused, with ids');
$t->is_query("SELECT number, key, code, message ~ 'length' FROM results WHERE outcome = 'refused'", "600|geo_code='much too long'|0x80044331|t", '... and why');
$t->query('TRUNCATE results');
$t->reset_log;
$t->psql_ok("INSERT INTO crm.geo_subdivision (geo_code, geo_name) VALUES ('U1', 'one')", 'a single upsert of a row that is there');
$t->psql_ok("INSERT INTO crm.geo_subdivision (geo_code, geo_name) VALUES ('V1', 'one')", '... and of one that is not');
is($t->requests(qr{/geo_subdivisions}), 2, '... need no reads');
is(results('geo_subdivision', 'geo_code'), "created|1|1|0\nupdated|1|1|0", '... since their requests tell');
$t->query('TRUNCATE results');
$t->psql_ok("INSERT INTO crm.geo_subdivision (geo_code, geo_name) VALUES ('U1', 'x'), ('W1', 'x'), ('W2', 'x') ON CONFLICT DO NOTHING", 'rows left alone');
is(results('geo_subdivision', 'geo_code'), "created|2|2|0\nskipped|1|1|0", '... are skipped, and told with their ids');
$t->query('TRUNCATE results');
$t->psql_ok("UPDATE crm.geo_subdivision SET geo_name = CASE geo_code WHEN 'U2' THEN repeat('x', 500) ELSE 'u' END WHERE geo_code IN ('U1', 'U2', 'U3')", 'UPDATE');
$t->psql_ok("DELETE FROM crm.geo_subdivision WHERE geo_code IN ('W1', 'W2')", 'DELETE');
$t->is_query("SELECT outcome, count(*), count(id) FROM results GROUP BY 1 ORDER BY 1", "deleted|2|2\nrefused|1|1\nupdated|2|2", '... of each row');
$t->query('TRUNCATE results');
$t->psql_ok("INSERT INTO crm.geo_note (geo_number, geo_name) VALUES ('R/1', 'a'), ('R2', 'b'), (NULL, 'c')", 'keys that no address can hold, and null');
$t->psql_ok("INSERT INTO crm.geo_note (geo_number, geo_name) VALUES ('R/1', 'a'), ('R2', 'b'), ('R/3', 'c')", '... again');
$t->is_query("SELECT outcome, number, key, id IS NOT NULL, code FROM results ORDER BY 1, 2, 3", <<'END' =~ s/\n$//r, '... are told, too');
created|1|geo_number='R/1'|t|
created|2|geo_number='R2'|t|
created|3|geo_number='R/3'|t|
refused|3|number 3 of the statement|f|23502
updated|1|geo_number='R/1'|t|
updated|2|geo_number='R2'|t|
END
$t->query("ALTER FOREIGN TABLE crm.geo_subdivision OPTIONS (DROP key); TRUNCATE results");
$t->reset_log;
$t->psql_ok("INSERT INTO crm.geo_subdivision (geo_name) SELECT 'c' FROM generate_series(1, 300)", 'creates');
is($t->requests(qr{^GET \S+/geo_subdivisions\?}), 0, '... need no reads');
$t->is_query("SELECT outcome, count(*), count(s.geo_name) FROM results r LEFT JOIN crm.geo_subdivision s ON s.geo_subdivisionid = r.id GROUP BY 1", 'created|300|300', '... and tell their ids');
$t->query('TRUNCATE results');
$t->psql_ok("INSERT INTO crm.contoso_sensordata (contoso_name, contoso_quality, partitionid) SELECT 's' || n, CASE n WHEN 7 THEN 7 ELSE 100000000 END, 'p' FROM generate_series(1, 20) n", 'an elastic table');
$t->is_query("SELECT outcome, count(*), count(code) FROM results GROUP BY 1 ORDER BY 1", "created|19|0\nrefused|1|1", '... tells the same');

done_testing();
