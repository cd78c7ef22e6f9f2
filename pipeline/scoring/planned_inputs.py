"""Everything that was ever planned for a dataset, as inputs: for `retry`, which is given none."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pyarrow as pa

from pipeline import storage
from pipeline.archives.listing import Listing, archive_of
from pipeline.archives.members import is_archive
from pipeline.archives.readers import entry_of_file
from pipeline.core.errors import NotFoundError
from pipeline.dataset.layout import Layout
from pipeline.dataset.moves import NO_MOVES, Moves
from pipeline.scoring.inputs import LOOKUPS_AT_ONCE, Inputs, LoosePhotos
from pipeline.scoring.plan import read_listings
from pipeline.scoring.versions import without_rows

Look = Callable[[Iterable[str]], Iterator[storage.StoredFile | None]]
"""Looks up files by their addresses; None for each that is gone."""


def read_planned_inputs(layout: Layout, moves: Moves = NO_MOVES) -> Inputs:
    """Read everything that was ever planned for a dataset, as inputs; archives that have vanished are left out."""
    tables = {archive_of(table): table for table in read_listings(layout)}
    with ThreadPoolExecutor(LOOKUPS_AT_ONCE) as threads:
        look = partial(_stat, moves=moves)
        archives = threads.map(look, (url for url in sorted(tables) if is_archive(url)))
    folders = [LoosePhotos(table, is_whole=True) for url, table in tables.items() if not is_archive(url)]
    there = tuple(file for file in archives if file is not None)
    return Inputs(tuple(tables), tuple(folders), there, patterns=("*",), moves=moves)


def look_again(inputs: Inputs, done: pa.ChunkedArray) -> Inputs:
    """Return the inputs with their loose photos that have no row as these are now."""
    with ThreadPoolExecutor(LOOKUPS_AT_ONCE) as threads:
        look = partial(threads.map, partial(_stat, moves=inputs.moves))
        return replace(inputs, loose=tuple(_look_at_photos(found, done, look) for found in inputs.loose))


def _look_at_photos(found: LoosePhotos, done: pa.ChunkedArray, look: Look) -> LoosePhotos:
    left = without_rows(found.photos, done)
    if left.num_rows == 0:
        return found
    folder = archive_of(found.photos)
    files = look([storage.join(folder, image) for image in left["image"].to_pylist()])
    listing = Listing(folder)
    for file, image in zip(files, left["image"].to_pylist(), strict=True):
        if file is not None:
            listing.add(entry_of_file(replace(file, path=image)))
    rest = without_rows(found.photos, left["image_id"])
    photos = pa.concat_tables([rest, listing.table().replace_schema_metadata(rest.schema.metadata)])
    return found._replace(photos=photos)


def _stat(address: str, moves: Moves) -> storage.StoredFile | None:
    """Look up an archive or loose photo where it lies now; None if it is gone."""
    try:
        return replace(storage.stat(moves.place_of(address)), url=address)
    except NotFoundError:
        return None
