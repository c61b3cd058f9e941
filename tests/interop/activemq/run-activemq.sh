#!/bin/sh
# run-activemq.sh DATA OPENWIRE_PORT STOMP_PORT [CONFIG [-DNAME=VALUE...]]: the real ActiveMQ in the foreground; prints READY when
# it listens. CONFIG is activemq.xml, or one of those for master and slaves, whose properties follow: shared-file.xml wants
# broker.name, lease.ms and keep.alive.ms, jdbc.xml also database.url, .user, .password and .adapter.
# The process is replaced by the JVM, so a kill of this pid is a kill of the broker.
set -eu
[ $# -ge 3 ] || { echo "usage: $0 DATA OPENWIRE_PORT STOMP_PORT [CONFIG [-DNAME=VALUE...]]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
"$here/../build.sh" activemq >&2
. "$here/../cache.sh"
mkdir -p "$1"
data=$(cd "$1" && pwd) openwire=$2 stomp=$3 config=${4:-activemq.xml}
shift "$(($# < 4 ? $# : 4))"
# Places of numbers that properties fill in are none in the eyes of the schema.
[ "$config" = activemq.xml ] || config="$config?validate=false"
exec java -Xms64M -Xmx1G -Ddata="$data" -Dopenwire.port="$openwire" -Dstomp.port="$stomp" \
    -Dorg.apache.activemq.SERIALIZABLE_PACKAGES='*' "$@" \
    -cp "$(cat "$cache/activemq.classpath")" ActiveMQ "$here/$config"
