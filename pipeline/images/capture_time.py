"""Times of capture from EXIF and XMP, as the camera's clock showed them; None for what is no credible time."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from pipeline.images.exif_values import parse_text

EARLIEST = datetime(1990, 1, 1)  # noqa: DTZ001 - a camera's clock has no zone
"""Digital cameras came in about 1990; clocks that were never set begin in 1970, 1980 or year 1."""

MOST_AHEAD = timedelta(days=366)
"""A clock set wrong by a year at New Year is common and worth keeping; a time further ahead is garbled."""

_TIME = re.compile(
    r"(\d{4}) ([:/.-]) (\d\d?) \2 (\d\d?)"  # the year comes first: all else is ambiguous
    r"[\ T:]"
    r"(\d\d?) ([:.-]) (\d\d) (?: \6 (\d\d) (?: [.,]\d+ )? )?"
    r"(?: \ ? ([AP]) \.?M\.? )?"
    r"(?: \ ? (?: Z | UTC | GMT | [+-]\d\d? (?: :?\d\d )? ) )?",
    re.VERBOSE | re.IGNORECASE,
)
"""EXIF's `2024:05:01 10:20:30`, ISO 8601, and what lies between them. Dates alone are no time."""


def find_time(candidates: Iterable[object], today: datetime | None = None) -> datetime | None:
    """Return the first credible time, so that a blank, zero or impossible one hides none behind it.

    Args:
        candidates: values of tags, the best first.
        today: what to take for now; None is the machine's clock.
    """
    latest = (today or datetime.now()) + MOST_AHEAD  # noqa: DTZ005 - compared with clocks that have no zone
    times = (_parse_time(value) for value in candidates)
    return next((time for time in times if time is not None and EARLIEST <= time <= latest), None)


def _parse_time(value: object) -> datetime | None:
    """Read a time to the second; its offset from UTC is dropped, since the column is the camera's own clock."""
    match = _TIME.fullmatch((parse_text(value) or "").rstrip(" :"))  # unknown seconds are blanks in EXIF
    if match is None:
        return None
    year, _, month, day, hours, _, minutes, seconds, half = match.groups()
    return _combine((int(year), int(month), int(day)), (_parse_hours(hours, half), int(minutes), int(seconds or 0)))


def _parse_hours(hours: str, half: str | None) -> int:
    """Return hours of 24; more than 24 for hours that no clock of twelve shows."""
    if half is None:
        return int(hours)
    return int(hours) % 12 + 12 * (half in "Pp") if 1 <= int(hours) <= 12 else 99


def _combine(date: tuple[int, int, int], clock: tuple[int, int, int]) -> datetime | None:
    """Add a clock to a date; 24:00:00 is the next midnight, and second 60 a leap second or rounded."""
    hours, minutes, seconds = clock
    if minutes > 59 or seconds > 60 or (hours > 23 and clock != (24, 0, 0)):
        return None
    try:
        return datetime(*date) + timedelta(hours=hours, minutes=minutes, seconds=seconds)  # noqa: DTZ001 - no zone
    except (ValueError, OverflowError):
        return None
