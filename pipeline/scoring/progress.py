"""How far a scoring run is, how it ended, and the callbacks that follow it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.counts import count_of
from pipeline.core.errors import KINDS_OF_INPUT, CrackscanError
from pipeline.dataset.lease import Holder
from pipeline.models.engines import EngineChoice
from pipeline.monitoring.prices import Cost


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    photos: int
    """Photos to score in this run, as far as they are counted."""
    uncounted: int = 0
    """Streams whose photos are counted only when they have been read to their end."""
    scored: int = 0
    failed: int = 0
    not_decoded: int = 0
    """Photos among the failed ones that say nothing of the run: they are of a kind that is never decoded."""
    tiles: int = 0

    @property
    def tried(self) -> int:
        """Photos that have their row, scored or failed."""
        return self.scored + self.failed

    def with_photos(self, scored: pa.Table) -> "Progress":
        """Return the progress after more photos; schema `SCORED`."""
        failed = pc.sum(pc.equal(scored["status"], "failed")).as_py() or 0
        not_decoded = pc.sum(pc.is_in(scored["failure_kind"], pa.array(KINDS_OF_INPUT, pa.string()))).as_py() or 0
        tiles = pc.sum(scored["tiles"]).as_py() or 0
        return replace(self, scored=self.scored + scored.num_rows - failed, failed=self.failed + failed,
                       not_decoded=self.not_decoded + not_decoded, tiles=self.tiles + tiles)  # fmt: skip

    def with_stream(self, photos: int) -> "Progress":
        """Return the progress after the end of a stream with this number of photos."""
        return replace(self, photos=self.photos + photos, uncounted=self.uncounted - 1)

    def check_failures(self, max_share: float, after: int) -> None:
        """Stop a run in which too many photos fail that could have been scored.

        Args:
            max_share: share of photos that may fail.
            after: photos to try before the share counts.

        Raises:
            CrackscanError: more than that share has failed.
        """
        tried, failed = self.tried - self.not_decoded, self.failed - self.not_decoded
        if tried >= after and failed > max_share * tried:
            raise CrackscanError(
                f"{failed:,} of the first {count_of(tried, 'photo')} failed, more than the share of {max_share:g} that "
                "--max-failures allows; photos of kinds that are never decoded do not count. The view `failures` of "
                "`crackscan query` says why."
            )


@dataclass(frozen=True)
class ScoreSummary:
    """How a run ended."""

    run: Progress
    """Work of this run."""
    listed: int
    """Photos in all inputs, as far as they are counted."""
    done_before: int
    """Those of them that had their row before this run."""
    failed: int
    """Photos in the dataset that failed, in this run or an earlier one."""
    left: int
    """Photos of the inputs that still have no row; only a `limit` leaves any."""
    uncounted: int
    """Streams of the inputs that have not been read to their end; only a `limit` leaves any."""
    is_finished: bool
    """Whether every photo that was ever planned for the dataset has its row."""
    skipped: Mapping[str, int]
    """Files of the inputs that are no photos, counted by kind."""
    cost: Cost | None = None
    """What the machines of this run cost; None without prices."""


class ScoreCallbacks:
    """Events of a scoring run, in the process that started it; these methods do nothing."""

    def on_engine(self, engine: EngineChoice) -> None:
        """The engine is chosen."""

    def on_wait(self, holder: Holder) -> None:
        """Another writer holds the dataset, and the run checks whether it still lives."""

    def on_listed(self, archives: int, total: int) -> None:
        """This many of the archives are listed."""

    def on_progress(self, progress: Progress) -> None:
        """More photos have their rows, or some time has passed."""
