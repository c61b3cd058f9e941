#!/bin/sh
# run.sh URL [--only PREFIX]... [--via failover] [--slow N] [--verbose] [--list]: runs the JMS suite against the broker at URL.
# run.sh URL secured: runs the cases for a broker with users and rights.
# run.sh URL restart-durable|restart-queue|restart-xa|restart-failover|restart-groups: prints READY and waits for a line on stdin.
# run.sh URL,URL failover-load [arguments]: clients and a ledger for tests/bench/failover.sh, which kills the broker under them.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 URL [arguments]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
"$here/../build.sh" jms >&2
. "$here/../cache.sh"
exec java -Xms64M -Xmx512M -XX:+UseSerialGC -cp "$(cat "$cache/jms.classpath")" Main "$@"
