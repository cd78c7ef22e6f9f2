"""`usage` counts the bytes that any caller reads from storage, and every repeated request."""

from pathlib import Path

from pipeline import storage
from pipeline.core import usage
from pipeline.storage.retry import limit_retries, retry


def test_all_ways_of_reading_count(tmp_path: Path) -> None:
    """Whole files count, ranges, and of open files the bytes that were read."""
    (tmp_path / "a").write_bytes(bytes(1000))
    url, before = storage.canonical(str(tmp_path / "a")), usage.traffic_now()
    storage.read_bytes(url)
    storage.read_ranges(url, [(0, 10), (990, 2000)])
    with storage.open_file(url) as file:
        file.read(1)  # fills a buffer: here, with the whole file
    assert list(storage.read_many([url, url])) == [bytes(1000)] * 2
    assert usage.traffic_now() == (before.read_bytes + 1000 + 20 + 1000 + 2000, before.retries)


def test_each_further_attempt_counts() -> None:
    """A request that succeeds at the third attempt counts two retries."""
    answers, before = [ConnectionResetError(), ConnectionResetError(), "done"], usage.traffic_now()

    def attempt() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    with limit_retries(10.0, first_wait_s=0.001):
        assert retry("s3://b/k", attempt) == "done"
    assert usage.traffic_now() == (before.read_bytes, before.retries + 2)
