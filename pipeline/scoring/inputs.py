"""From inputs, however they were spelled, to what is there: photos of folders, single photos, archives to be listed."""

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

AT_ONCE = 16
"""Inputs that are looked up at a time; a list of a thousand archives on S3 would otherwise take minutes."""


class Loose(NamedTuple):
    """Loose photos of one folder."""

    photos: pa.Table
    """As `Listing.table`."""
    is_whole: bool
    """Whether these are all the folder holds, not single photos that were asked for."""


@dataclass(frozen=True)
class Inputs:
    """What the inputs name."""

    spelled: tuple[str, ...]
    """As the user wrote them."""
    loose: tuple[Loose, ...]
    archives: tuple[storage.StoredFile, ...]
    """Each once, in the order of their URLs."""


def find_inputs(spelled: Sequence[str], layout: Layout) -> Inputs:
    """Look the inputs up and list folders; no archive is opened.

    Args:
        spelled: folders, photos, archives, globs and `@list.txt`.
        layout: the output, which is no input even where it lies in a folder that is.

    Raises:
        UsageError: an input is missing, or no photo or archive.
    """
    with ThreadPoolExecutor(AT_ONCE) as threads:
        urls = list(dict.fromkeys(url for found in threads.map(_spelled_out, _texts(spelled)) for url in found))
        found = list(threads.map(partial(_looked_up, layout=layout), urls))
    folders = {item.url: item for item in found if isinstance(item, _Folder)}
    archives = {file.url: file for folder in folders.values() for file in folder.archives}
    files = [item for item in found if isinstance(item, storage.StoredFile)]
    archives |= {file.url: file for file in files if archive_suffix(file.url) is not None}
    photos = [file for file in files if archive_suffix(file.url) is None]
    single = _single(file for file in photos if storage.parent(file.url) not in folders)
    whole = [Loose(folder.listing.table(), is_whole=True) for folder in folders.values()]
    for url in archives:
        _check_utf8(url)
    return Inputs(tuple(spelled), (*single, *whole), tuple(archives[url] for url in sorted(archives)))


class _Folder(NamedTuple):
    url: str
    listing: Listing
    archives: list[storage.StoredFile]


def _texts(spelled: Iterable[str]) -> Iterator[str]:
    for text in spelled:
        refuse_credentials([("An input", text.removeprefix("@"))])
        if text.startswith("@"):
            lines = _lines(text[1:])
            refuse_credentials((f"A line of {text[1:]}", line) for line in lines)
            yield from lines
        else:
            yield text


def _lines(path: str) -> list[str]:
    try:
        text = storage.read_bytes(path).decode()
    except (StorageError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a list ({error}); expected text, one input a line.") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any(line.startswith("@") for line in lines):
        raise UsageError(f"The list {path} names another list; expected folders, photos and archives.")
    return lines


def _spelled_out(text: str) -> list[str]:
    """Turn one path, URL or glob into the URLs of folders, archives and photos."""
    if storage.exists(text):
        return [_checked(storage.canonical(text))]
    found = storage.glob(text) if any(mark in text for mark in "*?[") else []
    if not found:
        raise UsageError(f"{text} was not found; expected a folder, a photo or an archive. Check the spelling.")
    return [url for url in found if storage.is_folder(url) or _is_scorable(url)]


def _checked(url: str) -> str:
    if not _is_scorable(url) and not storage.is_folder(url):
        raise UsageError(f"{url} is no photo and no archive; expected jpg, png, tif, bmp, webp, gif, zip or tar.")
    return url


def _is_scorable(url: str) -> bool:
    return file_kind(storage.name(url)) in {"photo", "archive"}  # by its own name: it may lie in a hidden folder


def _looked_up(url: str, layout: Layout) -> _Folder | storage.StoredFile:
    _check_utf8(url)
    return _folder(url, layout) if storage.is_folder(url) else storage.stat(url)


def _check_utf8(url: str) -> None:
    if url != url.encode("utf-8", "replace").decode():
        raise UsageError(f"{url!r} has a name that is not UTF-8. Rename it; names inside archives may be anything.")


def _folder(url: str, layout: Layout) -> _Folder:
    """List a folder, but not our own output, where that lies within."""
    inside = f"{layout.url}/"
    if f"{url}/".startswith(inside):
        raise UsageError(f"The input {url} lies in the output {layout.url}. Give --out a folder of its own.")
    if archive_suffix(url) is not None:
        raise UsageError(f"The folder {url} has the name of an archive. Rename it, or give what is in it.")
    listing, archives = list_folder(url, without=inside)
    return _Folder(url, listing, archives)


def _single(photos: Iterable[storage.StoredFile]) -> Iterator[Loose]:
    listings = dict[str, Listing]()
    for file in photos:
        folder = storage.parent(file.url)
        listings.setdefault(folder, Listing(folder)).add(entry_of_file(file))
    yield from (Loose(listing.table(), is_whole=False) for listing in listings.values())
