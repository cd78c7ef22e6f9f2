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
wait_s=60
ray job stop --no-wait "$job" >/dev/null 2>&1 || wait_s=5 # Ray's signal ends this command, too; or else it has failed
for _ in $(seq "$wait_s"); do # until that signal: Ray takes a job that has ended before for failed, and KubeRay repeats it
    [ -z "$stopped" ] || break
    sleep 1
done
exit 2
