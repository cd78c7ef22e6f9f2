"""How far a scoring run is, how it ended, and the callbacks that follow it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.counts import count_of
from pipeline.core.errors import KINDS_OF_INPUT, CrackscanError
from pipeline.dataset.lease import Holder
from pipeline.models.engines import EngineChoice
from pipeline.monitoring.changes import Change
from pipeline.monitoring.prices import Cost
from pipeline.scoring.estimate import Counts

FailOn = Literal["new", "any", "never"]
"""Which failed photos and changed inputs make a finished run end with exit code 3."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    photos: int
    """Photos to score in this run, as far as they are counted."""
    uncounted: int = 0
    """Streams whose photos are counted only when they have been read to their end."""
    scored: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    """Failed photos by `failure_kind`."""
    tiles: int = 0

    @property
    def failed(self) -> int:
        """Number of failed photos."""
        return sum(self.failures.values())

    @property
    def tried(self) -> int:
        """Photos that have their row, scored or failed."""
        return self.scored + self.failed

    def with_plan(self, members: pa.Table, unlisted: int) -> "Progress":
        """Return the progress before more photos and streams are scored; schema `MEMBERS`.

        Args:
            members: photos and streams.
            unlisted: archives whose photos are not all among them.
        """
        photos = int(pc.sum(pc.equal(members["entry"], "photo")).as_py() or 0)
        return replace(self, photos=self.tried + photos, uncounted=members.num_rows - photos + unlisted)

    def with_photos(self, scored: pa.Table) -> "Progress":
        """Return the progress after more photos; schema `SCORED`."""
        failures = Counter(scored["failure_kind"].drop_null().to_pylist())
        tiles = pc.sum(scored["tiles"]).as_py() or 0
        return replace(self, scored=self.scored + scored.num_rows - failures.total(),
                       failures=Counter(self.failures) + failures, tiles=self.tiles + tiles)  # fmt: skip

    def with_stream(self, photos: int) -> "Progress":
        """Return the progress after the end of a stream with this number of photos."""
        return replace(self, photos=self.photos + photos, uncounted=self.uncounted - 1)

    def check_failures(self, max_share: float, after: int) -> None:
        """Stop a run in which too many photos fail for reasons that say something of the run.

        Args:
            max_share: share of photos that may fail.
            after: photos to try before the share counts.

        Raises:
            CrackscanError: more than that share has failed; the message names kinds and numbers.
        """
        of_input = Counter({kind: photos for kind, photos in self.failures.items() if kind in KINDS_OF_INPUT})
        counted = Counter(self.failures) - of_input
        failed, tried = counted.total(), self.tried - of_input.total()
        if tried >= after and failed > max_share * tried:
            others = f" Not counted, as they say nothing of the run: {_list(of_input)}." if of_input else ""
            raise CrackscanError(
                f"{failed:,} of the first {count_of(tried, 'photo')} failed ({_list(counted)}), more than the share of "
                f"{max_share:g} that --max-failures allows.{others} In the dataset, the view `failures` says why "
                "each did. Mend the cause and run the same command again, or give a greater share."
            )


def _list(failures: Counter[str]) -> str:
    """Write the number of each kind, the most frequent first."""
    return ", ".join(f"{photos:,} x {kind}" for kind, photos in failures.most_common())


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
    changes: tuple[Change, ...] = ()
    """Archives and photos that are not what was listed any more, and that the run has left as they were …"""
    new_changes: tuple[Change, ...] = ()
    """… and those of them that no earlier run has told."""
    cost: Cost | None = None
    """What the machines of this run cost; None without prices."""

    def has_trouble(self, fail_on: FailOn) -> bool:
        """Tell whether photos have failed or inputs have changed: in this run, or ever."""
        if fail_on == "never":
            return False
        if fail_on == "new":
            return bool(self.run.failed or self.new_changes)
        return bool(self.failed or self.changes or self.new_changes)


class ScoreCallbacks:
    """Events of a scoring run, in the process that started it; these methods do nothing."""

    def on_engine(self, engine: EngineChoice) -> None:
        """The engine is chosen."""

    def on_changes(self, changes: Sequence[Change], *, is_rescored: bool) -> None:
        """Archives and photos are not what was listed any more; what was replaced is scored anew if asked for."""

    def on_wait(self, holder: Holder) -> None:
        """Another writer holds the dataset, and the run checks whether it still lives."""

    def on_counted(self, counts: Counts) -> None:
        """The photos are counted; only `preview` says so."""

    def on_listed(self, archives: int, total: int) -> None:
        """This many of the archives are listed."""

    def on_notes(self, archive: str, notes: Sequence[str]) -> None:
        """A raster is listed, of which something is not read or not known; `notes` are sentences."""

    def on_progress(self, progress: Progress) -> None:
        """More photos have their rows, or some time has passed."""
