"""The photo that an export names, which often lies elsewhere than on the machine of whoever exported it.

Looks below one folder, by name: relative to the annotation file, then by the parts that two paths share.
"""

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import NamedTuple

from pipeline import storage
from pipeline.annotations.entries import Entry
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError
from pipeline.images.formats import DECODED_SUFFIXES, PHOTO_SUFFIXES

NO_PHOTOS = frozenset({"masks", "segmentationclass", "segmentationobject"})
"""Folders of pictures that are no photos, in small letters."""
_DRIVE = re.compile(r"^[A-Za-z]:(?=/)")


class Match(NamedTuple):
    """A photo that was found."""

    url: str
    path: str
    """Where the export says it is, below the folder; two photos of one path are one."""


class PhotoFolder:
    """The pictures below a folder; `others` are paths of those that need more than what decodes photos here.

    Args:
        url: canonical URL of the folder.
        files: its listing.
    """

    def __init__(self, url: str, files: Sequence[storage.StoredFile]) -> None:
        self.url = url
        self.photos = {file.path: file.url for file in files if _is_photo(file.path)}
        self.others = [file.path for file in files if _is_photo(file.path, PHOTO_SUFFIXES - DECODED_SUFFIXES)]
        self._of_name: dict[str, list[str]] = defaultdict(list)
        for path in self.photos:
            name = fold(posixpath.basename(path))
            self._of_name[name].append(path)
            self._of_name[name.rpartition(".")[0] + ".*"].append(path)

    def find(self, names: Sequence[str], entry: Entry) -> Match | None:
        """Return the photo of an entry.

        Args:
            names: its paths as the export spells them, the likeliest first; `name.*` has any ending.
            entry: of the export, whose file's folder relative paths start from.

        Raises:
            UsageError: several photos fit equally well.
        """
        folder = storage.parent(entry.url).removeprefix(self.url).strip("/")
        paths = [_normalise(name) for name in names]
        places = [posixpath.normpath(posixpath.join(folder, path.lstrip("/"))) for path in paths]
        for path, beside in zip(paths, places, strict=True):
            exact = next((place for place in (beside, path) if place in self.photos), None)
            if exact is not None:
                return Match(self.photos[exact], exact if path == paths[0] else places[0])
            url = self._find_outside(beside) or self._find_below(path, folder, entry)
            if url is not None:
                return Match(url, places[0])
        return None

    def _find_outside(self, path: str) -> str | None:
        """Return a photo in a folder beside this one, such as `../images/photo.jpg`."""
        url, rest = self.url, path
        while rest.startswith("../"):
            url, rest = storage.parent(url), rest.removeprefix("../")
        if url == self.url or url.endswith(("/", ":")) or not _is_photo(rest) or not rest.isprintable():
            return None
        outside = storage.join(url, rest)
        return outside if storage.exists(outside) else None

    def _find_below(self, path: str, folder: str, entry: Entry) -> str | None:
        """Return the one photo of this name that shares most with the path, then with the annotation file's folder."""
        named = fold(path).strip("/").split("/")
        beside = fold(folder).split("/")

        def rank(candidate: str) -> tuple[int, int, int]:
            parts = fold(candidate).split("/")
            shared = _count_shared(parts[-2::-1], named[-2::-1])
            return shared, _count_shared(parts[:-1], beside), _count_shared(parts[-2::-1], beside[::-1])

        candidates = self._of_name.get(named[-1], [])
        if not candidates:
            return None
        best = max(map(rank, candidates))
        chosen = [candidate for candidate in candidates if rank(candidate) == best]
        if len(chosen) > 1:
            raise UsageError(
                f"{entry} names the photo {path!r}, and {count_of(len(chosen), 'photo')} in {self.url} fit: "
                f"{', '.join(chosen[:3])}{', …' if len(chosen) > 3 else ''}. Give their folders one by one, each with "
                "its annotations."
            )
        return self.photos[chosen[0]]


def _is_photo(path: str, suffixes: Collection[str] = DECODED_SUFFIXES) -> bool:
    folders = {part.lower() for part in path.split("/")[:-1]}
    suffix = path.rpartition(".")[2].lower()
    return suffix in suffixes and not folders & NO_PHOTOS and not storage.is_hidden(path)


def _normalise(name: str) -> str:
    """Spell a path as this machine does: `/` between parts, no drive, no URL scheme."""
    path = re.sub(r"^\w+://", "/", name.replace("\\", "/"))
    return posixpath.normpath(_DRIVE.sub("", path))


def fold(path: str) -> str:
    """Return what is alike for names that differ in case, or in how macOS composes letters."""
    return unicodedata.normalize("NFC", path).casefold()


def _count_shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the parts that are the same from the start on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
