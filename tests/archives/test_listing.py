"""A listing has a row for each photo, counts other files, and survives serialisation."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archives.listing import (
    Listing,
    archive_of,
    decode_listing,
    encode_listing,
    entry_of,
    image_id,
    inner_of,
    skipped_of,
    version_of,
    with_skipped,
)
from pipeline.archives.members import Entry
from pipeline.core.errors import DataError

ENTRY = Entry("d/b\udce9.jpg", 10, position=512, stored_bytes=7, method=8, crc32=0xFFFFFFFF)


def test_photos_are_numbered_where_a_name_repeats_and_the_rest_is_counted() -> None:
    """Other files have no row; links and archives in nested archives are counted under kinds of their own."""
    listing = Listing("file:///a.zip", "v1")
    entries = [Entry("a.jpg", 1), Entry("b.txt", 1), Entry("a.jpg", 2, 9), Entry("l.jpg", 0, is_link=True)]
    rows = [listing.add(entry) for entry in [*entries, Entry("x.zip", 1)]]
    assert [row and (row["image"], row["occurrence"], row["version"]) for row in rows] == [
        ("a.jpg", 0, "v1"), None, ("a.jpg", 1, "v1"), None, None,
    ]  # fmt: skip
    assert skipped_of(listing.table()) == {".txt": 1, "link or device": 1, "archive in a nested archive": 1}
    assert listing.table().num_rows == 2


def test_a_row_gives_its_entry_back() -> None:
    """Entries and nested archives survive the round trip, whatever bytes the name has."""
    listing, inner = Listing("file:///a.zip", "v1"), Entry("in.zip", 5000, position=77, stored_bytes=5000)
    listing.add(ENTRY, inner)
    [row] = listing.table().to_pylist()
    assert entry_of(row) == ENTRY._replace(version="v1")
    assert entry_of(row["inner"]) == inner
    assert row["image"] == "in.zip!/d/b\\xe9.jpg"
    assert row["path"] == b"d/b\xe9.jpg"


def test_the_next_id_is_the_id_of_the_next_photo() -> None:
    """The id of a photo is known before it is added."""
    listing = Listing("file:///a.tgz")
    for _ in range(3):
        expected = listing.next_id(ENTRY)
        row = listing.add(ENTRY)
        assert row is not None
        assert row["image_id"] == expected


def test_a_failure_before_any_file_means_no_archive() -> None:
    """After a file it means damage, with another message. A `DataError` is kept as it is."""
    nothing, something = Listing("file:///a.zip"), Listing("file:///b.zip")
    something.add(Entry("a.jpg", 10))
    assert str(nothing.fail(EOFError())[1]) == "a.zip is no archive: it ends early."
    row, failure = something.fail(EOFError("unexpected end"))
    assert str(failure) == "b.zip is damaged or cut short: unexpected end."
    assert (row["image"], row["failure_stage"], row["failure_kind"]) == ("", "open", "archive_truncated")
    assert something.fail(EOFError(), Entry("in.zip", 1))[1].kind == "archive_unreadable"  # nothing in it was listed
    known = DataError("read", "encrypted", "It needs a password.")
    assert something.fail(known, Entry("in.zip", 1))[1] is known


def test_a_listing_survives_serialisation() -> None:
    """Rows, archive, version, nested path and skipped files are the same."""
    listing = Listing("file:///a.zip", "v1")
    listing.add(ENTRY)
    listing.add(Entry("b.txt", 1))
    there = decode_listing(encode_listing(listing.table(Entry("in\udce9.tgz", 1))))
    assert there.equals(listing.table())
    assert (archive_of(there), version_of(there), inner_of(there)) == ("file:///a.zip", "v1", b"in\xe9.tgz")
    assert skipped_of(there) == {".txt": 1}
    assert skipped_of(with_skipped(there, skipped_of(there) + skipped_of(there))) == {".txt": 2}
    assert inner_of(listing.table()) == b""


def test_a_long_listing_is_built_in_chunks() -> None:
    """The table has every row, in order, although few rows are Python objects at a time."""
    listing = Listing("file:///a.zip", chunk_rows=4)
    for number in range(11):
        listing.add(Entry(f"{number}.jpg", number))
    assert listing.table()["size_bytes"].to_pylist() == list(range(11))


@given(st.binary(), st.integers(0, 5), st.binary(), st.integers(0, 5))
def test_ids_distinguish_photos(address: bytes, occurrence: int, other: bytes, other_occurrence: int) -> None:
    """An id is 16 hex digits, equal for the same photo and for no other."""
    first, second = image_id(address, occurrence), image_id(other, other_occurrence)
    assert (first == second) == ((address, occurrence) == (other, other_occurrence))
    assert len(first) == 16
    assert int(first, 16) >= 0


def test_what_all_photos_have_in_common_takes_memory_once() -> None:
    """A loose photo takes the memory of its names, id, size and version, which is half of its row's."""
    folder, chunk, chunks = "s3://photos/bridge 7", 64, 50
    before = pa.total_allocated_bytes()
    listing = Listing(folder, chunk_rows=chunk)
    for number in range(chunk * chunks):
        listing.add(Entry(f"{number:07d}.jpg", 4_000_000, version="v1"))
    table = listing.table()

    own = sum(table[name].nbytes for name in ("image_id", "image", "path"))
    assert table.num_rows == chunk * chunks
    assert own <= pa.total_allocated_bytes() - before < min(2 * own, table.nbytes / 2)
