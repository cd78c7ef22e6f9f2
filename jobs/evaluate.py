"""`python -m jobs.evaluate`: `crackscan evaluate` as a job: `python -m jobs.evaluate s3://tiles --out s3://report`."""

from typing import Any

from jobs import Facts, entry_point
from pipeline.cli.evaluate import command, measured


def work(**given: Any) -> Facts:  # noqa: ANN401 - Click's
    """Evaluate as the options say, and tell the figures of all sources together."""
    found = measured(**given)
    facts = {each.out: each.model_id for each in found if each is not None}
    told: dict[str, object] = {"out": next(iter(facts)), "model_id": next(iter(facts.values())), "failed": found.failed}
    if found.tiles is not None:
        overall = found.tiles.overall
        told |= {"tiles": overall.n, "average_precision": overall.average_precision, "auc": overall.auc}
    if found.masks is not None:
        told |= {"photos_with_masks": found.masks.results[-1].photos}
    return told


if __name__ == "__main__":
    entry_point(command, work)
