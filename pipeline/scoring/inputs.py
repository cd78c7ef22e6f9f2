"""From the inputs, however the user spells them, to photos of folders, single photos, and archives to list."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.archives.listing import Listing
from pipeline.archives.members import archive_suffix, file_kind
from pipeline.archives.readers import entry_of_file, list_folder
from pipeline.core.errors import StorageError, UsageError
from pipeline.core.secrets import refuse_credentials
from pipeline.dataset.layout import Layout

LOOKUPS_AT_ONCE = 16
"""Inputs that are looked up at a time: one by one, a list of a thousand archives on S3 would take minutes."""


class LoosePhotos(NamedTuple):
    """Loose photos of one folder."""

    photos: pa.Table
    """As `Listing.table`."""
    is_whole: bool
    """Whether these are all photos of the folder; False for single photos that the user named."""


@dataclass(frozen=True)
class Inputs:
    """What the inputs name."""

    spelled: tuple[str, ...]
    """As the user wrote them."""
    loose: tuple[LoosePhotos, ...]
    archives: tuple[storage.StoredFile, ...]
    """Each once, in the order of their URLs."""


def find_inputs(spelled: Sequence[str], layout: Layout) -> Inputs:
    """Look up the inputs and list folders; open no archive.

    Args:
        spelled: folders, photos, archives, globs and `@list.txt`.
        layout: the output, which is never an input, even inside an input folder.

    Raises:
        UsageError: an input is missing, or is neither photo nor archive nor folder.
    """
    with ThreadPoolExecutor(LOOKUPS_AT_ONCE) as threads:
        urls = list(dict.fromkeys(url for found in threads.map(_expand, _read_lists(spelled)) for url in found))
        found = list(threads.map(partial(_look_up, layout=layout), urls))
    folders = {item.url: item for item in found if isinstance(item, _Folder)}
    archives = {file.url: file for folder in folders.values() for file in folder.archives}
    files = [item for item in found if isinstance(item, storage.StoredFile)]
    archives |= {file.url: file for file in files if archive_suffix(file.url) is not None}
    photos = [file for file in files if archive_suffix(file.url) is None]
    single = group_by_folder(file for file in photos if storage.parent(file.url) not in folders)
    whole = [LoosePhotos(folder.listing.table(), is_whole=True) for folder in folders.values()]
    for url in archives:
        _check_utf8(url)
    loose = (*(LoosePhotos(table, is_whole=False) for table in single), *whole)
    return Inputs(tuple(spelled), loose, tuple(archives[url] for url in sorted(archives)))


def group_by_folder(photos: Iterable[storage.StoredFile]) -> Iterator[pa.Table]:
    """List single photos, a table for each folder; as `Listing.table`."""
    listings = dict[str, Listing]()
    for file in photos:
        folder = storage.parent(file.url)
        listings.setdefault(folder, Listing(folder)).add(entry_of_file(file))
    yield from (listing.table() for listing in listings.values())


class _Folder(NamedTuple):
    url: str
    listing: Listing
    archives: list[storage.StoredFile]


def _read_lists(spelled: Iterable[str]) -> Iterator[str]:
    """Replace each `@list.txt` by its lines."""
    for text in spelled:
        refuse_credentials([("An input", text.removeprefix("@"))])
        if text.startswith("@"):
            lines = _read_lines(text[1:])
            refuse_credentials((f"A line of {text[1:]}", line) for line in lines)
            yield from lines
        else:
            yield text


def _read_lines(path: str) -> list[str]:
    try:
        text = storage.read_bytes(path).decode()
    except (StorageError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a list ({error}); expected text, one input a line.") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any(line.startswith("@") for line in lines):
        raise UsageError(f"The list {path} names another list; expected folders, photos and archives.")
    return lines


def _expand(text: str) -> list[str]:
    """Return the URLs of folders, archives and photos that a path, URL or glob names."""
    if storage.exists(text):
        url = storage.canonical(text)
        if not _is_scorable(url) and not storage.is_folder(url):
            raise UsageError(f"{url} is no photo and no archive; expected jpg, png, tif, bmp, webp, gif, zip or tar.")
        return [url]
    found = storage.glob(text) if any(mark in text for mark in "*?[") else []
    if not found:
        raise UsageError(f"{text} was not found; expected a folder, a photo or an archive. Check the spelling.")
    return [url for url in found if storage.is_folder(url) or _is_scorable(url)]


def _is_scorable(url: str) -> bool:
    return file_kind(storage.name(url)) in {"photo", "archive"}  # by its own name: its folder may be hidden


def _look_up(url: str, layout: Layout) -> _Folder | storage.StoredFile:
    _check_utf8(url)
    return _list_folder(url, layout) if storage.is_folder(url) else storage.stat(url)


def _check_utf8(url: str) -> None:
    if url != url.encode("utf-8", "replace").decode():
        raise UsageError(f"{url!r} has a name that is not UTF-8. Rename it; names inside archives may be anything.")


def _list_folder(url: str, layout: Layout) -> _Folder:
    """List a folder without the output, which may be inside it."""
    inside = f"{layout.url}/"
    if f"{url}/".startswith(inside):
        raise UsageError(f"The input {url} lies in the output {layout.url}. Give --out a folder of its own.")
    if archive_suffix(url) is not None:
        raise UsageError(f"The folder {url} has the name of an archive. Rename it, or give what is in it.")
    listing, archives = list_folder(url, without=inside)
    return _Folder(url, listing, archives)
