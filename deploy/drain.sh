#!/bin/sh
# Lets a night's driver commit finished photos before its machine goes away. Kubernetes signals only the container's
# first process, which is Ray's, and Ray kills the driver. Runs as a preStop hook; the grace period is its limit.
# The only argument is another /proc, for tests.
set -u
proc=${1:-/proc}
asked=" "

drivers() {
    for folder in "$proc"/[0-9]*; do
        if tr '\0' ' ' 2>/dev/null <"$folder/cmdline" | grep -Eq '^[^ ]*python[0-9.]* -m jobs\.[a-z]'; then
            basename "$folder"
        fi
    done
}

# This sends SIGINT, like Ctrl-C: Ray has its own handler for SIGTERM in a job's driver, which crashes over and over (2.60.0).
# A driver listens for SIGINT (bit 2 of the signals it catches) until the first one arrives. A second would end it at once,
# and `ray job stop`, which KubeRay calls when someone deletes a job, may have sent the first.
listens() {
    grep -Eqs '^SigCgt:.*[2367abef]$' "$proc/$1/status"
}

while [ -n "$(drivers)" ]; do
    for pid in $(drivers); do
        case $asked in
            *" $pid "*) ;;
            *) if listens "$pid"; then kill -INT "$pid" && asked="$asked$pid "; fi ;;
        esac
    done
    sleep 1
done
