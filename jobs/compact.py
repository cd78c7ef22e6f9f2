"""`python -m jobs.compact`: `crackscan compact` as a job: `python -m jobs.compact s3://scores --to s3://large`."""

from dataclasses import asdict
from typing import Any

from jobs.entry_point import Facts, run_job
from pipeline.cli.compact import command, run_compaction


def work(**given: Any) -> Facts:  # noqa: ANN401 - Click's
    """Compact as the options say; return the counts."""
    return {"out": given["to"], **asdict(run_compaction(**given))}


if __name__ == "__main__":
    run_job(command, work)
