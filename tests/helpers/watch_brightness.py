"""`crackscan`, but `score --watch` has an engine with computable answers, and little patience."""

from dataclasses import replace

from pipeline.cli import main
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.progress import ScoreSummary
from pipeline.storage.retry import limit_retries
from pipeline.watch import flow, settling
from pipeline.watch.progress import WatchCallbacks
from pipeline.watch.schedule import Schedule
from tests.helpers.brightness_engine import SINGLE_BLOCKS, SINGLE_COMMITS, make_brightness

GIVEN_UP_AFTER_S = 3.0
"""A request of the driver; workers are as patient as always."""
SETTLE_S = 3.0


def watch(config: ScoreConfig, schedule: Schedule, callbacks: WatchCallbacks) -> ScoreSummary:
    """Watch without cracks, which take a network; hand over and commit each photo separately."""
    quick = replace(config, cracks=False, actors=1, sizes=SINGLE_BLOCKS, commit_limits=SINGLE_COMMITS)
    return _watch(quick, schedule, callbacks, make_brightness)


if __name__ == "__main__":
    _watch, flow.watch = flow.watch, watch  # type: ignore[assignment]  # the command gives no other arguments
    settling.SETTLE_S = SETTLE_S
    with limit_retries(GIVEN_UP_AFTER_S):
        main(prog_name="crackscan")
