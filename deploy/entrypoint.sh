#!/bin/sh
# Runs a job for KubeRay: crackscan-entrypoint python -m jobs.score …
# KubeRay starts a fresh cluster for each job that ends as FAILED, `backoffLimit` times. Wrong usage (exit code 2), such as
# a misspelt option, would be as wrong there. So this stops its own Ray job then: STOPPED is final, and is no success.
set -u
stopped=
trap stopped=yes INT TERM # the job gets Ray's signals itself; wait for its end
"$@"
code=$?
[ "$code" -eq 2 ] || exit "$code"
echo "crackscan-entrypoint: exit code 2 is wrong usage, which a fresh cluster cannot mend; this job ends as STOPPED." >&2
job=$(python -c 'import json, os
print(json.loads(os.environ["RAY_JOB_CONFIG_JSON_ENV_VAR"])["metadata"]["job_submission_id"])')
ray job stop --no-wait "$job" >/dev/null 2>&1 || exit 2 # its own signal may end it, or the job fails and is repeated
for _ in $(seq 60); do # until Ray's signal: it takes a job that has ended before for failed
    [ -z "$stopped" ] || break
    sleep 1
done
exit 2
