"""A watch over a folder and a store: files come slowly, in pieces, are renamed and replaced, and storage fails.

The command runs in a process of its own and stops at Ctrl-C. A photo's score tells of which content it was made.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.core.errors import CrackscanError
from pipeline.monitoring.status import status
from tests import ROOT
from tests.conftest import S3Place
from tests.helpers.fault_proxy import Rule
from tests.helpers.nights import broken_invariants, grey_photo, read_rows, zip_photos

pytestmark = pytest.mark.ray

COMMAND = (sys.executable, "-m", "tests.helpers.watch_brightness", "score")
PHOTOS = 100
"""In a round that is interrupted."""
PAUSE_S = 1.0
"""Between two pieces of a file: shorter than a file takes to settle."""


@contextmanager
def start_watch(shown: Path, *words: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Start the command, whose output goes to a file; kill it at the end of the context if it is still there."""
    with shown.open("wb") as output:
        process = subprocess.Popen([*COMMAND, *words], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(
    is_so: Callable[[], object], process: "subprocess.Popen[bytes]", shown: Path, every_s: float = 0.5
) -> None:
    """Wait until something is so; fail if the command ends before."""
    deadline_s = time.monotonic() + 900
    while not is_so():
        assert process.poll() is None, shown.read_text()
        assert time.monotonic() < deadline_s, shown.read_text()
        time.sleep(every_s)


def has_rows(out: str, expected: Mapping[str, int | str]) -> bool:
    """Whether a dataset has these rows, and no others."""
    try:
        return read_rows(out) == expected
    except CrackscanError:  # it is not begun yet
        return False


def copy_slowly(pieces: Mapping[Path, bytes], count: int = 5) -> None:
    """Write files piece by piece, all at the same pace."""
    for number in range(count):
        for path, data in pieces.items():
            with path.open("ab") as file:
                file.write(data[number * len(data) // count : (number + 1) * len(data) // count])
        time.sleep(PAUSE_S)


def test_every_complete_photo_gets_one_row(faulty_s3: S3Place, tmp_path: Path) -> None:
    """Once, of its whole content, through an outage of inputs and output; Ctrl-C ends it with what is so."""
    folder, prefix, out = tmp_path / "in", f"{faulty_s3.url}/in", f"{faulty_s3.url}/out"
    shown, rows = tmp_path / "shown.txt", {"in/1.png": 1, "in/2.png": 2}
    folder.mkdir()
    for level in (1, 2):
        (folder / f"{level}.png").write_bytes(grey_photo(level))
    with start_watch(shown, str(folder), prefix, "--out", out, "--watch", "1") as process:
        wait_until(lambda: has_rows(out, rows), process, shown)

        storage.write_whole(f"{prefix}/s.zip", zip_photos({"a.png": 31, "b.png": 32}))
        pieces = {
            folder / "3.png": grey_photo(3),
            folder / "4.png.part": grey_photo(4),
            folder / "z.zip": zip_photos({"a.png": 11, "b.png": 12}),
        }
        copy_slowly(pieces)
        (folder / "4.png.part").rename(folder / "4.png")
        rows |= {
            "in/3.png": 3,
            "in/4.png": 4,
            "z.zip/a.png": 11,
            "z.zip/b.png": 12,
            "s.zip/a.png": 31,
            "s.zip/b.png": 32,
        }
        wait_until(lambda: has_rows(out, rows), process, shown)

        faulty_s3.rules[:] = [Rule("slow_down", count=None)]
        (folder / "5.png").write_bytes(grey_photo(5))
        wait_until(lambda: "Looking again every 1 s" in shown.read_text(), process, shown)
        (folder / "6.png").write_bytes(grey_photo(6))
        time.sleep(5)
        faulty_s3.rules.clear()
        rows |= {"in/5.png": 5, "in/6.png": 6}
        wait_until(lambda: has_rows(out, rows), process, shown)

        (folder / "1.png").write_bytes(grey_photo(101))
        (folder / "2.png").rename(folder / "2b.png")
        rows |= {"in/2b.png": 2}
        wait_until(lambda: has_rows(out, rows) and "1.png" in shown.read_text(), process, shown)
        wait_until(lambda: status(out).is_finished, process, shown)
        writer = status(out).writer
        assert writer is not None
        assert writer.watch is not None
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 3, shown.read_text()  # because of what was replaced

    assert read_rows(out) == rows
    assert broken_invariants(out) == []
    text = shown.read_text()
    assert text.count("Replaced since it was listed") == 1
    assert text.splitlines()[-1] == "Failed photos: 0 new, 0 in all; changed inputs: 1 new, 1 in all."
    assert status(out).writer is None

    with start_watch(shown, str(folder), prefix, "--out", out, "--watch", "1", "--fail-on", "never") as process:
        wait_until(lambda: "0 photos scored, 0 failed. Looking" in shown.read_text(), process, shown)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0, shown.read_text()
    assert read_rows(out) == rows


def test_a_signal_in_a_round_leaves_the_rest(tmp_path: Path) -> None:
    """The exit code is 4; what is finished is committed, and the same command goes on."""
    folder, out, shown = tmp_path / "in", str(tmp_path / "out"), tmp_path / "shown.txt"
    folder.mkdir()
    for level in range(PHOTOS):
        (folder / f"{level}.png").write_bytes(grey_photo(level))
    with start_watch(shown, str(folder), "--out", out, "--watch", "1") as process:
        wait_until(lambda: [*(tmp_path / "out").glob("images/part-*.parquet")], process, shown, every_s=0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 4, shown.read_text()
    assert "run the same command again to go on." in shown.read_text()
    assert 1 <= len(read_rows(out)) < PHOTOS
    rows = {f"in/{level}.png": level for level in range(PHOTOS)}
    with start_watch(shown, str(folder), "--out", out, "--watch", "1") as process:
        wait_until(lambda: has_rows(out, rows), process, shown)
        wait_until(lambda: status(out).is_finished, process, shown)
        time.sleep(2 * PAUSE_S)  # after its round, a watch has nothing left
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0, shown.read_text()
    assert broken_invariants(out) == []
