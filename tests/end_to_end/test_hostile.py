"""One job over hostile files of all kinds, loose and in every archive: each has the right row."""

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import psutil
import pytest
from PIL import Image

from tests.conftest import Crackscan
from tests.helpers.hostile_archives import (
    make_bomb_tgz,
    make_bomb_zip,
    make_overlapping_zip,
    make_refused_zip,
    pack_hostile_zip,
    truncate_last_file,
)
from tests.helpers.hostile_photos import BROKEN, SLIM, SOUND, encode
from tests.helpers.packing import pack_tar

pytestmark = pytest.mark.ray

SCRIPT = ("-m", "tests.helpers.hostile_job")
MAX_PIXELS = 1_000_000
MAX_BYTES = 1 << 30
"""Peak memory that any process may have: Ray and Arrow alone take 300 MB, each bomb 1 GB or more."""

PHOTO = SOUND["progressive.jpg"]
OVER = encode(Image.new("L", (1_000, 1_001)), "PNG")
NOISE = [
    encode(Image.fromarray(np.random.default_rng(seed).integers(0, 256, (90, 90, 3), np.uint8)), "PNG")
    for seed in range(3)
]
"""Photos that no archive can compress."""

LONG = f"{'long/' * 799}n.jpg"
"""A name of 4,000 letters."""
NAMES = {
    "new\nline\r\t.jpg": "new\nline\r\t.jpg",
    "latin-\udce9t\udce9.jpg": "latin-\\xe9t\\xe9.jpg",
    "ü ✓ %20 '\";--::.jpg": "ü ✓ %20 '\";--::.jpg",
    "C:\\drive\\back.jpg": "C:\\drive\\back.jpg",
    f"{'l' * 251}.jpg": f"{'l' * 251}.jpg",
}
"""Name of a file on disk or in an archive, to the name in its row."""
NAMES_IN_ARCHIVES = {name: name for name in (LONG, "/absolute.jpg", "../../../up.jpg", "a/../../b.jpg", "./here.jpg")}

Rows = dict[tuple[str, str, int], str]
"""Archive below the inputs, image and occurrence, to `ok` or the kind of failure."""


@dataclass
class Hostile:
    """Inputs, and the rows that they must give."""

    folder: Path
    rows: Rows = field(default_factory=dict)

    def add_photo(self, name: str, data: bytes, kind: str, image: str | None = None) -> None:
        """Add a loose photo."""
        (self.folder / name).write_bytes(data)
        self.rows["", image or name, 0] = kind

    def add_archive(self, name: str, data: bytes, kinds: dict[str, str]) -> None:
        """Add an archive, with the outcome of its photos and, under an empty name, of the archive itself."""
        (self.folder / name).write_bytes(data)
        self.rows |= {(name, image, 0): kind for image, kind in kinds.items()}


def fill(hostile: Hostile, landing: Path) -> None:
    """Write every hostile file.

    Args:
        hostile: collects files and rows.
        landing: the folder of the test, to which absolute names lead.
    """
    kinds = dict.fromkeys([*SOUND, *SLIM], "ok") | {name: kind for name, (_, kind) in BROKEN.items()}
    kinds["over.png"] = "too_many_pixels"
    files = [*SOUND.items(), *((name, data) for name, (data, _) in BROKEN.items()), ("over.png", OVER)]
    for name, data in [*files, *SLIM.items()]:
        hostile.add_photo(name, data, kinds[name])
    for name, image in NAMES.items():
        hostile.add_photo(name, PHOTO, "ok", image)

    names = NAMES | NAMES_IN_ARCHIVES | {f"{landing}/absolute.jpg": f"{landing}/absolute.jpg"}
    files += [(name, PHOTO) for name in names]
    files += [("twice.jpg", PHOTO), ("twice.jpg", b"no photo")]
    expected = {name: kinds[name] for name, _ in files if name in kinds} | dict.fromkeys(
        [*names.values(), "twice.jpg"], "ok"
    )
    tar = pack_tar(files)
    for name, data in (("every.zip", pack_hostile_zip(files)), ("every.tar", tar), ("every.tgz", gzip.compress(tar))):
        hostile.add_archive(name, data, expected)
        hostile.rows[name, "twice.jpg", 1] = "not_an_image"
    del hostile.rows["every.zip", "latin-\\xe9t\\xe9.jpg", 0]
    hostile.rows["every.zip", "latin-ΘtΘ.jpg", 0] = "ok"  # in a zip, such bytes are code page 437


def fill_with_broken_archives(hostile: Hostile) -> None:
    """Write broken archives."""
    hostile.add_archive("text.zip", b"A list of bridges.\n" * 50, {"": "archive_unreadable"})
    for suffix in ("zip", "tar", "tgz"):
        hostile.add_archive(f"nothing.{suffix}", b"", {"": "archive_unreadable"})
    files = [(f"{number}.png", data) for number, data in enumerate(NOISE)]
    for suffix in ("zip", "tar", "tgz"):
        kinds = {"0.png": "ok", "1.png": "ok", "": "archive_truncated"}
        hostile.add_archive(f"cut.{suffix}", truncate_last_file(files, suffix), kinds)
    kinds = {"locked.jpg": "encrypted", "zstd.jpg": "unsupported_compression", "sound.jpg": "ok"}
    hostile.add_archive("refused.zip", make_refused_zip(PHOTO), kinds)
    kinds = {"huge.png": "too_large", "grows.png": "too_large", "lies.png": "member_unreadable", "sound.jpg": "ok"}
    hostile.add_archive("bombs.zip", make_bomb_zip(PHOTO), kinds | {"in.zip!/": "too_large"})
    hostile.add_archive("bomb.tgz", make_bomb_tgz(PHOTO), {"sound.jpg": "ok", "": "archive_truncated"})
    hostile.add_archive("overlap.zip", make_overlapping_zip(PHOTO, times=50), {})
    hostile.rows |= {("overlap.zip", "a.jpg", number): "member_unreadable" for number in range(49)}
    hostile.rows["overlap.zip", "a.jpg", 49] = "ok"


@dataclass
class Peak:
    """The largest peak memory of one process."""

    size_bytes: int = 0


@contextmanager
def measure_peak(process: "subprocess.Popen[str]") -> Iterator[Peak]:
    """Measure the memory of a process and all below it while the context lasts."""
    peak, ended = Peak(), threading.Event()

    def measure() -> None:
        while not ended.wait(0.2):
            try:
                family = psutil.Process(process.pid).children(recursive=True)
            except psutil.NoSuchProcess:
                return
            peak.size_bytes = max(peak.size_bytes, *(read_peak_bytes(each.pid) for each in [*family, process]))

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def read_peak_bytes(pid: int) -> int:
    """Read the peak memory of a process; 0 if it has ended or the system does not record it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


def stat_files(folder: Path, without: Path) -> dict[Path, int]:
    """Return every file below a folder with its time, without those of a dataset."""
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if not path.is_relative_to(without)}


def read_rows(out: Path, folder: Path) -> Rows:
    """Read the rows of the dataset."""
    sql = f"SELECT archive, image, occurrence, coalesce(failure_kind, status) FROM '{out}/images/*.parquet'"
    found = duckdb.execute(sql).fetchall()
    rows = {(archive.removeprefix(f"file://{folder}").lstrip("/"), *rest): kind for archive, *rest, kind in found}
    assert len(rows) == len(found)
    return rows


@pytest.mark.filterwarnings("ignore:Duplicate name")  # of the writer
def test_every_hostile_file_has_its_row_and_does_nothing_else(crackscan: Crackscan, tmp_path: Path) -> None:
    """A sound file gets a score, any other one failed row of the right kind; memory is bounded, and no file appears."""
    hostile, out = Hostile(tmp_path / "inputs"), tmp_path / "deep" / "down" / "scores"
    for folder in (hostile.folder, out.parent):
        folder.mkdir(parents=True)
    fill(hostile, landing=tmp_path)
    fill_with_broken_archives(hostile)
    before = stat_files(tmp_path, without=out.parent)
    command = [sys.executable, *SCRIPT, "score", str(hostile.folder), "--out", str(out)]
    command += ["--max-pixels", str(MAX_PIXELS), "--max-failures", "1", "--cpus", "2"]
    with (
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        measure_peak(process) as peak,
    ):
        shown, errors = process.communicate(timeout=300)
    assert (process.returncode, errors.count("Traceback")) == (3, 0), errors
    found = read_rows(out, hostile.folder)
    assert {key: (found.get(key), kind) for key, kind in hostile.rows.items() if found.get(key) != kind} == {}
    assert found.keys() == hostile.rows.keys()
    failed = sum(kind != "ok" for kind in found.values())
    assert f"{len(found) - failed} photos" in shown
    assert f"Failed photos: {failed} new, {failed} in all." in shown
    assert stat_files(tmp_path, without=out.parent) == before
    assert [*out.parent.iterdir()] == [out]
    assert 0 < peak.size_bytes < MAX_BYTES
    verified = crackscan("verify", out)
    assert verified.returncode == 0, verified.stdout
