"""What is known early of an archive is the beginning of what is known in the end."""

import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.archives.early import EarlyPhotos
from pipeline.archives.listing import Listing, decode_listing, encode_listing, is_partial
from pipeline.archives.members import Entry
from pipeline.archives.readers import list_archive
from pipeline.core.errors import InterruptedRunError
from tests.helpers.packing import pack, pack_tar, pack_zip

FILES = [
    ("a.jpg", b"first"),
    ("note.txt", b""),
    ("in.zip", pack_zip([("b.jpg", b"b"), ("c.jpg", b"c")])),
    ("a.jpg", b"second"),
    ("in.tgz", pack(".tgz", [("d.jpg", b"d")])),
    ("e.jpg", b"e"),
]


def go_on() -> None:
    """End no listing."""


@pytest.fixture
def listing() -> Listing:
    """Begin a listing without photos."""
    return Listing("file:///a.tar", "version")


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")  # of the writer
def test_each_partial_listing_is_the_beginning_of_the_whole(suffix: str, tmp_path: Path) -> None:
    """Ids, numbers of repeated names and nested archives do not depend on what follows."""
    (tmp_path / f"a{suffix}").write_bytes(pack(suffix, FILES))
    parts = list[pa.Table]()
    file = storage.stat(storage.canonical(str(tmp_path / f"a{suffix}")))
    whole = list_archive(file, on_entry=lambda listing: parts.append(listing.table_so_far()))
    assert len(parts) == len(FILES)
    assert not is_partial(whole)
    rows = whole.to_pylist()
    for part in parts:
        *photos, rest = part.to_pylist()
        assert photos == rows[: len(photos)]
        assert (rest["entry"], rest["image_id"], rest["version"]) == ("stream", None, file.version)
        assert is_partial(part)
        assert is_partial(decode_listing(encode_listing(part)))
    assert parts[-1].num_rows == len(rows)  # the last photo is missing, and a row stands for it


def test_an_archive_that_is_one_stream_is_not_partial(tmp_path: Path) -> None:
    """Its one row stands for all of its photos."""
    (tmp_path / "a.tgz").write_bytes(pack(".tgz", FILES))
    assert not is_partial(list_archive(storage.stat(storage.canonical(str(tmp_path / "a.tgz")))))


def test_photos_are_handed_on_to_who_asks_and_once(listing: Listing) -> None:
    """Nothing is made that nobody waits for, and nothing comes twice."""
    early = EarlyPhotos(go_on, early_s=0, rest_s=0)
    listing.add(Entry("a.jpg", 1))
    early(listing)
    assert early.take() is None  # and now somebody waits
    early(listing)
    found = early.take()
    assert found is not None
    assert found["image"].to_pylist() == ["a.jpg", None]
    assert early.take() is None
    early(listing)
    assert early.take() is None
    listing.add(Entry("b.jpg", 1))
    early(listing)
    found = early.take()
    assert found is not None
    assert found["image"].to_pylist() == ["a.jpg", "b.jpg", None]


@pytest.mark.parametrize("early_s", [None, 3_600])
def test_nothing_is_handed_on_before_its_time(early_s: float | None, listing: Listing) -> None:
    """Most archives are listed by then."""
    early = EarlyPhotos(go_on, early_s)
    listing.add(Entry("a.jpg", 1))
    assert early.take() is None
    early(listing)
    assert early.take() is None


def test_a_listing_without_photos_is_not_handed_on(listing: Listing) -> None:
    """There is nothing to score yet."""
    early = EarlyPhotos(go_on, early_s=0)
    assert early.take() is None
    listing.add(Entry("a.txt", 1))
    early(listing)
    assert early.take() is None


def test_a_listing_rests_until_somebody_asks_for_more(listing: Listing) -> None:
    """Scorers start meanwhile, with the machine for themselves."""
    early = EarlyPhotos(go_on, early_s=0, rest_s=3_600)
    assert early.take() is None
    listing.add(Entry("a.jpg", 1))
    thread = threading.Thread(target=early, args=(listing,), daemon=True)
    thread.start()
    while (found := early.take()) is None:
        time.sleep(0.01)
    assert found["image"].to_pylist() == ["a.jpg", None]
    thread.join(0.5)
    assert thread.is_alive()
    assert early.take() is None
    thread.join(60)
    assert not thread.is_alive()


def test_a_listing_that_rests_ends_when_it_is_told_to(listing: Listing) -> None:
    """Ctrl-C need not wait for the end of the rest."""
    told = list[bool]()

    def end() -> None:
        if told:
            raise InterruptedRunError("enough")
        told.append(True)

    early = EarlyPhotos(end, early_s=0, rest_s=3_600)
    early.take()
    listing.add(Entry("a.jpg", 1))
    with pytest.raises(InterruptedRunError, match="enough"):
        early(listing)


def test_a_listing_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """Ctrl-C need not wait for the end of a large archive."""

    def end() -> None:
        raise InterruptedRunError("enough")

    (tmp_path / "a.tar").write_bytes(pack_tar([("a.jpg", b"a")]))
    with pytest.raises(InterruptedRunError, match="enough"):
        list_archive(storage.stat(storage.canonical(str(tmp_path / "a.tar"))), on_entry=EarlyPhotos(end))
