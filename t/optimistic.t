# optimistic.t: with option optimistic_concurrency, UPDATE and DELETE change only
# the versions of rows that they read.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DataverseTest;
use WireTap;

my $t = DataverseTest->new(rows => 20, import => 'account, contact, geo_note, contoso_sensordata');
my $wire = WireTap->new($t->url);
my $writes = qr{^(POST|PATCH|PUT|DELETE) };

$t->query(sprintf <<'SQL', $wire->url, $t->url, $t->url);
CREATE SERVER wire FOREIGN DATA WRAPPER dataverse_fdw
    OPTIONS (url '%s', tenant_id '11111111-1111-1111-1111-111111111111', authority '%s', scope '%s/.default', optimistic_concurrency 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER wire OPTIONS (client_id '22222222-2222-2222-2222-222222222222', client_secret 'demo-secret');
CREATE SCHEMA wire;
IMPORT FOREIGN SCHEMA dataverse LIMIT TO (account, geo_note, contoso_sensordata) FROM SERVER wire INTO wire;
INSERT INTO crm.account (name, numberofemployees) SELECT 'v', n FROM generate_series(1, 5) n;
-- changes a row behind the back of the statement that has read it
CREATE FUNCTION touch(id uuid, wanted boolean) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF wanted THEN UPDATE crm.account SET fax = clock_timestamp()::text WHERE accountid = id; END IF;
    RETURN 'touched';
END $$;
SQL

# What the requests said that a row must match, "path: header" each.
sub conditions
{
    my ($sql, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $wire->clear;
    $t->psql_ok($sql, $name);
    return map {
        my $request = $_;
        $request->{target} =~ /\$batch$/
            ? $request->{body} =~ /^If-Match: ([^\r]*)/mg
            : ($request->{headers}{'if-match'} // 'none')
    } $wire->writes;
}

sub state
{
    return $t->query("SELECT string_agg(coalesce(description, '-'), ',' ORDER BY numberofemployees) FROM crm.account WHERE name = 'v'");
}

# --- what is sent

my @sent = conditions("UPDATE wire.account SET description = 'a' WHERE name = 'v' AND numberofemployees = 1", 'UPDATE of one row');
is(scalar(@sent), 1, '... is one request');
like($sent[0], qr{^W/"\d+"$}, '... of its version');
@sent = conditions("UPDATE wire.account SET description = 'b' WHERE name = 'v'", 'UPDATE of five');
is(scalar(grep { m{^W/"\d+"$} } @sent), 5, '... each of its own');
is(scalar($wire->writes), 1, '... in one request');
is(state(), 'b,b,b,b,b', '... changes them');
my %versions = map { $_ => 1 } @sent;
is(scalar(keys %versions), 5, '... versions differ');
my ($reads) = grep { $_->{method} eq 'GET' } $wire->requests;
unlike($reads->{target}, qr/etag/, '... which nobody has to ask for');
@sent = conditions("UPDATE wire.account a SET description = v.t FROM (VALUES (1, 'x'), (2, 'y')) v (n, t) WHERE a.name = 'v' AND a.numberofemployees = v.n", 'UPDATE ... FROM');
is(scalar(grep { m{^W/"\d+"$} } @sent), 2, '... carries them through the join');
is(state(), 'x,y,b,b,b', '... to the right rows');
@sent = conditions("SET enable_hashjoin = off; SET enable_nestloop = off; UPDATE wire.account a SET description = 'm' FROM generate_series(4, 5) n WHERE a.name = 'v' AND a.numberofemployees = n", '... and through a sort');
is(state(), 'x,y,b,m,m', '... too');
@sent = conditions("UPDATE wire.account SET description = 'r' WHERE name = 'v' AND numberofemployees <= 2 RETURNING description", 'RETURNING');
is(scalar(grep { m{^W/"\d+"$} } @sent), 2, '... does');
@sent = conditions("DELETE FROM wire.account WHERE name = 'v' AND numberofemployees = 5", 'DELETE');
like("@sent", qr{^W/"\d+"$}, '... does');
is(state(), 'r,r,b,m', '... deletes');
@sent = conditions("UPDATE wire.account SET description = 'id' WHERE accountid = (SELECT accountid FROM crm.account WHERE name = 'v' AND numberofemployees = 4)", 'UPDATE by id');
is("@sent", '*', '... has read nothing that could have changed');
@sent = conditions("UPDATE wire.account SET description = 'exact' WHERE numberofemployees = 4 AND createdon > now() - interval '1 day' AND revenue IS NULL", 'an exact condition');
like("@sent", qr{^W/"\d+"$}, '... must still hold when the row is written');
$t->query("ALTER FOREIGN TABLE wire.account OPTIONS (ADD optimistic_concurrency 'false')");
@sent = conditions("UPDATE wire.account SET description = 'off' WHERE name = 'v' AND numberofemployees = 4", 'the option off');
is("@sent", '*', '... any version');
$t->query("ALTER FOREIGN TABLE wire.account OPTIONS (DROP optimistic_concurrency)");

# --- conflicts

$t->query("UPDATE crm.account SET description = 'old' WHERE name = 'v'");
$t->fails_like("UPDATE wire.account SET description = touch(accountid, true) WHERE name = 'v' AND numberofemployees = 1",
    qr/40001: .*accountid='.*0 rows had been written.*HINT: .*[Rr]epeat/s, 'a row that was changed meanwhile');
is(state(), 'old,old,old,old', '... is left alone');
$t->fails_like("UPDATE wire.account SET description = touch(accountid, numberofemployees = 2) WHERE name = 'v'",
    qr/40001: .*accountid='/s, 'one among others');
is((split /,/, state())[1], 'old', '... is left alone');
$t->fails_like("DELETE FROM wire.account WHERE name = 'v' AND numberofemployees = 3 AND touch(accountid, true) = 'touched'", qr/40001/, 'a row to delete');
$t->is_query("SELECT count(*) FROM crm.account WHERE name = 'v'", 4, '... stays');
$t->fails_like("UPDATE wire.account SET description = touch(accountid, true) WHERE name = 'v' AND numberofemployees = 1 RETURNING 1", qr/40001/, 'RETURNING');
$t->is_query(<<'SQL', 'again', 'a caller can repeat it');
DO $$
BEGIN
    UPDATE wire.account SET description = touch(accountid, true) WHERE name = 'v' AND numberofemployees = 1;
EXCEPTION WHEN serialization_failure THEN
    UPDATE wire.account SET description = 'again' WHERE name = 'v' AND numberofemployees = 1;
END $$;
SELECT description FROM crm.account WHERE name = 'v' AND numberofemployees = 1;
SQL
$t->psql_ok("UPDATE wire.account SET description = 'gone' WHERE name = 'v' AND numberofemployees = 99", 'no row');

# A lost answer: the version that differs may be our own doing.
$t->query("ALTER SERVER crm OPTIONS (ADD optimistic_concurrency 'true')");
$t->reset_log;
$t->faults({ match => { method => 'PATCH', path => '/accounts' }, times => 1, behaviour => 'close_after' });
$t->fails_like("UPDATE crm.account SET description = 'lost' WHERE name = 'v' AND numberofemployees = 1", qr/40001.*HINT: .*answer to an earlier attempt was lost/s, 'an answer lost');
$t->reset_log;
is((split /,/, state())[0], 'lost', '... of a row that was written');

# --- tables without versions

$t->query("INSERT INTO crm.geo_note (geo_number, geo_name) VALUES ('1', 'x')");
$t->fails_like("UPDATE crm.geo_note SET geo_name = geo_name || 'y'", qr/0x8006088D.*HINT: .*optimistic_concurrency/s, 'a table that does not compare them');
$t->fails_like("UPDATE crm.contoso_sensordata SET contoso_value = contoso_value + 1", qr/0A000.*no versions to compare.*HINT: .*optimistic_concurrency/s, 'an elastic table');
$t->psql_ok("INSERT INTO crm.contoso_sensordata (contoso_name, contoso_quality, partitionid) VALUES ('s', 100000000, 'p')", '... INSERT does not mind');

done_testing();
