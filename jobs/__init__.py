"""Entry points for Ray jobs and schedulers: `python -m jobs.score` and its like, one for each command that takes long.

Each takes the options of its command, does the same work, and ends with one line of JSON on stdout: the result and the
command's exit code. Everything else goes to stderr. A scheduler should not repeat a finished night for a few bad
photos: if the command ends with 3 (done, with failed photos), the job ends with 0. They import `cli` and `core`. Start
with `entry_point`.

* `entry_point`: runs a command as a job
* `score`: `crackscan score` as a job
* `train`: `crackscan train` as a job
* `evaluate`: `crackscan evaluate` as a job
* `compact`: `crackscan compact` as a job
"""
