"""`S3Store` checks the answers of S3, here of a fake; `test_s3_server_faults` has a real server."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.storage.errors import FileChangedError
from pipeline.storage.s3 import BLOCK_BYTES, READINGS, S3Store
from pipeline.storage.s3_requests import Piece, Reply, S3Requests, md5_of_reply


@dataclass(frozen=True)
class _Requests(S3Requests):
    """Requests that return prepared answers, one after another."""

    answers: Iterator[Any]

    def get(self, path: str) -> Piece:
        """Return the next answer."""
        del path
        piece: Piece = next(self.answers)
        return piece

    def get_range(self, path: str, start: int, end: int, **details: str) -> Piece:
        """Return the next answer for any range."""
        del start, end, details
        return self.get(path)

    def list_page(self, path: str, **details: Any) -> Reply:  # noqa: ANN401 - S3's own
        """Return the next answer."""
        del path, details
        reply: Reply = next(self.answers)
        return reply


def _store(*answers: Piece | Reply) -> S3Store:
    return S3Store(_Requests(SimpleNamespace(), iter(answers)))


def _page(*keys: str, following: str | None = None) -> Reply:
    more = {"IsTruncated": True, "NextContinuationToken": following} if following else {}
    return {"Contents": [{"Key": key, "Size": 1, "ETag": '"e"'} for key in keys], **more}


def _read(data: bytes, *, is_sound: bool) -> Piece:
    return Piece(data, '"etag"', is_sound)


def test_damaged_bytes_are_read_again() -> None:
    """Reading repeats until the bytes fit their MD5."""
    store = _store(
        _read(b"damagee", is_sound=False), _read(b"damagef", is_sound=False), _read(b"damage", is_sound=True)
    )

    assert store.read_whole("bucket/a") == b"damage"


def test_two_readings_that_agree_are_accepted() -> None:
    """The ETag of an encrypted object only looks like an MD5."""
    store = _store(_read(b"right", is_sound=False), _read(b"right", is_sound=False))

    assert store.read_whole("bucket/a") == b"right"


def test_bytes_that_always_differ_are_an_error() -> None:
    """The number of readings has a limit."""
    store = _store(*(_read(b"%d" % number, is_sound=False) for number in range(READINGS)))

    with pytest.raises(OSError, match="its bytes differed at each of 5 readings"):
        store.read_whole("bucket/a")


def test_ranges_of_two_versions_are_not_mixed() -> None:
    """This holds for the ranges of one call and for the blocks of one range."""
    pieces = Piece(b"1", '"old"', is_sound=True), Piece(b"2", '"new"', is_sound=True)

    with pytest.raises(FileChangedError):
        _store(*pieces).read_ranges("bucket/a", [(0, 1), (1, 2)])
    with pytest.raises(FileChangedError):
        _store(*pieces).read_ranges("bucket/a", [(0, BLOCK_BYTES + 1)])


def test_a_key_with_an_empty_part_is_listed() -> None:
    """S3 allows such keys; the listing keeps their spelling, and the keys around them."""
    store = _store(_page("photos//a.jpg", "photos//b//c.jpg", following="2"), _page("photos/d.jpg"))

    names = [info["name"] for info in store.find("bucket/photos")]

    assert names == ["bucket/photos//a.jpg", "bucket/photos//b//c.jpg", "bucket/photos/d.jpg"]


def test_a_folder_marker_is_no_file() -> None:
    """Consoles create an object `photos/` for an empty folder; a listing leaves it out, at every level."""
    store = _store(_page("photos/", "photos/a.jpg", "photos/empty/", following="2"), _page("photos/last/"))

    assert [info["name"] for info in store.find("bucket/photos")] == ["bucket/photos/a.jpg"]


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
    """Objects in parts, or encrypted with keys of their own, have none."""
    assert md5_of_reply(reply) == md5
