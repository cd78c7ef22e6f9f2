"""`python -m jobs.compact`: `crackscan compact` as a job: `python -m jobs.compact s3://scores --to s3://large`."""

from dataclasses import asdict
from typing import Any

from jobs import Facts, entry_point
from pipeline.cli.compact import command, compacted


def work(**given: Any) -> Facts:  # noqa: ANN401 - Click's
    """Compact as the options say, and count."""
    return {"out": given["to"], **asdict(compacted(**given))}


if __name__ == "__main__":
    entry_point(command, work)
