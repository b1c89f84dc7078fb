# WireTap: stands between the extension and the local service and keeps what
# is sent, so that a test may look at headers and bodies.
#
#     my $wire = WireTap->new($t->url);
#     ... url 'http://127.0.0.1:...' of a server of its own: $wire->url
#     $wire->clear;
#     is(scalar($wire->requests), 1);
#     like(($wire->requests)[0]{headers}{'mscrm.tag'}, ...);
#
# The service's token names the service's own address: give the server the
# options authority and scope accordingly.
package WireTap;

use strict;
use warnings;

use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use POSIX ();

sub new
{
    my ($class, $service) = @_;
    my ($port) = $service =~ /:(\d+)$/ or die "no port in $service\n";
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', Listen => 16, ReuseAddr => 1)
        or die "no free port: $!\n";
    my $self = bless { dir => tempdir('dataverse_fdw-wire-XXXXXX', TMPDIR => 1), owner => $$, port => $listen->sockport },
        $class;

    my $pid = fork() // die "fork: $!";
    if ($pid == 0)
    {
        $SIG{TERM} = sub { POSIX::_exit(0) };
        _forward($listen, $port, $self->{dir});
        POSIX::_exit(0);
    }
    $self->{pid} = $pid;
    return $self;
}

sub DESTROY
{
    my ($self) = @_;
    local ($?, $@, $!);

    return unless $self->{owner} == $$;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    remove_tree($self->{dir});
}

sub url
{
    return "http://127.0.0.1:$_[0]->{port}";
}

# One file for what each connection sends.
sub _forward
{
    my ($listen, $port, $dir) = @_;
    my $select = IO::Select->new($listen);
    my (%other, %file);
    my $n = 0;

    while (my @ready = $select->can_read)
    {
        for my $from (@ready)
        {
            if ($from == $listen)
            {
                my $client = $listen->accept or next;
                my $service = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp');
                if (!$service)
                {
                    close $client;
                    next;
                }
                $other{$client} = $service;
                $other{$service} = $client;
                $file{$client} = sprintf '%s/%06d', $dir, ++$n;
                $select->add($client, $service);
                next;
            }
            next unless $other{$from};
            my $got = sysread $from, my $bytes, 1 << 16;
            my $to = $other{$from};
            if (!$got)
            {
                $select->remove($from, $to);
                delete @other{ $from, $to };
                close $_ for $from, $to;
                next;
            }
            if ($file{$from})
            {
                open my $handle, '>>:raw', $file{$from};
                print $handle $bytes;
                close $handle;
            }
            while (length $bytes)
            {
                my $sent = syswrite $to, $bytes;
                last unless $sent;
                substr $bytes, 0, $sent, '';
            }
        }
    }
}

# Forgets what was sent. No request may be under way; connections may stay.
sub clear
{
    my ($self) = @_;

    truncate $_, 0 for glob "$self->{dir}/*";
}

# All since the last clear: method, target, headers (names in lower case), body.
sub requests
{
    my ($self) = @_;
    my @found;

    for my $file (sort glob "$self->{dir}/*")
    {
        open my $handle, '<:raw', $file or next;
        my $bytes = do { local $/; <$handle> } // '';
        while ($bytes =~ s/\A(\S+) (\S+) HTTP\/1\.1\r\n(.*?)\r\n\r\n//s)
        {
            my %request = (method => $1, target => $2);
            $request{headers} = { map { /^([^:]+):\s*(.*)$/ ? (lc $1, $2) : () } split /\r\n/, $3 };
            $request{body} = substr $bytes, 0, $request{headers}{'content-length'} // 0, '';
            push @found, \%request;
        }
    }
    return @found;
}

# How many connections there have been, over which anything was sent.
sub connections
{
    return scalar(my @files = glob "$_[0]->{dir}/*");
}

# Those that write.
sub writes
{
    return grep { $_->{method} ne 'GET' } $_[0]->requests;
}

1;
