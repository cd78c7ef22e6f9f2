"""What there is to score: from inputs, however they were spelled, to one table of photos.

The listing of every archive is kept in `OUT/plan` with the archive's version, so that a resume opens no archive, and an
archive that was replaced meanwhile is refused by name. Which photos are done already is the dataset's knowledge.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.archives import reader_of
from pipeline.dataset import Layout, read_table, table_bytes
from pipeline.errors import DataError, StorageError, UsageError
from pipeline.members import Listing, Member, archive_suffix, file_kind
from pipeline.schema import MEMBERS


@dataclass(frozen=True)
class Plan:
    """Every photo that the inputs hold, once."""

    members: pa.Table
    """Schema `MEMBERS`."""
    skipped: Counter[str]
    """Files that are no photos, counted by kind."""
    news: tuple[tuple[str, pa.Table], ...]
    """Listings that are not kept yet, and where to keep them."""

    def keep(self) -> None:
        """Keep the listings in the dataset."""
        for place, table in self.news:
            storage.write_whole(place, table_bytes(table))

    def without(self, image_ids: pa.ChunkedArray) -> pa.Table:
        """Return the photos that are not among those given."""
        done = pc.is_in(self.members["image_id"], value_set=image_ids)
        return self.members.filter(pc.invert(done))


def make_plan(inputs: Sequence[str], layout: Layout) -> Plan:
    """List the photos of all inputs; writes nothing.

    Raises:
        UsageError: an input is missing or no photo or archive, there is no photo in any, or an archive that was
            planned before has changed.
    """
    planned = [_planned(source, layout) for source in _sources(inputs, layout)]
    skipped = sum((part.skipped for part in planned), Counter[str]())
    members = pa.concat_tables([MEMBERS.empty_table(), *(part.members for part in planned)])
    if members.num_rows == 0:
        found = ", ".join(f"{count} x {kind}" for kind, count in skipped.most_common(5)) or "nothing"
        raise UsageError(
            f"There is no photo in {', '.join(inputs)}: found {found}. Expected photos (jpg, png, tif, bmp, webp, "
            "gif), or zip or tar archives of them."
        )
    return Plan(_once(members), skipped, tuple(news for part in planned for news in part.news))


def planned_ids(layout: Layout) -> pa.ChunkedArray:
    """Return `image_id` of every photo that was ever planned for a dataset."""
    tables = [
        read_table(file.url)["image_id"] for file in storage.list_files(layout.plans) if file.path.endswith(".parquet")
    ]
    return pa.chunked_array([chunk for ids in tables for chunk in ids.chunks], pa.string())


def photo_files(urls: Iterable[str]) -> pa.Table:
    """List single photos, given by canonical URL; schema `MEMBERS`."""
    rows = []
    for url in urls:
        file = storage.stat(url)
        rows.append(_row(storage.parent(url), "/", Member(file.path, 0, file.size_bytes, 0, file.version)))
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["archive"])), schema=MEMBERS)


def image_id(address: str, occurrence: int) -> str:
    """Name a photo by where it lies: 16 hex digits of SHA-256 over its full address and its occurrence there."""
    raw = address.encode("utf-8", "surrogateescape")
    return hashlib.sha256(raw + b"\0" + str(occurrence).encode()).hexdigest()[:16]


class _Source(NamedTuple):
    """A place where photos are."""

    file: storage.StoredFile
    """An archive; or a folder, which has neither size nor version."""
    listing: Listing | None
    """What was found there; None for an archive, which may not have to be opened."""
    whole: bool = True
    """Whether the listing is all there is; not where single photos of a folder were asked for."""


def _sources(inputs: Sequence[str], layout: Layout) -> Iterator[_Source]:
    """List folders and single photos; archives come without a listing."""
    folders: dict[str, Listing] = {}
    single: dict[str, Listing] = {}
    archives: dict[str, storage.StoredFile] = {}
    for url in dict.fromkeys(_spelled_out(inputs)):
        if storage.is_folder(url):
            folders[url] = _folder(url, layout)
            archives |= {file.url: file for file in folders[url].archives}
        elif archive_suffix(url) is not None:
            archives[url] = storage.stat(url)
        else:
            file = storage.stat(url)
            single.setdefault(storage.parent(url), Listing()).add(file.path, file.size_bytes, version=file.version)
    for url, listing in (single | folders).items():  # a folder's own listing has its single photos, too
        yield _Source(storage.StoredFile(url, "", 0, ""), listing, whole=url in folders)
    for file in archives.values():
        yield _Source(file, None)


def _spelled_out(inputs: Iterable[str]) -> Iterator[str]:
    """Turn `@list.txt`, globs and paths into the URLs of folders, archives and photos."""
    for text in inputs:
        if text.startswith("@"):
            yield from _spelled_out(_lines(text[1:]))
        elif storage.exists(text):
            yield _checked(storage.canonical(text))
        else:
            found = storage.glob(text) if any(mark in text for mark in "*?[") else []
            if not found:
                raise UsageError(f"{text} was not found; expected a folder, a photo or an archive. Check the spelling.")
            yield from (url for url in found if storage.is_folder(url) or _is_scorable(url))


def _lines(path: str) -> list[str]:
    try:
        text = storage.read_bytes(path).decode()
    except (StorageError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a list ({error}); expected text, one input a line.") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any(line.startswith("@") for line in lines):
        raise UsageError(f"The list {path} names another list; expected folders, photos and archives.")
    return lines


def _checked(url: str) -> str:
    if not storage.is_folder(url) and not _is_scorable(url):
        raise UsageError(f"{url} is no photo and no archive; expected jpg, png, tif, bmp, webp, gif, zip or tar.")
    return url


def _is_scorable(url: str) -> bool:
    return file_kind(storage.name(url)) in {"photo", "archive"}  # by its own name: it may lie in a hidden folder


def _folder(url: str, layout: Layout) -> Listing:
    """List a folder, but not our own output, where that lies within."""
    inside = f"{layout.url}/"
    if f"{url}/".startswith(inside):
        raise UsageError(f"The input {url} lies in the output {layout.url}. Give --out a folder of its own.")
    if archive_suffix(url) is not None:
        raise UsageError(f"The folder {url} has the name of an archive. Rename it, or give what is in it.")
    listing = reader_of(url).list()
    listing.members = [file for file in listing.members if not storage.join(url, file.path).startswith(inside)]
    archives = [storage.linked(file) for file in listing.archives if not file.url.startswith(inside)]
    listing.archives = [file for file in archives if not storage.is_folder(file.url)]
    return listing


class _Planned(NamedTuple):
    """One source's part of the plan."""

    members: pa.Table
    skipped: Counter[str]
    news: tuple[tuple[str, pa.Table], ...]
    """The table to keep, and where; empty where it is kept and has not changed."""


def _planned(source: _Source, layout: Layout) -> _Planned:
    """List a source, or take its listing from `OUT/plan` where the archive has not changed since."""
    file = source.file
    if not _is_utf8(file.url):
        raise UsageError(
            f"{file.url!r} has a name that is not UTF-8. Rename it; names inside archives may be anything."
        )
    place = layout.plan(file.url)
    known = read_table(place) if storage.exists(place) else None
    if known is not None and source.listing is None:
        _refuse_changed(file, known.schema.metadata[b"version"].decode())
        skipped = Counter[str](json.loads(known.schema.metadata[b"skipped"]))
        return _Planned(known.replace_schema_metadata(), skipped, ())
    listing = source.listing or _opened(file)
    now = _table(file.url, listing)
    kept = now if known is None else _merged(known, now)
    facts = {"archive": file.url, "version": file.version, "skipped": json.dumps(listing.skipped)}
    is_news = known is None or kept.num_rows > known.num_rows
    news = ((place, kept.replace_schema_metadata(facts)),) if is_news else ()
    return _Planned(kept if source.whole else now, listing.skipped, news)


def _opened(file: storage.StoredFile) -> Listing:
    """List an archive; one that is closed to us is a failed row like one that is damaged."""
    try:
        return reader_of(file.url).list()
    except StorageError as error:
        if not error.lasting:
            raise
        return Listing(failure=DataError("open", "archive_unreadable", str(error)))


def _is_utf8(text: str) -> bool:
    return text == text.encode("utf-8", "replace").decode()


def _refuse_changed(file: storage.StoredFile, version: str) -> None:
    if file.version != version:
        raise UsageError(
            f"{file.url} has changed since this dataset was begun (version {version}, now {file.version}). "
            "Score the new one into another --out."
        )


def _merged(known: pa.Table, now: pa.Table) -> pa.Table:
    """Add what is new in a folder to what was planned before; what was planned must not have changed."""
    both = known.select(["image_id", "image", "version"]).join(now.select(["image_id", "version"]), "image_id",
                                                              join_type="inner", right_suffix="_now")  # fmt: skip
    changed = both.filter(pc.not_equal(both["version"], both["version_now"]))
    if changed.num_rows:
        raise UsageError(
            f"{changed.num_rows} photos have changed since this dataset was begun, {changed['image'][0]} among them. "
            "Score the new ones into another --out."
        )
    new = now.filter(pc.invert(pc.is_in(now["image_id"], value_set=known["image_id"])))
    return pa.concat_tables([known.replace_schema_metadata(), new])


def _table(url: str, listing: Listing) -> pa.Table:
    separator = "!/" if archive_suffix(url) is not None else "/"
    rows = [_row(url, separator, member) for member in listing.members]
    if listing.failure is not None:
        failed = _row(url, separator, Member("", 0, 0, 0, ""))
        rows.append(failed | listing.failure.columns())
    return pa.Table.from_pylist(rows, schema=MEMBERS)


def _row(url: str, separator: str, member: Member) -> dict[str, object]:
    path = member.path.encode("utf-8", "surrogateescape")
    return {
        **member._asdict(),
        "image_id": image_id(f"{url}{separator}{member.path}", member.occurrence),
        "archive": url,
        "image": path.decode("utf-8", "backslashreplace"),
        "path": path,
    }


def _once(members: pa.Table) -> pa.Table:
    """Keep the first row of each photo; inputs may overlap."""
    ids = members["image_id"].combine_chunks()
    return members.take(pc.unique(pc.index_in(ids, value_set=ids)))
