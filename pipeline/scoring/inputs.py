"""From the inputs, however the user spells them, to photos of folders, single photos, and archives to list."""

import codecs
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from glob import escape
from typing import NamedTuple, TypeVar

import pyarrow as pa

from pipeline import storage
from pipeline.archives.listing import Listing
from pipeline.archives.members import SPLIT_PART, archive_suffix, file_kind, is_archive, is_raster, whole_of
from pipeline.archives.rasters import DEFAULT_LIMITS, RasterLimits, find_rasters
from pipeline.archives.readers import FindRasters, entry_of_file, find_heads, list_folder
from pipeline.core.errors import StorageError, UsageError
from pipeline.core.secrets import refuse_credentials
from pipeline.dataset.commit_log import read_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.moves import NO_MOVES, Moves

Item = TypeVar("Item")
Found = TypeVar("Found")

SUCH_AS = "such as jpg, png, tif, heic"
"""Some endings of photos, for messages."""

GLOB = re.compile(r"[*?[]")

LOOKUPS_AT_ONCE = 16
"""Inputs that are looked up at a time: one by one, a list of a thousand archives on S3 would take minutes."""


class LoosePhotos(NamedTuple):
    """Loose photos of one folder."""

    photos: pa.Table
    """As `Listing.table`."""
    is_whole: bool
    """Whether these are all photos of the folder; False for single photos that the user named."""


class Waiting(NamedTuple):
    """What the inputs name and a run leaves alone, because it may not be complete: as if nobody had looked at it."""

    archives: frozenset[str] = frozenset()
    """Addresses."""
    photos: pa.Array = pa.array([], pa.string())
    """`image_id` of loose photos."""


NOTHING_WAITS = Waiting()


@dataclass(frozen=True)
class Inputs:
    """What the inputs name."""

    spelled: tuple[str, ...]
    """As the user wrote them."""
    loose: tuple[LoosePhotos, ...]
    archives: tuple[storage.StoredFile, ...]
    """Each once, in the order of their URLs, which are their addresses: of one that was moved, the former place."""
    patterns: tuple[str, ...] = ()
    """What the inputs name, as patterns of `fnmatch` for URLs: all that lies in a folder, what a glob matches, one
    file. They tell what has vanished since an earlier run planned it."""
    moves: Moves = NO_MOVES
    waiting: Waiting = NOTHING_WAITS
    """Is in neither `loose` nor `archives`."""

    def cover(self, address: str) -> bool:
        """Tell whether the inputs name an archive or photo, whether it is there or not."""
        place = self.moves.place_of(address)
        return any(fnmatchcase(place, pattern) for pattern in self.patterns)


def find_inputs(
    spelled: Sequence[str],
    layout: Layout,
    moves: Moves = NO_MOVES,
    limits: RasterLimits = DEFAULT_LIMITS,
    *,
    may_come_later: bool = False,
) -> Inputs:
    """Look up the inputs and list folders; open no archive, and of large TIFFs the beginning.

    Args:
        spelled: folders, photos, archives, globs and `@list.txt`, whose paths are relative to its own folder.
        layout: the output, which is never an input, even inside an input folder.
        moves: where what earlier runs listed lies now.
        limits: beyond which a TIFF is a raster.
        may_come_later: whether it is right that a glob matches nothing yet, and that a store has nothing at an address.

    Raises:
        UsageError: an input is missing, or is neither photo nor archive nor folder.
    """
    with ThreadPoolExecutor(LOOKUPS_AT_ONCE) as threads:
        expand = partial(_expand, layout=layout, moves=moves, may_come_later=may_come_later)
        expanded = list(_map(threads, expand, list(_read_lists(spelled))))
        urls = list(dict.fromkeys(url for found in expanded for url in found.urls))
        choose = partial(_choose_rasters, layout=layout, moves=moves, limits=limits)
        found = list(_map(threads, partial(_look_up, layout=layout, moves=moves, choose_rasters=choose), urls))
    folders = {item.url: item for item in found if isinstance(item, _Folder)}
    files = [item for item in found if isinstance(item, storage.StoredFile)]
    in_folders = [file for folder in folders.values() for file in folder.archives]
    archives = _choose_archives([*files, *in_folders])
    archives |= {file.url: file for file in (*choose(files), *filter(_is_raster_file, in_folders))}
    loose_files = [file for file in files if file.url not in archives]
    single = group_by_folder((file for file in loose_files if storage.parent(file.url) not in folders), moves)
    whole = [LoosePhotos(folder.listing.table(), is_whole=True) for folder in folders.values()]
    for url in archives:
        _check_utf8(url)
    loose = (*(LoosePhotos(table, is_whole=False) for table in single), *whole)
    patterns = (*(f"{escape(url)}/*" for url in folders), *(item.pattern for item in expanded))
    addressed = [replace(file, url=moves.address_of_archive(url)) for url, file in archives.items()]
    return Inputs(tuple(spelled), loose, tuple(sorted(addressed, key=lambda file: file.url)), patterns, moves)


def _map(threads: ThreadPoolExecutor, look: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
    """Look at all items in threads that try requests again as the calling thread does."""
    contexts = [copy_context() for _ in items]
    return threads.map(lambda context, item: context.run(look, item), contexts, items)


def _choose_archives(files: Iterable[storage.StoredFile]) -> dict[str, storage.StoredFile]:
    """Choose the archives among files, by URL; of a split archive, one part stands for all."""
    found = {file.url: file for file in files if archive_suffix(file.url) is not None}
    archives = {url: file for url, file in found.items() if whole_of(url) is None}
    parts = [file for url, file in found.items() if url not in archives]
    return archives | {head.url: head for head in find_heads(parts, archives)}


def _choose_rasters(
    files: Sequence[storage.StoredFile], layout: Layout, moves: Moves, limits: RasterLimits
) -> list[storage.StoredFile]:
    """Choose the rasters among loose files; what an earlier run took for a raster, or for a photo, stays one."""
    found = find_rasters(files, limits)
    known = [
        file for file in files if is_raster(file.url) and file not in found and file.size_bytes >= limits.least_bytes
    ]
    rasters = [file for file in known if storage.exists(layout.plan(moves.address_of_archive(file.url)))]
    return rasters + [file for file in found if not _was_photo(file, layout, moves)]


def _was_photo(file: storage.StoredFile, layout: Layout, moves: Moves) -> bool:
    listing = layout.plan(moves.address_of_folder(storage.parent(file.url)))
    return storage.exists(listing) and storage.name(file.url) in read_table(listing)["image"].to_pylist()


def _is_raster_file(file: storage.StoredFile) -> bool:
    return is_raster(file.url)


def group_by_folder(photos: Iterable[storage.StoredFile], moves: Moves = NO_MOVES) -> Iterator[pa.Table]:
    """List single photos, a table for each folder, and count other files; as `Listing.table`."""
    listings = dict[str, Listing]()
    for file in photos:
        folder = moves.address_of_folder(storage.parent(file.url))
        listings.setdefault(folder, Listing(folder)).add(entry_of_file(file))
    yield from (listing.table() for listing in listings.values())


class _Folder(NamedTuple):
    url: str
    listing: Listing
    archives: list[storage.StoredFile]


class _Spelled(NamedTuple):
    """One input, as the user wrote it."""

    text: str
    list_path: str | None = None
    """The list that names it."""


def _read_lists(spelled: Iterable[str]) -> Iterator[_Spelled]:
    """Replace each `@list.txt` by its lines."""
    for text in spelled:
        refuse_credentials([("An input", text.removeprefix("@"))])
        if text.startswith("@"):
            lines = _read_lines(text[1:])
            refuse_credentials((f"A line of {text[1:]}", line) for line in lines)
            yield from (_Spelled(_place_beside(text[1:], line), text[1:]) for line in lines)
        else:
            yield _Spelled(text)


def _read_lines(path: str) -> list[str]:
    """Read the lines of a list; Windows begins it with a byte order mark, in UTF-8 or UTF-16."""
    try:
        data = storage.read_bytes(path)
        text = data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8")
    except (StorageError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a list ({error}); expected text, one input a line.") from error
    lines = [line for line in (line.lstrip("\ufeff").strip() for line in re.split(r"\r\n|\r|\n", text)) if line]
    if "\0" in text:
        raise UsageError(f"The list {path} contains NUL bytes; expected text in UTF-8, one input a line. Save it so.")
    if any(line.startswith("@") for line in lines):
        raise UsageError(f"The list {path} names another list; expected folders, photos and archives.")
    return lines


def _place_beside(list_path: str, line: str) -> str:
    """Return the place that a line of a list names: a relative path begins at the folder of the list."""
    if "://" in line or line.startswith(("/", "~")):
        return line
    protocol, separator, path = list_path.rpartition("://")
    folder, rest = posixpath.dirname(path), line
    while separator and rest.startswith(("./", "../")):  # stores know no such parts
        dots, _, rest = rest.partition("/")
        folder = posixpath.dirname(folder) if dots == ".." else folder
    return protocol + separator + posixpath.join(folder, rest)


class _Expanded(NamedTuple):
    """What one input names."""

    pattern: str
    """As in `Inputs.patterns`."""
    urls: list[str]


def _expand(spelled: _Spelled, layout: Layout, moves: Moves, *, may_come_later: bool) -> _Expanded:
    """Return the URLs of folders, archives and photos that a path, URL or glob names."""
    text = spelled.text
    if storage.exists(text):
        url = storage.canonical(text)
        if not _is_scorable(url) and not storage.is_folder(url):
            raise UsageError(f"{url} is no photo and no archive; expected a photo ({SUCH_AS}), a zip or a tar.")
        return _Expanded(escape(url), [url])
    found = storage.glob(text) if GLOB.search(text) else []
    is_right = may_come_later and _may_come_later(text)
    if not found and not is_right and not _was_planned(storage.canonical(text), layout, moves):
        hint = "" if spelled.list_path is None else f" Paths in {spelled.list_path} are relative to its folder."
        hint += " Folders are separated by /." if "\\" in text else ""
        raise UsageError(f"{text} was not found; expected a folder, a photo or an archive. Check the spelling.{hint}")
    urls = [url for url in found if storage.is_folder(url) or _is_scorable(url)]
    return _Expanded(storage.canonical(text) if found else escape(storage.canonical(text)), urls)


def _may_come_later(text: str) -> bool:
    """Tell whether an input that is not there may be: in a store there are no folders, on a disk there is the glob's.

    Raises:
        StorageError: the store cannot be asked.
    """
    if not storage.canonical(text).startswith(storage.LOCAL):
        return True
    glob = GLOB.search(text)
    return glob is not None and storage.is_folder(posixpath.dirname(text[: glob.start()]) or ".")


def _was_planned(url: str, layout: Layout, moves: Moves) -> bool:
    """Tell whether an earlier run planned an archive or a loose photo that is not there any more."""
    if is_archive(url) and storage.exists(layout.plan(moves.address_of_archive(url))):
        return True
    if archive_suffix(url) is not None:
        return False
    listing = layout.plan(moves.address_of_folder(storage.parent(url)))
    return storage.exists(listing) and storage.name(url) in read_table(listing)["image"].to_pylist()


def _is_scorable(url: str) -> bool:
    return file_kind(storage.name(url)) in {"photo", "archive", SPLIT_PART}  # by its own name: its folder may be hidden


def _look_up(url: str, layout: Layout, moves: Moves, choose_rasters: FindRasters) -> _Folder | storage.StoredFile:
    _check_utf8(url)
    if storage.is_folder(url):
        return _list_folder(url, layout, moves, choose_rasters)
    if archive_suffix(url) is None:
        _check_folder_name(storage.parent(url))
    return storage.stat(url)


def _check_folder_name(url: str) -> None:
    """Refuse a folder that would be taken for an archive, whose photos have other addresses."""
    if is_archive(url):
        raise UsageError(f"The folder {url} has the name of an archive. Rename it.")


def _check_utf8(url: str) -> None:
    if url != url.encode("utf-8", "replace").decode():
        raise UsageError(f"{url!r} has a name that is not UTF-8. Rename it; names inside archives may be anything.")


def _list_folder(url: str, layout: Layout, moves: Moves, choose_rasters: FindRasters) -> _Folder:
    """List a folder without the output, which may be inside it."""
    inside = f"{layout.url}/"
    if f"{url}/".startswith(inside):
        raise UsageError(f"The input {url} lies in the output {layout.url}. Give --out a folder of its own.")
    _check_folder_name(url)
    listing, archives = list_folder(url, inside, moves.address_of_folder(url), choose_rasters)
    return _Folder(url, listing, archives)
