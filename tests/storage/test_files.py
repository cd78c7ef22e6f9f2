"""One set of verbs works for every store: names, listings, whole writes, and failures in words."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.core import usage
from pipeline.core.errors import StorageError, UsageError


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of an empty folder, on disk and in an object store."""
    if request.param == "disk":
        yield storage.canonical(str(tmp_path))
    else:
        yield storage.canonical(f"memory://{uuid4().hex}")
        MemoryFileSystem.store.clear()


def test_a_place_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, absolute, dotted, linked, with a final slash or a protocol: every spelling has the same URL."""
    (tmp_path / "bridge 1").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "bridge 1")
    monkeypatch.chdir(tmp_path)
    place = f"{tmp_path}/bridge 1"

    spelled = [
        "bridge 1",
        "bridge 1/",
        "./bridge 1",
        "link/../bridge 1",
        "link",
        place,
        f"{place}//",
        f"file://{place}",
    ]

    assert {storage.canonical(text) for text in spelled} == {f"file://{place}"}


def test_home_is_expanded() -> None:
    """No shell expands a `~` in a list file, or inside a word."""
    assert storage.canonical("~/photos") == f"file://{os.path.realpath(Path.home())}/photos"


def test_names_keep_percent_signs_and_other_marks(tmp_path: Path) -> None:
    """A URL here is no web address, so nothing in it is decoded."""
    place = tmp_path / "50%20 #1 ü?.jpg"
    place.write_bytes(b"x")

    url = storage.canonical(str(place))

    assert url == f"file://{place}"
    assert storage.read_bytes(url) == b"x"


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="/\0~", exclude_categories=["Cs"]), min_size=1))
def test_canonical_is_idempotent(text: str) -> None:
    """The URL of a canonical URL is itself."""
    url = storage.canonical(f"/{text}/photos")

    assert storage.canonical(url) == url


@pytest.mark.parametrize("name", ["a::b.jpg", "::", "a::", "zip::x", "a/::b"])
def test_two_colons_in_a_name_are_no_chain(name: str, folder: str) -> None:
    """They belong to the name, although fsspec reads them as a filesystem inside another."""
    storage.write_whole(f"{folder}/{name}", b"x")

    assert [file.url for file in storage.list_files(folder)] == [f"{folder}/{name}"]
    assert storage.read_bytes(storage.canonical(f"{folder}/{name}")) == b"x"
    assert storage.stat(f"{folder}/{name}").path == storage.name(name)


def test_remote_names(folder: str) -> None:
    """Remote URLs lose their final slash, too."""
    assert storage.canonical(f"{folder}/") == storage.canonical(folder)


def test_urls_are_split_and_joined() -> None:
    """`parent` and `name` undo `join`."""
    url = storage.join("s3://bucket/a/", "b", "c.jpg")

    assert url == "s3://bucket/a/b/c.jpg"
    assert (storage.parent(url), storage.name(url)) == ("s3://bucket/a/b", "c.jpg")


def test_only_local_places_have_a_path(tmp_path: Path) -> None:
    """The error says that a local folder is needed."""
    assert storage.local_path(f"file://{tmp_path}/a") == tmp_path / "a"

    with pytest.raises(UsageError) as caught:
        storage.local_path("memory://a")
    assert str(caught.value) == (
        "memory://a is not on local disk, and this needs a local folder. Give a path on this machine."
    )


def test_an_unknown_protocol_is_wrong_usage() -> None:
    """A typing error in the protocol gives one clear sentence."""
    with pytest.raises(UsageError, match=r"^s4://bucket is no place that can be read: Protocol not known: s4"):
        storage.canonical("s4://bucket")


def test_write_read_list_remove(folder: str) -> None:
    """The basic verbs work in every store."""
    storage.write_whole(f"{folder}/b/2.jpg", b"two")
    storage.write_whole(f"{folder}/a.jpg", b"one")
    storage.write_whole(f"{folder}/b.jpg", b"three")

    assert [(file.path, file.size_bytes) for file in storage.list_files(folder)] == [
        ("a.jpg", 3),
        ("b.jpg", 5),
        ("b/2.jpg", 3),
    ]
    assert all(storage.join(folder, file.path) == file.url for file in storage.list_files(folder))
    assert storage.read_bytes(f"{folder}/b/2.jpg") == b"two"
    assert storage.exists(f"{folder}/a.jpg")
    assert storage.is_folder(f"{folder}/b")
    assert not storage.is_folder(f"{folder}/a.jpg")
    storage.remove(f"{folder}/a.jpg")
    storage.remove(f"{folder}/a.jpg")
    assert not storage.exists(f"{folder}/a.jpg")


def test_open_files_can_be_read_and_sought(folder: str) -> None:
    """Archive readers seek from the start, from the end, and back."""
    storage.write_whole(f"{folder}/a", bytes(range(256)) * 1_000)

    with storage.open_file(f"{folder}/a") as file:
        assert file.seek(0, os.SEEK_END) == 256_000
        file.seek(255_999)
        assert file.read() == b"\xff"
        file.seek(3)
        assert file.read(2) == b"\3\4"
        assert file.tell() == 5


def test_ranges_come_in_order_and_end_where_the_file_does(folder: str) -> None:
    """Ranges may be unordered, empty, or reach past the end."""
    storage.write_whole(f"{folder}/a", b"0123456789")

    assert storage.read_ranges(f"{folder}/a", [(8, 99), (0, 3), (4, 4), (20, 30)]) == [b"89", b"012", b"", b""]
    assert storage.read_ranges(f"{folder}/a", []) == []


def test_many_files_come_in_order(folder: str) -> None:
    """There may be more than are read in parallel; a missing one raises its error in its turn."""
    urls = [f"{folder}/{number}" for number in range(40)]
    for number, url in enumerate(urls):
        storage.write_whole(url, b"%d" % number)

    assert list(storage.read_many(urls)) == [b"%d" % number for number in range(40)]
    found = storage.read_many([urls[0], f"{folder}/none"])
    assert next(found) == b"0"
    with pytest.raises(StorageError, match="none could not be read: it was not found"):
        next(found)


def test_reading_many_files_holds_little(folder: str) -> None:
    """It begins no further file while those that wait exceed the limit together."""
    urls = [f"{folder}/{number}" for number in range(64)]
    for url in urls:
        storage.write_whole(url, bytes(2_000))

    before = usage.traffic_now().read_bytes

    found = storage.read_many(urls, held_bytes=1_000)

    assert len(next(found)) == 2_000
    threading.Event().wait(0.3)  # reads that have begun finish meanwhile
    assert usage.traffic_now().read_bytes - before <= (storage.FILES_AT_ONCE + 1) * 2_000
    assert len(list(found)) == 63


def test_a_local_file_is_stored(folder: str, tmp_path: Path) -> None:
    """`upload` stores all its bytes, replaces an older file, and leaves no other."""
    source = tmp_path / "source.bin"
    source.write_bytes(bytes(range(256)) * 10_000)
    storage.write_whole(f"{folder}/stored/a", b"old")

    storage.upload(source, f"{folder}/stored/a")

    assert storage.read_bytes(f"{folder}/stored/a") == source.read_bytes()
    assert [file.path for file in storage.list_files(f"{folder}/stored")] == ["a"]


def test_text_is_written_line_by_line(folder: str) -> None:
    """Names that are not UTF-8 are escaped."""
    with storage.open_text(f"{folder}/logs/run.jsonl") as file:
        file.write("straße \udcff\n")

    assert storage.read_bytes(f"{folder}/logs/run.jsonl") == "straße \\udcff\n".encode()


def test_a_glob_finds_sorted_names(folder: str) -> None:
    """It returns the canonical URL of every match."""
    for name in ("b.jpg", "a.jpg", "c.txt", "d/e.jpg"):
        storage.write_whole(f"{folder}/{name}", b"")

    assert storage.glob(f"{folder}/*.jpg") == [storage.canonical(f"{folder}/{name}") for name in ("a.jpg", "b.jpg")]
    assert storage.glob(f"{folder}/**/*.jpg")[-1] == storage.canonical(f"{folder}/d/e.jpg")


def test_the_version_changes_with_the_content(tmp_path: Path) -> None:
    """`stat` and listings give the same version, also through a link, until the file changes."""
    place, link = tmp_path / "a.zip", tmp_path / "folder" / "link.zip"
    place.write_bytes(b"old")
    link.parent.mkdir()
    link.symlink_to(place)
    before = storage.stat(f"file://{place}")

    assert before.path == "a.zip"
    assert {before.version} == {file.version for file in storage.list_files(f"file://{tmp_path}")}
    os.utime(place, (1, 1))
    assert storage.stat(f"file://{place}").version != before.version


def test_create_has_one_winner(folder: str) -> None:
    """The second writer finds other content and gets False; a writer that finds its own content has won."""
    assert storage.create(f"{folder}/part", b"mine")
    assert not storage.create(f"{folder}/part", b"yours")
    assert storage.create(f"{folder}/part", b"mine")
    assert storage.read_bytes(f"{folder}/part") == b"mine"


def test_create_has_one_winner_of_many(tmp_path: Path) -> None:
    """Of sixteen concurrent writers one gets True, and the file has its content, whole."""
    for round_ in range(10):
        url = f"file://{tmp_path}/part-{round_}"
        start, won = threading.Barrier(16), list[bytes]()

        def compete(number: int, url: str = url, start: threading.Barrier = start, won: list[bytes] = won) -> None:
            data = b"%d" % number * 10_000
            start.wait()
            if storage.create(url, data):
                won.append(data)

        threads = [threading.Thread(target=compete, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert won == [storage.read_bytes(url)]
    assert len(storage.list_files(f"file://{tmp_path}")) == 10


def test_failures_name_the_place(tmp_path: Path) -> None:
    """Each verb has a message of its own."""
    url = f"file://{tmp_path}"
    (tmp_path / "file").write_bytes(b"x")

    for attempt, sentence in [
        (lambda: storage.read_bytes(f"{url}/no"), f"{url}/no could not be read: it was not found."),
        (lambda: storage.stat(f"{url}/no"), f"{url}/no could not be looked up: it was not found."),
        (lambda: storage.open_file(f"{url}/no"), f"{url}/no could not be opened: it was not found."),
        (lambda: storage.list_files(f"{url}/no"), f"{url}/no could not be listed: it was not found."),
        (lambda: storage.read_bytes(url), f"{url} could not be read: it is a folder."),
        (
            lambda: storage.write_whole(f"{url}/file/a", b""),
            f"{url}/file/a could not be written: a part of its path is a file.",
        ),
        (
            lambda: storage.create(f"{url}/file/a", b""),
            f"{url}/file/a could not be created: a part of its path is a file.",
        ),
    ]:
        with pytest.raises(StorageError) as caught:
            attempt()  # type: ignore[no-untyped-call]
        assert str(caught.value) == sentence


def test_a_large_folder_is_listed_quickly(tmp_path: Path) -> None:
    """A listing of 5,000 photos in 50 folders is sorted and complete."""
    for number in range(5_000):
        folder = tmp_path / f"{number % 50:02d}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:04d}.jpg").touch()

    paths = [file.path for file in storage.list_files(f"file://{tmp_path}")]

    assert len(paths) == 5_000
    assert paths == sorted(paths)
