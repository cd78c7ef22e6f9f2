"""Temporary folders stay nowhere: not after an end, an error or a kill, and a living process keeps its own."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pipeline.core.errors import StorageError
from pipeline.core.scratch import LOCK, PREFIX, remove_abandoned, temporary_folder

HOLD = """
import sys, time
from pathlib import Path
from pipeline.core.scratch import temporary_folder
with temporary_folder([sys.argv[1]]) as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("text")
    print(folder, flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(parent: Path) -> Iterator["tuple[subprocess.Popen[str], Path]"]:
    """Run a process that holds a folder; kill it at the end."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(parent)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


def test_a_folder_lasts_as_long_as_its_context(tmp_path: Path) -> None:
    """Also if an error ends it; nobody else may enter it."""
    with temporary_folder([str(tmp_path)]) as folder:
        (folder / "file").write_text("text")
        assert folder.stat().st_mode & 0o777 == 0o700
    with suppress(ZeroDivisionError), temporary_folder([str(tmp_path)]):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_its_folder_to_the_next_one(tmp_path: Path) -> None:
    """While it lives, nobody removes it."""
    with holder(tmp_path) as (process, folder):
        with temporary_folder([str(tmp_path)]):
            assert (folder / "deep" / "file").read_text() == "text"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert folder.exists()
        with temporary_folder([str(tmp_path)]) as own:
            assert list(tmp_path.iterdir()) == [own]
    assert list(tmp_path.iterdir()) == []


def test_only_our_own_are_removed(tmp_path: Path) -> None:
    """Not what has no lock of ours, nor what a link leads to."""
    (tmp_path / f"{PREFIX}12345678").mkdir()
    (tmp_path / "ray").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / LOCK).touch()
    (tmp_path / f"{PREFIX}a-link").symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("*"))
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_emptied_stays_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dying process may still write into it: the lock goes last, so that the next run finds it."""
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_arguments, **_options: None)
        with temporary_folder([str(tmp_path)]) as folder:
            (folder / "busy").mkdir()
    assert sorted(path.name for path in folder.iterdir()) == [LOCK, "busy"]
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_first_place_that_takes_it(tmp_path: Path) -> None:
    """A place that is missing is passed over."""
    with temporary_folder([str(tmp_path / "missing"), str(tmp_path)]) as folder:
        assert folder.parent == tmp_path


def test_no_place_takes_it(tmp_path: Path) -> None:
    """The error names each place and why, and what to do."""
    gone, file = tmp_path / "gone", tmp_path / "file"
    file.touch()
    with pytest.raises(StorageError) as refused, temporary_folder([str(gone), str(file)]):
        pass
    assert str(refused.value) == (
        f"No temporary folder can be made in {gone} (No such file or directory) or {file} (Not a directory). Free some "
        "space there, or set TMPDIR to a folder that can be written."
    )


def test_no_place_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own list of places is named."""

    def find_none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", find_none)
    with pytest.raises(StorageError, match=r"^There is no place for temporary files: No usable .*\['/tmp'\]\. Free"):
        temporary_folder().__enter__()


def test_a_child_does_not_hold_the_folder(tmp_path: Path) -> None:
    """Programs that a process starts outlive it, and do not inherit the lock."""
    with temporary_folder([str(tmp_path)]) as folder:
        listing = ["ls", "-l", "/proc/self/fd"]
        opened = subprocess.run(listing, capture_output=True, text=True, check=True, close_fds=False).stdout
        assert os.fspath(folder) not in opened
