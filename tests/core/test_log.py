"""Log lines go to the run's file as JSON, and nowhere else."""

import json
import threading
from pathlib import Path
from typing import IO

import pytest

from pipeline import storage
from pipeline.core.errors import StorageError
from pipeline.core.log import bind, capture, get_logger, log_to_stream, replay
from pipeline.dataset.layout import Layout
from pipeline.storage.files import TextUpload


def open_log(folder_url: str) -> IO[str]:
    """Open the log of run `r1` of a dataset."""
    return storage.open_text(Layout(folder_url).log("r1"))


def _lines(folder: Path, run_id: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "logs" / f"{run_id}.jsonl").read_text().splitlines()]


def test_lines_are_json_with_the_runs_id(tmp_path: Path) -> None:
    """Each line has the event, its fields, the level, the module and the run."""
    with log_to_stream(open_log(storage.canonical(str(tmp_path))), "r1"):
        get_logger("writer").info("committed", part=3)

    (line,) = _lines(tmp_path, "r1")
    assert line.pop("timestamp")
    assert line == {"event": "committed", "part": 3, "level": "info", "logger": "crackscan.writer", "run_id": "r1"}


def test_nothing_reaches_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Log lines go neither to stdout nor to stderr, with a file or without."""
    get_logger("plan").warning("before")
    with log_to_stream(open_log(storage.canonical(str(tmp_path))), "r1"):
        get_logger("plan").warning("within")
    get_logger("plan").warning("after")

    assert capsys.readouterr() == ("", "")
    assert [line["event"] for line in _lines(tmp_path, "r1")] == ["within"]


def test_an_error_is_logged_and_raised(tmp_path: Path) -> None:
    """A run that ends early writes its traceback to the log, and the error still leaves the run."""
    with pytest.raises(StorageError), log_to_stream(open_log(storage.canonical(str(tmp_path))), "r1"):
        raise StorageError("the disk is full")

    (line,) = _lines(tmp_path, "r1")
    assert line["event"] == "ended early"
    assert "the disk is full" in json.dumps(line["exception"])
    assert "tmp_path" not in json.dumps(line["exception"])  # no local variables: they may be credentials


def test_lone_surrogates_can_be_logged(tmp_path: Path) -> None:
    """The name of a photo may be any bytes."""
    with log_to_stream(open_log(storage.canonical(str(tmp_path))), "r1"):
        get_logger("plan").info("seen", image="bad\udcff.jpg")

    assert len(_lines(tmp_path, "r1")) == 1


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The terminal shows no traceback, and the run raises its own error, not that of the log."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "r1.jsonl").symlink_to("/dev/full")
    with (
        pytest.raises(StorageError, match="tiles could not be written"),
        log_to_stream(open_log(f"file://{tmp_path}"), "r1"),
    ):
        raise StorageError("tiles could not be written: the disk is full.")
    with log_to_stream(open_log(f"file://{tmp_path}"), "r1"):
        get_logger("writer").info("committed")

    assert capsys.readouterr() == ("", "")


def test_a_log_that_cannot_be_stored_is_no_failure_of_the_run() -> None:
    """A run succeeds without its log, which was tried."""
    tried = []

    def refuse(data: bytes) -> None:
        tried.append(data)
        raise StorageError("s3://bucket/log could not be written: permission was denied.")

    with log_to_stream(TextUpload(refuse), "r1"):
        get_logger("writer").info("committed")
    assert b'"event": "committed"' in tried[-1]


def test_lines_of_all_threads_have_the_runs_id(tmp_path: Path) -> None:
    """Listing, lease renewal and reading ahead have threads of their own."""
    with log_to_stream(open_log(storage.canonical(str(tmp_path))), "r1"):
        thread = threading.Thread(target=lambda: get_logger("lease").warning("lost"))
        thread.start()
        thread.join()

    assert [(line["event"], line["run_id"]) for line in _lines(tmp_path, "r1")] == [("lost", "r1")]


def test_lines_name_the_current_archive(tmp_path: Path) -> None:
    """Lines of every module name it while the context lasts."""
    with log_to_stream(open_log(storage.canonical(str(tmp_path))), "r1"):
        with bind(archive="s3://b/a.zip"):
            get_logger("storage.retry").warning("tried again")
        get_logger("writer").info("committed")

    assert [line.get("archive") for line in _lines(tmp_path, "r1")] == ["s3://b/a.zip", None]


def test_lines_of_a_worker_are_written_by_the_driver(tmp_path: Path) -> None:
    """They get the run's id and the photo; the worker itself writes nothing."""
    with capture() as lines:
        get_logger("storage.retry").warning("tried again", url="s3://b/k", wait_s=0.2)
    get_logger("storage.retry").warning("after")
    with log_to_stream(open_log(storage.canonical(str(tmp_path))), "r1"):
        replay(lines, archive="s3://b/a.zip", image="bad\udcff.jpg")

    (line,) = _lines(tmp_path, "r1")
    assert line.pop("timestamp") == json.loads(lines[0])["timestamp"]
    assert line == {
        "event": "tried again",
        "url": "s3://b/k",
        "wait_s": 0.2,
        "level": "warning",
        "logger": "crackscan.storage.retry",
        "archive": "s3://b/a.zip",
        "image": "bad\udcff.jpg",
        "run_id": "r1",
    }
