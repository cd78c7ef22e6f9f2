"""`python -m jobs.train`: `crackscan train` as a job: `python -m jobs.train --config model.yaml --address auto`."""

from typing import Any

from jobs.entry_point import Facts, run_job
from pipeline.cli.train import command, run_training
from pipeline.core.errors import UsageError


def work(from_model: str | None, **given: Any) -> Facts:  # noqa: ANN401 - Click's
    """Train as the options say; return the figures of the model."""
    if from_model is not None:
        raise UsageError(
            "--from needs no cluster: a hundred tiles take a minute. Run `crackscan train --from` on a machine that "
            "reaches the tiles."
        )
    result = run_training(**given)
    return {
        "out": given["out"],
        "model_id": result.card.model_id,
        "already_there": result.already_there,
        "epochs": result.card.training["epochs_done"],
        "threshold": result.card.threshold,
        "average_precision": result.card.metrics["average_precision"],
        "auc": result.card.metrics["auc"],
    }


if __name__ == "__main__":
    run_job(command, work)
