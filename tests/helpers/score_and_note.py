"""Score INPUT into OUT, and write the number of scored photos to OUT.tried; the run commits none before its end."""

import sys
from pathlib import Path

from pipeline.cluster.session import ClusterConfig
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.flow import score
from pipeline.scoring.progress import Progress, ScoreCallbacks
from tests.helpers.brightness_engine import SINGLE_BLOCKS, make_brightness


class NotingCallbacks(ScoreCallbacks):
    """Writes the number of tried photos to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_progress(self, progress: Progress) -> None:
        """Write it."""
        self.path.write_text(str(progress.tried), encoding="utf-8")


def main(out: str, *inputs: str) -> None:
    """Score."""
    config = ScoreConfig(inputs, out, cluster=ClusterConfig(cpus=2), sizes=SINGLE_BLOCKS)
    score(config, NotingCallbacks(Path(f"{out}.tried")), make_brightness)


if __name__ == "__main__":
    main(*sys.argv[1:])
