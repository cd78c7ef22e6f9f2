"""Tells a dataset where its archives and folders lie now, once it is proven that they are what was listed.

The addresses and ids of photos stay: `dataset.moves` keeps the places beside them.
"""

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.archives.listing import archive_of, version_of
from pipeline.archives.members import STREAM_SUFFIXES, archive_suffix, is_archive, is_raster
from pipeline.archives.readers import list_archive
from pipeline.core.counts import count_of
from pipeline.core.errors import NotFoundError, UsageError
from pipeline.core.table_schemas import MEMBERS
from pipeline.dataset.commit_log import table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Holder, hold
from pipeline.dataset.moves import Moves, covers, read_moves, write_moves
from pipeline.dataset.run import read_run
from pipeline.rasters.window_reader import WindowRule, rule_of
from pipeline.scoring.plan import read_listings

SHOWN = 3
"""Places that a message names."""

Proof = Literal["version", "content", "none"]

_CONTENT = ("image_id", "path", "size_bytes", "position", "stored_bytes", "method", "crc32")
"""Columns of `MEMBERS` that are the same in a copy of an archive."""


@dataclass(frozen=True)
class Relocated:
    """What lies elsewhere now."""

    archives: int
    folders: int
    photos: int
    proofs: Mapping[Proof, int]
    """Archives and folders by what proved that they are those that were listed."""
    missing: int
    """Loose photos of the folders that are not at the new place."""


class _Found(NamedTuple):
    """An archive or folder at its new place."""

    address: str
    place: str
    listing: pa.Table
    """As `Listing.table`, with the version at the new place."""
    proof: Proof
    missing: int = 0


def relocate(out: str, before: str, now: str, *, is_checked: bool = True) -> Relocated:
    """Tell a dataset that what lay at one place, or below it, lies at another now.

    Args:
        out: the dataset.
        before: an archive or folder, or one that holds them; it need not exist any more.
        now: where it lies now.
        is_checked: whether to refuse what cannot be proven to be what was listed.

    Raises:
        UsageError: nothing of the dataset lay there, something is missing at the new place, or is not what was listed.
        DatasetHeldError: a run is writing the dataset.
    """
    layout = Layout(storage.canonical(out))
    windows = rule_of(read_run(layout)["fingerprint"])
    source, target = storage.canonical(before), storage.canonical(now)
    moves = read_moves(layout)
    found = [
        _find(table, target + place.removeprefix(source), windows, is_checked=is_checked)
        for table in read_listings(layout)
        if covers(source, place := moves.place_of(archive_of(table)))
    ]
    if not found:
        raise UsageError(_describe_places(layout, moves, source))
    with hold(layout, f"relocate{uuid.uuid4().hex[:8]}", _ignore):
        for each in found:
            storage.write_whole(layout.plan(each.address), table_bytes(each.listing))
        write_moves(layout, _add(moves, found))
    return _summarise(found)


def _find(listing: pa.Table, place: str, windows: WindowRule, *, is_checked: bool) -> _Found:
    address = archive_of(listing)
    if not is_archive(address):
        return _find_folder(address, listing, place, is_checked=is_checked)
    if (archive_suffix(address), is_raster(address)) != (archive_suffix(place), is_raster(place)):
        raise UsageError(f"{place} has another ending than {address}; expected the archive of then, of the same kind.")
    try:
        file = storage.stat(place)
    except NotFoundError as error:
        raise UsageError(f"{place} was not found; expected {address} there. Nothing was changed.") from error
    proof: Proof = "version" if file.version == version_of(listing) else "none"
    if proof == "none" and is_checked:
        _check_content(listing, file, address, windows)
        proof = "content"
    return _Found(address, place, _with_version(listing, file.version), proof)


def _check_content(listing: pa.Table, file: storage.StoredFile, address: str, windows: WindowRule) -> None:
    """Compare names, sizes, positions and checksums of an archive's members with those that were listed."""
    if archive_suffix(address) in STREAM_SUFFIXES:
        raise UsageError(
            f"{file.url} has another date or version than {address} had, and a compressed tar has no directory to "
            "compare. If it is the same file, give --unchecked. Nothing was changed."
        )
    now = list_archive(replace(file, url=address), file.url, windows)
    if not now.select(_CONTENT).equals(listing.select(_CONTENT)):
        raise UsageError(
            f"{file.url} does not hold the photos that {address} held. To score what is there now, run `crackscan "
            "score` on it. Nothing was changed."
        )


def _find_folder(address: str, listing: pa.Table, place: str, *, is_checked: bool) -> _Found:
    """Compare the sizes of a folder's loose photos with those that were listed."""
    now = {file.path: file for file in storage.list_files(place)} if storage.is_folder(place) else {}
    rows = listing.to_pylist()
    there = [row for row in rows if row["image"] in now]
    if rows and not there:
        raise UsageError(f"No photo of {address} was found in {place}. Nothing was changed.")
    different = [row for row in there if now[row["image"]].size_bytes != row["size_bytes"]]
    if different and is_checked:
        file, size_bytes = now[different[0]["image"]], different[0]["size_bytes"]
        raise UsageError(
            f"{file.url} has {count_of(file.size_bytes, 'byte')}; expected {size_bytes:,}, as in {address}. Nothing "
            "was changed."
        )
    is_same = all(now[row["image"]].version == row["version"] for row in there)
    versions = [now[row["image"]].version if row["image"] in now else row["version"] for row in rows]
    index = MEMBERS.get_field_index("version")
    changed = listing.set_column(index, MEMBERS.field(index), pa.array(versions, pa.string()))
    proof: Proof = "version" if is_same else "content" if is_checked else "none"
    return _Found(address, place, changed, proof, len(rows) - len(there))


def _with_version(listing: pa.Table, version: str) -> pa.Table:
    """Return the listing of an archive with another version, in the rows and in the metadata."""
    index = MEMBERS.get_field_index("version")
    old = listing["version"]
    new = pc.if_else(pc.equal(old, version_of(listing)), version, old)
    return listing.set_column(index, MEMBERS.field(index), new).replace_schema_metadata(
        {**listing.schema.metadata, b"version": version}
    )


def _add(moves: Moves, found: list[_Found]) -> Moves:
    """Add places, without those that are the address itself: what was moved back needs none."""
    places = {each.address: each.place for each in found}
    archives = {**moves.archives, **{address: places[address] for address in places if is_archive(address)}}
    folders = {**moves.folders, **{address: places[address] for address in places if not is_archive(address)}}
    return Moves(
        {address: place for address, place in archives.items() if address != place},
        {address: place for address, place in folders.items() if address != place},
    )


def _summarise(found: list[_Found]) -> Relocated:
    archives = sum(is_archive(each.address) for each in found)
    return Relocated(
        archives,
        len(found) - archives,
        sum(each.listing.num_rows for each in found),
        Counter(each.proof for each in found),
        sum(each.missing for each in found),
    )


def _describe_places(layout: Layout, moves: Moves, source: str) -> str:
    places = sorted({moves.place_of(archive_of(table)) for table in read_listings(layout)})
    more = f" and {len(places) - SHOWN:,} more" if len(places) > SHOWN else ""
    shown = ", ".join(places[:SHOWN]) + more
    return f"Nothing of {layout.url} lay at {source}; expected a part of its inputs, which are {shown}."


def _ignore(_holder: Holder) -> None:
    """Wait without a word: a living writer is refused, and a dead one takes no time."""
