"""Crack maps in a dataset: `maps/<image_id>.png`, written before their photos are committed.

So a committed photo has its map. A map whose photo is not committed is written again, the same, when that photo is
scored again. How maps are drawn is left to `maps`.
"""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.dataset.layout import Layout

MAPS_AT_ONCE = 16
"""Maps that are written at the same time: on a remote store writing waits more than it works."""


def keep_maps(scored: pa.Table, layout: Layout) -> pa.Table:
    """Write the maps of scored photos, and return the photos without them: no map waits in memory for its commit.

    Shape: schema `SCORED` → the same without `crack_map`.
    """
    mapped = scored.select(["image_id", "crack_map"]).filter(pc.is_valid(scored["crack_map"]))
    if mapped.num_rows:
        urls = [layout.map(image_id) for image_id in mapped["image_id"].to_pylist()]
        with ThreadPoolExecutor(MAPS_AT_ONCE) as writers:
            list(writers.map(storage.write_whole, urls, mapped["crack_map"].to_pylist()))
    return scored.drop_columns(["crack_map"])


def copy_maps(old: Layout, new: Layout) -> None:
    """Copy the maps of a dataset, where it has any."""
    files = storage.list_files(old.maps) if storage.exists(old.maps) else []
    urls = [file.url for file in files if file.path.endswith(".png")]  # and not half written
    for url, data in zip(urls, storage.read_many(urls), strict=True):
        storage.write_whole(storage.join(new.maps, storage.name(url)), data)
