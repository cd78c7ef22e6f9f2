"""Names and globs of photos, as people write them in tables: which rows of a table mean a photo.

A pattern is a name or a glob of `image`, or of `archive`/`image`; `*` also matches slashes, and capitals count. A name
with `[` in it is also taken as it is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from heapq import merge

_WILDCARD = re.compile(r"[*?[]")


@dataclass(frozen=True)
class PhotoPatterns:
    """The patterns of a table's rows, in their order."""

    patterns: Sequence[str]

    def find(self, archive: str, image: str) -> Iterator[int]:
        """Yield the places of the patterns that mean a photo, the first first.

        Args:
            archive: as in the column `archive`.
            image: as in the column `image`.
        """
        names = (image, f"{archive}/{image}")
        by_name = sorted(place for name in names for place in self._places.get(name, ()))
        by_glob = (place for place in self._globs if any(fnmatchcase(name, self.patterns[place]) for name in names))
        return merge(by_name, by_glob)

    @cached_property
    def _places(self) -> Mapping[str, Sequence[int]]:
        """Places of each name, since tables may have a row for each of a hundred thousand photos."""
        places = dict[str, list[int]]()
        for place, pattern in enumerate(self.patterns):
            places.setdefault(pattern, []).append(place)
        return places

    @cached_property
    def _globs(self) -> Sequence[int]:
        return [place for place, pattern in enumerate(self.patterns) if _WILDCARD.search(pattern)]
