"""How often a watch looks, when it stops, and the clock that it goes by."""

import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day

from pipeline.core.errors import UsageError

LEAST_S = 1.0
"""Between two looks."""


@dataclass(frozen=True)
class Schedule:
    """When a watch looks."""

    every_s: float
    """Between the end of a round and the next look."""
    until: datetime | None = None
    """When it stops, with a time zone; None waits for a signal."""

    def __post_init__(self) -> None:
        """Check the range."""
        if not LEAST_S <= self.every_s < math.inf:
            raise UsageError(f"--watch is {self.every_s:g}; expected seconds between two looks, at least {LEAST_S:g}.")


class Clock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Do nothing for a while."""
        time.sleep(seconds)


def parse_until(text: str, now: datetime) -> datetime:
    """Return the moment that a time of day or an ISO time means; without a time zone it is that of this machine.

    Args:
        text: such as `06:00`, which is the next one to come, or `2026-11-30T06:00`.
        now: with a time zone.

    Raises:
        UsageError: it is neither, or it is over.
    """
    if not re.match(r"\d{1,2}:", text):  # 1320 is no time: YAML makes it of 22:00
        return _parse_moment(text, now)
    try:
        at = time_of_day.fromisoformat(text if text[1] != ":" else f"0{text}")
    except ValueError as error:
        raise _refuse(text) from error
    local = now.astimezone(at.tzinfo)
    today = datetime.combine(local.date(), at)
    days = (today, today + timedelta(days=1))  # the wall clock's: a day of 23 hours is a day, too
    return next(day.astimezone(UTC) for day in days if day.astimezone(UTC) > now)


def _parse_moment(text: str, now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise _refuse(text) from error
    if moment <= now:
        raise UsageError(f"--until {text} is over already; it is {now.astimezone():%Y-%m-%d %H:%M}.")
    return moment


def _refuse(text: str) -> UsageError:
    return UsageError(
        f"--until is {text!r}; expected a time such as 06:00 or 2026-11-30T06:00 (in a YAML file, in quotes)."
    )
