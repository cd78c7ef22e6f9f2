"""What S3 answers is checked before it is believed: here with answers that can be computed (a real one in `_s3`)."""

import hashlib
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from pipeline.storage.errors import FileChangedError
from pipeline.storage.s3 import BLOCK_BYTES, READINGS, S3Store
from pipeline.storage.s3_requests import Piece, Reply, S3Requests, _md5_in


class _Requests(S3Requests):
    """Requests that bring one piece after another."""

    def __init__(self, pieces: Iterator[Piece]) -> None:
        super().__init__(SimpleNamespace())
        object.__setattr__(self, "pieces", pieces)

    def get(self, path: str) -> Piece:
        """Bring the next piece."""
        del path
        piece: Piece = next(self.pieces)  # type: ignore[attr-defined]  # set above
        return piece

    def get_range(self, path: str, start: int, end: int, **details: str) -> Piece:
        """Bring the next piece, whatever the range."""
        del start, end, details
        return self.get(path)


def _store(*pieces: Piece) -> S3Store:
    return S3Store(_Requests(iter(pieces)))


def _read(data: bytes, *, is_sound: bool) -> Piece:
    return Piece(data, '"etag"', is_sound)


def test_damaged_bytes_are_read_again() -> None:
    """Until they fit their MD5."""
    store = _store(
        _read(b"damagee", is_sound=False), _read(b"damagef", is_sound=False), _read(b"damage", is_sound=True)
    )

    assert store.read_whole("bucket/a") == b"damage"


def test_two_readings_that_agree_are_believed() -> None:
    """The ETag of an encrypted object looks like an MD5 and is none."""
    store = _store(_read(b"right", is_sound=False), _read(b"right", is_sound=False))

    assert store.read_whole("bucket/a") == b"right"


def test_bytes_that_always_differ_are_given_up() -> None:
    """There is an end to reading again."""
    store = _store(*(_read(b"%d" % number, is_sound=False) for number in range(READINGS)))

    with pytest.raises(OSError, match="its bytes differed at each of 5 readings"):
        store.read_whole("bucket/a")


def test_ranges_of_two_versions_are_not_mixed() -> None:
    """Not those of one call, and not the blocks of one range."""
    pieces = Piece(b"1", '"old"', is_sound=True), Piece(b"2", '"new"', is_sound=True)

    with pytest.raises(FileChangedError):
        _store(*pieces).read_ranges("bucket/a", [(0, 1), (1, 2)])
    with pytest.raises(FileChangedError):
        _store(*pieces).read_ranges("bucket/a", [(0, BLOCK_BYTES + 1)])


MD5 = hashlib.md5(b"x", usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("reply", "md5"),
    [
        ({"ETag": f'"{MD5}"'}, MD5),
        ({"ETag": f'"{MD5}"', "ServerSideEncryption": "AES256"}, MD5),
        ({"ETag": f'"{MD5}"', "ServerSideEncryption": "aws:kms"}, None),
        ({"ETag": f'"{MD5}-3"'}, None),
        ({"ETag": '"0x8D4BCC2E4835CD0"'}, None),
    ],
)
def test_an_etag_is_an_md5_only_where_it_can_be(reply: Reply, md5: str | None) -> None:
    """Not for objects in parts, nor for ones encrypted with keys of their own."""
    assert _md5_in(reply) == md5
