"""Crack maps in a dataset: `maps/<image_id>.png`, written before their photos are committed.

So a committed photo has its map. If a photo was not committed, the next run scores it again and writes the same map
again. `models.crack_maps` draws the maps.
"""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.dataset.layout import Layout

MAPS_AT_ONCE = 16
"""Maps that are written at the same time: a writer mostly waits for a remote store."""


def write_maps(scored: pa.Table, layout: Layout) -> pa.Table:
    """Write the maps of scored photos, and return the photos without them, so that no map waits in memory.

    Shape: schema `SCORED` → the same without `crack_map`.
    """
    mapped = scored.select(["image_id", "crack_map"]).filter(pc.is_valid(scored["crack_map"]))
    if mapped.num_rows:
        urls = [layout.map(image_id) for image_id in mapped["image_id"].to_pylist()]
        with ThreadPoolExecutor(MAPS_AT_ONCE) as writers:
            list(writers.map(storage.write_whole, urls, mapped["crack_map"].to_pylist()))
    return scored.drop_columns(["crack_map"])


def remove_maps(image_ids: Collection[str], layout: Layout) -> None:
    """Remove the maps of photos that have one."""
    files = storage.list_files(layout.maps) if storage.exists(layout.maps) else []
    wanted = {storage.name(layout.map(image_id)) for image_id in image_ids}
    for file in files:
        if file.path in wanted:
            storage.remove(file.url)


def copy_maps(old: Layout, new: Layout) -> None:
    """Copy the maps of a dataset, if it has any."""
    files = storage.list_files(old.maps) if storage.exists(old.maps) else []
    urls = [file.url for file in files if file.path.endswith(".png")]  # without half-written ones
    for url, data in zip(urls, storage.read_many(urls), strict=True):
        storage.write_whole(storage.join(new.maps, storage.name(url)), data)
