"""Removes the rows, tiles, cracks and maps of some photos from a dataset, so that they can be scored again.

The photos are written down first (`plan/forgotten.json`), then their rows go, then their tiles and cracks, then the
note. If a writer is killed in between, the next one goes on before it commits anything: old and new rows of a photo
never stand side by side. Each file is replaced as a whole. The commits keep their numbers and the runs that made them.
"""

import json
from collections.abc import Callable, Collection, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.core.errors import DatasetError
from pipeline.dataset.commit_log import parse_parquet, table_bytes
from pipeline.dataset.crack_map_files import remove_maps
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import json_bytes


def note_forgotten(layout: Layout, image_ids: Collection[str]) -> None:
    """Write down which photos are to be removed, and from which commits."""
    wanted = pa.array(image_ids, pa.string())
    files = storage.list_files(storage.join(layout.url, "images"))
    urls = [file.url for file in files if file.path.endswith(".parquet")]
    holding = [storage.name(url) for url, table in _read_tables(urls) if _has_any(table, wanted)]
    parts = sorted({int(name.partition("-")[2].removesuffix(".parquet")) for name in holding})
    storage.write_whole(layout.forgotten, json_bytes({"parts": parts, "image_ids": sorted(image_ids)}))


def read_forgotten(layout: Layout) -> tuple[list[int], list[str]]:
    """Read the commits and photos that are written down; empty if there are none.

    Raises:
        DatasetError: the note is damaged.
    """
    if not storage.exists(layout.forgotten):
        return [], []
    try:
        found = json.loads(storage.read_bytes(layout.forgotten))
        return [int(part) for part in found["parts"]], [str(image_id) for image_id in found["image_ids"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{layout.forgotten} is damaged: {error!r}. Remove it, then score again with --on-changed rescore."
        ) from error


def finish_forgetting(layout: Layout, check_lease: Callable[[], None]) -> list[str]:
    """Remove the photos that are written down, and return their `image_id`s.

    Args:
        layout: the dataset.
        check_lease: raises if another writer has taken the dataset over; called before each change.
    """
    parts, image_ids = read_forgotten(layout)
    gone = pa.array(image_ids, pa.string())
    for part in parts:
        for url in (layout.images(part), layout.failed(part), *_detail_files(layout, part)):
            if storage.exists(url):
                check_lease()
                _remove_rows(url, gone, is_kept_empty=url == layout.images(part))
    if image_ids:
        check_lease()
        remove_maps(image_ids, layout)
        storage.remove(layout.forgotten)
    return image_ids


def _remove_rows(url: str, image_ids: pa.Array, *, is_kept_empty: bool) -> None:
    [(_, table)] = _read_tables([url])
    kept = table.filter(pc.invert(pc.is_in(table["image_id"], value_set=image_ids)))
    if kept.num_rows == 0 and not is_kept_empty:
        storage.remove(url)
    elif kept.num_rows < table.num_rows:
        storage.write_whole(url, table_bytes(kept))


def _detail_files(layout: Layout, part: int) -> list[str]:
    """List the tiles and cracks files of a commit."""
    folders = [storage.join(layout.url, name) for name in ("tiles", "cracks")]
    files = [file for folder in folders if storage.exists(folder) for file in storage.list_files(folder)]
    return [file.url for file in files if file.path.startswith(f"part-{part:06d}-")]


def _read_tables(urls: list[str]) -> Iterator[tuple[str, pa.Table]]:
    return ((url, parse_parquet(url, data)) for url, data in zip(urls, storage.read_many(urls), strict=True))


def _has_any(table: pa.Table, image_ids: pa.Array) -> bool:
    return bool(pc.any(pc.is_in(table["image_id"], value_set=image_ids), min_count=0).as_py())
