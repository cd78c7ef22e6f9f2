"""Every kind of archive gives the same photos, nested archives too, and damaged ones lose none silently."""

import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.archives.listing import entry_of, image_id, skipped_of
from pipeline.archives.members import SEEKABLE_SUFFIXES, Limits
from pipeline.archives.readers import SEEKABLE, entry_of_file, list_archive, list_folder, read_loose, read_members
from pipeline.core.errors import DataError
from pipeline.scoring.reading import is_stream_unit, read_unit, split_units
from tests.helpers.packing import FORMS, SUFFIXES, Files, pack, pack_tar, pack_zip, read_archive
from tests.helpers.zip_forms import RawMember, pack_raw_zip

_rng = random.Random(0)
PHOTOS = {f"span {number}/P{number}.JPG": _rng.randbytes(700 + 300 * number) for number in range(7)}
OTHERS = {
    "notes.txt": b"text",
    "README": b"no ending",
    ".hidden.jpg": b"x",
    "span 1/.thumbs/a.jpg": b"x",
    "__MACOSX/span 1/P1.JPG": b"x",
    "span 1/._P1.JPG": b"x",
}
SKIPPED = {".txt": 1, "no ending": 1, "hidden": 3, "system folder": 1}
ALL = {(name, 0): data for name, data in PHOTOS.items()}

Store = Callable[[str, bytes], str]


@pytest.fixture
def stored(tmp_path: Path) -> Store:
    """Return a function that writes a file and returns its URL."""

    def store(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return storage.canonical(str(tmp_path / name))

    return store


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_archive_gives_the_same_photos(suffix: str, stored: Store) -> None:
    """Names and bytes do not depend on the archive format."""
    assert read_archive(stored(f"a{suffix}", pack(suffix, [*OTHERS.items(), *PHOTOS.items()]))) == ALL


@pytest.mark.parametrize("suffix", SEEKABLE_SUFFIXES)
def test_skipped_files_are_counted(suffix: str, stored: Store) -> None:
    """The listing counts them by kind."""
    url = stored(f"a{suffix}", pack(suffix, [*OTHERS.items(), *PHOTOS.items()]))
    assert skipped_of(list_archive(storage.stat(url))) == SKIPPED


def test_a_folder_gives_the_same_photos(tmp_path: Path) -> None:
    """The same rules apply to loose files; archives among them are returned, not read."""
    for name, data in (PHOTOS | OTHERS | {"inner.zip": b"x"}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    url = storage.canonical(str(tmp_path))
    listing, archives = list_folder(url, without="file:///nothing")
    entries = [entry_of(row) for row in listing.table().to_pylist()]
    assert {entry.path: data for entry, data in read_loose(url, entries, Limits())} == PHOTOS
    assert listing.skipped == SKIPPED
    assert [archive.path for archive in archives] == ["inner.zip"]


def test_every_seekable_ending_has_a_reader() -> None:
    """`SEEKABLE` has exactly the endings of `SEEKABLE_SUFFIXES`."""
    assert {*SEEKABLE} == {*SEEKABLE_SUFFIXES}


@pytest.mark.filterwarnings("ignore:Duplicate name")  # of the writer
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_repeated_name_is_several_photos(suffix: str, stored: Store) -> None:
    """Each occurrence has a number and its own bytes."""
    url = stored(f"a{suffix}", pack(suffix, [("a.jpg", b"first"), ("b.jpg", b"other"), ("a.jpg", b"second")]))
    assert read_archive(url) == {("a.jpg", 0): b"first", ("b.jpg", 0): b"other", ("a.jpg", 1): b"second"}


@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("outer", FORMS)
def test_an_archive_in_an_archive_is_read(outer: str, inner: str, stored: Store) -> None:
    """One level down, for every pair of formats; the path of a photo contains both."""
    files = [("a.jpg", b"outer"), (f"d/in{inner}", pack(inner, [("b.jpg", b"inner"), ("x.zip", b"")]))]
    url = stored(f"a{outer}", pack(outer, files))
    assert read_archive(url) == {("a.jpg", 0): b"outer", (f"d/in{inner}!/b.jpg", 0): b"inner"}


@pytest.mark.parametrize("inner", SUFFIXES)
def test_a_stored_archive_in_a_zip_is_read(inner: str, stored: Store) -> None:
    """Byte ranges of it are byte ranges of the zip."""
    url = stored("a.zip", pack_zip([(f"in{inner}", pack(inner, [*PHOTOS.items()]))]))
    assert read_archive(url) == {(f"in{inner}!/{name}", 0): data for name, data in PHOTOS.items()}


def test_ids_of_nested_photos_come_from_the_whole_address(stored: Store) -> None:
    """The address is archive, nested archive and name, with `!/` between."""
    url = stored("a.zip", pack_zip([("in.zip", pack_zip([("b.jpg", b"b")]))]))
    [row] = list_archive(storage.stat(url)).to_pylist()
    assert row["image_id"] == image_id(f"{url}!/in.zip!/b.jpg".encode(), 0)


@pytest.mark.parametrize("outer", [".zip", ".tar", ".tgz"])
def test_an_invalid_nested_archive_is_one_failure(outer: str, stored: Store) -> None:
    """The failed row has its name; its neighbours are read."""
    url = stored(f"a{outer}", pack(outer, [("in.zip", b"garbage" * 99), ("b.jpg", b"b"), ("in.tgz", b"garbage")]))
    assert read_archive(url) == {
        ("in.zip!/", 0): "archive_unreadable",
        ("in.tgz!/", 0): "archive_unreadable",
        ("b.jpg", 0): b"b",
    }


def test_a_nested_archive_whose_header_is_damaged_is_one_failure(stored: Store) -> None:
    """It cannot be opened; its neighbours are read."""
    data = bytearray(pack_zip([("in.zip", pack_zip([("b.jpg", b"b")])), ("c.jpg", b"c")]))
    data[8] ^= 8  # the method; the name may differ from that in the directory
    assert read_archive(stored("a.zip", bytes(data))) == {("in.zip!/", 0): "member_unreadable", ("c.jpg", 0): b"c"}


@pytest.mark.filterwarnings("ignore:Duplicate name")  # of the writer
@pytest.mark.parametrize("between", [[], [("m.jpg", b"m")]], ids=["side by side", "apart"])
@pytest.mark.parametrize("inner", [".zip", ".tar"])
def test_two_nested_archives_of_one_name_are_both_read(inner: str, between: Files, stored: Store) -> None:
    """Their photos are numbered like those of one archive, and each has its own bytes."""
    files = [[("a.jpg", b"one"), ("z.jpg", b"z")], [("a.jpg", b"two")]]
    first, second = [(f"in{inner}", pack_zip(of) if inner == ".zip" else pack_tar(of)) for of in files]
    assert read_archive(stored("a.zip", pack_zip([first, *between, second]))) == {
        (f"in{inner}!/a.jpg", 0): b"one",
        (f"in{inner}!/z.jpg", 0): b"z",
        (f"in{inner}!/a.jpg", 1): b"two",
    } | {(name, 0): data for name, data in between}


@pytest.mark.filterwarnings("ignore:Duplicate name")  # of the writer
@pytest.mark.parametrize("first", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_of_two_nested_archives_of_one_name_a_stream_is_refused(first: int, tmp_path: Path) -> None:
    """Photos of both would have equal ids and one would be lost, so the second archive has a failed row."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for method, data in [(first, b"one"), (zipfile.ZIP_DEFLATED, b"two")]:
            archive.writestr("in.zip", pack_zip([("a.jpg", data)]), method)
    found = read_archive(storage.canonical(str(tmp_path / "a.zip")))
    assert found == {("in.zip!/a.jpg", 0): b"one", ("in.zip", 0): "archive_unreadable"}


@pytest.mark.filterwarnings("ignore:Duplicate name")  # of the writer
def test_two_nested_archives_of_one_name_in_a_stream_are_both_read(stored: Store) -> None:
    """One pass numbers the photos of both archives."""
    files = [("in.zip", pack_zip([("a.jpg", data)])) for data in (b"one", b"two")]
    assert read_archive(stored("a.tgz", pack(".tgz", files))) == {
        ("in.zip!/a.jpg", 0): b"one",
        ("in.zip!/a.jpg", 1): b"two",
    }


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
def test_a_failure_with_a_row_is_not_repeated(suffix: str, stored: Store) -> None:
    """A resume meets the same damage again."""
    nested = [("in.zip", b"garbage"), ("big.zip", pack_zip([("b.jpg", bytes(9_000))])), ("a.jpg", b"a")]
    data = pack(suffix, nested)
    url = stored(f"a{suffix}", data[:-9] if suffix == ".tgz" else data)
    limits = Limits(nested_bytes=1_000)
    ids = [image_id(f"{url}!/{name}".encode(), 0) for name in ("in.zip!/", "big.zip!/", "a.jpg", "")]
    assert read_archive(url, limits, pa.chunked_array([ids[:2]])).keys() <= {("a.jpg", 0), ("", 0)}
    streams = {row["image"] for unit in split_units(list_archive(storage.stat(url)))
               for table in read_unit(unit, limits, pa.chunked_array([ids])) for row in table.to_pylist()
               if row["ended"] is None and is_stream_unit(unit)}  # fmt: skip
    assert streams == set()


def test_archives_in_a_stream_have_the_limit_of_nested_archives(stored: Store) -> None:
    """The limit on photos applies to the photos in them."""
    url = stored("a.tgz", pack(".tgz", [("in.zip", pack_zip([("b.jpg", b"b"), ("c.jpg", bytes(5_000))]))]))
    assert read_archive(url, Limits(photo_bytes=1_000)) == {
        ("in.zip!/b.jpg", 0): b"b",
        ("in.zip!/c.jpg", 0): "too_large",
    }
    assert read_archive(url, Limits(nested_bytes=1_000)) == {("in.zip!/", 0): "too_large"}


def test_a_link_to_an_archive_of_another_name_is_an_archive(tmp_path: Path) -> None:
    """Stores that name content by its hash use such links; a link to a folder is skipped and counted."""
    (tmp_path / "in" / "folder").mkdir(parents=True)
    (tmp_path / "8f14e45f").write_bytes(pack_zip([("a.jpg", b"a")]))
    (tmp_path / "in" / "night.zip").symlink_to(tmp_path / "8f14e45f")
    (tmp_path / "in" / "other.zip").symlink_to(tmp_path / "in" / "folder")
    listing, [archive] = list_folder(storage.canonical(str(tmp_path / "in")), without="file:///nothing")
    assert read_archive(archive.url) == {("a.jpg", 0): b"a"}
    assert listing.skipped == {"link to a folder": 1}


def test_links_in_a_folder_are_scored_or_counted(tmp_path: Path) -> None:
    """A link to a photo is a photo; one to a folder is not followed, and a broken one may have any name."""
    (tmp_path / "in").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "2025").mkdir()
    (tmp_path / "notes.txt").touch()
    targets = {"linked.jpg": "a.jpg", "2025": "2025", "2024": "2024", "notes.txt": "notes.txt", "gone.txt": "gone",
               "gone.jpg": "gone"}  # fmt: skip
    for name, target in targets.items():
        (tmp_path / "in" / name).symlink_to(tmp_path / target)
    url = storage.canonical(str(tmp_path / "in"))
    listing, archives = list_folder(url, without="file:///nothing")
    assert archives == []
    assert listing.skipped == {"link to a folder": 1, "broken link": 2, ".txt": 1}
    entries = [entry_of(row) for row in listing.table().to_pylist()]
    (gone, failure), (linked, data) = read_loose(url, entries, Limits())
    assert (gone.path, linked.path, data) == ("gone.jpg", "linked.jpg", b"a")
    assert str(failure) == f"{url}/gone.jpg could not be read: it was not found."


def test_links_that_lead_back_stop_no_run(tmp_path: Path) -> None:
    """One that is called a photo is a failed row; the photos beside it are listed."""
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "wrong.jpg").symlink_to(tmp_path / "a.jpg" / "b.jpg")
    url = storage.canonical(str(tmp_path))
    listing, _ = list_folder(url, without="file:///nothing")
    assert listing.skipped == {"link to a folder": 1}
    (_, data), (_, loop), (_, wrong) = read_loose(url, [entry_of(row) for row in listing.table().to_pylist()], Limits())
    assert data == b"a"
    assert str(loop) == f"{url}/loop.jpg could not be read: it is a link that leads back to itself."
    assert str(wrong) == f"{url}/wrong.jpg could not be read: a part of its path is a file."


def test_a_nested_archive_too_large_to_decompress_is_one_failure(stored: Store) -> None:
    """It would fill the memory; an uncompressed one of the same size is read."""
    inner = pack_zip([("b.jpg", bytes(5000))])
    limits = Limits(nested_bytes=1000)
    deflated = stored("a.zip", pack_zip([("in.zip", inner)], zipfile.ZIP_DEFLATED))
    assert read_archive(deflated, limits) == {("in.zip!/", 0): "too_large"}
    plain = stored("b.zip", pack_zip([("in.zip", inner)]))
    assert read_archive(plain, limits) == {("in.zip!/b.jpg", 0): bytes(5000)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_archive_is_sound(suffix: str, stored: Store) -> None:
    """It has no photos and no failure."""
    assert read_archive(stored(f"a{suffix}", pack(suffix, []))) == {}


@pytest.mark.parametrize("data", [b"", b"garbage" * 1_000], ids=["empty", "garbage"])
@pytest.mark.parametrize("suffix", FORMS)
def test_an_invalid_archive_is_one_failure(suffix: str, data: bytes, stored: Store) -> None:
    """The failed row is for the archive, without an image."""
    assert read_archive(stored(f"a{suffix}", data)) == {("", 0): "archive_unreadable"}


@pytest.mark.parametrize("seventh", range(1, 7))
@pytest.mark.parametrize("suffix", FORMS)
def test_a_cut_archive_yields_its_sound_photos_and_one_failure(suffix: str, seventh: int, stored: Store) -> None:
    """The photos before the cut are right and in order; one failed row is for the rest, if more than padding."""
    data = pack(suffix, [*PHOTOS.items()])
    found = read_archive(stored(f"a{suffix}", data[: len(data) * seventh // 7]))
    failure = found.pop(("", 0), None)
    assert failure in {"archive_truncated", "archive_unreadable"} or (failure is None and found == ALL)
    assert [*found.items()] == [*ALL.items()][: len(found)]


@pytest.mark.parametrize("suffix", ["", *FORMS])
def test_a_photo_too_large_is_not_read(suffix: str, tmp_path: Path, stored: Store) -> None:
    """The message has the limit; smaller neighbours are read."""
    files = [("a.jpg", _rng.randbytes(1_001)), ("b.jpg", _rng.randbytes(1_000))]
    limits = Limits(photo_bytes=1_000)
    if suffix:
        assert read_archive(stored(f"a{suffix}", pack(suffix, files)), limits) == {
            ("a.jpg", 0): "too_large",
            ("b.jpg", 0): files[1][1],
        }
        return
    entries = [entry_of_file(storage.stat(stored(name, data))) for name, data in files]
    [(_, refused), (_, data)] = read_loose(storage.canonical(str(tmp_path)), entries, limits)
    assert (str(refused), data) == ("The file has 1,001 bytes; at most 1,000 are read.", files[1][1])


@pytest.mark.parametrize("suffix", [".tgz", ".tar.zst"])
def test_a_stream_leaves_finished_photos_out(suffix: str, stored: Store) -> None:
    """A resume reads the stream again, and skips the photos that have a row."""
    url = stored(f"a{suffix}", pack(suffix, [*PHOTOS.items()]))
    done = [image_id(f"{url}!/{name}".encode(), 0) for name in [*PHOTOS][:5]]
    assert [*read_archive(url, done=pa.chunked_array([done]))] == [*ALL][5:]


@pytest.mark.parametrize("suffix", SEEKABLE_SUFFIXES)
@settings(max_examples=25, deadline=None)
@given(wanted=st.sets(st.integers(0, 6)), keep=st.floats(0, 1))
def test_each_requested_photo_is_yielded_exactly_once(
    suffix: str, wanted: set[int], keep: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As its bytes or as a failure, even if the archive was cut after it was listed."""
    place = tmp_path_factory.getbasetemp() / f"once{suffix}"
    url = storage.canonical(str(place))
    data = pack(suffix, [*PHOTOS.items()])
    place.write_bytes(data)
    rows = list_archive(storage.stat(url)).to_pylist()
    requested = [entry_of(row) for number, row in enumerate(rows) if number in wanted]
    place.write_bytes(data[: int(len(data) * keep)])
    found = [*read_members(url, None, requested, Limits())]
    assert sorted(entry.path for entry, _ in found) == [entry.path for entry in requested]
    assert all(isinstance(got, DataError) or got == PHOTOS[entry.path] for entry, got in found)


MUTABLE = [
    ("a.jpg", b"photo"),
    ("in.zip", pack_raw_zip([RawMember(b"Br\x81cke\\b.jpg", b"b" * 90, is_deflated=True), RawMember(b"c.jpg", b"c")])),
    ("in.tar", pack_tar([("d" * 200 + ".jpg", b"d")], tarfile.PAX_FORMAT)),
    ("in.tgz", pack(".tgz", [("e.jpg", b"e")])),
    ("in.zip.001", b"part"),
    ("in.7z", b"7z"),
]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), form=st.sampled_from(FORMS), called=st.sampled_from(FORMS))
def test_a_mutated_archive_gives_photos_or_failures(
    data: st.DataObject, form: str, called: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the mutation and the name: each photo comes once, and nothing else is raised."""
    mutated = bytearray(pack(form, MUTABLE))
    for at in data.draw(st.lists(st.integers(0, len(mutated) - 1), max_size=4)):
        mutated[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=8))
    place = tmp_path_factory.getbasetemp() / f"mutated{called}"
    place.write_bytes(mutated[: data.draw(st.one_of(st.none(), st.integers(0, len(mutated))))])
    found = read_archive(storage.canonical(str(place)))
    assert all(isinstance(content, bytes | str) for content in found.values())


def test_a_loose_photo_may_be_large(tmp_path: Path) -> None:
    """It is not compressed, so no bomb, whatever its size."""
    with (tmp_path / "a.tif").open("wb") as file:
        file.truncate(70 << 20)
    photo = entry_of_file(storage.stat(storage.canonical(str(tmp_path / "a.tif"))))
    [(_, data)] = read_loose(storage.canonical(str(tmp_path)), [photo], Limits())
    assert isinstance(data, bytes)
    assert len(data) == 70 << 20


def test_a_deleted_or_changed_loose_photo_fails_alone(tmp_path: Path, stored: Store) -> None:
    """Its neighbours are read."""
    urls = [stored(name, name.encode()) for name in ("a.jpg", "b.jpg", "c.jpg")]
    entries = [entry_of_file(storage.stat(url)) for url in urls]
    (tmp_path / "a.jpg").unlink()
    stored("c.jpg", b"another photo")
    folder = storage.canonical(str(tmp_path))
    (_, gone), (_, here), (_, changed) = read_loose(folder, entries, Limits())
    assert isinstance(gone, DataError)
    assert (gone.kind, gone.message) == ("vanished", "a.jpg has vanished since it was listed.")
    assert here == b"b.jpg"
    assert isinstance(changed, DataError)
    assert changed.kind == "archive_changed"


def test_links_and_hard_links_in_a_tar(stored: Store) -> None:
    """A hard link repeats its photo; a symbolic link is skipped."""
    import io

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, target in [("l.jpg", tarfile.SYMTYPE, "a.jpg"), ("h.jpg", tarfile.LNKTYPE, "a.jpg")]:
            if kind == tarfile.LNKTYPE:
                info = tarfile.TarInfo("a.jpg")
                info.size = 3
                archive.addfile(info, io.BytesIO(b"aaa"))
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    for suffix in (".tar", ".tgz"):
        data = buffer.getvalue() if suffix == ".tar" else bytes(pa.compress(buffer.getvalue(), "gzip", asbytes=True))
        assert read_archive(stored(f"a{suffix}", data)) == {("a.jpg", 0): b"aaa", ("h.jpg", 0): b"aaa"}
    assert pack_tar([]) != buffer.getvalue()
