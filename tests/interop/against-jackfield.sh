#!/bin/sh
# Starts the program on ports of its own and drives the real clients through it, then kills and restarts it under the
# clients' feet. Usage: against-jackfield.sh PROGRAM
set -eu
program=$(realpath "$1")
cd "$(dirname "$0")"
home=$(mktemp -d)
broker=
slave=
client=
cleanup() {
    [ -z "$slave" ] || kill -9 "$slave" 2>/dev/null || true
    [ -z "$client" ] || kill "$client" 2>/dev/null || true
    [ -z "$broker" ] || kill -9 "$broker" 2>/dev/null || true
    rm -rf "$home"
}
trap cleanup EXIT INT TERM

configure() { # configure OPENWIRE_PORT STOMP_PORT
    cat >"$home/jackfield.toml" <<TOML
[tls]
certificate = "$home/broker.pem"
key = "$home/broker.key"
client_ca = "$home/ca.pem"
[[connector]]
uri = "ssl://127.0.0.1:0?needClientAuth=true"
[[connector]]
uri = "stomp+ssl://127.0.0.1:0?needClientAuth=true"
[[connector]]
name = "openwire"
uri = "tcp://127.0.0.1:$1"
[[connector]]
name = "stomp"
uri = "stomp://127.0.0.1:$2"
TOML
}

start() {
    : >"$home/out"
    "$program" serve --config "$home/jackfield.toml" --data "$home/data" >"$home/out" 2>>"$home/log" &
    broker=$!
    while ! grep -q '^ready' "$home/out"; do
        kill -0 "$broker" || { cat "$home/log"; exit 1; }
        sleep 0.1
    done
    openwire=$(sed -n 's/^listening openwire //p' "$home/out")
    stomp=$(sed -n 's/^listening stomp //p' "$home/out")
    openwire_ssl=$(sed -n 's/^listening openwire+ssl //p' "$home/out")
    stomp_ssl=$(sed -n 's/^listening stomp+ssl //p' "$home/out")
}

# A client that says READY, has the broker killed, and goes on when told that it is back.
through_a_kill() { # through_a_kill MODE
    mkfifo "$home/$1.in"
    jms/run.sh "tcp://$openwire" "$1" <"$home/$1.in" >"$home/$1.out" 2>"$home/$1.err" &
    client=$!
    exec 3>"$home/$1.in"
    while ! grep -q '^READY' "$home/$1.out"; do
        kill -0 "$client" 2>/dev/null || { cat "$home/$1.out" "$home/$1.err"; return 1; }
        sleep 0.1
    done
    kill -9 "$broker"
    wait "$broker" 2>/dev/null || true
    start
    echo >&3
    exec 3>&-
    wait "$client" || { cat "$home/$1.out" "$home/$1.err"; return 1; }
    grep -E '^(PASS|FAIL)' "$home/$1.out"
}

# A client that knows both brokers of a pair loses one to a kill and goes on with the other.
through_a_failover() { # through_a_failover MODE
    configure 0 0
    start
    # A port for the slave: one that this broker had a moment ago.
    second=$openwire
    kill -9 "$broker"
    wait "$broker" 2>/dev/null || true
    rm -rf "$home/data"
    cat >"$home/slave.toml" <<TOML
[broker]
name = "slave"
[[connector]]
name = "openwire"
uri = "tcp://$second"
TOML
    start
    : >"$home/slave.out"
    "$program" serve --config "$home/slave.toml" --data "$home/data" >"$home/slave.out" 2>>"$home/log" &
    slave=$!
    while ! grep -q '^standby' "$home/slave.out"; do
        kill -0 "$slave" || { cat "$home/log"; return 1; }
        sleep 0.1
    done
    mkfifo "$home/$1.in"
    jms/run.sh "tcp://$openwire,tcp://$second" "$1" <"$home/$1.in" >"$home/$1.out" 2>"$home/$1.err" &
    client=$!
    exec 3>"$home/$1.in"
    while ! grep -q '^READY' "$home/$1.out"; do
        kill -0 "$client" 2>/dev/null || { cat "$home/$1.out" "$home/$1.err"; return 1; }
        sleep 0.1
    done
    kill -9 "$broker"
    wait "$broker" 2>/dev/null || true
    while ! grep -q '^ready' "$home/slave.out"; do
        kill -0 "$slave" || { cat "$home/log"; return 1; }
        sleep 0.01
    done
    echo >&3
    exec 3>&-
    wait "$client" || { cat "$home/$1.out" "$home/$1.err"; return 1; }
    grep -E '^(PASS|FAIL)' "$home/$1.out" | sed 's/$/, from one broker of a pair to the other/'
    kill -9 "$slave"
    wait "$slave" 2>/dev/null || true
    slave=
    rm "$home/$1.in"
}

# Runs a suite, shows what it says and remembers the cases that failed: they are said once more at the very end, below the
# broker's log, where a reader of a shortened log finds them.
failed=
suite() { # suite NAME COMMAND…
    name=$1
    shift
    mkfifo "$home/$name.lines"
    tee "$home/$name.cases" <"$home/$name.lines" &
    shown=$!
    ended=0
    "$@" >"$home/$name.lines" 2>&1 || ended=$?
    wait "$shown"
    rm "$home/$name.lines"
    [ "$ended" = 0 ] || failed="$failed
$name ended with $ended: $(grep -A 3 '^FAIL' "$home/$name.cases" || tail -n 3 "$home/$name.cases")"
}

./certificates.sh "$home"
configure 0 0
start
# XA is not served yet; every other case is.
suite jms jms/run.sh "tcp://$openwire" --skip xa.
suite stomp stomp/run.sh "${stomp%:*}" "${stomp##*:}"

echo "over TLS, with client certificates"
stores="-Djavax.net.ssl.trustStore=$home/trust.p12 -Djavax.net.ssl.trustStorePassword=interop"
stores="$stores -Djavax.net.ssl.keyStore=$home/client.p12 -Djavax.net.ssl.keyStorePassword=interop"
suite jms-over-tls env JAVA_TOOL_OPTIONS="$stores" jms/run.sh "ssl://$openwire_ssl" \
    --only messages. --only tx. --only durable. --only load.
. ./cache.sh
export PYTHONDONTWRITEBYTECODE=1
python="$cache/venv/bin/python"
suite stomp-over-tls "$python" stomp/python/suite.py "${stomp_ssl%:*}" "${stomp_ssl##*:}" \
    --tls "$home/ca.pem" "$home/client.pem" "$home/client.key"

configure "${openwire##*:}" "${stomp##*:}"
for mode in restart-queue restart-durable restart-failover restart-groups; do
    suite "$mode" through_a_kill "$mode"
done
kill -9 "$broker"
wait "$broker" 2>/dev/null || true
rm -rf "$home/data" "$home/restart-failover.in"
suite restart-failover-in-a-pair through_a_failover restart-failover

# The same program with users and rights.
rm -rf "$home/data"
configure 0 0
cat >>"$home/jackfield.toml" <<TOML
[security]
populate_jmsx_user_id = true
users = [
    { name = "ann", password_hash = "$(echo secret | "$program" password)", groups = ["admins"] },
    { name = "bob", password_hash = "$(echo other | "$program" password)", groups = ["users"] },
]
[[security.authorization]]
default = true
read = ["admins"]
write = ["admins"]
admin = ["admins"]
[[security.authorization]]
queue = "R.>"
read = ["users"]
[[security.authorization]]
queue = "W.>"
write = ["users"]
[[security.authorization]]
topic = "ActiveMQ.Advisory.>"
read = ["*"]
TOML
start
suite jms-secured jms/run.sh "tcp://$openwire" secured
suite stomp-secured "$python" stomp/python/suite.py "${stomp%:*}" "${stomp##*:}" --secured
if [ -n "$failed" ]; then
    printf "the broker's log:\n%s\nfailed:%s\n" "$(tail -n 50 "$home/log")" "$failed"
    exit 1
fi
