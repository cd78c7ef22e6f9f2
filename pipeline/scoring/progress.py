"""How far a scoring run is, how it ended, and who is told."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.lease import Holder
from pipeline.models.engines import EngineChoice
from pipeline.monitoring.prices import Cost


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    photos: int
    """Photos to score in this run, as far as they are counted."""
    uncounted: int = 0
    """Archives that have to be read to their end before it is known how many photos they hold."""
    scored: int = 0
    failed: int = 0
    tiles: int = 0

    @property
    def tried(self) -> int:
        """Photos that have their row, scored or failed."""
        return self.scored + self.failed

    def after(self, scored: pa.Table) -> "Progress":
        """Count more photos in; schema `SCORED`."""
        failed = pc.sum(pc.equal(scored["status"], "failed")).as_py() or 0
        tiles = pc.sum(scored["tiles"]).as_py() or 0
        return replace(self, scored=self.scored + scored.num_rows - failed, failed=self.failed + failed,
                       tiles=self.tiles + tiles)  # fmt: skip

    def counted(self, photos: int) -> "Progress":
        """Count the photos of an archive that has ended."""
        return replace(self, photos=self.photos + photos, uncounted=self.uncounted - 1)


@dataclass(frozen=True)
class ScoreSummary:
    """How a run ended."""

    run: Progress
    """What this run did."""
    listed: int
    """Photos in all inputs, as far as they are counted."""
    done_before: int
    """Those of them that had their row before this run."""
    failed: int
    """Photos in the dataset that failed, in this run or an earlier one."""
    left: int
    """Photos of the inputs that still have no row; only a `limit` leaves any."""
    uncounted: int
    """Archives of the inputs that have not been read to their end; only a `limit` leaves any."""
    is_finished: bool
    """Whether every photo that was ever planned for the dataset has its row."""
    skipped: Mapping[str, int]
    """Files of the inputs that are no photos, counted by kind."""
    cost: Cost | None = None
    """What the machines of this run cost; None where no prices were given."""


class ScoreCallbacks:
    """Is told how far a run is; this one keeps it to itself."""

    def chose(self, engine: EngineChoice) -> None:
        """This engine is to score."""

    def waits(self, holder: Holder) -> None:
        """Another writer's lease is watched: does it still live?"""

    def listed(self, archives: int, of: int) -> None:
        """So many archives have been listed."""

    def scored(self, progress: Progress) -> None:
        """Photos have come in, or some time has passed."""
