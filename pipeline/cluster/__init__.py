"""Ray sessions, jobs submitted to a cluster, and checks of a machine.

It may import `core` and `storage`. Start with `session`, which every run on Ray enters.

* `session`: starts a private Ray or joins a cluster, without Ray's output
* `ray_token`: the token that a Ray asks for
* `shared_disk`: checks that every machine of a cluster reaches the paths on local disk
* `submission`: work for a cluster, its job name, and how a repeated submission joins it
* `job_server`: Ray's job server, over HTTP
* `machine`: facts of this machine: CPU, memory, GPUs, folders, packages
* `checks`: judges those facts, with advice
"""
