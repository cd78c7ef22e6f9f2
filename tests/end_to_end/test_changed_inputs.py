"""Nights that go on: archives and photos that were replaced, vanished or mended cost themselves alone."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.cli.score_display import describe_changes
from pipeline.core.errors import UsageError
from pipeline.dataset.commit_log import read_log
from pipeline.dataset.layout import Layout
from tests.helpers.nights import (
    broken_invariants,
    changed_names,
    grey_photo,
    read_rows,
    run_night,
    zip_photos,
)
from tests.helpers.packing import pack

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_of_two")]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
def test_a_replaced_archive_is_never_mixed(suffix: str, tmp_path: Path) -> None:
    """Photos without a row fail by name; `rescore` replaces all rows; an archive without a row is listed anew."""
    folder, out = tmp_path / "in", str(tmp_path / "out")
    folder.mkdir()
    (folder / f"a{suffix}").write_bytes(pack(suffix, [(f"{n}.png", grey_photo(n)) for n in (1, 2, 3)]))
    run_night(str(folder), out, limit=1)
    [(scored, level)] = read_rows(out).items()
    (folder / f"a{suffix}").write_bytes(pack(suffix, [(f"{n}.png", grey_photo(100 + n)) for n in (1, 2, 4)]))

    night = run_night(str(folder), out)

    others = {f"a{suffix}/{n}.png" for n in (1, 2, 3)} - {scored}
    assert read_rows(out) == {scored: level} | dict.fromkeys(others, "archive_changed")
    assert broken_invariants(out) == []
    assert changed_names(night.told) == [f"a{suffix}"]

    night = run_night(str(folder), out, "rescore")
    assert read_rows(out) == {f"a{suffix}/{n}.png": 100 + n for n in (1, 2, 4)}
    assert night.summary.is_finished
    assert broken_invariants(out) == []


def test_a_changed_loose_photo_costs_itself_alone(tmp_path: Path) -> None:
    """Its score stays and it is told; new photos are scored; one that was put away after scoring is no trouble."""
    folder, out = tmp_path / "in", str(tmp_path / "out")
    folder.mkdir()
    for level in (1, 2, 3):
        (folder / f"{level}.png").write_bytes(grey_photo(level))
    run_night(str(folder), out)
    (folder / "1.png").write_bytes(grey_photo(101))
    (folder / "2.png").unlink()
    (folder / "4.png").write_bytes(grey_photo(4))
    night = run_night(str(folder), out)
    assert read_rows(out) == {"in/1.png": 1, "in/2.png": 2, "in/3.png": 3, "in/4.png": 4}
    [change] = night.told
    [line] = describe_changes([change])
    assert line == (
        f"Replaced since it was listed: {folder}/1.png. 1 score of what was there before stay; `crackscan score "
        "--on-changed rescore` scores what is there now."
    )
    run_night(str(folder), out, "rescore")
    assert read_rows(out) == {"in/1.png": 101, "in/2.png": 2, "in/3.png": 3, "in/4.png": 4}
    assert broken_invariants(out) == []


def test_a_disk_that_is_not_mounted_is_told(tmp_path: Path) -> None:
    """If nothing is left of what has no score yet, the run stops instead of failing every photo."""
    folder, out = tmp_path / "in", str(tmp_path / "out")
    folder.mkdir()
    for level in (1, 2, 3):
        (folder / f"{level}.png").write_bytes(grey_photo(level))
    run_night(str(folder), out, limit=1)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(UsageError, match=r"^There is nothing in .*/in any more; .* Is the disk mounted\?$"):
        run_night(str(folder), out)


def test_a_run_that_is_killed_while_inputs_change(tmp_path: Path) -> None:
    """After a kill -9, whatever was replaced or vanished in the meantime, each photo has its one true row."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(10):
        levels = {f"{n}.png": 10 * number + n for n in range(6)}
        (folder / f"a{number}.zip").write_bytes(zip_photos(levels))
    command = [sys.executable, "-m", "tests.helpers.brightness_engine", str(out), str(folder)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while len([*out.glob("images/part-*")]) < 8 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    before = read_rows(str(out))
    done = {f"a{n}.zip": sum(name.startswith(f"a{n}.zip/") for name in before) for n in range(10)}
    begun = next(name for name, photos in done.items() if photos)
    untouched = [name for name, photos in done.items() if not photos]
    assert len(untouched) >= 2, done
    for name in (begun, untouched[0]):
        (folder / name).write_bytes(zip_photos({"0.png": 200, "new.png": 201}))
    (folder / untouched[1]).unlink()

    run_night(str(folder), str(out))

    expected: dict[str, int | str] = {
        f"a{number}.zip/{n}.png": 10 * number + n for number in range(10) for n in range(6)
    }
    expected |= {f"{begun}/{n}.png": "archive_changed" for n in range(6) if f"{begun}/{n}.png" not in before}
    expected |= {f"{untouched[1]}/{n}.png": "vanished" for n in range(6)}
    expected = {name: outcome for name, outcome in expected.items() if not name.startswith(f"{untouched[0]}/")}
    expected |= {f"{untouched[0]}/0.png": 200, f"{untouched[0]}/new.png": 201}
    assert read_rows(str(out)) == expected
    assert broken_invariants(str(out)) == []
    runs = json.loads((out / "run-report.json").read_text())["runs"]
    assert sorted(storage.name(change["url"]) for change in runs[-1]["changes"]) == sorted([begun, untouched[1]])
    assert read_log(Layout(f"file://{out}")).failed == sum(isinstance(outcome, str) for outcome in expected.values())
