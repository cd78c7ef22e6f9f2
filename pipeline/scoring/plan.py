"""What there is to score: one table of photos, each once.

The listing of every archive is kept in `OUT/plan` with the archive's version, so that a resume opens no archive, and an
archive that was replaced meanwhile is refused by name. Which photos are done already is the dataset's knowledge.
"""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.archives.listing import Listing, archive_of, inner_of, skipped_of, version_of, with_skipped
from pipeline.archives.members import archive_suffix
from pipeline.archives.readers import entry_of_file
from pipeline.core.errors import UsageError
from pipeline.core.schema import MEMBERS
from pipeline.dataset.commit_log import parse_parquet, read_table, table_bytes
from pipeline.dataset.layout import Layout
from pipeline.scoring.inputs import AT_ONCE, Inputs, Loose


@dataclass(frozen=True)
class Plan:
    """Every photo that the inputs hold, once."""

    layout: Layout
    members: pa.Table
    """Schema `MEMBERS`."""
    skipped: Counter[str]
    """Files that are no photos, counted by kind."""
    news: tuple[pa.Table, ...] = ()
    """Listings that are not kept in the dataset yet."""
    unlisted: tuple[storage.StoredFile, ...] = ()
    """Archives that have yet to be listed."""

    def with_listed(self, listings: Iterable[pa.Table]) -> "Plan":
        """Return the plan with all archives listed; as `Listing.table`."""
        tables = list(listings)
        skipped = sum(map(skipped_of, tables), self.skipped)
        return replace(self, members=_once([self.members, *tables]), skipped=skipped, unlisted=())

    def with_ended(self, held: pa.Table) -> "Plan":
        """Return the plan with the photos of a stream that was read to its end; as `Listing.table`."""
        now = _with_photos(self.members, held)
        return self if now is None else replace(self, members=now, skipped=self.skipped + skipped_of(held))

    def keep(self) -> None:
        """Keep the new listings in the dataset."""
        for table in self.news:
            self.keep_listing(table)

    def keep_listing(self, table: pa.Table) -> None:
        """Keep the listing of one archive or folder in the dataset; as `Listing.table`."""
        storage.write_whole(self.layout.plan(archive_of(table)), table_bytes(table))

    def without(self, image_ids: pa.ChunkedArray) -> pa.Table:
        """Return the photos that are not among those given, and the streams whose photos are not known yet."""
        if not len(image_ids):
            return self.members
        done = pc.is_in(self.members["image_id"], value_set=image_ids)
        return self.members.filter(pc.invert(done))

    @property
    def is_kept(self) -> bool:
        """Whether the dataset keeps all of it already."""
        return not self.news and not self.unlisted

    def check_not_empty(self, spelled: Sequence[str]) -> None:
        """Refuse inputs in which there is nothing to score.

        Raises:
            UsageError: naming what was found instead.
        """
        if self.members.num_rows == 0 and not self.unlisted:
            found = ", ".join(f"{count} x {kind}" for kind, count in self.skipped.most_common(5)) or "nothing"
            raise UsageError(
                f"There is no photo in {', '.join(spelled)}: found {found}. Expected photos (jpg, png, tif, bmp, webp, "
                "gif), or zip or tar archives of them."
            )


def make_plan(inputs: Inputs, layout: Layout, done: pa.ChunkedArray) -> Plan:
    """Plan the photos of all inputs, as far as no archive has to be opened; writes nothing.

    Args:
        inputs: what there is.
        layout: the dataset, which keeps the listings of earlier runs.
        done: `image_id` of every photo that has its row.

    Raises:
        UsageError: an archive or photo that was planned before has changed.
    """
    kept = _kept(layout, [*(archive_of(found.photos) for found in inputs.loose), *(a.url for a in inputs.archives)])
    folders = [_with_kept(found, kept.get(archive_of(found.photos))) for found in inputs.loose]
    listed = {file: kept[file.url] for file in inputs.archives if file.url in kept}
    for file, table in listed.items():
        _refuse_changed(file, version_of(table))
    known = {file: table for file, table in listed.items() if not _is_to_be_tried_again(table, done)}
    tables = [*(photos for photos, _ in folders), *known.values()]
    return Plan(
        layout,
        _once(tables),
        sum(map(skipped_of, tables), Counter[str]()),
        news=tuple(table for _, news in folders for table in news),
        unlisted=tuple(file for file in inputs.archives if file not in known),
    )


def planned_inputs(layout: Layout) -> Inputs:
    """Return everything that was ever planned for a dataset, as inputs.

    Raises:
        StorageError: an archive is not there any more.
    """
    tables = {archive_of(table): table for table in _tables([file.url for file in _files(layout)])}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        archives = list(threads.map(storage.stat, (url for url in sorted(tables) if archive_suffix(url) is not None)))
    folders = [Loose(table, is_whole=True) for url, table in tables.items() if archive_suffix(url) is None]
    return Inputs(tuple(tables), tuple(folders), tuple(archives))


def planned_ids(layout: Layout) -> pa.ChunkedArray | None:
    """Return `image_id` of every photo that was ever planned for a dataset; None while there are unread streams."""
    ids = []
    for data in storage.read_many([file.url for file in _files(layout)]):
        table = pq.read_table(io.BytesIO(data), columns=["entry", "image_id"])
        if pc.any(pc.equal(table["entry"], "stream")).as_py():
            return None
        ids.extend(table["image_id"].chunks)
    return pa.chunked_array(ids, pa.string())


def keep_ended(layout: Layout, held: pa.Table) -> bool:
    """Replace a stream in the kept plan by the photos that it held; as `Listing.table`.

    Returns:
        False where that was done before: a scorer that was lost may hand the end of a stream over twice.
    """
    place = layout.plan(archive_of(held))
    kept = read_table(place)
    now = _with_photos(kept, held)
    if now is None:
        return False
    storage.write_whole(place, table_bytes(with_skipped(now, skipped_of(kept) + skipped_of(held))))
    return True


def photo_files(urls: Iterable[str]) -> pa.Table:
    """List single photos, given by canonical URL; schema `MEMBERS`."""
    listings = dict[str, Listing]()
    for url in sorted(urls):
        folder = storage.parent(url)
        listings.setdefault(folder, Listing(folder)).add(entry_of_file(storage.stat(url)))
    return _once([listing.table() for listing in listings.values()])


def _files(layout: Layout) -> list[storage.StoredFile]:
    there = storage.list_files(layout.plans) if storage.exists(layout.plans) else []
    return [file for file in there if file.path.endswith(".parquet")]


def _kept(layout: Layout, archives: Iterable[str]) -> dict[str, pa.Table]:
    """Read the kept listings of archives and folders, by their URL."""
    there = {file.url for file in _files(layout)}
    places = [place for place in map(layout.plan, archives) if place in there]
    return {archive_of(table): table for table in _tables(places)}


def _tables(places: Sequence[str]) -> Iterator[pa.Table]:
    return map(parse_parquet, places, storage.read_many(places))


def _is_to_be_tried_again(table: pa.Table, done: pa.ChunkedArray) -> bool:
    """Tell whether an archive, or one in it, could not be read and has no row that says so, as after `retry`."""
    failed = table.filter(pc.equal(table["path"], b""))["image_id"]
    return len(failed) > 0 and len(failed.filter(pc.invert(pc.is_in(failed, value_set=done)))) > 0


def _with_photos(rows: pa.Table, held: pa.Table) -> pa.Table | None:
    """Replace a stream by the photos that it held; None where it is not among the rows."""
    inner = pc.fill_null(pc.struct_field(rows["inner"], "path"), b"")
    of_archive = pc.and_(pc.equal(rows["entry"], "stream"), pc.equal(rows["archive"], archive_of(held)))
    is_this = pc.and_(of_archive, pc.equal(inner, inner_of(held)))
    if not pc.any(is_this).as_py():
        return None
    rest = rows.filter(pc.invert(is_this))
    return pa.concat_tables([rest, held.replace_schema_metadata(rest.schema.metadata)])


def _refuse_changed(file: storage.StoredFile, version: str) -> None:
    if file.version != version:
        raise UsageError(
            f"{file.url} has changed since this dataset was begun (version {version}, now {file.version}). "
            "Score the new one into another --out."
        )


def _with_kept(found: Loose, kept: pa.Table | None) -> tuple[pa.Table, tuple[pa.Table, ...]]:
    """Return a folder's photos, those planned before among them, and the table to keep where there are new ones."""
    now = found.photos
    if kept is None:
        return now, (now,)
    _refuse_changed_photos(now, kept)
    new = now.filter(pc.invert(pc.is_in(now["image_id"], value_set=kept["image_id"])))
    facts = (now if found.is_whole else kept).schema.metadata
    together = pa.concat_tables([kept, new]).replace_schema_metadata(facts)
    return together if found.is_whole else now, (together,) if new.num_rows else ()


def _refuse_changed_photos(now: pa.Table, kept: pa.Table) -> None:
    both = kept.select(["image_id", "image", "version"]).join(now.select(["image_id", "version"]), "image_id",
                                                             join_type="inner", right_suffix="_now")  # fmt: skip
    changed = both.filter(pc.not_equal(both["version"], both["version_now"]))
    if changed.num_rows:
        raise UsageError(
            f"{changed.num_rows} photos have changed since this dataset was begun, {changed['image'][0]} among them. "
            "Score the new ones into another --out."
        )


def _once(tables: Iterable[pa.Table]) -> pa.Table:
    """Keep the first row of each photo, for inputs may overlap; and every stream, which has no id."""
    members = pa.concat_tables([MEMBERS.empty_table(), *(table.replace_schema_metadata() for table in tables)])
    ids = members["image_id"]
    if pc.count_distinct(ids).as_py() == len(ids) - ids.null_count:
        return members  # as it is: a copy of a million rows is a quarter of a gigabyte
    first = pc.index_in(ids, value_set=ids, skip_nulls=True)
    is_first = pc.equal(first, pa.array(np.arange(len(ids), dtype=np.int32)))
    return members.filter(pc.fill_null(is_first, True))  # noqa: FBT003 - Arrow's
