"""Tiles per second of a whole job, compared with scripts that users would write, and with the bare engine.

All contenders have the same photos, network and tile grid, and run in turn, repeatedly. Steady state is the slope
between two numbers of photos; the rest is the start. Run as `make bench`; it takes forty minutes.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow.dataset

from tests import ROOT
from tests.bench.process_tree import Usage, measure_command

MIB = 1 << 20
QUIET = {"DO_NOT_TRACK": "true", "RAY_USAGE_STATS_ENABLED": "0", "DAFT_PROGRESS_BAR": "0"}


class Contender(NamedTuple):
    """A program, and its numbers of photos."""

    words: str
    script: str | None
    """Module of the script; None for crackscan itself."""
    small: int
    """For crackscan enough that a job begins and ends like a large one, where photos travel in smaller blocks."""
    large: int

    def command(self, folder: Path, out: Path) -> list[str]:
        """Return the command that scores a folder."""
        if self.script is None:
            return [sys.executable, "-m", "pipeline.cli", "score", str(folder), "--out", str(out)]
        return [sys.executable, "-m", f"tests.bench.contenders.{self.script}", str(folder), str(out)]


CONTENDERS = {
    "crackscan": Contender("crackscan score", None, 80, 400),
    "ray_documented": Contender("Ray Data after its guide", "ray_documented", 1, 3),
    "ray_tuned": Contender("Ray Data, tuned", "ray_tuned", 1, 4),
    "daft": Contender("Daft", "daft_script", 1, 4),
    "torch_loader": Contender("torch DataLoader", "torch_loader", 1, 4),
}


@dataclass(frozen=True)
class Round:
    """One contender in one repeat."""

    contender: str
    tiles_per_s: float
    """In steady state."""
    start_s: float
    """Time of the smaller job beyond its tiles."""
    cpu_ms: float
    """CPU milliseconds per additional tile."""
    peak_mib: float
    first_s: float | None
    """From the command to the first scored photo; None if the contender does not log it."""


def main() -> None:
    """Measure, print a table in Markdown, and write every figure as JSON and a plot if the options say so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        draw_photos(Path(place), max(CONTENDERS[name].large for name in given.only))
        rounds, engines = [], []
        for number in range(given.repeats):
            for name in given.only:
                rounds.append(measure(name, Path(place)))
                print(f"{number + 1} of {given.repeats}: {rounds[-1]}", file=sys.stderr)
            engines.append(measure_bare_engine(Path(place)))
            print(f"{number + 1} of {given.repeats}: {engines[-1]}", file=sys.stderr)
    print("\n".join(make_table(rounds, engines)))
    if given.json:
        figures = {"rounds": [asdict(each) for each in rounds], "bare_engine": engines, "cpu": describe_cpu()}
        given.json.write_text(json.dumps(figures, indent=1))
    if given.plot:
        plot(rounds, given.plot)


def draw_photos(place: Path, count: int, size: str = "4000x3000") -> None:
    """Draw photos as a camera's JPEG into `all`; the first few over and over, because drawing takes seconds."""
    drawn = min(count, 4)
    words = ["sample", "--out", str(place / "sample"), "--photos", str(drawn), "--size", size, "--tiles", "0"]
    subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *words, "--format", "folder"], check=True, stdout=subprocess.DEVNULL
    )
    found = sorted((place / "sample").rglob("*.jpg"))
    for number in range(count):
        target = place / "all" / f"{number:03d}.jpg"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(found[number % drawn], target)


def measure(name: str, place: Path) -> Round:
    """Run one contender on few photos and on more."""
    contender = CONTENDERS[name]
    (few, few_tiles, first_s), (many, many_tiles, _) = (
        run(contender, place, photos) for photos in (contender.small, contender.large)
    )
    tiles = many_tiles - few_tiles
    rate = tiles / (many.seconds - few.seconds)
    return Round(
        contender=name,
        tiles_per_s=rate,
        start_s=few.seconds - few_tiles / rate,
        cpu_ms=1000 * (many.cpu_s - few.cpu_s) / tiles,
        peak_mib=many.peak_bytes / MIB,
        first_s=first_s,
    )


def run(contender: Contender, place: Path, photos: int) -> tuple[Usage, int, float | None]:
    """Score a number of photos once; return usage, number of tiles, and seconds to the first score."""
    folder, out = place / "photos", place / "out"
    for leftover in (folder, out):
        shutil.rmtree(leftover, ignore_errors=True)
    folder.mkdir()
    for photo in sorted((place / "all").iterdir())[:photos]:
        (folder / photo.name).hardlink_to(photo)
    began_at = datetime.now().astimezone()
    usage = measure_command(
        contender.command(folder, out), place / "log", os.environ | QUIET | {"PYTHONPATH": str(ROOT)}
    )
    tiles = pyarrow.dataset.dataset(out / "tiles" if contender.script is None else out).count_rows()
    if tiles % photos or tiles < photos:
        sys.exit(f"{contender.words} wrote {tiles} tiles of {photos} photos")
    first = next(read_events(out, "first_scored"), None) if contender.script is None else None
    return usage, tiles, None if first is None else (first - began_at).total_seconds()


def read_events(out: Path, name: str) -> Iterator[datetime]:
    """Yield the times of an event in the run's log."""
    for log in out.glob("logs/*.jsonl"):
        for line in map(json.loads, log.read_text().splitlines()):
            if line.get("event") == name:
                yield datetime.fromisoformat(line["timestamp"])


def measure_bare_engine(place: Path) -> dict[str, float]:
    """Measure the limit of every whole job."""
    command = [sys.executable, "-m", "tests.bench.contenders.bare_engine", str(place / "all")]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def make_table(rounds: list[Round], engines: list[dict[str, float]]) -> list[str]:
    """Make a table of medians, with the minimum and maximum of the repeats."""
    of = {name: [each for each in rounds if each.contender == name] for name in CONTENDERS}
    own = statistics.median(each.tiles_per_s for each in of["crackscan"]) if of["crackscan"] else None
    lines = [
        "| whole job | tiles/s | crackscan is | start, s | CPU ms a tile | peak MiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in of.items():
        if each:
            times = "" if own is None else f"{own / statistics.median(one.tiles_per_s for one in each):.1f} x"
            cells = [format_spread(one.tiles_per_s for one in each), times, format_spread(one.start_s for one in each),
                     format_spread(one.cpu_ms for one in each),
                     format_spread(one.peak_mib for one in each)]  # fmt: skip
            lines.append(f"| {CONTENDERS[name].words} | {' | '.join(cells)} |")
    bare = statistics.median(each["tiles_per_s"] for each in engines)
    possible = statistics.median(1 / (1 / each["tiles_per_s"] + each["decode_s"] / each["cores"]) for each in engines)
    share = "" if own is None else f"; crackscan reaches {own / possible:.2f} of it"
    first = [each.first_s for each in of["crackscan"] if each.first_s is not None]
    return [
        *lines,
        "",
        f"The bare engine, {engines[0]['engine']}, on all cores: {bare:,.0f} tiles/s.",
        f"With decoding: {possible:,.0f} tiles/s{share}.",
        *([f"First photo scored after {format_spread(first)} s."] if first else []),
    ]


def format_spread(values: Iterator[float] | list[float]) -> str:
    """Format the median, minimum and maximum."""
    found = sorted(values)
    digits = 1 if found[-1] < 100 else 0
    return f"{statistics.median(found):,.{digits}f} ({found[0]:,.{digits}f} to {found[-1]:,.{digits}f})"


def describe_cpu() -> str:
    """Describe the CPU and its instructions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    flags = next(line for line in lines if line.startswith("flags")).split()
    return f"{named}, {os.cpu_count()} cores, {' '.join(flag for flag in flags if 'avx' in flag or 'amx' in flag)}"


def plot(rounds: list[Round], path: Path) -> None:
    """Draw a bar for each contender."""
    from matplotlib.figure import Figure

    names = [name for name in CONTENDERS if any(each.contender == name for each in rounds)][::-1]
    speeds = [[each.tiles_per_s for each in rounds if each.contender == name] for name in names]
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    middles = [statistics.median(each) for each in speeds]
    errors = [[middle - min(each) for middle, each in zip(middles, speeds, strict=True)],
              [max(each) - middle for middle, each in zip(middles, speeds, strict=True)]]  # fmt: skip
    axes.barh([CONTENDERS[name].words for name in names], middles, xerr=errors, color="#4878a8")
    axes.set_xlabel("tiles a second, whole job, steady state")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
