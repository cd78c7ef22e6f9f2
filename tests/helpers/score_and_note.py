"""Score INPUT into OUT, and note in OUT.told how many photos are scored: none is committed before the run ends."""

import sys
from pathlib import Path

from pipeline.cluster.session import ClusterConfig
from pipeline.scoring import placement
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.flow import score
from pipeline.scoring.progress import Progress, ScoreCallbacks
from tests.helpers.brightness_engine import make_brightness


class Telling(ScoreCallbacks):
    """Notes how far it is."""

    def scored(self, progress: Progress) -> None:
        """Note it."""
        Path(f"{sys.argv[1]}.told").write_text(str(progress.tried), encoding="utf-8")


if __name__ == "__main__":
    placement.BLOCK_BYTES = 1
    score(ScoreConfig(tuple(sys.argv[2:]), sys.argv[1], cluster=ClusterConfig(cpus=2)), Telling(), make_brightness)
