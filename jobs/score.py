"""`python -m jobs.score`: `crackscan score` as a job: `python -m jobs.score --config tonight.yaml --address auto`."""

from typing import Any

from jobs.entry_point import Facts, run_job
from pipeline.cli.messages import DONE_WITH_FAILED_PHOTOS
from pipeline.cli.score import command, run_score


def work(**given: Any) -> Facts:  # noqa: ANN401 - Click's
    """Score as the options say; return the counts."""
    fail_on = given.pop("fail_on")
    summary = run_score(**given)
    return {
        "out": given["out"],
        "finished": summary.is_finished,
        "photos": summary.listed,
        "scored": summary.run.scored,
        "tiles": summary.run.tiles,
        "done_before": summary.done_before,
        "failed": summary.failed,
        "failed_new": summary.run.failed,
        "changed": [change.url for change in summary.changes],
        "changed_new": [change.url for change in summary.new_changes],
        "left": summary.left,
        "cost": summary.cost and summary.cost._asdict(),
        "exit": DONE_WITH_FAILED_PHOTOS if summary.has_trouble(fail_on) else 0,
    }


if __name__ == "__main__":
    run_job(command, work)
