"""Bytes that are read twice, where nothing else would notice that one was damaged on its way.

A zip has checksums of its members, a tar has none of its photos, and neither has one of its names.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.errors import StorageError
from pipeline.storage.byte_ranges import Place, Source


@dataclass(frozen=True)
class Confirmed:
    """A source whose every byte is read twice, and a third time where the two differ."""

    source: Source

    is_protected = True

    @property
    def name(self) -> str:
        """As the source."""
        return self.source.name

    @property
    def size_bytes(self) -> int:
        """As the source."""
        return self.source.size_bytes

    def read(self, ranges: Sequence[Place]) -> list[bytes]:
        """Read what two readings agree on.

        Raises:
            StorageError: three readings were three different ones.
        """
        both = self.source.read([*ranges, *ranges])
        pairs = zip(ranges, both[: len(ranges)], both[len(ranges) :], strict=True)
        return [first if first == second else self._decided(place, first, second) for place, first, second in pairs]

    def _decided(self, place: Place, first: bytes, second: bytes) -> bytes:
        [third] = self.source.read([place])
        if third not in {first, second}:
            raise StorageError(
                f"{self.name} could not be read: its bytes {place[0]:,} to {place[1]:,} came differently three times. "
                "The connection damages what it carries; use https."
            )
        return third


def confirmed(source: Source) -> Source:
    """Return a source whose bytes can be believed without a checksum of their own.

    TCP's checksum misses about one damaged packet in 65,536, and where nothing encrypts, nothing else looks.
    """
    return source if source.is_protected else Confirmed(source)
