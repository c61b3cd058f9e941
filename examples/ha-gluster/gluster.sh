#!/bin/bash
# A replicated directory without a database, on one machine for trying out: three brick machines and two broker machines, each
# with network, processes and mounts of its own, on two networks: one for clients, one for the storage.
#
#   ./gluster.sh start             makes them and the volume; the brokers' machines have it at $GLUSTER_HOME/data
#   ./gluster.sh in MACHINE CMD…   runs a command in a machine: brick1, brick2, brick3, amq1 or amq2
#   ./gluster.sh cut MACHINE       takes its storage network away, as a pulled cable does; clients still reach it
#   ./gluster.sh join MACHINE      and gives it back; a broker's machine then waits until it sees the volume again
#   ./gluster.sh kill-brick N      ends the process of brick N with kill -9; its machine lives
#   ./gluster.sh again-brick N     starts that process again
#   ./gluster.sh kill MACHINE      ends a whole machine as a power cut would
#   ./gluster.sh again MACHINE     starts it again
#   ./gluster.sh healed            waits until all bricks have the same again
#   ./gluster.sh stop              ends and removes all
#
# Needs the packages glusterfs-server and glusterfs-client, root, and /dev/fuse. No daemon, address, mount or file of this
# machine is touched; everything is in $GLUSTER_HOME (./gluster) and in bridges whose names begin with $GLUSTER_TAG (jfg).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=${GLUSTER_HOME:-$here/gluster}
tag=${GLUSTER_TAG:-jfg}
# Clients reach 10.93.7.x, the storage is at 10.93.8.x: not loopback, which glusterd refuses.
net=${GLUSTER_NET:-10.93}
# Without these a machine goes on reading what it remembers of a file after another one has written it.
options=${GLUSTER_OPTIONS:-auto-invalidation=yes,attribute-timeout=0,entry-timeout=0,negative-timeout=0}
volume=jackfield
machines=(brick1 brick2 brick3 amq1 amq2)

fail() { echo "$*" >&2; exit 1; }

# Last number of the addresses of a machine.
number() {
    case $1 in
    brick[123]) echo "1${1#brick}" ;;
    amq[12]) echo "2${1#amq}" ;;
    *) fail "no machine $1: there are ${machines[*]}" ;;
    esac
}
storage() { echo "$net.8.$(number "$1")"; }
front() { echo "$net.7.$(number "$1")"; }

within() { # within MACHINE CMD…
    local pid
    pid=$(cat "$home/$1/pid" 2>/dev/null) || fail "machine $1 does not run"
    shift
    # A folder entered from outside would not show what is mounted in the machine.
    nsenter --target "$pid" --net --mount --pid --uts -- sh -c 'cd "$0" && exec "$@"' "$PWD" "$@"
}
gluster_at() { local at=$1; shift; within "$at" gluster --mode=script "$@"; }

until_true() { # until_true SECONDS WHAT CMD…
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt "$end" ] || fail "$what takes too long, see $home/*/log"
        sleep 0.2
    done
}

# Its first process keeps the machine alive and takes care of orphans; all others end with it. Paths that are compiled into
# GlusterFS lead to folders of the machine.
boot() { # boot MACHINE
    local m=$1 at=$home/$1 starter pid n=0
    mkdir -p "$at"/{lib,log,brick} "$home/data"
    rm -f "$at/up"
    setsid unshare --net --mount --pid --uts --fork --mount-proc --kill-child --propagation private bash -c '
        at=$1
        hostname "$2"
        mkdir -p /var/lib/glusterd /var/log/glusterfs
        mount --bind "$at/lib" /var/lib/glusterd
        mount --bind "$at/log" /var/log/glusterfs
        mount -t tmpfs none /run
        touch "$at/up"
        while :; do sleep 3600 & wait; done' boot "$at" "$m" </dev/null >/dev/null 2>"$at/log/boot" &
    starter=$!
    until pid=$(cat "/proc/$starter/task/$starter/children" 2>/dev/null) && [ -n "$pid" ]; do
        [ $((n += 1)) -lt 100 ] || fail "machine $m does not start, see $at/log/boot"
        sleep 0.05
    done
    echo "${pid// /}" >"$at/pid"
    until_true 10 "machine $m" test -e "$at/up"
    cable "$m" front 7
    cable "$m" storage 8
    within "$m" ip link set lo up
    case $m in
    brick*) within "$m" glusterd --log-level WARNING && until_true 20 "glusterd of $m" gluster_at "$m" volume list ;;
    esac
}
cable() { # cable MACHINE NAME NUMBER: a virtual cable from the bridge to the machine
    local outside="$tag$3-$1"
    ip link add "$outside" type veth peer name "$2" netns "$(cat "$home/$1/pid")"
    ip link set "$outside" master "$tag$3" up
    within "$1" ip addr add "$net.$3.$(number "$1")/24" dev "$2"
    within "$1" ip link set "$2" up
}
attach() { # attach MACHINE: mounts the volume
    within "$1" mount -t glusterfs -o "$options" \
        -o backup-volfile-servers="$(storage brick2):$(storage brick3)",log-level=WARNING \
        "$(storage brick1):/$volume" "$home/data"
}
power_off() { # power_off MACHINE
    local pid
    pid=$(cat "$home/$1/pid" 2>/dev/null) || return 0
    rm -f "$home/$1/pid"
    # Without power nobody says good-bye: the cables first.
    ip link delete "${tag}7-$1" 2>/dev/null || true
    ip link delete "${tag}8-$1" 2>/dev/null || true
    kill -9 "$pid" 2>/dev/null || return 0
    until_true 60 "the end of $1" test ! -e "/proc/$pid"
}
pid_of_brick() { # as the machine counts
    within "brick$1" sh -c 'cat /run/gluster/vols/*/*.pid'
}
all_bricks_up() {
    local up
    up=$(gluster_at brick1 volume status "$volume" detail | grep -c '^Online *: Y') || true
    [ "$up" = 3 ]
}
nothing_to_heal() {
    local info
    info=$(gluster_at brick1 volume heal "$volume" info) || return 1
    [ "$(grep -c '^Status: Connected' <<<"$info")" = 3 ] && [ "$(grep -c '^Number of entries: 0$' <<<"$info")" = 3 ]
}

case ${1:-} in
start)
    [ "$(id -u)" = 0 ] || fail "only root can make networks and mounts"
    for program in glusterd gluster mount.glusterfs; do
        command -v $program >/dev/null || fail "$program is not here: install glusterfs-server and glusterfs-client"
    done
    [ -e /dev/fuse ] || fail "/dev/fuse is not here: this kernel cannot mount the volume"
    [ ! -e "$home" ] || fail "$home is there already: ./gluster.sh stop"
    mkdir -p "$home"
    for n in 7 8; do
        ip link add "$tag$n" type bridge
        ip addr add "$net.$n.1/24" dev "$tag$n"
        ip link set "$tag$n" up
    done
    for m in "${machines[@]}"; do boot "$m"; done
    bricks=()
    for n in 1 2 3; do
        bricks+=("$(storage brick$n):$home/brick$n/brick/files")
        mkdir -p "$home/brick$n/lib/groups"
        cp "$here/volume.group" "$home/brick$n/lib/groups/jackfield"
    done
    for n in 2 3; do gluster_at brick1 peer probe "$(storage brick$n)" >/dev/null; done
    until_true 20 "the pool" sh -c "'$0' in brick1 gluster peer status | grep -c 'Peer in Cluster (Connected)' | grep -qx 2"
    gluster_at brick1 volume create $volume replica 3 "${bricks[@]}" force >/dev/null
    gluster_at brick1 volume set $volume group jackfield >/dev/null
    gluster_at brick1 volume start $volume >/dev/null
    until_true 30 "the volume" all_bricks_up
    for m in amq1 amq2; do attach $m; done
    echo "$home/data in amq1 ($(front amq1)) and amq2 ($(front amq2))"
    ;;
in)
    shift
    within "$@"
    ;;
cut) ip link set "${tag}8-$2" down ;;
join)
    ip link set "${tag}8-$2" up
    case $2 in amq*) until_true 30 "the volume at $2" within "$2" ls "$home/data" ;; esac
    ;;
kill-brick) within "brick$2" kill -9 "$(pid_of_brick "$2")" ;;
again-brick)
    gluster_at "brick$2" volume start $volume force >/dev/null
    until_true 30 "brick $2" all_bricks_up
    ;;
kill) power_off "$2" ;;
again)
    boot "$2"
    case $2 in
    brick*) until_true 30 "the brick of $2" all_bricks_up ;;
    *) attach "$2" ;;
    esac
    ;;
healed) until_true "${2:-120}" "the healing" nothing_to_heal ;;
stop)
    for m in "${machines[@]}"; do (power_off "$m") || true; done
    for n in 7 8; do ip link delete "$tag$n" 2>/dev/null || true; done
    rm -rf "$home"
    ;;
*)
    sed -n '2,18s/^# \?//p' "$0"
    exit 64
    ;;
esac
