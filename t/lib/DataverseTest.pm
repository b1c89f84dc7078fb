# DataverseTest: a private cluster and the local service for one TAP test.
#
#     use DataverseTest;
#     my $t = DataverseTest->new(rows => 100, quirks => { null_order => 'last' });
#     $t->is_query('SELECT count(*) FROM crm.account', '100', 'all rows arrive');
#     $t->reset_log;
#     $t->fails_like('SELECT * FROM crm.account', qr/could not/, 'says why');
#     is($t->requests(qr{/accounts}), 1, 'one request');
#     done_testing();
#
# Core Perl only.  The extension must have been installed (scripts/test does
# that).  Cluster and service end with the object, also when the test dies.
package DataverseTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP ();
use POSIX qw(:sys_wait_h setsid);
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = (@Test::More::EXPORT);

my $ROOT = abs_path(dirname(__FILE__) . '/../..');
my $PYTHON = $ENV{PYTHON} // '/usr/bin/python3';
my %DEMO = (
    tenant => '11111111-1111-1111-1111-111111111111',
    client => '22222222-2222-2222-2222-222222222222',
    secret => 'demo-secret');

# --- beginning and end ---------------------------------------------------------------------

# rows, seed, quirks, latency_ms, token_lifetime, aggregate_limit: the service's own switches.
# server_options: further options of server crm, as a hash.
# import => 0: leave schema crm empty; import => 'account, contact': those only.
sub new
{
    my ($class, %arguments) = @_;
    my $self = bless {
        dir => tempdir('dataverse_fdw-t-XXXXXX', TMPDIR => 1),
        bindir => _bindir(),
        owner => $$,
        arguments => {%arguments},
        background => [] }, $class;

    chmod 0711, $self->{dir};
    $self->start_service(0);
    $self->_start_cluster;
    $self->_make_crm(%arguments);
    $self->reset_log;
    return $self;
}

sub DESTROY
{
    my ($self) = @_;
    local ($?, $@, $!);

    return unless $self->{owner} == $$;
    kill 'KILL', map { $_->{pid} } @{ $self->{background} };
    waitpid $_->{pid}, 0 for @{ $self->{background} };
    $self->stop_service('KILL');
    $self->_as_server("$self->{bindir}/pg_ctl", '-D', "$self->{dir}/data", '-s', '-m', 'immediate', 'stop')
        if $self->{cluster};
    remove_tree($self->{dir});
}

sub _bindir
{
    my $config = $ENV{PG_CONFIG};
    my $bindir;

    if (!$config)
    {
        my @found = grep { -x } map { "$_/pg_config" } sort { _major($b) <=> _major($a) }
            glob '/usr/lib/postgresql/*/bin';
        $config = $found[0] // 'pg_config';
    }
    $bindir = qx{"$config" --bindir};
    chomp $bindir;
    die "no PostgreSQL found: set PG_CONFIG\n" unless -x "$bindir/initdb";
    return $bindir;
}

sub _major
{
    my ($major) = $_[0] =~ m{/postgresql/(\d+)};
    return $major // 0;
}

# PostgreSQL refuses to run as root.
sub _server_user
{
    return getpwnam('postgres') ? 'postgres' : 'nobody';
}

sub _as_server
{
    my ($self, @command) = @_;

    unshift @command, 'runuser', '-u', _server_user(), '--' if $> == 0;
    return _quietly($self->{dir}, @command);
}

# Runs it from /, which every user can enter, with its words in a log.
sub _quietly
{
    my ($dir, @command) = @_;
    my $pid = fork() // die "fork: $!";

    if ($pid == 0)
    {
        chdir '/';
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$dir/commands.log";
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return $? == 0;
}

sub _start_cluster
{
    my ($self) = @_;
    my ($dir, $bindir) = @$self{qw(dir bindir)};

    for my $directory ("$dir/data", "$dir/socket")
    {
        mkdir $directory, 0700 or die "$directory: $!";
        chown +(getpwnam(_server_user()))[ 2, 3 ], $directory if $> == 0;
    }
    $self->_as_server("$bindir/initdb", '-D', "$dir/data", '-U', 'postgres', '-A', 'trust',
        '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync')
        or BAIL_OUT("initdb failed: " . _slurp("$dir/commands.log"));
    $self->{port} = _free_port();
    $self->{cluster} = 1;
    $self->_as_server("$bindir/pg_ctl", '-D', "$dir/data", '-w', '-s', '-l', "$dir/data/log", '-o',
        "-p $self->{port} -k $dir/socket -c listen_addresses='' -c fsync=off -c max_wal_size=256MB", 'start')
        or BAIL_OUT("PostgreSQL did not start: " . _slurp("$dir/data/log"));
}

sub _make_crm
{
    my ($self, %arguments) = @_;
    my $only = $arguments{import} // 1;
    my %options = (
        url => $self->url,
        tenant_id => $DEMO{tenant},
        authority => $self->url,
        %{ $arguments{server_options} // {} });
    my $options = join ', ', map { "$_ '$options{$_}'" } sort keys %options;

    $self->query(<<"SQL");
CREATE EXTENSION dataverse_fdw;
CREATE SERVER crm FOREIGN DATA WRAPPER dataverse_fdw OPTIONS ($options);
CREATE USER MAPPING FOR CURRENT_USER SERVER crm
    OPTIONS (client_id '$DEMO{client}', client_secret '$DEMO{secret}');
CREATE SCHEMA crm;
SQL
    return unless $only;
    my $limit = $only eq '1' ? '' : "LIMIT TO ($only)";
    $self->query("IMPORT FOREIGN SCHEMA dataverse $limit FROM SERVER crm INTO crm");
}

sub _free_port
{
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', Listen => 1)
        or die "no free port: $!";
    return $socket->sockport;
}

sub _slurp
{
    my ($file) = @_;
    local $/;

    open my $handle, '<:raw', $file or return '';
    return scalar <$handle> // '';
}

# --- the local service -----------------------------------------------------------------------

# Starts it, on the port it had before if there was one; data is in a file when database => 1.
sub start_service
{
    my ($self, $port) = @_;
    my %arguments = %{ $self->{arguments} };
    my $quirks = $arguments{quirks} // {};
    my @command = ($PYTHON, '-B', '-m', 'dataverse_service', '--port', $port // $self->{service_port} // 0,
        '--seed', $arguments{seed} // 'demo', '--rows', $arguments{rows} // 100);

    push @command, '--latency-ms', $arguments{latency_ms} if $arguments{latency_ms};
    push @command, '--aggregate-limit', $arguments{aggregate_limit} if $arguments{aggregate_limit};
    push @command, '--token-lifetime', $arguments{token_lifetime} if $arguments{token_lifetime};
    push @command, '--database', "$self->{dir}/service.db" if $arguments{database};
    push @command, '--quirk', "$_=$quirks->{$_}" for sort keys %$quirks;

    my $out = "$self->{dir}/service.out";
    unlink $out;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0)
    {
        chdir "$ROOT/test/service";
        setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $out;
        open STDERR, '>>', "$self->{dir}/service.log";
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    $self->{service_pid} = $pid;
    for (1 .. 1200)
    {
        if (_slurp($out) =~ m{^listening on (\S+:(\d+))$}m)
        {
            @$self{qw(url service_port)} = ($1, $2);
            return;
        }
        last if waitpid($pid, WNOHANG) == $pid;
        sleep 0.1;
    }
    BAIL_OUT("the service did not start: " . _slurp("$self->{dir}/service.log"));
}

sub stop_service
{
    my ($self, $signal) = @_;
    my $pid = delete $self->{service_pid} or return;

    kill $signal // 'TERM', $pid;
    waitpid $pid, 0;
}

sub url
{
    return $_[0]->{url};
}

# Control call: without a body GET, with one POST; answer as Perl data.
sub control
{
    my ($self, $what, $body) = @_;
    my $http = HTTP::Tiny->new(timeout => 60);
    my $url = "$self->{url}/_control/$what";
    my $json = JSON::PP->new->utf8->allow_nonref;
    my $answer = defined $body
        ? $http->post($url, { content => $json->encode($body), headers => { 'Content-Type' => 'application/json' } })
        : $http->get($url);

    die "control $what: $answer->{status} $answer->{content}\n" unless $answer->{success};
    return length($answer->{content} // '') ? $json->decode($answer->{content}) : undef;
}

# Requests since the last reset, token requests left out unless asked for.
sub log
{
    my ($self, %arguments) = @_;
    return grep { $arguments{tokens} || $_->{url} !~ m{/oauth2/} } @{ $self->control('log') };
}

# How many requests have a method and url ("GET /api/...") that match.
sub requests
{
    my ($self, $pattern) = @_;
    return scalar grep { !defined $pattern || "$_->{method} $_->{url}" =~ $pattern } $self->log;
}

# Also takes away faults and thaws the clock.
sub reset_log
{
    $_[0]->control('reset', {});
}

# Scripted faults, each { match => {...}, times => n, status => ..., behaviour => ... }.
sub faults
{
    my ($self, @faults) = @_;
    $self->control('faults', \@faults);
}

sub limits
{
    my ($self, %limits) = @_;
    $self->control('limits', \%limits);
}

sub clock
{
    my ($self, %clock) = @_;
    $self->control('clock', \%clock);
}

# What the service itself computes over a table: exact counts and sums, as text.
sub figures
{
    my ($self, $table) = @_;
    return $self->control("figures?table=$table");
}

# --- SQL ----------------------------------------------------------------------------------------

sub _psql_command
{
    my ($self, $database) = @_;
    return ("$self->{bindir}/psql", '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose',
        '-h', "$self->{dir}/socket", '-p', $self->{port}, '-U', 'postgres', '-d', $database // 'postgres', '-f', '-');
}

# Starts psql on a script without waiting; finish() has the rest.
sub start
{
    my ($self, $sql) = @_;
    my $name = "$self->{dir}/psql" . ++$self->{psqls};

    open my $script, '>:utf8', "$name.sql" or die "$name.sql: $!";
    print $script $sql, "\n";
    close $script;
    my @command = $self->_psql_command;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0)
    {
        $ENV{PGCLIENTENCODING} = 'UTF8';
        delete $ENV{PGOPTIONS};
        open STDIN, '<', "$name.sql";
        open STDOUT, '>', "$name.out";
        open STDERR, '>', "$name.err";
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    my $running = { pid => $pid, name => $name, started => time };
    push @{ $self->{background} }, $running;
    return $running;
}

# Waits; returns status, standard output, standard error and seconds taken.
# After the time limit (seconds) it is killed, and the status is -1.
sub finish
{
    my ($self, $running, $limit) = @_;
    my $end = time + ($limit // 180);
    my $status = -1;

    while (1)
    {
        if (waitpid($running->{pid}, WNOHANG) == $running->{pid})
        {
            $status = $? >> 8 || $?;
            last;
        }
        if (time > $end)
        {
            kill 'KILL', $running->{pid};
            waitpid $running->{pid}, 0;
            last;
        }
        sleep 0.02;
    }
    my $seconds = time - $running->{started};
    @{ $self->{background} } = grep { $_ != $running } @{ $self->{background} };
    my ($out, $err) = map { _slurp("$running->{name}.$_") } qw(out err);
    utf8::decode($_) for $out, $err;
    unlink glob "$running->{name}.*";
    chomp $out;
    return ($status, $out, $err, $seconds);
}

sub psql
{
    my ($self, $sql, %arguments) = @_;
    return $self->finish($self->start($sql), $arguments{timeout});
}

# Output of a script that must not fail.
sub query
{
    my ($self, $sql) = @_;
    my ($status, $out, $err) = $self->psql($sql);

    die "psql failed with $status: $err\n$sql\n" if $status != 0;
    return $out;
}

sub psql_ok
{
    my ($self, $sql, $name) = @_;
    my ($status, $out, $err) = $self->psql($sql);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($status == 0, $name) or diag($err);
    return $out;
}

sub is_query
{
    my ($self, $sql, $expected, $name) = @_;
    my ($status, $out, $err) = $self->psql($sql);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($status == 0 ? $out : "$out\n$err", $expected, $name);
}

# The statement fails and its words (message, detail, hint, SQLSTATE) match.
sub fails_like
{
    my ($self, $sql, $pattern, $name, %arguments) = @_;
    my ($status, $out, $err, $seconds) = $self->psql($sql, %arguments);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    if ($status == 0 || $status == -1)
    {
        ok(0, $name);
        diag($status == 0 ? "did not fail; output: $out" : "did not end in time");
    }
    else
    {
        like($err, $pattern, $name);
    }
    return $seconds;
}

# Peak of a backend's resident memory, in kB.
sub peak_rss
{
    my ($self, $backend) = @_;
    my ($peak) = _slurp("/proc/$backend/status") =~ /^VmHWM:\s+(\d+) kB/m;
    return $peak;
}

# Waits until a query's output is what is wanted.
sub poll_until
{
    my ($self, $sql, $expected, $limit) = @_;
    my $end = time + ($limit // 30);

    while (time < $end)
    {
        return 1 if $self->query($sql) eq $expected;
        sleep 0.05;
    }
    return 0;
}

1;
