# shellcheck shell=bash
# lib.sh: what the scripts share.  Sourced, never run.
#
# Decides where PostgreSQL is, how to become root, and how a private cluster
# and the local service are started and stopped.  Everything private lives in
# one state directory: its socket, port and data touch no other PostgreSQL of
# the machine.  The one thing that is shared is the extension's files, which
# "make install" puts where this PostgreSQL looks for extensions.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root

# Debian's own: a pyenv or virtualenv before it in PATH lacks python3-aiohttp.
python=${PYTHON:-/usr/bin/python3}

# Who the local service knows; its own defaults.
readonly demo_tenant=11111111-1111-1111-1111-111111111111
readonly demo_client=22222222-2222-2222-2222-222222222222
readonly demo_secret=demo-secret

say()
{
    printf '%s\n' "$*" >&2
}

die()
{
    say "${0##*/}: $*"
    exit 1
}

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "\"$*\" needs root: run as root or install sudo"
    fi
}

# The server refuses to run as root; then it runs as Debian's postgres user.
as_server()
{
    if [ "$(id -u)" != 0 ]; then
        "$@"
    else
        (cd / && runuser -u "$(server_user)" -- "$@")
    fi
}

server_user()
{
    if [ "$(id -u)" != 0 ]; then
        id -un
    elif getent passwd postgres >/dev/null; then
        echo postgres
    else
        echo nobody
    fi
}

# PG_CONFIG if it is set, else that of the newest PostgreSQL that has both a
# server and the headers to build for it.  Prints nothing when there is none.
find_pg_config()
{
    local candidate

    if [ -n "${PG_CONFIG:-}" ]; then
        command -v "$PG_CONFIG" || die "PG_CONFIG=$PG_CONFIG is no program"
        return
    fi
    for candidate in $(printf '%s\n' /usr/lib/postgresql/*/bin/pg_config | sort -t/ -k5,5nr) \
        "$(command -v pg_config || true)"; do
        if is_complete "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

is_complete()
{
    [ -x "$1" ] && [ -x "$("$1" --bindir)/initdb" ] && [ -f "$("$1" --includedir-server)/postgres.h" ] &&
        [ -f "$("$1" --pgxs)" ]
}

# Sets pg_config and bindir.
use_postgres()
{
    pg_config=$(find_pg_config)
    [ -n "$pg_config" ] || die "no PostgreSQL with server headers found; run scripts/install-deps"
    bindir=$("$pg_config" --bindir)
    export PG_CONFIG=$pg_config
    PATH=$bindir:$PATH
}

# Builds as whoever runs this; installs as root where the directories ask for it.
build_and_install()
{
    say "building for $("$pg_config" --version)"
    make -s -C "$root" -j"$(nproc)" PG_CONFIG="$pg_config" >&2 || return
    say "installing into $("$pg_config" --pkglibdir) and $("$pg_config" --sharedir)/extension"
    if [ -w "$("$pg_config" --pkglibdir)" ]; then
        make -s -C "$root" install PG_CONFIG="$pg_config" >/dev/null
    else
        as_root make -s -C "$root" install PG_CONFIG="$pg_config" >/dev/null
    fi
}

free_port()
{
    "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A private directory for state: made by us, for us.  /tmp is everybody's, so
# what is already there has to be ours.
make_state()
{
    local state=$1

    [ -d "$state" ] || mkdir -m 711 "$state"
    is_ours "$state" || die "$state belongs to somebody else"
}

is_ours()
{
    [ -d "$1" ] && [ -O "$1" ] && [ ! -L "$1" ]
}

# A running cluster in $1/data with its socket in $1/socket.  Only this user
# (and root) can enter the socket's directory, so local connections are trusted.
cluster_start()
{
    local state=$1

    if ! as_server test -d "$state/data"; then
        install -d -m 700 "$state/data" "$state/socket"
        [ "$(id -u)" != 0 ] || chown "$(server_user)" "$state/data" "$state/socket"
        as_server "$bindir/initdb" -D "$state/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
            --no-sync >"$state/initdb.log" 2>&1 || die "initdb failed: see $state/initdb.log"
        free_port >"$state/port"
    fi
    as_server touch "$state/data/log"
    as_server "$bindir/pg_ctl" -D "$state/data" -w -s -l "$state/data/log" -o "-p $(cat "$state/port") \
        -k $state/socket -c listen_addresses='' -c fsync=off -c shared_buffers=64MB \
        -c max_wal_size=256MB" start </dev/null >/dev/null || die "PostgreSQL did not start: see $state/data/log"
    export PGHOST=$state/socket PGUSER=postgres PGDATABASE=postgres
    PGPORT=$(cat "$state/port")
    export PGPORT
}

cluster_running()
{
    [ -d "$1/data" ] && as_server "$bindir/pg_ctl" -D "$1/data" status >/dev/null 2>&1
}

cluster_stop()
{
    if cluster_running "$1"; then
        as_server "$bindir/pg_ctl" -D "$1/data" -s -m fast stop
    fi
}

# The local service in the background, with its process in $1/service.pid.
service_start()
{
    local state=$1
    shift

    [ -f "$root/test/service/dataverse_service/__main__.py" ] || die "test/service is missing"
    (
        cd "$root/test/service" || exit 1
        exec </dev/null >"$state/service.out" 2>"$state/service.log"
        setsid "$python" -m dataverse_service --port 0 "$@" &
        echo $! >"$state/service.pid"
    )
    for _ in $(seq 1200); do
        if grep -q '^listening on ' "$state/service.out" 2>/dev/null; then
            break
        fi
        # not service_running: until it has called exec, the process still has our name
        kill -0 "$(cat "$state/service.pid")" 2>/dev/null ||
            die "the service did not start: $(tail -n 3 "$state/service.log")"
        sleep 0.1
    done
    DATAVERSE_URL=$(sed -n 's/^listening on //p' "$state/service.out")
    [ -n "$DATAVERSE_URL" ] || die "the service did not answer in time: see $state/service.log"
    export DATAVERSE_URL DATAVERSE_AUTHORITY=$DATAVERSE_URL DATAVERSE_TENANT_ID=$demo_tenant \
        DATAVERSE_CLIENT_ID=$demo_client DATAVERSE_CLIENT_SECRET=$demo_secret
}

# A process id may have been given away since: look at what it runs.
service_running()
{
    local pid

    pid=$(cat "$1/service.pid" 2>/dev/null) || return 1
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q dataverse_service
}

service_stop()
{
    local pid

    if service_running "$1"; then
        pid=$(cat "$1/service.pid")
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 50); do
            service_running "$1" || break
            sleep 0.1
        done
    fi
    rm -f "$1/service.pid"
}

# A call of the service's control, for figures and logs: service_control log
service_control()
{
    "$python" -c 'import sys, urllib.request
data = sys.argv[2].encode() if len(sys.argv) > 2 else (b"" if sys.argv[1].rpartition("/")[2] in ("reset",) else None)
print(urllib.request.urlopen(urllib.request.Request(sys.argv[1], data)).read().decode())' \
        "$DATAVERSE_URL/_control/$1" "${@:2}"
}

# psql that stops at the first error.
# shellcheck disable=SC2120
run_psql()
{
    psql -X -q -v ON_ERROR_STOP=1 "$@"
}

# The database of $PGDATABASE gets extension, server crm, mapping and all tables in schema crm.
# shellcheck disable=SC2119
make_crm()
{
    run_psql <<'SQL'
\getenv url DATAVERSE_URL
\getenv tenant DATAVERSE_TENANT_ID
\getenv authority DATAVERSE_AUTHORITY
\getenv client DATAVERSE_CLIENT_ID
\getenv secret DATAVERSE_CLIENT_SECRET
CREATE EXTENSION dataverse_fdw;
CREATE SERVER crm FOREIGN DATA WRAPPER dataverse_fdw
    OPTIONS (url :'url', tenant_id :'tenant', authority :'authority');
CREATE USER MAPPING FOR CURRENT_USER SERVER crm
    OPTIONS (client_id :'client', client_secret :'secret');
CREATE SCHEMA crm;
IMPORT FOREIGN SCHEMA dataverse FROM SERVER crm INTO crm;
SQL
}
