"""The plan: one table of all photos to score, each once.

`OUT/plan` keeps the listing of every archive with the archive's version. So a resumed run opens no archive, and it
refuses by name an archive that was replaced meanwhile. The commit log, not the plan, knows which photos are done.
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
from pipeline.archives.listing import archive_of, inner_of, skipped_of, version_of, with_skipped
from pipeline.archives.members import archive_suffix
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError
from pipeline.core.table_schemas import MEMBERS
from pipeline.dataset.commit_log import parse_parquet, read_table, table_bytes
from pipeline.dataset.layout import Layout
from pipeline.scoring.inputs import LOOKUPS_AT_ONCE, SUCH_AS, Inputs, LoosePhotos, group_by_folder


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

    def with_listed(self, listings: Iterable[pa.Table]) -> "Plan":
        """Return the plan with these listings of all unlisted archives; as `Listing.table`."""
        tables = list(listings)
        skipped = sum(map(skipped_of, tables), self.skipped)
        return replace(self, members=_drop_repeats([self.members, *tables]), skipped=skipped, unlisted=())

    def with_expanded(self, stream: pa.Table) -> "Plan":
        """Return the plan with the photos of a stream that has ended, in place of the stream; as `Listing.table`."""
        members = _replace_stream(self.members, stream)
        if members is None:
            return self
        return replace(self, members=members, skipped=self.skipped + skipped_of(stream))

    def save(self) -> None:
        """Write the new listings to the dataset."""
        for table in self.new_listings:
            self.save_listing(table)

    def save_listing(self, table: pa.Table) -> None:
        """Write the listing of one archive or folder to the dataset; as `Listing.table`."""
        storage.write_whole(self.layout.plan(archive_of(table)), table_bytes(table))

    def without(self, image_ids: pa.ChunkedArray) -> pa.Table:
        """Return all other photos, and the streams whose photos are not known yet."""
        if not len(image_ids):
            return self.members
        done = pc.is_in(self.members["image_id"], value_set=image_ids)
        return self.members.filter(pc.invert(done))

    @property
    def is_saved(self) -> bool:
        """Whether the dataset keeps the whole plan."""
        return not self.new_listings and not self.unlisted

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

    Args:
        inputs: what the user's inputs name.
        layout: the dataset, which keeps the listings of earlier runs.
        done: `image_id` of every photo that has its row.

    Raises:
        UsageError: a planned archive or photo has changed.
    """
    urls = [*(archive_of(found.photos) for found in inputs.loose), *(archive.url for archive in inputs.archives)]
    saved = _read_listings(layout, urls)
    folders = [_merge_saved(found, saved.get(archive_of(found.photos))) for found in inputs.loose]
    listed = {file: saved[file.url] for file in inputs.archives if file.url in saved}
    for file, table in listed.items():
        _refuse_changed(file, version_of(table))
    known = {file: table for file, table in listed.items() if not _needs_listing(table, done)}
    tables = [*(photos for photos, _ in folders), *known.values()]
    return Plan(
        layout,
        _drop_repeats(tables),
        sum(map(skipped_of, tables), Counter[str]()),
        new_listings=tuple(table for _, new in folders for table in new),
        unlisted=tuple(file for file in inputs.archives if file not in known),
    )


def read_planned_inputs(layout: Layout) -> Inputs:
    """Read everything that was ever planned for a dataset, as inputs.

    Raises:
        StorageError: an archive has vanished.
    """
    tables = {archive_of(table): table for table in _read_tables([file.url for file in _listing_files(layout)])}
    with ThreadPoolExecutor(LOOKUPS_AT_ONCE) as threads:
        archives = list(threads.map(storage.stat, (url for url in sorted(tables) if archive_suffix(url) is not None)))
    folders = [LoosePhotos(table, is_whole=True) for url, table in tables.items() if archive_suffix(url) is None]
    return Inputs(tuple(tables), tuple(folders), tuple(archives))


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


def count_photos(members: pa.Table) -> int:
    """Count the photos of a table of schema `MEMBERS`, which has streams, too."""
    return int(pc.sum(pc.equal(members["entry"], "photo")).as_py() or 0)


def list_photos(urls: Iterable[str]) -> pa.Table:
    """List single photos by their canonical URLs; schema `MEMBERS`."""
    return _drop_repeats(group_by_folder(storage.stat(url) for url in sorted(urls)))


def _listing_files(layout: Layout) -> list[storage.StoredFile]:
    files = storage.list_files(layout.plans) if storage.exists(layout.plans) else []
    return [file for file in files if file.path.endswith(".parquet")]


def _read_listings(layout: Layout, archives: Iterable[str]) -> dict[str, pa.Table]:
    """Read the saved listings of archives and folders, by their URL."""
    saved = {file.url for file in _listing_files(layout)}
    urls = [url for url in map(layout.plan, archives) if url in saved]
    return {archive_of(table): table for table in _read_tables(urls)}


def _read_tables(urls: Sequence[str]) -> Iterator[pa.Table]:
    return map(parse_parquet, urls, storage.read_many(urls))


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


def _refuse_changed(file: storage.StoredFile, version: str) -> None:
    if file.version != version:
        raise UsageError(
            f"{file.url} has changed since this dataset was begun (version {version}, now {file.version}). "
            "Score the new one into another --out."
        )


def _merge_saved(found: LoosePhotos, saved: pa.Table | None) -> tuple[pa.Table, tuple[pa.Table, ...]]:
    """Merge a folder's photos with its saved listing.

    Returns:
        The photos to plan, and the new listing to save, if any.
    """
    now = found.photos
    if saved is None:
        return now, (now,)
    _refuse_changed_photos(now, saved)
    new = now.filter(pc.invert(pc.is_in(now["image_id"], value_set=saved["image_id"])))
    metadata = (now if found.is_whole else saved).schema.metadata
    merged = pa.concat_tables([saved, new]).replace_schema_metadata(metadata)
    return merged if found.is_whole else now, (merged,) if new.num_rows else ()


def _refuse_changed_photos(now: pa.Table, saved: pa.Table) -> None:
    both = saved.select(["image_id", "image", "version"]).join(now.select(["image_id", "version"]), "image_id",
                                                             join_type="inner", right_suffix="_now")  # fmt: skip
    changed = both.filter(pc.not_equal(both["version"], both["version_now"]))
    if changed.num_rows:
        raise UsageError(
            f"{count_of(changed.num_rows, 'photo has', 'photos have')} changed since this dataset was begun, "
            f"{changed['image'][0]} among them. Score the new ones into another --out."
        )


def _drop_repeats(tables: Iterable[pa.Table]) -> pa.Table:
    """Keep the first row of each photo, because inputs may overlap; and every stream, which has no id."""
    members = pa.concat_tables([MEMBERS.empty_table(), *(table.replace_schema_metadata() for table in tables)])
    ids = members["image_id"]
    if pc.count_distinct(ids).as_py() == len(ids) - ids.null_count:
        return members  # no copy: a million rows take a quarter of a gigabyte
    first = pc.index_in(ids, value_set=ids, skip_nulls=True)
    is_first = pc.equal(first, pa.array(np.arange(len(ids), dtype=np.int32)))
    return members.filter(pc.fill_null(is_first, True))  # noqa: FBT003 - Arrow's
