"""`crackscan`, but `score` hands over and commits each photo separately: a kill finds many moments."""

from dataclasses import replace

from pipeline.cli import main
from pipeline.scoring import flow
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.progress import ScoreCallbacks, ScoreSummary
from tests.helpers.brightness_engine import SINGLE_BLOCKS, SINGLE_COMMITS


def score(config: ScoreConfig, callbacks: ScoreCallbacks) -> ScoreSummary:
    """Score with small blocks and commits."""
    return _score(replace(config, sizes=SINGLE_BLOCKS, commit_limits=SINGLE_COMMITS), callbacks)


if __name__ == "__main__":
    _score = flow.score
    flow.score = score  # type: ignore[assignment]  # the command gives no other arguments
    main(prog_name="crackscan")
