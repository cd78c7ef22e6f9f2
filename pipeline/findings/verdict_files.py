"""Files of verdicts as people hand them in: what each row says of which place.

* a table or JSON of verdicts, which the page of `review` saves: `verdicts.csv`, `verdicts.json`
* `review.csv` with its labels filled in: each row is a tile
* what labelling tools export: `tool_verdicts` reads it

`verdicts` looks the places up in the dataset.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.core.spreadsheets import unguard
from pipeline.dataset.beside import ANSWERS, SUBJECTS
from pipeline.labels.boxes import Box
from pipeline.labels.label_tables import REVIEW_TABLE
from pipeline.labels.table_columns import check_cells
from pipeline.labels.table_files import CSV_SUFFIXES, TextTable, column_key, read_text_table

TABLES = (*CSV_SUFFIXES, ".parquet")
FILES = ("verdicts.csv", "verdicts.json", REVIEW_TABLE)
"""What a folder may hold: the page saves the first two, and the last one is filled in by hand."""

BOX = ("left_px", "top_px", "width_px", "height_px")
COLUMNS = (
    "image_id", "archive", "image", "subject", *BOX, *(f"photo_{name}" for name in BOX),
    "cracks", "verdict", "label", "comment", "by", "judged_at", "pick", "weight",
)  # fmt: skip
"""Those that are read. A table has `verdict`, or it is a `review.csv` with `label` and a box in `photo_left_px` …"""

_WORDS = {
    **{answer: answer for answer in ANSWERS},
    **dict.fromkeys(("positive", "1", "1.0", "true"), "crack"),
    **dict.fromkeys(("negative", "0", "0.0", "false"), "no_crack"),
    "?": "unclear",
}
"""Answers in a column, in any case: our own, and those of labels."""

LARGEST_PX = (1 << 31) - 1
"""Of a column of 32 bits."""
AHEAD = timedelta(days=1)
"""How far a clock may be ahead: a verdict of next year would count as the last one until then."""


class Said(NamedTuple):
    """What a file says of one place."""

    where: str
    """The row and its file, for messages."""
    verdict: str
    """One of `ANSWERS`."""
    subject: str
    """One of `SUBJECTS`."""
    image_id: str | None = None
    archive: str | None = None
    image: str | None = None
    """The photo: its id, or the archive and the path in it, or all of them."""
    box: Box | None = None
    """Of a tile, and maybe of a crack, in pixels of the upright photo."""
    cracks: tuple[int, ...] | None = None
    """Numbers of the photo's cracks that run through the place; None if the file does not tell."""
    comment: str | None = None
    by: str | None = None
    judged_at: datetime | None = None
    pick: str | None = None
    weight: float | None = None


class VerdictFile(NamedTuple):
    """The content of a file."""

    said: Sequence[Said]
    unanswered: int = 0
    """Rows without an answer, which say nothing."""


def list_files(place: str) -> list[str]:
    """Return the URLs of the files that a place stands for: itself, or those of `FILES` that a folder holds.

    Raises:
        UsageError: there is nothing.
    """
    url = storage.canonical(place)
    if not storage.exists(url):
        raise UsageError(f"{place} does not exist; expected a file of verdicts, such as {' or '.join(FILES)}.")
    if not storage.is_folder(url):
        return [url]
    found = [file for name in FILES if storage.exists(file := storage.join(url, name))]
    return found or [url]  # a folder of a labelling tool


def read_verdicts(url: str) -> VerdictFile:
    """Read one file.

    Raises:
        UsageError: it is no such file, or a row has an answer, a time, a box or a number that cannot be; names the row.
    """
    if url.lower().endswith(TABLES) and not storage.is_folder(url):
        return _read_table(url)
    if url.lower().endswith(".json") and (records := _read_records(url)) is not None:
        return _parse_all(url, records, is_review=False)
    from pipeline.findings import tool_verdicts  # loads the readers of all tools

    return tool_verdicts.read(url)


def _read_table(url: str) -> VerdictFile:
    table = read_text_table(url, storage.read_bytes(url), COLUMNS)
    check_cells(url, table)
    is_review = not table.find(["verdict"])
    _check_columns(url, table, "label" if is_review else "verdict")
    unguarded = ({key: unguard(value) for key, value in row.items()} for row in table.rows)
    return _parse_all(url, [row if any(row.values()) else {} for row in unguarded], is_review=is_review)


def _check_columns(url: str, table: TextTable, answer: str) -> None:
    """Refuse a table that does not say what was answered, or about which photo; or says so twice."""
    if table.rows and not table.find([answer]):
        raise UsageError(
            f"{url} has no column verdict or label; it has {', '.join(table.columns)}. Expected a file that the page "
            "of `crackscan review` saved, or its review.csv with the labels filled in."
        )
    if table.rows and not table.find(["image_id"]) and len(table.find_all(["archive", "image"])) < 2:
        raise UsageError(
            f"{url} does not say which photos it is about: it has {', '.join(table.columns)}; expected image_id, or "
            "archive and image."
        )
    if twice := [name for name in COLUMNS if table.count(column_key(name)) > 1]:
        raise UsageError(f"{url} has two columns {twice[0]}; expected one. Rename or remove the other.")


def _read_records(url: str) -> list[Mapping[str, str]] | None:
    """Read a JSON list of verdicts; None for JSON of other programs.

    Raises:
        UsageError: it is no JSON.
    """
    try:
        found = json.loads(storage.read_bytes(url))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{url} is no JSON: {error}. Save it again.") from error
    is_ours = isinstance(found, list) and all(isinstance(each, dict) for each in found)
    if not is_ours or (found and not any("verdict" in each for each in found)):
        return None
    return [{column_key(name): _to_text(value) for name, value in each.items() if value is not None} for each in found]


def _to_text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def _parse_all(url: str, rows: Sequence[Mapping[str, str]], *, is_review: bool) -> VerdictFile:
    answer = "label" if is_review else "verdict"
    filled = [(number, row) for number, row in enumerate(rows, 1) if any(row.values())]
    answered = [(number, row) for number, row in filled if row.get(answer, "").strip()]
    said = [_parse(_Row(f"row {number} of {url}", row, is_review)) for number, row in answered]
    return VerdictFile(said, len(filled) - len(answered))


class _Row(NamedTuple):
    where: str
    values: Mapping[str, str]
    """By `column_key`."""
    is_review: bool

    def get(self, name: str) -> str | None:
        """Return a value, None if it is empty or missing."""
        return self.values.get(column_key(name), "").strip() or None

    def refuse(self, found: str, expected: str) -> UsageError:
        return UsageError(f"{found} in {self.where}; expected {expected}. Correct it, and read the file again.")


def _parse(row: _Row) -> Said:
    return Said(
        row.where,
        _parse_answer(row),
        subject := _parse_subject(row),
        *_parse_photo(row),
        box=_parse_box(row, subject),
        cracks=_parse_cracks(row, subject),
        comment=row.get("comment"),
        by=row.get("by"),
        judged_at=_parse_time(row),
        pick=row.get("pick"),
        weight=_parse_weight(row),
    )


def _parse_answer(row: _Row) -> str:
    word = row.get("label" if row.is_review else "verdict") or ""
    if (answer := _WORDS.get(word.casefold())) is None:
        ours = "Positive or 1, Negative or 0, or ?" if row.is_review else ", ".join(ANSWERS)
        raise row.refuse(f"The answer is {word[:60]!r}", ours)
    return answer


def _parse_subject(row: _Row) -> str:
    """Return what a row is about; a row of `review.csv` is about a tile, and one without a box about its photo."""
    has_box = any(row.get(name) for name in BOX)
    subject = "tile" if row.is_review else row.get("subject") or ("tile" if has_box else "photo")
    if subject not in SUBJECTS:
        raise row.refuse(f"The subject is {subject[:60]!r}", ", ".join(SUBJECTS))
    return subject


def _parse_photo(row: _Row) -> tuple[str | None, str | None, str | None]:
    image_id, archive, image = (row.get(name) for name in ("image_id", "archive", "image"))
    if image_id is None and (archive is None or image is None):
        raise row.refuse("There is no photo", "its image_id, or its archive and image")
    return image_id, archive, image


def _parse_box(row: _Row, subject: str) -> Box | None:
    """Return the box of a tile or crack; a photo has none, and a crack need not have one."""
    names = [f"photo_{name}" for name in BOX] if row.is_review else [*BOX]
    words = {name: row.get(name) for name in names}
    if subject == "photo" or (subject == "crack" and not any(words.values())):
        return None
    numbers = [_parse_whole(word) for word in words.values()]
    left_px, top_px, width_px, height_px = numbers
    if left_px is None or top_px is None or not width_px or not height_px:
        found = ", ".join(f"{name} {(word or '')[:40]!r}" for name, word in words.items())
        raise row.refuse(f"The box is {found}", "whole pixels from 0 on, width and height at least 1")
    return Box(top_px, left_px, height_px, width_px)


def _parse_whole(word: str | None) -> int | None:
    """Return a whole number of pixels; pandas writes 12.0 in a column with empty values."""
    digits = (word or "").removesuffix(".0")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= len(str(LARGEST_PX))
    return int(digits) if is_number and int(digits) <= LARGEST_PX else None


def _parse_cracks(row: _Row, subject: str) -> tuple[int, ...] | None:
    """Return the numbers of cracks; None for a file without the column, and for a photo."""
    if column_key("cracks") not in row.values or subject == "photo":
        return None
    words = (row.get("cracks") or "").replace(",", " ").split()
    numbers = [_parse_whole(word) for word in words]
    known = sorted({number for number in numbers if number is not None})
    if None in numbers or (subject == "crack" and len(known) != 1):
        expected = "the number of one crack" if subject == "crack" else "numbers of cracks, with blanks between them"
        raise row.refuse(f"The cracks are {' '.join(words)[:60]!r}", expected)
    return tuple(known)


def _parse_time(row: _Row) -> datetime | None:
    """Return the time of a row, that of UTC if it names no zone."""
    word = row.get("judged_at")
    if word is None:
        return None
    found = f"The time is {word[:60]!r}"
    try:
        time = datetime.fromisoformat(word)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise row.refuse(found, "ISO 8601, such as 2026-11-30T14:05:00Z") from None
    if time > datetime.now(UTC) + AHEAD:
        raise row.refuse(found, "one that is not ahead of this machine's clock")
    return time


def _parse_weight(row: _Row) -> float | None:
    word = row.get("weight")
    if word is None:
        return None
    try:
        weight = float(word)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise row.refuse(f"The weight is {word[:60]!r}", "a number over 0, or nothing")
    return weight
