"""Every verb of `storage` on a real S3 server; faults on the way are survived or reported, never accepted."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest

from pipeline import storage
from pipeline.core.errors import StorageError, UsageError
from pipeline.storage.retry import limit_retries
from tests.conftest import S3Place
from tests.helpers.fault_proxy import Fault, Rule
from tests.helpers.s3_server import BUCKET

pytestmark = pytest.mark.ray

LONG = random.Random(5).randbytes(20_000_000)
"""Uploaded in three parts, and streamed in several requests."""

SHORT = random.Random(6).randbytes(60_000)
"""As large as a tile of a photo."""


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    """Give up after seconds instead of minutes."""
    with limit_retries(12.0, first_wait_s=0.02, answer_s=3.0):
        yield


def _upload(data: bytes, url: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(data)
    storage.upload(tmp_path / "data", url)


def test_write_read_list_remove(s3: S3Place) -> None:
    """The verbs do on S3 what they do on local disk, with any names."""
    names = ["a.jpg", "b-c.jpg", "b.jpg", "b/50%20 #1 ü?+&.jpg", "b/2.jpg"]
    for name in names:
        storage.write_whole(f"{s3.url}/{name}", name.encode())
    files = storage.list_files(s3.url)

    assert [file.path for file in files] == sorted(names)
    assert [storage.read_bytes(file.url) for file in files] == [file.path.encode() for file in files]
    assert [storage.stat(file.url).version for file in files] == [file.version for file in files]
    assert all(file.size_bytes == len(file.path.encode()) for file in files)
    assert [file.path for file in storage.list_files(f"{s3.url}/b")] == ["2.jpg", "50%20 #1 ü?+&.jpg"]
    assert storage.is_folder(s3.url)
    assert storage.is_folder(f"{s3.url}/b")
    assert not storage.is_folder(f"{s3.url}/a.jpg")
    assert storage.glob(f"{s3.url}/b*.jpg") == [f"{s3.url}/b-c.jpg", f"{s3.url}/b.jpg"]
    storage.remove(f"{s3.url}/a.jpg")
    storage.remove(f"{s3.url}/a.jpg")
    assert not storage.exists(f"{s3.url}/a.jpg")
    assert storage.exists(f"{s3.url}/b.jpg")
    assert storage.exists("s3://photos")
    assert not storage.exists(f"{s3.url}/none")
    assert storage.list_files(f"{s3.url}/none") == []
    assert storage.remove_leftovers(s3.url) == []


def test_quick_readings_are_signed_for_any_key(s3: S3Place) -> None:
    """Their URL reads one object by plain HTTP; it stands in no message, because whoever has it may read."""
    for name in ["a.jpg", "b-c~d.jpg", "b/50%20 #1 ü?+&=.jpg", "b//2.jpg"]:
        storage.write_whole(f"{s3.url}/{name}", name.encode())
        quick = storage.open_quick_reads(f"{s3.url}/{name}")
        assert quick.read([(0, 1), (1, 4)]) == [name.encode()[:1], name.encode()[1:4]], name
    assert storage.open_quick_reads(f"{s3.url}/none").read([(0, 1)]) == [None]


def test_no_answer_comes_from_a_cache(s3: S3Place) -> None:
    """Changes by another process are visible at once."""
    assert not storage.exists(f"{s3.url}/a")
    assert storage.list_files(s3.url) == []
    client = storage.filesystem_of(s3.url)
    bucket, key = f"{s3.url}/a".removeprefix("s3://").split("/", 1)

    client.call_s3("put_object", Bucket=bucket, Key=key, Body=b"1")
    assert storage.exists(f"{s3.url}/a")
    first = storage.stat(f"{s3.url}/a")
    client.call_s3("put_object", Bucket=bucket, Key=key, Body=b"22")
    assert [file.size_bytes for file in storage.list_files(s3.url)] == [2]
    assert storage.stat(f"{s3.url}/a").version != first.version
    client.call_s3("delete_object", Bucket=bucket, Key=key)
    assert not storage.exists(f"{s3.url}/a")
    assert storage.list_files(s3.url) == []


def test_a_folder_marker_is_no_file(s3: S3Place) -> None:
    """Consoles create an object whose key ends in a slash for an empty folder."""
    bucket, key = s3.url.removeprefix("s3://").split("/", 1)
    for marker in (f"{key}/", f"{key}/empty/"):
        storage.filesystem_of(s3.url).call_s3("put_object", Bucket=bucket, Key=marker, Body=b"")
    storage.write_whole(f"{s3.url}/a.jpg", b"1")

    assert [file.path for file in storage.list_files(s3.url)] == ["a.jpg"]


def test_more_than_a_page_is_listed(s3: S3Place) -> None:
    """S3 lists a thousand names per request."""
    names = [f"{number:04d}" for number in range(1_100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: storage.write_whole(f"{s3.url}/{name}", b""), names))

    assert [file.path for file in storage.list_files(s3.url)] == names


def test_ranges_come_in_order_and_end_where_the_file_does(s3: S3Place, tmp_path: Path) -> None:
    """Ranges may be empty, long, reach past the end, or begin past it."""
    _upload(LONG, f"{s3.url}/long", tmp_path)
    storage.write_whole(f"{s3.url}/empty", b"")
    ranges = [(19_999_990, 30_000_000), (0, 10), (7, 7), (30_000_000, 30_000_001), (1_000, 19_000_000)]

    assert storage.read_ranges(f"{s3.url}/long", ranges) == [LONG[start:end] for start, end in ranges]
    assert storage.read_ranges(f"{s3.url}/long", []) == []
    assert storage.read_ranges(f"{s3.url}/empty", [(0, 5)]) == [b""]


def test_a_file_can_be_sought_and_streamed(s3: S3Place, tmp_path: Path) -> None:
    """Archive readers read from the end, at positions, and front to back."""
    _upload(LONG, f"{s3.url}/long", tmp_path)

    with storage.open_file(f"{s3.url}/long") as file:
        assert file.seek(0, os.SEEK_END) == len(LONG)
        assert file.read() == b""
        file.seek(-22, os.SEEK_END)
        assert file.read(22) == LONG[-22:]
        file.seek(3)
        assert file.read(2) == LONG[3:5]
        file.seek(0)
        assert file.read() == LONG


def test_many_files_come_in_order(s3: S3Place) -> None:
    """There may be more than are read in parallel."""
    for number in range(40):
        storage.write_whole(f"{s3.url}/{number}", b"%d" % number * 1_000)

    urls = [f"{s3.url}/{number}" for number in range(40)]
    assert list(storage.read_many(urls)) == [b"%d" % number * 1_000 for number in range(40)]


def test_a_replaced_file_is_not_mixed(s3: S3Place, tmp_path: Path) -> None:
    """Reading a file that another one replaces meanwhile is an error."""
    _upload(LONG, f"{s3.url}/long", tmp_path)

    with storage.open_file(f"{s3.url}/long") as file:
        assert file.read(10) == LONG[:10]
        _upload(LONG[::-1], f"{s3.url}/long", tmp_path)
        with pytest.raises(StorageError) as caught:
            file.read()

    assert str(caught.value) == f"{s3.url}/long could not be read: it was replaced while it was read."


def test_a_text_file_appears_when_it_is_closed(s3: S3Place) -> None:
    """Object stores cannot append."""
    with storage.open_text(f"{s3.url}/log") as file:
        file.write("straße\n")
        assert not storage.exists(f"{s3.url}/log")

    assert storage.read_bytes(f"{s3.url}/log") == "straße\n".encode()


def test_create_has_one_winner_of_many(s3: S3Place) -> None:
    """Of eight concurrent writers one gets True, and the file has its content, whole."""
    url, start, won = f"{s3.url}/part", threading.Barrier(8), list[bytes]()

    def compete(number: int) -> None:
        data = b"%d" % number * 10_000
        start.wait()
        if storage.create(url, data):
            won.append(data)

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert won == [storage.read_bytes(url)]
    assert storage.create(url, won[0])
    assert not storage.create(url, b"late")


def test_denials_are_raised_at_once(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong secret, user without the right to write, no credentials, no bucket: one sentence each, and no retries."""
    storage.write_whole(f"{s3.url}/a", b"x")
    sentences = {}
    monkeypatch.setattr("pipeline.storage.retry._note", pytest.fail)  # no request is tried again
    for case, variables in {
        "wrong": {"AWS_SECRET_ACCESS_KEY": "no"},
        "reader": s3.read_only_environment,
        "none": dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ""),
    }.items():
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            type(storage.filesystem_of(s3.url)).clear_instance_cache()
            with pytest.raises(StorageError) as caught:
                storage.write_whole(f"{s3.url}/b", b"")
            sentences[case] = str(caught.value).removeprefix(f"{s3.url}/b could not be written: ")
            if case == "reader":
                assert storage.read_bytes(f"{s3.url}/a") == b"x"
                with pytest.raises(StorageError, match="could not be created: permission was denied"):
                    storage.create(f"{s3.url}/b", b"")
    type(storage.filesystem_of(s3.url)).clear_instance_cache()
    with pytest.raises(StorageError) as caught:
        storage.list_files("s3://no-such-bucket/a")

    assert sentences == {
        "wrong": "permission was denied: the secret key does not fit the access key.",
        "reader": "permission was denied: the key may not write (s3:PutObject).",
        "none": "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
    }
    assert str(caught.value) == "s3://no-such-bucket/a could not be listed: there is no such bucket."
    with pytest.raises(UsageError, match=r"^s3:// names no bucket"):
        storage.list_files("s3://")


def test_a_missing_file_is_raised_at_once(s3: S3Place) -> None:
    """This holds for every verb that reads."""
    url = f"{s3.url}/none"
    for read, verb in [
        (lambda: storage.read_bytes(url), "read"),
        (lambda: storage.read_ranges(url, [(0, 1)]), "read"),
        (lambda: list(storage.read_many([url])), "read"),
        (lambda: storage.open_file(url), "opened"),
        (lambda: storage.stat(url), "looked up"),
    ]:
        with pytest.raises(StorageError) as caught:
            read()  # type: ignore[no-untyped-call]
        assert str(caught.value) == f"{url} could not be {verb}: it was not found."
        assert caught.value.permanent


VERBS: dict[str, Callable[["_Places"], object]] = {
    "read_bytes": lambda at: storage.read_bytes(at.short) == SHORT,
    "read_ranges": lambda at: (
        storage.read_ranges(at.short, [(1, 999), (50_000, 70_000)]) == [SHORT[1:999], SHORT[50_000:]]
    ),
    "read_many": lambda at: list(storage.read_many([at.short] * 3)) == [SHORT] * 3,
    "open_file": lambda at: storage.open_file(at.long).read() == LONG,
    "list_files": lambda at: [file.path for file in storage.list_files(at.folder)] == ["long", "short"],
    "stat": lambda at: storage.stat(at.short).size_bytes == len(SHORT),
    "write_whole": lambda at: storage.write_whole(at.new, SHORT),
    "create": lambda at: storage.create(at.new, SHORT),
    "upload": lambda at: storage.upload(at.source, at.new),
}
"""Each returns True, or None where it writes."""

WRITES = {"write_whole": SHORT, "create": SHORT, "upload": LONG}

UNNOTICED = {("read_ranges", "flip"), ("open_file", "flip"), ("list_files", "flip"), ("stat", "flip")}
"""No checksum covers a flipped byte in a part of an object, or in a listing; the archive's own must detect it."""


@dataclass(frozen=True)
class _Places:
    """What the verbs read, the same for all tests, and what they write, separate for each test."""

    folder: str
    new: str
    source: Path
    """LONG on local disk."""

    @property
    def long(self) -> str:
        """LONG."""
        return f"{self.folder}/long"

    @property
    def short(self) -> str:
        """SHORT."""
        return f"{self.folder}/short"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LONG on local disk."""
    path = tmp_path_factory.mktemp("source") / "long"
    path.write_bytes(LONG)
    return path


@pytest.fixture(scope="module")
def folder() -> str:
    """Return a folder that the first test fills."""
    return f"s3://{BUCKET}/filled-{uuid4().hex}"


@pytest.fixture
def at(faulty_s3: S3Place, folder: str, source: Path) -> _Places:
    """Return the places, filled."""
    places = _Places(folder, f"{faulty_s3.url}/new", source)
    if not storage.exists(folder):
        storage.upload(source, places.long)
        storage.write_whole(places.short, SHORT)
    faulty_s3.seen.clear()
    return places


@pytest.mark.parametrize("fault", [fault for fault in get_args(Fault) if fault != "hang"])
def test_every_verb_survives_every_fault(fault: Fault, faulty_s3: S3Place, at: _Places) -> None:
    """After a fault in the first or second request the bytes are right, and written once."""
    for verb, does in VERBS.items():
        if (verb, fault) in UNNOTICED:
            continue
        for skip in (0, 1):
            faulty_s3.rules[:] = [Rule(fault, skip=skip, delay_s=0.05)]
            assert does(at) in {True, None}, (verb, fault, skip)
            faulty_s3.rules.clear()
            if verb in WRITES:
                assert storage.read_bytes(at.new) == WRITES[verb], (verb, fault, skip)
                storage.remove(at.new)


def test_a_hanging_attempt_ends(faulty_s3: S3Place, at: _Places) -> None:
    """The next attempt begins when the time of the first is up, even while an upload waits for `100-continue`."""
    for verb, does in VERBS.items():
        faulty_s3.rules[:] = [Rule("hang", target="partNumber=2" if verb == "upload" else "")]
        with limit_retries(12.0, answer_s=0.5, slowest_bytes_per_s=20_000_000):
            assert does(at) in {True, None}, verb
        assert faulty_s3.rules[0].met == 1
        storage.remove(at.new)


def test_two_seconds_of_latency_cause_no_retry(faulty_s3: S3Place) -> None:
    """One request suffices."""
    storage.write_whole(f"{faulty_s3.url}/a", SHORT)
    faulty_s3.seen.clear()
    faulty_s3.rules[:] = [Rule("late", delay_s=2)]

    assert storage.read_bytes(f"{faulty_s3.url}/a") == SHORT
    assert len(faulty_s3.seen) == 1


def test_a_store_that_stays_away_is_reported(faulty_s3: S3Place, at: _Places) -> None:
    """After the time limit the message has the place, the cause and the number of attempts."""
    faulty_s3.rules[:] = [Rule("slow_down", count=None)]
    for does in VERBS.values():
        with limit_retries(0.3), pytest.raises(StorageError) as caught:
            does(at)
        assert str(caught.value).startswith((at.folder, at.new))
        assert "the server answered 503 (" in str(caught.value)
        assert "attempts in" in str(caught.value)
        assert not caught.value.permanent


def test_a_created_file_is_ours_although_the_answer_was_lost(faulty_s3: S3Place) -> None:
    """S3 refuses the second attempt because the first succeeded; reading back tells whose file it is."""
    faulty_s3.rules[:] = [Rule("lose", method="PUT")]
    assert storage.create(f"{faulty_s3.url}/mine", SHORT)
    assert [fault for method, _, fault in faulty_s3.seen if method == "PUT"] == ["lose", None]

    storage.write_whole(f"{faulty_s3.url}/theirs", b"theirs")
    faulty_s3.rules[:] = [Rule("lose", method="PUT")]
    assert not storage.create(f"{faulty_s3.url}/theirs", SHORT)
    assert storage.read_bytes(f"{faulty_s3.url}/theirs") == b"theirs"


def test_only_the_failed_request_is_repeated(faulty_s3: S3Place, at: _Places) -> None:
    """A break costs one part of an upload and one block of a stream; one attempt is one request."""
    faulty_s3.rules[:] = [Rule("slow_down", target="partNumber=2")]
    storage.upload(at.source, at.new)
    assert sum("partNumber" in target for _, target, _ in faulty_s3.seen) == 4

    faulty_s3.seen.clear()
    assert storage.open_file(at.long).read() == LONG
    requests = len(faulty_s3.seen)
    faulty_s3.seen.clear()
    faulty_s3.rules[:] = [Rule("break", method="GET", skip=2)]
    assert storage.open_file(at.long).read() == LONG
    assert len(faulty_s3.seen) == requests + 1

    faulty_s3.seen.clear()
    faulty_s3.rules[:] = [Rule("slow_down", count=5)]
    assert storage.read_bytes(at.short) == SHORT
    assert len(faulty_s3.seen) == 6


def test_random_faults_are_survived(faulty_s3: S3Place, at: _Places) -> None:
    """One request in seven fails, of one of five faults, all the time."""
    faulty_s3.rules[:] = [
        Rule(fault, chance=0.03, count=None) for fault in ("slow_down", "reset", "lose", "break", "cut")
    ]
    for _ in range(3):
        assert all(does(at) in {True, None} for does in VERBS.values())
        assert storage.read_bytes(at.new) == LONG
        storage.remove(at.new)
    assert len({fault for *_, fault in faulty_s3.seen}) > 2


def test_a_damaged_list_is_rejected(faulty_s3: S3Place) -> None:
    """A flipped byte could rename or hide a photo, so over plain HTTP each list is requested twice."""
    for name in ("a.zip", "b.tar", "photo-4.jpg", "photo-5.jpg"):
        storage.write_whole(f"{faulty_s3.url}/{name}", name.encode())
    sound = storage.list_files(faulty_s3.url)
    for _ in range(60):
        faulty_s3.rules[:] = [Rule("flip", "GET", "list-type=2")]
        assert storage.list_files(faulty_s3.url) == sound
