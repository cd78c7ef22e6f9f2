"""The name of a zip member means what the tool that wrote it meant."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archives.members import Limits
from pipeline.archives.zip_names import UTF8_FLAG, decode_name
from pipeline.archives.zip_reader import ZipReader
from pipeline.archives.zip_salvage import salvage
from pipeline.storage.byte_ranges import BytesRangeReader
from tests.helpers.fake_sources import list_and_read, read_entries
from tests.helpers.zip_forms import FAT, UNIX, RawMember, append_to_zip, pack_raw_zip, pack_unicode_path

FIELD = Path(__file__).parents[2].parent / "shared/field/archives"
NTFS, INFO_ZIP_NTFS, VFAT = 10, 11, 14


@pytest.mark.parametrize(
    ("name", "flags", "host", "path"),
    [
        (b"Br\x81cke/Pfeiler \x84.jpg", 0, FAT, "Brücke/Pfeiler ä.jpg"),
        (b"Br\x81cke.jpg", 0, UNIX, "Brücke.jpg"),
        ("Brücke.jpg".encode(), UTF8_FLAG, FAT, "Brücke.jpg"),
        ("Brücke.jpg".encode(), 0, UNIX, "Brücke.jpg"),
        ("Bru\u0308cke.jpg".encode(), 0, UNIX, "Bru\u0308cke.jpg"),
        (b"Br\x81cke.jpg", UTF8_FLAG, FAT, "Br\udc81cke.jpg"),
    ],
    ids=["DOS", "DOS on Unix", "UTF-8", "UTF-8 without its flag", "macOS", "wrong flag"],
)
def test_names_are_utf8_or_code_page_437(name: bytes, flags: int, host: int, path: str) -> None:
    """UTF-8 wins where the bytes are valid; a wrong flag keeps them as lone surrogates."""
    assert decode_name(name, b"", flags, host) == path


@pytest.mark.parametrize("host", [FAT, NTFS, INFO_ZIP_NTFS, VFAT, None])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"bridge\\.thumbs\\a.jpg", "bridge/.thumbs/a.jpg"),
        (b"__MACOSX\\a.jpg", "__MACOSX/a.jpg"),
        (b"empty\\", "empty/"),
        ("Brücke\\ä.jpg".encode(), "Brücke/ä.jpg"),
        (b"Br\x81cke\\\x84.jpg", "Brücke/ä.jpg"),
        (b"S\x81d-\x84\\a.jpg", "Süd-ä/a.jpg"),
        (b"S\x81d-\x84\\.thumbs\\a.jpg", "Süd-ä\\.thumbs/a.jpg"),  # it may be half of a Chinese letter
        ("構.2024-05.jpg".encode("shift-jis"), "構.2024-05.jpg".encode("shift-jis").decode("cp437")),
        (b"folder/a\\b.jpg", "folder/a\\b.jpg"),
    ],
)
def test_a_backslash_of_windows_separates_folders(name: bytes, path: str, host: int | None) -> None:
    """Unless the name has a slash; the host is unknown where the directory is lost."""
    assert decode_name(name, b"", 0, host) == path


def test_a_backslash_of_unix_is_a_letter() -> None:
    """File names may contain it there."""
    assert decode_name(b"a\\b.jpg", b"", 0, UNIX) == "a\\b.jpg"


def test_half_of_a_japanese_letter_hides_no_photo() -> None:
    """In Shift-JIS, the second byte of a letter may be a backslash; `.jpg` alone would be a hidden file."""
    assert decode_name("橋脚表.jpg".encode("shift-jis"), b"", 0, FAT).endswith("\\.jpg")


def test_the_unicode_name_wins_if_its_checksum_fits() -> None:
    """Info-ZIP's field has the checksum of the name that it replaces."""
    right = pack_unicode_path(b"f?r\\a.jpg", "für\\a.jpg")
    assert decode_name(b"f?r\\a.jpg", b"\x55\x54\0\0" + right, 0, FAT) == "für/a.jpg"
    assert decode_name(b"x?r\\a.jpg", right, 0, FAT) == "x?r/a.jpg"


@given(name=st.binary(max_size=30), flags=st.sampled_from([0, UTF8_FLAG]), host=st.sampled_from([None, 0, 3, 10]))
def test_every_name_has_a_path(name: bytes, flags: int, host: int | None) -> None:
    """Whatever its bytes, the plan can keep it; ASCII without a backslash stays as it is."""
    path = decode_name(name, b"", flags, host)
    path.encode("utf-8", "surrogateescape")
    if name.isascii() and b"\\" not in name:
        assert path == name.decode()


LETTERS = st.text(st.sampled_from("abc.ÄäÖöÜüß é"), min_size=1, max_size=8)
PARTS = st.lists(LETTERS.filter(lambda part: not part.startswith(".")), min_size=1, max_size=3)
"""Parts of a path; behind a letter of many code pages, a backslash and a dot may be the end of another letter."""


@st.composite
def members(draw: st.DrawFn) -> tuple[str, RawMember]:
    """Draw a member as some tool writes it, and the path that it means."""
    parts = draw(PARTS)
    path = "/".join(parts)
    spelled = draw(st.sampled_from(["/", "\\"])).join(parts)
    code = draw(st.sampled_from(["utf-8", "cp437"]))
    other = draw(st.sampled_from(["utf-8", "cp437"]))
    name, is_flagged = spelled.encode(code), code == "utf-8" and draw(st.booleans())
    if code == "cp437" and not name.isascii():
        try:
            name.decode()
            name = spelled.encode()  # by chance it is UTF-8, which wins
        except UnicodeDecodeError:
            pass
    local_name = draw(st.sampled_from([None, path.encode(other), spelled.encode(other), b"x" * 70]))
    local_extra = draw(st.sampled_from([b"", b"\x55\x54\4\0time", b"\x35\xd9\x90\1" + bytes(400)]))
    extra = pack_unicode_path(name, spelled) if draw(st.booleans()) else b""
    flags = UTF8_FLAG if is_flagged else 0
    content = draw(st.binary(max_size=300))
    return path, RawMember(name, content, local_name, flags, FAT, extra, local_extra, draw(st.booleans()))


@given(found=st.lists(members(), max_size=6))
def test_each_member_is_read_once_whatever_tools_wrote_it(found: list[tuple[str, RawMember]]) -> None:
    """Encodings, flags, separators and extra fields may differ between members, and between their two headers."""
    truth = [(path, member.content) for path, member in found]
    assert list_and_read(ZipReader, pack_raw_zip([member for _, member in found])) == (truth, None)


@given(found=st.lists(members(), max_size=6))
def test_appending_loses_no_member(found: list[tuple[str, RawMember]]) -> None:
    """Python rewrites the names in the directory, and not those in the local headers."""
    data = append_to_zip(pack_raw_zip([member for _, member in found]), "added.jpg", b"added")
    read, damage = list_and_read(ZipReader, data)
    assert [content for _, content in read] == [*(member.content for _, member in found), b"added"]
    assert damage is None


@given(found=st.lists(members(), max_size=6))
def test_a_plan_finds_its_photos_whatever_their_names_were_when_it_was_made(
    found: list[tuple[str, RawMember]],
) -> None:
    """Older versions kept other bytes for some names; the position finds the member."""
    reader = ZipReader(BytesRangeReader("a.zip", pack_raw_zip([member for _, member in found])))
    planned = [entry._replace(path="Br\udc81cke\\older.jpg") for entry in reader.entries()]
    assert [content for _, content in read_entries(reader, planned)] == [member.content for _, member in found]


def test_a_lost_directory_changes_no_name() -> None:
    """The local headers have the same names."""
    names = [b"Br\x81cke\\a.jpg", b"bridge\\", "Süd\\ä.jpg".encode()]
    data = pack_raw_zip([RawMember(name, b"photo") for name in names])
    found = [entry.path for entry in salvage(BytesRangeReader("a.zip", data[: data.index(b"PK\1\2")]))]
    assert found == ["Brücke/a.jpg", "Süd/ä.jpg"]


def test_a_zip_within_a_renamed_member_opens() -> None:
    """The window of a stored zip begins behind the name in its local header."""
    inner = pack_raw_zip([RawMember(b"a.jpg", b"photo")])
    data = pack_raw_zip([RawMember("Brücke.zip".encode(), inner, b"Br\x81cke.zip", local_extra=b"\x55\x54\4\0time")])
    reader = ZipReader(BytesRangeReader("outer.zip", data))
    [entry] = reader.entries()
    assert list_and_read(ZipReader, reader.open_member(entry, Limits())) == ([("a.jpg", b"photo")], None)


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("z01-backslashes-of-dotnet.zip",
         ["bridge/IMG_1.JPG", "__MACOSX/bridge/._IMG_1.JPG", "bridge/.thumbs/IMG_1.JPG"]),
        ("z02-local-slash-central-backslash.zip", ["bridge/IMG_1.JPG", "b/ok.JPG"]),
        ("z04-cp437.zip", ["Brücke/Pfeiler ä.jpg"]),
        ("z11-cp437-then-appended-by-python.zip", ["Pfeiler-Süd-äö.jpg", "Brücke.jpg", "added.jpg"]),
    ],
)  # fmt: skip
def test_zips_from_the_field_are_read(name: str, paths: list[str]) -> None:
    """All members have their bytes."""
    if not FIELD.exists():
        pytest.skip(f"there is no {FIELD} here")
    found, damage = list_and_read(ZipReader, (FIELD / name).read_bytes())
    assert damage is None
    assert [path for path, _ in found] == paths
    assert all(isinstance(content, bytes) for _, content in found)
