"""The plan: one table of all photos to score, each once.

`OUT/plan` keeps the listing of every archive with the archive's version. So a resumed run opens no archive, and it
tells by name what was replaced meanwhile (`versions`). The commit log, not the plan, knows which photos are done.
"""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.archives.listing import archive_of, inner_of, is_partial, skipped_of, version_of, with_skipped
from pipeline.archives.members import is_archive
from pipeline.archives.rasters import raster_of
from pipeline.core.errors import UsageError
from pipeline.core.table_schemas import MEMBERS
from pipeline.dataset.commit_log import parse_parquet, read_table, table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.moves import Moves
from pipeline.dataset.rasters import add_rasters, note_description, read_description
from pipeline.dataset.run import json_bytes
from pipeline.monitoring.changes import Change
from pipeline.scoring.inputs import NOTHING_WAITS, SUCH_AS, Inputs, LoosePhotos, group_by_folder
from pipeline.scoring.versions import (
    Survey,
    find_changed_photos,
    find_replaced,
    merge_surveys,
    survey_archives,
    survey_photos,
    survey_vanished,
    without_rows,
)

NAMED = 5
"""Archives and photos that a message names."""


@dataclass(frozen=True)
class Plan:
    """Every photo of the inputs, once."""

    layout: Layout
    members: pa.Table
    """Schema `MEMBERS`."""
    skipped: Counter[str]
    """Files that are no photos, counted by kind."""
    new_listings: tuple[pa.Table, ...] = ()
    """Listings that the dataset does not keep yet."""
    unlisted: tuple[storage.StoredFile, ...] = ()
    """Archives without a listing."""
    changes: tuple[Change, ...] = ()
    """Archives and photos that are not what was listed any more, and have rows, or had none and vanished."""
    outdated: tuple[str, ...] = ()
    """`image_id` of the rows that were made of former contents."""

    def with_listed(self, listings: Iterable[pa.Table]) -> "Plan":
        """Return the plan with these listings of all unlisted archives; as `Listing.table`."""
        tables = list(listings)
        skipped = sum(map(skipped_of, tables), self.skipped)
        return replace(self, members=_drop_repeats([self.members, *tables]), skipped=skipped, unlisted=())

    def with_part(self, listing: pa.Table) -> "Plan":
        """Return the plan with the photos of a partial listing, without streams: each is read once, at the end."""
        members = _drop_repeats([self.members, listing])
        return replace(self, members=members.filter(pc.equal(members["entry"], "photo")))

    def with_expanded(self, stream: pa.Table) -> "Plan":
        """Return the plan with the photos of a stream that has ended, in place of the stream; as `Listing.table`."""
        members = _replace_stream(self.members, stream)
        if members is None:
            return self
        return replace(self, members=members, skipped=self.skipped + skipped_of(stream))

    def save(self) -> None:
        """Write the new listings to the dataset, and which archives are not listed yet."""
        if self.unlisted:
            storage.write_whole(self.layout.awaited, json_bytes({"archives": [file.url for file in self.unlisted]}))
        for table in self.new_listings:
            self.save_listing(table)

    def save_listing(self, table: pa.Table) -> None:
        """Write the listing of one archive or folder to the dataset, and of a raster its size and place.

        Args:
            table: as `Listing.table`.
        """
        raster = raster_of(table)
        if raster is not None:
            add_rasters(self.layout, [read_description(archive_of(table), raster)])
        storage.write_whole(self.layout.plan(archive_of(table)), table_bytes(table))

    def without(self, image_ids: pa.ChunkedArray) -> pa.Table:
        """Return all other photos, and the streams whose photos are not known yet."""
        return without_rows(self.members, image_ids) if len(image_ids) else self.members

    @property
    def is_saved(self) -> bool:
        """Whether the dataset keeps the whole plan."""
        return not self.new_listings and not self.unlisted

    def check_unchanged(self) -> None:
        """Refuse inputs that are not what was listed.

        Raises:
            UsageError: names them.
        """
        if self.changes:
            names = ", ".join(f"{change.url} ({change.what})" for change in self.changes[:NAMED])
            more = f" and {len(self.changes) - NAMED:,} more" if len(self.changes) > NAMED else ""
            raise UsageError(
                f"Not what was listed any more: {names}{more}. Nothing was scored, as --on-changed fail asks. With "
                "report, the other photos are scored; with rescore, what was replaced is scored again."
            )

    def check_not_empty(self, spelled: Sequence[str]) -> None:
        """Refuse inputs without photos.

        Raises:
            UsageError: names what was found instead.
        """
        if self.members.num_rows == 0 and not self.unlisted:
            found = ", ".join(f"{count} x {kind}" for kind, count in self.skipped.most_common(5)) or "nothing"
            raise UsageError(
                f"There is no photo in {', '.join(spelled)}: found {found}. Expected photos ({SUCH_AS}), or zip or tar "
                "archives of them."
            )


def make_plan(inputs: Inputs, layout: Layout, done: pa.ChunkedArray) -> Plan:
    """Plan the photos of all inputs, as far as that opens no archive; write nothing.

    What was replaced and has no row is planned as it is now. What was replaced and has rows is planned as it was, so
    that they stay; its photos without a row fail.

    Args:
        inputs: what the user's inputs name.
        layout: the dataset, which keeps the listings of earlier runs.
        done: `image_id` of every photo that has its row.

    Raises:
        UsageError: of all that the inputs name and earlier runs planned, nothing is there.
    """
    urls = {*(archive_of(found.photos) for found in inputs.loose), *(archive.url for archive in inputs.archives)}
    urls |= inputs.waiting.archives
    ids_now = pa.chunked_array(
        [*(chunk for found in inputs.loose for chunk in found.photos["image_id"].chunks), inputs.waiting.photos],
        pa.string(),
    )
    saved, others = dict[str, pa.Table](), []
    for table in read_listings(layout):
        url = archive_of(table)
        if url in urls:
            saved[url] = table
        if (url not in urls and inputs.cover(url)) or not is_archive(url):
            others.append(table)
    folders = [_merge_saved(found, saved.get(archive_of(found.photos)), layout, done) for found in inputs.loose]
    archives = survey_archives(find_replaced(inputs.archives, saved) if len(done) else {}, saved, layout)
    vanished = survey_vanished(others, inputs, ids_now, done)
    kept = {change.url for change in archives.changes}
    known = {file: saved[file.url] for file in inputs.archives if file.url in kept or _is_current(file, saved, done)}
    survey = merge_surveys([archives, *(folder.survey for folder in folders), vanished])
    if survey.lost.num_rows and not ids_now and not inputs.archives and not inputs.waiting.archives:
        raise UsageError(
            f"There is nothing in {', '.join(inputs.spelled)} any more; {survey.lost['image'][0]} and others were "
            "planned and have no score yet. Is the disk mounted?"
        )
    tables = [*(folder.photos for folder in folders), *known.values()]
    return Plan(
        layout,
        _drop_repeats(
            [survey.lost, *(_drop_streams(table) if archive_of(table) in kept else table for table in tables)],
            inputs.waiting.photos,
        ),
        sum(map(skipped_of, tables), Counter[str]()),
        new_listings=tuple(folder.new_listing for folder in folders if folder.new_listing is not None),
        unlisted=tuple(file for file in inputs.archives if file not in known),
        changes=survey.changes,
        outdated=survey.outdated,
    )


def read_planned_ids(layout: Layout) -> pa.ChunkedArray | None:
    """Read `image_id` of every photo that was ever planned for a dataset; None while it has unread streams."""
    ids = []
    for data in storage.read_many([file.url for file in _listing_files(layout)]):
        table = pq.read_table(io.BytesIO(data), columns=["entry", "image_id"])
        if pc.any(pc.equal(table["entry"], "stream")).as_py():
            return None
        ids.extend(table["image_id"].chunks)
    return pa.chunked_array(ids, pa.string())


def expand_stream(layout: Layout, stream: pa.Table) -> bool:
    """Replace a stream in the saved plan by its photos; as `Listing.table`.

    Returns:
        False if that was done before: a lost scorer may hand the end of a stream over twice.
    """
    url = layout.plan(archive_of(stream))
    saved = read_table(url)
    expanded = _replace_stream(saved, stream)
    if expanded is None:
        return False
    storage.write_whole(url, table_bytes(with_skipped(expanded, skipped_of(saved) + skipped_of(stream))))
    return True


def notes_of(listing: pa.Table) -> list[str]:
    """Return what is to be told of a listed raster; nothing of another archive. As `Listing.table`."""
    raster = raster_of(listing)
    return [] if raster is None else note_description(archive_of(listing), raster)


def count_photos(members: pa.Table) -> int:
    """Count the photos of a table of schema `MEMBERS`, which has streams, too."""
    return int(pc.sum(pc.equal(members["entry"], "photo")).as_py() or 0)


def find_first_file(members: pa.Table, moves: Moves) -> str | None:
    """Return where the first archive or loose photo of a plan lies; None if there is none to read."""
    readable = members.filter(pc.is_null(members["failure_stage"])).slice(0, 1).to_pylist()
    for row in readable:
        place = moves.place_of(row["archive"])
        return place if is_archive(row["archive"]) else storage.join(place, row["image"])
    return None


def list_photos(urls: Iterable[str]) -> pa.Table:
    """List single photos by their canonical URLs; schema `MEMBERS`."""
    return _drop_repeats(group_by_folder(storage.stat(url) for url in sorted({*urls})))


def read_listings(layout: Layout) -> Iterator[pa.Table]:
    """Read the listing of every archive and folder that was ever planned; as `Listing.table`."""
    urls = [file.url for file in _listing_files(layout)]
    return map(parse_parquet, urls, storage.read_many(urls))


def _listing_files(layout: Layout) -> list[storage.StoredFile]:
    files = storage.list_files(layout.plans) if storage.exists(layout.plans) else []
    return [file for file in files if file.path.endswith(".parquet")]


def _needs_listing(table: pa.Table, done: pa.ChunkedArray) -> bool:
    """Tell whether an archive, or one in it, was unreadable and has no failed row, as after `retry`."""
    failed = table.filter(pc.equal(table["path"], b""))["image_id"]
    return len(failed) > 0 and len(failed.filter(pc.invert(pc.is_in(failed, value_set=done)))) > 0


def _replace_stream(rows: pa.Table, stream: pa.Table) -> pa.Table | None:
    """Replace a stream by its photos; None if the rows do not contain the stream."""
    inner = pc.fill_null(pc.struct_field(rows["inner"], "path"), b"")
    of_archive = pc.and_(pc.equal(rows["entry"], "stream"), pc.equal(rows["archive"], archive_of(stream)))
    is_this = pc.and_(of_archive, pc.equal(inner, inner_of(stream)))
    if not pc.any(is_this).as_py():
        return None
    rest = rows.filter(pc.invert(is_this))
    return pa.concat_tables([rest, stream.replace_schema_metadata(rest.schema.metadata)])


class _Folder(NamedTuple):
    """The loose photos of a folder, now and as planned before."""

    photos: pa.Table
    """Those to plan; as `Listing.table`."""
    new_listing: pa.Table | None
    """The listing to save; None if the dataset has it."""
    survey: Survey


def _merge_saved(found: LoosePhotos, saved: pa.Table | None, layout: Layout, done: pa.ChunkedArray) -> _Folder:
    """Merge a folder's photos with its saved listing; photos that were replaced and have a row stay as they were."""
    now = found.photos
    if saved is None:
        return _Folder(now, now, Survey())
    changed = find_changed_photos(now, saved)
    changed_anew = without_rows(changed, done)
    kept = without_rows(saved, changed_anew["image_id"])
    new = without_rows(now, kept["image_id"])
    metadata = (now if found.is_whole else saved).schema.metadata
    merged = pa.concat_tables([kept, new]).replace_schema_metadata(metadata)
    survey = survey_photos(without_rows(changed, changed_anew["image_id"]), layout)
    return _Folder(merged if found.is_whole else now, merged if new.num_rows else None, survey)


def _is_current(file: storage.StoredFile, saved: Mapping[str, pa.Table], done: pa.ChunkedArray) -> bool:
    """Tell whether the saved listing of an archive is that of the file, and complete."""
    table = saved.get(file.url)
    if table is None or version_of(table) != file.version:
        return False
    return not is_partial(table) and not _needs_listing(table, done)


def _drop_streams(table: pa.Table) -> pa.Table:
    """Drop the streams of an archive that was replaced: nobody can tell what they held."""
    return table.filter(pc.equal(table["entry"], "photo"))


def _drop_repeats(tables: Iterable[pa.Table], waiting: pa.Array = NOTHING_WAITS.photos) -> pa.Table:
    """Keep the first row of each photo, because inputs may overlap; and every stream, which has no id.

    Args:
        tables: of members; schema `MEMBERS`.
        waiting: `image_id` of photos to leave out.
    """
    filled = [table.replace_schema_metadata() for table in tables if table.num_rows]
    members = pa.concat_tables([MEMBERS.empty_table(), *filled])
    if len(waiting):
        members = members.filter(pc.invert(pc.is_in(members["image_id"], value_set=waiting)))
    if len(filled) < 2:  # no listing repeats a photo, and to look takes 200 bytes for each
        return members
    ids = members["image_id"]
    if pc.count_distinct(ids).as_py() == len(ids) - ids.null_count:
        return members  # no copy: a million rows take a quarter of a gigabyte
    first = pc.index_in(ids, value_set=ids, skip_nulls=True)
    is_first = pc.equal(first, pa.array(np.arange(len(ids), dtype=np.int32)))
    return members.filter(pc.fill_null(is_first, True))  # noqa: FBT003 - Arrow's
