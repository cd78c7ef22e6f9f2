"""`python -m jobs.evaluate`: `crackscan evaluate` as a job: `python -m jobs.evaluate s3://tiles --out s3://report`."""

from typing import Any

from jobs.entry_point import Facts, run_job
from pipeline.cli.evaluate import command, run_evaluation


def work(**given: Any) -> Facts:  # noqa: ANN401 - Click's
    """Evaluate as the options say; return the figures of all sources together."""
    measured = run_evaluation(**given)
    first = next(each for each in measured if each is not None)
    facts: dict[str, object] = {"out": first.out, "model_id": first.model_id, "failed": measured.failed}
    if measured.tiles is not None:
        overall = measured.tiles.overall
        facts |= {"tiles": overall.n, "average_precision": overall.average_precision, "auc": overall.auc}
    if measured.masks is not None:
        facts |= {"photos_with_masks": measured.masks.results[-1].photos}
    return facts


if __name__ == "__main__":
    run_job(command, work)
