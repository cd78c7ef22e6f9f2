"""Compares planned archives and photos with what lies there now: which were replaced, and which have vanished.

A score is never that of another file than the plan names. So what was replaced keeps its rows, or loses all of them
before it is scored anew (`--on-changed rescore`), and costs no other photo its score.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.archives.listing import version_of
from pipeline.archives.members import is_archive
from pipeline.core.errors import DataError, Kind
from pipeline.core.table_schemas import MEMBERS
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import read_statuses
from pipeline.monitoring.changes import Change
from pipeline.scoring.inputs import Inputs

REPLACED = (
    "{} was replaced after it was listed, before this photo was scored. With --on-changed rescore, `crackscan score` "
    "scores what is there now."
)
VANISHED = "{} has vanished since it was listed. Once it is there again, `crackscan retry` scores it."


class Survey(NamedTuple):
    """What became of planned archives and photos."""

    changes: tuple[Change, ...] = ()
    lost: pa.Table = MEMBERS.empty_table()
    """Planned photos without a row that cannot be scored any more, with their failure; schema `MEMBERS`."""
    outdated: tuple[str, ...] = ()
    """`image_id` of the rows of former contents."""


def find_replaced(
    archives: Iterable[storage.StoredFile], saved: Mapping[str, pa.Table]
) -> dict[str, storage.StoredFile]:
    """Return the archives whose version is not the listed one, by URL."""
    return {file.url: file for file in archives if file.url in saved and version_of(saved[file.url]) != file.version}


def find_changed_photos(now: pa.Table, saved: pa.Table) -> pa.Table:
    """Return the rows of `now` whose photos `saved` has in another version; schema `MEMBERS`."""
    before = saved["version"].take(pc.index_in(now["image_id"], value_set=saved["image_id"]))
    return now.filter(pc.fill_null(pc.not_equal(now["version"], before), False))  # noqa: FBT003 - Arrow's


def without_rows(members: pa.Table, done: pa.ChunkedArray) -> pa.Table:
    """Return the members whose `image_id` is not among others; streams have none."""
    if not len(done):
        return members  # no copy: a million rows take hundreds of megabytes
    return members.filter(pc.invert(pc.is_in(members["image_id"], value_set=done)))


def survey_archives(
    replaced: Mapping[str, storage.StoredFile], saved: Mapping[str, pa.Table], layout: Layout
) -> Survey:
    """Survey archives that were replaced, without those that have no row: of them nothing stands in the dataset.

    Args:
        replaced: from `find_replaced`.
        saved: the listing of each.
        layout: the dataset.
    """
    if not replaced:
        return Survey()
    rows = read_statuses(layout, replaced)
    surveys = []
    for url in rows["archive"].unique().to_pylist():
        of_archive = rows.filter(pc.equal(rows["archive"], url))
        lost = _fail(without_rows(saved[url], of_archive["image_id"]), "archive_changed", REPLACED)
        change = _make_change(url, replaced[url].version, of_archive["status"].to_pylist(), lost.num_rows)
        surveys.append(Survey((change,), lost, tuple(of_archive["image_id"].to_pylist())))
    return merge_surveys(surveys)


def survey_photos(changed: pa.Table, layout: Layout) -> Survey:
    """Survey loose photos of one folder that were replaced and have a row; as `find_changed_photos`."""
    if changed.num_rows == 0:
        return Survey()
    rows = read_statuses(layout, changed["archive"].unique().to_pylist())
    statuses = dict(zip(rows["image_id"].to_pylist(), rows["status"].to_pylist(), strict=True))
    changes = [
        _make_change(storage.join(row["archive"], row["image"]), row["version"], [statuses[row["image_id"]]])
        for row in changed.to_pylist()
    ]
    return Survey(tuple(changes), outdated=tuple(changed["image_id"].to_pylist()))


def survey_vanished(
    listings: Iterable[pa.Table], inputs: Inputs, found: pa.ChunkedArray, done: pa.ChunkedArray
) -> Survey:
    """Survey what saved listings have, the inputs name, is not there any more, and has no row.

    What was scored before it vanished is no trouble: people put scored archives away.

    Args:
        listings: of folders, and of archives that the inputs name and that were not found; as `Listing.table`.
        inputs: what the inputs name.
        found: `image_id` of the loose photos that are there.
        done: `image_id` of every photo that has its row.
    """
    tables = [MEMBERS.empty_table(), *(table.replace_schema_metadata() for table in listings)]
    left = without_rows(pa.concat_tables(tables), done)  # once: each look-up costs as much as all photos that are done
    of_archives = [left.filter(pc.equal(left["archive"], url)) for url in left["archive"].unique().to_pylist()]
    return merge_surveys(_survey_left(rows, inputs, found) for rows in of_archives)


def _survey_left(left: pa.Table, inputs: Inputs, found: pa.ChunkedArray) -> Survey:
    """Survey the members of one archive or folder that have no row."""
    url = left["archive"][0].as_py()
    if is_archive(url):
        if storage.exists(inputs.moves.place_of(url)):
            return Survey()
        lost = _fail(left, "vanished", VANISHED)
        return Survey((Change(url, "vanished", "", lost=lost.num_rows),), lost)
    left = without_rows(left, found)
    places = [storage.join(url, image) for image in left["image"].to_pylist()]
    is_named = [inputs.cover(place) for place in places]
    lost = _fail(left.filter(pa.array(is_named, pa.bool_())), "vanished", VANISHED)
    gone = (place for place, is_its in zip(places, is_named, strict=True) if is_its)
    return Survey(tuple(Change(place, "vanished", "", lost=1) for place in gone), lost)


def merge_surveys(surveys: Iterable[Survey]) -> Survey:
    """Return all that several surveys found."""
    surveys = [*surveys]
    return Survey(
        tuple(change for survey in surveys for change in survey.changes),
        pa.concat_tables([MEMBERS.empty_table(), *(survey.lost for survey in surveys)]),
        tuple(image_id for survey in surveys for image_id in survey.outdated),
    )


def _make_change(url: str, version: str, statuses: list[str], lost: int = 0) -> Change:
    """Describe a replaced archive or photo whose rows have these statuses."""
    return Change(url, "replaced", version, statuses.count("ok"), statuses.count("failed"), lost)


def _fail(members: pa.Table, kind: Kind, reason: str) -> pa.Table:
    """Return photos as failures; leave out streams, whose photos nobody knows."""
    photos = members.filter(pc.equal(members["entry"], "photo")).replace_schema_metadata()
    rows = photos.to_pylist()
    failures = [DataError("read", kind, reason.format(_name(row))).columns() for row in rows]
    return pa.Table.from_pylist([row | failure for row, failure in zip(rows, failures, strict=True)], schema=MEMBERS)


def _name(row: Mapping[str, Any]) -> str:
    """Return the name of the file that a photo is in."""
    return storage.name(row["archive"]) if is_archive(row["archive"]) else str(row["image"])
