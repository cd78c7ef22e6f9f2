"""Bytes that come from storage and requests that are tried again are counted, whoever asks."""

from pathlib import Path

import pytest

from pipeline import storage
from pipeline.core import usage
from pipeline.storage import retry


def test_all_ways_of_reading_count(tmp_path: Path) -> None:
    """Whole files, ranges, and open files as far as they are read."""
    (tmp_path / "a").write_bytes(bytes(1000))
    url, before = storage.canonical(str(tmp_path / "a")), usage.traffic_now()
    storage.read_bytes(url)
    storage.read_ranges(url, [(0, 10), (990, 2000)])
    with storage.open_file(url) as file:
        file.read(1)  # a buffer's worth is read ahead: here, all there is
    assert list(storage.read_many([url, url])) == [bytes(1000)] * 2
    assert usage.traffic_now() == (before.read_bytes + 1000 + 20 + 1000 + 2000, before.retries)


def test_each_further_attempt_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that was answered at the third attempt was tried again twice."""
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.001)
    answers, before = [ConnectionResetError(), ConnectionResetError(), "done"], usage.traffic_now()

    def attempt() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert retry.retry("s3://b/k", attempt) == "done"
    assert usage.traffic_now() == (before.read_bytes, before.retries + 2)
