"""What every package may use: errors, logs, graceful shutdown, resource usage, table schemas.

It imports nothing of ours. Start with `errors`: its tree says what each error does to a run.

* `errors`: every error that crackscan raises, and what each one does to a run
* `table_schemas`: the columns of every table
* `log`: structured logs, one JSON object per line
* `interrupt`: graceful shutdown on Ctrl-C and SIGTERM
* `xml`: XML of unknown origin, parsed without entities
* `usage`: time, processors, storage and memory that a step used
* `progress`: how work tells its caller how far it is
* `waits`: which requests wait for storage, and why
* `process`: which process wrote something, and whether it has ended
* `cpus`: how many CPUs this process may use
* `scratch`: temporary folders that stay nowhere, even if their process is killed
* `streams`: standard streams that are closed, broken or full
* `control_characters`: characters that steer a terminal or turn a line around, made visible
* `spreadsheets`: what Excel needs to read a CSV in UTF-8, and to take names for text
* `wkt`: lines as well-known text, and back
* `photo_patterns`: names and globs of photos in people's tables
* `counts`: numbers with their nouns, for people
* `secrets`: refuses passwords and keys where others could read them
"""
