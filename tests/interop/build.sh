#!/bin/sh
# build.sh [activemq] [jms] [stomp]: builds the named parts (all of them without arguments) into the cache
# folder. A part whose sources are older than its stamp is skipped, so a second call costs nothing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"

# A part is fresh when nothing in its folder is newer than its stamp.
fresh() {
    [ -f "$cache/$1.stamp" ] && [ -z "$(find "$here/$2" -type f -newer "$cache/$1.stamp" ! -path '*/__pycache__/*' | head -n 1)" ]
}

# Offline first: after the first download nothing needs the network.
java_part() {
    fresh "$1" "$1" && return 0
    "$here/install.sh" java mvn
    touch "$cache/$1.begun"
    mvn -q -o -f "$here/$1/pom.xml" -Dbuild.dir="$cache/$1" package >"$cache/$1.log" 2>&1 ||
        mvn -q -f "$here/$1/pom.xml" -Dbuild.dir="$cache/$1" package >"$cache/$1.log" 2>&1 ||
        { cat "$cache/$1.log" >&2; exit 1; }
    # What java -cp wants: cat this file.
    echo "$cache/$1/classes:$cache/$1/lib/*" >"$cache/$1.classpath"
    mv "$cache/$1.begun" "$cache/$1.stamp"
}

go_part() {
    fresh stomp-go stomp/go && return 0
    "$here/install.sh" go
    touch "$cache/stomp-go.begun"
    (cd "$here/stomp/go" && go build -o "$cache/stomp-go" .)
    mv "$cache/stomp-go.begun" "$cache/stomp-go.stamp"
}

python_part() {
    [ -f "$cache/venv.stamp" ] && [ ! "$here/stomp/python/requirements.txt" -nt "$cache/venv.stamp" ] && return 0
    "$here/install.sh" python3
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install -q --disable-pip-version-check -r "$here/stomp/python/requirements.txt"
    touch "$cache/venv.stamp"
}

# One build at a time, when several suites start together.
if command -v flock >/dev/null 2>&1; then
    exec 9>"$cache/lock"
    flock 9
fi

[ $# -gt 0 ] || set -- activemq jms stomp
for part in "$@"; do
    case $part in
    activemq | jms) java_part "$part" ;;
    stomp) python_part && go_part ;;
    *) echo "build.sh: no part named $part" >&2; exit 2 ;;
    esac
done
