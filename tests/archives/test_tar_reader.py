"""Files of a tar come back as they were put in; what is damaged is told, and never taken for the end."""

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
from tests.helpers.fake_sources import Counted, Flipping, gone_through, is_truth, listed, read
from tests.helpers.packing import packed_tar, packed_zip
from tests.helpers.tar_forms import FORMS, info, packed

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
def test_what_was_packed_comes_back(files: list[tuple[str, bytes]], form: int) -> None:
    """Names, order and contents, in both forms of long names."""
    assert gone_through(TarReader, packed_tar(files, form)) == (files, None)


def test_the_oldest_form_comes_back() -> None:
    """It splits long names in two."""
    files = [("folder" * 20 + "/" + "x" * 90 + ".jpg", b"photo"), ("a.jpg", b"next")]
    assert gone_through(TarReader, packed_tar(files, tarfile.USTAR_FORMAT)) == (files, None)


@pytest.mark.parametrize("form", FORMS)
def test_hard_links_are_the_file_once_more_and_other_links_are_told(form: int) -> None:
    """A hard link to a hard link, too; one to a file that is not there fails; folders are left out."""
    data = packed(
        [
            info("a.jpg", b"photo"),
            info("b.jpg", type=tarfile.LNKTYPE, linkname="a.jpg"),
            info("c.jpg", type=tarfile.LNKTYPE, linkname="b.jpg"),
            info("d.jpg", type=tarfile.LNKTYPE, linkname="nowhere.jpg"),
            info("e.jpg", type=tarfile.SYMTYPE, linkname="a.jpg"),
            info("f.jpg", type=tarfile.FIFOTYPE),
            info("g.jpg", type=tarfile.DIRTYPE),
            info("h.jpg", b"last"),
        ],
        form,
    )
    entries, damage = listed(TarReader(BytesRangeReader("a.tar", data)))
    assert damage is None
    assert [entry.path for entry in entries if entry.is_link] == ["e.jpg", "f.jpg"]
    assert len({entry.position for entry in entries[:3]}) == 1
    came = dict(read(TarReader(BytesRangeReader("a.tar", data)), [entry for entry in entries if not entry.is_link]))
    failure = came.pop("d.jpg")
    assert came == {"a.jpg": b"photo", "b.jpg": b"photo", "c.jpg": b"photo", "h.jpg": b"last"}
    assert str(failure) == "The hard link leads to 'nowhere.jpg', which does not stand before it in the tar."


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_cut_anywhere_yields_what_stands_before_the_cut(form: int) -> None:
    """The file that was cut is left out, and the damage is told, down to the zeros that mark the end."""
    data = packed_tar(SMALL, form)
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    for length in range(end + 512):
        came, damage = gone_through(TarReader, data[:length])
        assert came == SMALL[: len(came)], length
        assert damage is not None or length == end + 512, length
        assert length < end or came == SMALL, length


@pytest.mark.parametrize("damage", ["flipped", "zeroed"])
def test_a_damaged_header_is_not_the_end(damage: str) -> None:
    """`tarfile` alone would take it for the end of the archive and drop the rest without a word."""
    files = [(f"{number}.jpg", bytes([number + 1]) * 900) for number in range(7)]
    data = bytearray(packed_tar(files))
    header = data.index(b"4.jpg")
    if damage == "flipped":
        data[header + 3] ^= 1
    else:
        data[header : header + 512] = bytes(512)
    came, told = gone_through(TarReader, bytes(data))
    assert came == files[:4]
    assert isinstance(told, tarfile.ReadError)


def test_no_damaged_byte_of_a_header_gives_another_listing() -> None:
    """Each header has its checksum; only the byte behind the checksum itself means nothing."""
    files = SMALL[2:]
    data = bytearray(packed_tar(files))
    for place in range(1024):
        data[place] ^= 4
        came, damage = gone_through(TarReader, bytes(data))
        data[place] ^= 4
        assert is_truth(came, files), place
        assert damage is not None or place % 512 == 155, place


def test_zeros_at_the_end_are_padding_up_to_a_length() -> None:
    """A copy that was begun with its full size and never filled ends in zeros, far more than padding."""
    data = packed_tar(SMALL)
    assert gone_through(TarReader, data + bytes(100_000)) == (SMALL, None)
    for rest in (bytes(3 << 20), b"\0" * 5_000 + b"x"):
        came, damage = gone_through(TarReader, data + rest)
        assert came == SMALL
        assert str(damage) == "more than padding follows the zeros that mark its end"


@pytest.mark.parametrize("data", [b"", b"garbage" * 1_000, packed_zip([("a.jpg", b"x")])], ids=["empty", "text", "zip"])
def test_what_is_no_tar_is_told(data: bytes) -> None:
    """Nothing is listed."""
    came, damage = gone_through(TarReader, data)
    assert came == []
    assert isinstance(damage, tarfile.ReadError)


def test_an_empty_tar_is_sound() -> None:
    """It holds nothing, and nothing is wrong with it."""
    assert gone_through(TarReader, packed_tar([])) == ([], None)


def test_files_of_a_tar_that_was_replaced_fail() -> None:
    """The header before each must be its own."""
    entries, _ = listed(TarReader(BytesRangeReader("a.tar", packed_tar(SMALL))))
    for other in (packed_tar([("z.jpg", b"another photo")]), b"", packed_tar(SMALL)[:1_200]):
        came = read(TarReader(BytesRangeReader("a.tar", other)), entries)
        assert len(came) == len(SMALL)
        assert any(isinstance(content, DataError) and content.kind == "member_unreadable" for _, content in came)
        assert is_truth(came, SMALL)


def test_a_file_too_large_is_not_read() -> None:
    """The limit is told with the size; its neighbours are read."""
    files = [("a.jpg", bytes(1_001)), ("b.jpg", bytes(1_000))]
    source = Counted(packed_tar(files))
    reader = TarReader(source)
    entries, _ = listed(reader)
    (_, failure), (_, content) = read(reader, entries, Limits(photo_bytes=1_000))
    assert str(failure) == "The file has 1,001 bytes; at most 1,000 are read."
    assert content == bytes(1_000)


def test_an_unprotected_tar_is_read_twice() -> None:
    """It has no checksum of its data: a byte damaged on its way would be scored."""
    data = packed_tar(SMALL)
    for place in range(0, 4_000, 7):
        source = Flipping(data, place, times=1, is_protected=False)
        assert gone_through(TarReader, source) == (SMALL, None), place


def test_a_large_tar_is_listed_without_its_photos() -> None:
    """Of photos of 3 MB only the headers are read, and neighbours come together."""
    source = Counted(packed_tar([(f"IMG_{number:04d}.JPG", bytes(3 << 20)) for number in range(20)]))
    reader = TarReader(source)
    entries, damage = listed(reader)
    assert damage is None
    assert source.read_bytes < 25 * (64 << 10)
    source.requests.clear()
    assert len(read(reader, entries[:4])) == 4
    assert len(source.requests) == 2


def test_a_tar_of_small_photos_is_listed_with_few_requests() -> None:
    """Reading on is faster than asking at each header."""
    source = Counted(packed_tar([(f"IMG_{number:04d}.JPG", bytes(60_000)) for number in range(500)]))
    assert len(listed(TarReader(source))[0]) == 500
    assert source.calls <= 14


def test_a_file_opens_as_a_window() -> None:
    """An archive in a tar is never compressed once more, so nothing is read into memory."""
    inner = packed_zip([("a.jpg", b"photo")])
    reader = TarReader(BytesRangeReader("outer.tar", packed_tar([("x.jpg", b"x"), ("inner.zip", inner)])))
    entries, _ = listed(reader)
    assert gone_through(ZipReader, reader.opened(entries[1], Limits(nested_bytes=1))) == ([("a.jpg", b"photo")], None)
    with pytest.raises(DataError, match="why not"):
        reader.opened(entries[1]._replace(failure=DataError("read", "member_unreadable", "why not")), Limits())


@settings(max_examples=150)
@given(data=st.data())
def test_mutations_end_in_damage_or_in_files(data: st.DataObject) -> None:
    """Whatever is done to a tar: nothing but the errors of damaged archives comes out, and soon."""
    tar = bytearray(packed_tar(SMALL, data.draw(st.sampled_from(FORMS[1:]))))
    for place in data.draw(st.lists(st.integers(0, len(tar) - 1), max_size=4)):
        length = data.draw(st.integers(0, 4))
        tar[place : place + length] = data.draw(st.binary(max_size=8))
    for header in range(0, len(tar) - 511, 512):  # most damage would stop at a checksum: make them right again
        sound = data.draw(st.booleans())
        total = 256 + sum(tar[header : header + 148]) + sum(tar[header + 156 : header + 512])
        if sound and any(tar[header : header + 512]):
            tar[header + 148 : header + 156] = b"%06o\0 " % total
    begun = time.monotonic()
    came, _ = gone_through(TarReader, bytes(tar))
    assert time.monotonic() - begun < 20
    assert all(isinstance(content, DataError | bytes) for _, content in came)
