#!/bin/sh
# run-activemq.sh DATA OPENWIRE_PORT STOMP_PORT: the real ActiveMQ in the foreground; prints READY when it listens.
# The process is replaced by the JVM, so a kill of this pid is a kill of the broker.
set -eu
[ $# -eq 3 ] || { echo "usage: $0 DATA OPENWIRE_PORT STOMP_PORT" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
"$here/../build.sh" activemq >&2
. "$here/../cache.sh"
mkdir -p "$1"
exec java -Xms64M -Xmx1G -Ddata="$(cd "$1" && pwd)" -Dopenwire.port="$2" -Dstomp.port="$3" \
    -Dorg.apache.activemq.SERIALIZABLE_PACKAGES='*' \
    -cp "$(cat "$cache/activemq.classpath")" ActiveMQ "$here/activemq.xml"
