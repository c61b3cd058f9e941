#!/bin/bash
# Three MariaDB servers on this machine that keep the same data (Galera): each commit is at all of them before it is answered.
#
#   ./galera.sh start          makes them in ./galera and prints the URL for [journal]
#   ./galera.sh kill N         ends server N as a power cut would
#   ./galera.sh again N        starts server N again; it catches up with the others
#   ./galera.sh stop           ends and removes all
#
# Needs the packages mariadb-server, galera-4 and rsync. As root the servers run as user mysql.
set -euo pipefail
home=${GALERA_HOME:-$(cd "$(dirname "$0")" && pwd)/galera}
port=${GALERA_PORT:-4406}
password=${GALERA_PASSWORD:-secret}
library=$(find /usr/lib /usr/lib64 -name libgalera_smm.so 2>/dev/null | head -n 1)

as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid mysql --regid mysql --clear-groups -- "$@"; else "$@"; fi; }
# Ports of server N: clients, replication and the two for newcomers.
client() { echo $((port + 10 * $1)); }
members() { echo "127.0.0.1:$((port + 1)),127.0.0.1:$((port + 11)),127.0.0.1:$((port + 21))"; }

server() { # server N [OPTION…]
    local n=$1 base=$((port + 10 * $1))
    shift
    as_user mariadbd --no-defaults --datadir="$home/$n" --socket="$home/$n/socket" --pid-file="$home/$n/pid" \
        --port="$base" --bind-address=127.0.0.1 --log-error="$home/logs/$n.err" \
        --binlog-format=ROW --innodb-autoinc-lock-mode=2 --default-storage-engine=InnoDB \
        --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=64M \
        --wsrep-on=ON --wsrep-provider="$library" --wsrep-cluster-name=jackfield --wsrep-node-name="node$n" \
        --wsrep-cluster-address="gcomm://$(members)" --wsrep-node-address="127.0.0.1:$((base + 1))" \
        --wsrep-sst-method=rsync --wsrep-sst-receive-address="127.0.0.1:$((base + 3))" \
        --wsrep-provider-options="base_port=$((base + 1));ist.recv_addr=127.0.0.1:$((base + 2));gcache.size=64M" \
        "$@"
}

# The same behind the script's back: it outlives this shell and holds nothing of it open.
leave() { server "$@" </dev/null >/dev/null 2>&1 & }

# How far the engine of server N is, which a server that was killed does not remember: told of it when it starts again, it
# gets from the others only what is missing, and they need not stand still to give it all.
position() { # position N
    rm -f "$home/logs/recovery.err"
    server "$1" --wsrep-recover --log-error="$home/logs/recovery.err" </dev/null >/dev/null 2>&1 || true
    sed -n 's/.*Recovered position: *//p' "$home/logs/recovery.err" | tail -n 1
}

ready() { # ready N
    for _ in $(seq 300); do
        state=$(mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P "$(client "$1")" -u jackfield -p"$password" -N -B \
            -e "SHOW STATUS LIKE 'wsrep_local_state_comment'" 2>/dev/null | cut -f 2) || true
        [ "$state" = Synced ] && return 0
        sleep 0.2
    done
    echo "server $1 does not come up, see $home/logs/$1.err" >&2
    exit 1
}

case ${1:-} in
start)
    [ -n "$library" ] || { echo "libgalera_smm.so is not here: install galera-4" >&2; exit 1; }
    # Not with the data, which a newcomer gets whole from another server.
    mkdir -p "$home/logs"
    [ "$(id -u)" != 0 ] || chown mysql:mysql "$home/logs"
    cat >"$home/init.sql" <<SQL
CREATE DATABASE IF NOT EXISTS activemq;
CREATE USER IF NOT EXISTS 'jackfield'@'%' IDENTIFIED BY '$password';
CREATE USER IF NOT EXISTS 'jackfield'@'localhost' IDENTIFIED BY '$password';
GRANT ALL ON activemq.* TO 'jackfield'@'%';
GRANT ALL ON activemq.* TO 'jackfield'@'localhost';
SQL
    for n in 0 1 2; do
        mkdir -p "$home/$n"
        [ "$(id -u)" != 0 ] || chown mysql:mysql "$home/$n"
        as_user mariadb-install-db --no-defaults --datadir="$home/$n" --auth-root-authentication-method=normal \
            --skip-test-db >/dev/null
    done
    leave 0 --wsrep-new-cluster --init-file="$home/init.sql"
    ready 0
    for n in 1 2; do leave $n && ready $n; done
    echo "mysql://jackfield:$password@127.0.0.1:$(client 0),127.0.0.1:$(client 1),127.0.0.1:$(client 2)/activemq"
    ;;
kill) kill -9 "$(cat "$home/$2/pid")" ;;
again)
    known=$(position "$2")
    leave "$2" ${known:+--wsrep-start-position="$known"}
    ready "$2"
    ;;
stop)
    for n in 0 1 2; do [ ! -f "$home/$n/pid" ] || kill -9 "$(cat "$home/$n/pid")" 2>/dev/null || true; done
    rm -rf "$home"
    ;;
*)
    sed -n '2,9s/^# \?//p' "$0"
    exit 64
    ;;
esac
