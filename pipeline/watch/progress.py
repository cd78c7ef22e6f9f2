"""How a watch stands, and the callbacks that follow it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime

from pipeline.dataset.lease import Watch
from pipeline.scoring.progress import Progress, ScoreCallbacks


@dataclass(frozen=True)
class Standing:
    """How a watch stands after a look."""

    since: datetime
    """When it began."""
    scored: Progress
    """What all rounds have done."""
    watch: Watch
    """As `crackscan status` tells it."""
    next_at: datetime
    """When it looks again."""


class WatchCallbacks(ScoreCallbacks):
    """Events of a watch; these methods do nothing. Those of `ScoreCallbacks` come between the rounds only."""

    def open_round(self) -> AbstractContextManager[ScoreCallbacks]:
        """Return what follows the round that begins now."""
        return _follow_nothing()

    def on_looked(self, standing: Standing) -> None:
        """A look is over, and what it found is scored."""


@contextmanager
def _follow_nothing() -> Iterator[ScoreCallbacks]:
    yield ScoreCallbacks()
