"""Verdicts: what people say of photos, tiles and cracks goes into the dataset.

Each call adds one Parquet file to `OUT/verdicts/`, written whole under a name of its own, and changes no other file.
So it takes no lease: people add verdicts while a run writes, and two of them at once. The id of a verdict follows from
what was said of what by whom and when, so that a file which is read twice adds nothing, and the views show each verdict
once even where two people read one file in the same moment.

`verdict_files` reads what people hand in; `dataset.beside` has the columns, and the views that say which one counts.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.beside import STATES, VERDICTS
from pipeline.dataset.commit_log import table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import Connection, query, views
from pipeline.findings.verdict_files import Said, VerdictFile, list_files, read_verdicts
from pipeline.findings.verdict_places import Place, find_places

_PLACE = ("image_id", "subject", "left_px", "top_px", "width_px", "height_px")

_LAST_OF_EACH = f"""
    SELECT {", ".join(_PLACE)}, "by", arg_max(verdict, judged_at), arg_max(coalesce(comment, ''), judged_at)
    FROM verdicts WHERE is_current GROUP BY ALL
"""  # noqa: S608 - our own SQL

_CONFLICTS = f"""
    WITH placed AS (
        SELECT row({", ".join(_PLACE)}) AS place, image, "by", verdict, judged_at, verdict_id
        FROM verdicts WHERE is_current
    ), last AS (
        SELECT place, image, "by", arg_max(verdict, judged_at) AS verdict, max(judged_at) AS judged_at
        FROM placed SEMI JOIN (FROM placed SEMI JOIN added USING (verdict_id)) USING (place)
        GROUP BY place, image, "by"
    )
    SELECT image, list("by" ORDER BY judged_at), list(verdict ORDER BY judged_at)
    FROM last GROUP BY place, image HAVING count(DISTINCT verdict) > 1 ORDER BY image, place
"""  # noqa: S608 - our own SQL
"""Places with a new verdict on which people differ: what each of them said last, who spoke last at the end."""


class Conflict(NamedTuple):
    """A place that people judge differently."""

    image: str
    answers: Sequence[tuple[str, str]]
    """Each person, and the last verdict of each; the last one counts."""


@dataclass(frozen=True)
class Recorded:
    """What a call added."""

    url: str | None
    """The file that was written; None if there was nothing new."""
    added: int
    known: int
    """Verdicts that were there already."""
    unanswered: int
    """Rows without an answer."""
    not_counting: dict[str, tuple[str, ...]]
    """Why verdicts do not count for now, and the photos that they are about; they are kept."""
    conflicts: Sequence[Conflict]


def record(out: str, places: Sequence[str], by: str | None = None) -> Recorded:
    """Add the verdicts of some files to a dataset.

    Args:
        out: the dataset.
        places: files of verdicts, or folders with them.
        by: who judged, where a file does not say.

    Raises:
        UsageError: there is no dataset; a file cannot be read, or has no verdict; or nobody knows who judged.
        DatasetError: a file of the dataset is damaged.
    """
    layout = Layout(storage.canonical(out))
    read_run(layout)
    files = {url: read_verdicts(url) for place in places for url in list_files(place)}
    unanswered = _check_answers(files)
    now = datetime.now(UTC)
    with views(layout) as connection:
        said = [each for url, file in files.items() for each in _complete(file, by, _written_at(url, now))]
        found = find_places(connection, said)
        rows = [_make_row(each, place, now) for each, place in zip(said, found, strict=True)]
        is_timed = [each.judged_at is not None for file in files.values() for each in file.said]
        added = _leave_out_known(connection, rows, is_timed)
    url = _write(layout, added, now) if added else None
    not_counting = {
        reason: tuple(sorted({place.image for place in found if place.reason == reason}))
        for reason in Counter(place.reason for place in found if place.reason is not None)
    }
    conflicts = _list_conflicts(layout, added) if added else []
    return Recorded(url, len(added), len(rows) - len(added), unanswered, not_counting, conflicts)


def count_findings(out: str) -> dict[str, int]:
    """Count the findings of a dataset by `state`, in the order of `STATES`.

    Raises:
        UsageError: there is no dataset.
    """
    found = query(out, "SELECT state, count(*) AS findings FROM findings GROUP BY state").to_pylist()
    counts = {row["state"]: row["findings"] for row in found}
    return {state: counts.get(state, 0) for state in STATES}


def _check_answers(files: dict[str, VerdictFile]) -> int:
    """Return the number of rows without an answer; refuse files that have none at all."""
    unanswered = sum(file.unanswered for file in files.values())
    if not any(file.said for file in files.values()):
        raise UsageError(
            f"There is no verdict in {', '.join(files)}: {unanswered:,} rows have no answer. Write Positive or 1, "
            "Negative or 0, or ? into the column label of review.csv, or judge on the page of `crackscan review`."
        )
    return unanswered


def _written_at(url: str, now: datetime) -> datetime:
    """Return when a file was last changed, as near as can be told: that is when its rows without a time were judged."""
    if not url.startswith(storage.LOCAL):
        return now
    return min(datetime.fromtimestamp(storage.local_path(url).stat().st_mtime, UTC), now)


def _complete(file: VerdictFile, by: str | None, written_at: datetime) -> Iterable[Said]:
    """Say who judged and when, where the file does not."""
    for each in file.said:
        who = each.by or by
        if not who:
            raise UsageError(f"Nobody is named in {each.where} as the one who judged. Give --by NAME.")
        yield each._replace(by=who, judged_at=each.judged_at or written_at)


def _make_row(said: Said, place: Place, now: datetime) -> dict[str, Any]:
    """Make the row of a verdict, by the columns of `VERDICTS`."""
    box = dict.fromkeys(("left_px", "top_px", "width_px", "height_px")) if place.box is None else place.box._asdict()
    row: dict[str, Any] = {"image_id": place.image_id, "archive": place.archive, "image": place.image}
    row |= {"subject": said.subject, **box, "cracks": place.cracks, "verdict": said.verdict, "comment": said.comment}
    row |= {"by": said.by, "judged_at": said.judged_at, "recorded_at": now, "scored_at": place.scored_at}
    return row | {"verdict_id": _make_id(row), "pick": said.pick, "weight": said.weight}


def _make_id(row: dict[str, Any]) -> str:
    """Name a verdict by what was said of what by whom and when, and by whether the photo was there to be judged.

    A verdict on a photo that is not scored yet is added once more when it is, and not when it is scored anew.
    """
    names = (
        "image_id",
        "subject",
        "left_px",
        "top_px",
        "width_px",
        "height_px",
        "verdict",
        "comment",
        "by",
        "judged_at",
    )
    facts = [*(str(row[name]) for name in names), row["scored_at"] is not None]
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _leave_out_known(
    connection: Connection, rows: Sequence[dict[str, Any]], is_timed: Sequence[bool]
) -> list[dict[str, Any]]:
    """Leave out verdicts that the dataset has, each once.

    A file without times says nothing new where its person said the same last: people fill in a table bit by bit, and
    hand it in each time.
    """
    known = {each for (each,) in connection.execute("SELECT verdict_id FROM verdicts").fetchall()}
    last = {
        tuple(place): (verdict, comment) for *place, verdict, comment in connection.execute(_LAST_OF_EACH).fetchall()
    }
    added: list[dict[str, Any]] = []
    for row, timed in zip(rows, is_timed, strict=True):
        place = tuple(row[name] for name in (*_PLACE, "by"))
        says = row["verdict"], row["comment"] or ""
        if row["verdict_id"] in known or (not timed and last.get(place) == says):
            continue
        known.add(row["verdict_id"])
        last[place] = says
        added.append(row)
    return added


def _write(layout: Layout, rows: Sequence[dict[str, Any]], now: datetime) -> str:
    """Write a file whose name no other file has, but one with the same verdicts."""
    ids = hashlib.sha256("".join(row["verdict_id"] for row in rows).encode()).hexdigest()[:12]
    url = storage.join(layout.url, "verdicts", f"{now:%Y%m%dT%H%M%S}-{ids}.parquet")
    storage.write_whole(url, table_bytes(pa.Table.from_pylist(list(rows), VERDICTS)))
    return url


def _list_conflicts(layout: Layout, added: Sequence[dict[str, Any]]) -> list[Conflict]:
    with views(layout) as connection:
        connection.register("added", pa.table({"verdict_id": [row["verdict_id"] for row in added]}))
        found = connection.execute(_CONFLICTS).fetchall()
    return [Conflict(image, list(zip(people, verdicts, strict=True))) for image, people, verdicts in found]
