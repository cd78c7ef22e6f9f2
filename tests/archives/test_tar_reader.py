"""A tar gives its files back unchanged; damage is reported, and never taken for the end."""

import random
import tarfile
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.archives.members import Limits
from pipeline.archives.tar_reader import TarReader
from pipeline.archives.zip_reader import ZipReader
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import BytesRangeReader
from tests.helpers.fake_sources import (
    CountingReader,
    FlippingReader,
    list_and_read,
    list_until_damage,
    matches_files,
    read_entries,
)
from tests.helpers.packing import pack_tar, pack_zip
from tests.helpers.tar_forms import FORMS, make_member, pack_members

_rng = random.Random(0)
SMALL = [("a.jpg", b"first photo"), ("ü" * 90 + ".jpg", _rng.randbytes(700)), ("c.jpg", b""), ("a.jpg", b"again")]
NAMES = st.one_of(
    st.sampled_from(["a.jpg", "../up.jpg", "/abs.jpg", "new\nline.jpg", "back\\slash", "x" * 4_000, "\udcff.jpg"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12),
).filter(lambda name: not name.endswith("/"))


@settings(max_examples=60)
@given(
    files=st.lists(st.tuples(NAMES, st.binary(max_size=2_000)), max_size=8),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_packed_files_are_read_unchanged(files: list[tuple[str, bytes]], form: int) -> None:
    """Names, order and contents are the same, in both forms of long names."""
    assert list_and_read(TarReader, pack_tar(files, form)) == (files, None)


def test_the_oldest_form_is_read() -> None:
    """It splits long names in two parts."""
    files = [("folder" * 20 + "/" + "x" * 90 + ".jpg", b"photo"), ("a.jpg", b"next")]
    assert list_and_read(TarReader, pack_tar(files, tarfile.USTAR_FORMAT)) == (files, None)


@pytest.mark.parametrize("form", FORMS)
def test_hard_links_repeat_their_file_and_other_links_are_marked(form: int) -> None:
    """So do hard links to hard links; one without a target fails; folders are not listed."""
    data = pack_members(
        [
            make_member("a.jpg", b"photo"),
            make_member("b.jpg", type=tarfile.LNKTYPE, linkname="a.jpg"),
            make_member("c.jpg", type=tarfile.LNKTYPE, linkname="b.jpg"),
            make_member("d.jpg", type=tarfile.LNKTYPE, linkname="nowhere.jpg"),
            make_member("e.jpg", type=tarfile.SYMTYPE, linkname="a.jpg"),
            make_member("f.jpg", type=tarfile.FIFOTYPE),
            make_member("g.jpg", type=tarfile.DIRTYPE),
            make_member("h.jpg", b"last"),
        ],
        form,
    )
    entries, damage = list_until_damage(TarReader(BytesRangeReader("a.tar", data)))
    assert damage is None
    assert [entry.path for entry in entries if entry.is_link] == ["e.jpg", "f.jpg"]
    assert len({entry.position for entry in entries[:3]}) == 1
    found = dict(
        read_entries(TarReader(BytesRangeReader("a.tar", data)), [entry for entry in entries if not entry.is_link])
    )
    failure = found.pop("d.jpg")
    assert found == {"a.jpg": b"photo", "b.jpg": b"photo", "c.jpg": b"photo", "h.jpg": b"last"}
    assert str(failure) == "The hard link leads to 'nowhere.jpg', which does not stand before it in the tar."


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_cut_anywhere_yields_the_files_before_the_cut(form: int) -> None:
    """The cut file is left out, and the damage is reported, even if only the zeros that mark the end are missing."""
    data = pack_tar(SMALL, form)
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    for length in range(end + 512):
        found, damage = list_and_read(TarReader, data[:length])
        assert found == SMALL[: len(found)], length
        assert damage is not None or length == end + 512, length
        assert length < end or found == SMALL, length


@pytest.mark.parametrize("damage", ["flipped", "zeroed"])
def test_a_damaged_header_is_not_the_end(damage: str) -> None:
    """`tarfile` alone takes it for the end of the archive and drops the rest without an error."""
    files = [(f"{number}.jpg", bytes([number + 1]) * 900) for number in range(7)]
    data = bytearray(pack_tar(files))
    header = data.index(b"4.jpg")
    if damage == "flipped":
        data[header + 3] ^= 1
    else:
        data[header : header + 512] = bytes(512)
    found, raised = list_and_read(TarReader, bytes(data))
    assert found == files[:4]
    assert isinstance(raised, tarfile.ReadError)


def test_no_damaged_byte_of_a_header_gives_another_listing() -> None:
    """Each header has a checksum; only the byte behind the checksum has no meaning."""
    files = SMALL[2:]
    data = bytearray(pack_tar(files))
    for place in range(1024):
        data[place] ^= 4
        found, damage = list_and_read(TarReader, bytes(data))
        data[place] ^= 4
        assert matches_files(found, files), place
        assert damage is not None or place % 512 == 155, place


def test_zeros_at_the_end_are_padding_up_to_a_length() -> None:
    """A copy that was allocated in full and never completed ends in far more zeros than padding."""
    data = pack_tar(SMALL)
    assert list_and_read(TarReader, data + bytes(100_000)) == (SMALL, None)
    for rest in (bytes(3 << 20), b"\0" * 5_000 + b"x"):
        found, damage = list_and_read(TarReader, data + rest)
        assert found == SMALL
        assert str(damage) == "more than padding follows the zeros that mark its end"


@pytest.mark.parametrize("data", [b"", b"garbage" * 1_000, pack_zip([("a.jpg", b"x")])], ids=["empty", "text", "zip"])
def test_other_files_are_no_tar(data: bytes) -> None:
    """Nothing is listed, and the reader raises."""
    found, damage = list_and_read(TarReader, data)
    assert found == []
    assert isinstance(damage, tarfile.ReadError)


def test_an_empty_tar_is_sound() -> None:
    """It has no files and no damage."""
    assert list_and_read(TarReader, pack_tar([])) == ([], None)


def test_files_of_a_tar_that_was_replaced_fail() -> None:
    """The header before each file must state the listed size."""
    entries, _ = list_until_damage(TarReader(BytesRangeReader("a.tar", pack_tar(SMALL))))
    for other in (pack_tar([("z.jpg", b"another photo")]), b"", pack_tar(SMALL)[:1_200]):
        found = read_entries(TarReader(BytesRangeReader("a.tar", other)), entries)
        assert len(found) == len(SMALL)
        assert any(isinstance(content, DataError) and content.kind == "member_unreadable" for _, content in found)
        assert matches_files(found, SMALL)


def test_a_file_too_large_is_not_read() -> None:
    """The message has the size and the limit; its neighbours are read."""
    files = [("a.jpg", bytes(1_001)), ("b.jpg", bytes(1_000))]
    source = CountingReader(pack_tar(files))
    reader = TarReader(source)
    entries, _ = list_until_damage(reader)
    (_, failure), (_, content) = read_entries(reader, entries, Limits(photo_bytes=1_000))
    assert str(failure) == "The file has 1,001 bytes; at most 1,000 are read."
    assert content == bytes(1_000)


def test_an_unprotected_tar_is_read_twice() -> None:
    """A tar has no checksum of its data, so a byte damaged on its way would be scored."""
    data = pack_tar(SMALL)
    for place in range(0, 4_000, 7):
        source = FlippingReader(data, place, times=1, is_protected=False)
        assert list_and_read(TarReader, source) == (SMALL, None), place


def test_a_large_tar_is_listed_without_its_photos() -> None:
    """Of photos of 3 MB, listing reads only the headers; reading fetches neighbours together."""
    source = CountingReader(pack_tar([(f"IMG_{number:04d}.JPG", bytes(3 << 20)) for number in range(20)]))
    reader = TarReader(source)
    entries, damage = list_until_damage(reader)
    assert damage is None
    assert source.read_bytes < 25 * (64 << 10)
    source.requests.clear()
    assert len(read_entries(reader, entries[:4])) == 4
    assert len(source.requests) == 2


def test_a_tar_of_small_photos_is_listed_with_few_requests() -> None:
    """Reading ahead takes less time than a request for each header."""
    source = CountingReader(pack_tar([(f"IMG_{number:04d}.JPG", bytes(60_000)) for number in range(500)]))
    assert len(list_until_damage(TarReader(source))[0]) == 500
    assert source.calls <= 14


def test_a_file_opens_as_a_window() -> None:
    """A tar does not compress its files, so nothing is read into memory."""
    inner = pack_zip([("a.jpg", b"photo")])
    reader = TarReader(BytesRangeReader("outer.tar", pack_tar([("x.jpg", b"x"), ("inner.zip", inner)])))
    entries, _ = list_until_damage(reader)
    assert list_and_read(ZipReader, reader.open_member(entries[1], Limits(nested_bytes=1))) == (
        [("a.jpg", b"photo")],
        None,
    )
    with pytest.raises(DataError, match="why not"):
        reader.open_member(entries[1]._replace(failure=DataError("read", "member_unreadable", "why not")), Limits())


@settings(max_examples=150)
@given(data=st.data())
def test_a_mutated_tar_gives_files_or_damage(data: st.DataObject) -> None:
    """Whatever the mutation, the reader raises only errors of damaged archives, and within 20 s."""
    tar = bytearray(pack_tar(SMALL, data.draw(st.sampled_from(FORMS[1:]))))
    for place in data.draw(st.lists(st.integers(0, len(tar) - 1), max_size=4)):
        length = data.draw(st.integers(0, 4))
        tar[place : place + length] = data.draw(st.binary(max_size=8))
    for header in range(0, len(tar) - 511, 512):  # a wrong checksum would hide most damage, so make it right again
        sound = data.draw(st.booleans())
        total = 256 + sum(tar[header : header + 148]) + sum(tar[header + 156 : header + 512])
        if sound and any(tar[header : header + 512]):
            tar[header + 148 : header + 156] = b"%06o\0 " % total
    begun = time.monotonic()
    found, _ = list_and_read(TarReader, bytes(tar))
    assert time.monotonic() - begun < 20
    assert all(isinstance(content, DataError | bytes) for _, content in found)
