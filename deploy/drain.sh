#!/bin/sh
# Lets a night's driver commit what is finished before its machine goes: Kubernetes tells only the container's first
# process that it ends, which is Ray's, and Ray kills the driver. Run as preStop hook; the grace period is its limit.
# The one argument, for tests, is another /proc.
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

# SIGINT, as Ctrl-C sends it: of SIGTERM Ray has a handler of its own in a job's driver, which crashes over and over (2.60.0).
# A driver listens for it (bit 2 of the signals it catches) until it is asked to end: a second signal would end it at once,
# and `ray job stop`, which KubeRay calls when a job is deleted, may have sent the first.
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
