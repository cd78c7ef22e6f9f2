"""Statistics, metrics, report and cost of a run, and the progress of a dataset.

It may import `core`, `storage`, `dataset` and `cluster`. Start with `run_stats`, which the scoring flow fills.

* `run_stats`: counts and resource usage of a run, added up by the driver
* `ray_metrics`: the same figures as metrics for Prometheus, through Ray
* `run_report`: `run-report.json`, the figures of every run on a dataset
* `changes`: archives and photos that are not what was listed any more
* `capacity`: formulas for throughput and cost
* `prices`: price tables, and what a run costs
* `status`: how far a dataset is, how fast it grows, what failed, and who writes it
"""
