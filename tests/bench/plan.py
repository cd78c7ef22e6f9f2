"""How far the estimates of `crackscan plan` are from the time of the job: ratios over photos and options.

`plan` and `score` run in turn on the same photos, so that a busy machine slows both; each job is a whole command, from
its start to its exit. Run as `python -m tests.bench.plan`: an hour on 2 cores, with `--photos 1 20` a quarter of it.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice, product
from pathlib import Path

SIZES = {"small": "800x600", "medium": "1600x1200", "large": "4000x3000"}
MIX = ("medium", "small", "medium", "medium", "large", "small", "medium", "medium", "small", "medium")
"""Of ten photos one is large, and has half of the tiles."""
OPTIONS = ((), ("--maps",), ("--overlap", "0.25"), ("--tile", "128"), ("--tile", "320"), ("--actors", "1"))
DRAWN = 6
"""Photos of each size; the rest are copies."""
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Round:
    """One estimate and one job."""

    photos: int
    options: str
    estimate_s: float
    plan_s: float
    """Time of `plan` itself."""
    job_s: float

    @property
    def ratio(self) -> float:
        """Estimate over job."""
        return self.estimate_s / self.job_s


def main() -> None:
    """Measure, print a table in Markdown, and write every figure as JSON if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[1, 20, 200])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Photos to take in place of drawn ones.")
    parser.add_argument("--options", nargs="+", help="Each in quotes, such as '--tile 128'; '' for none.")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chosen = OPTIONS if given.options is None else [tuple(each.split()) for each in given.options]
    with tempfile.TemporaryDirectory() as place:
        found = [*islice(sorted(given.folder.rglob("*.jpg")), max(given.photos))] if given.folder else []
        photos = found or draw_photos(Path(place))
        rounds = list[Round]()
        for repeat, number, options in product(range(given.repeats), given.photos, chosen):
            rounds.append(measure(Path(place), photos, number, options))
            print(f"{repeat + 1} of {given.repeats}: {rounds[-1]}, ratio {rounds[-1].ratio:.2f}", file=sys.stderr)
    print("\n".join(make_table(rounds)))
    if given.json:
        given.json.write_text(json.dumps([asdict(each) for each in rounds], indent=1))


def draw_photos(place: Path) -> list[Path]:
    """Draw a few photos of each size, and return them in the order of the mix."""
    of_size = {}
    for name, size in SIZES.items():
        words = ["sample", "--out", str(place / name), "--photos", str(DRAWN), "--size", size, "--tiles", "0"]
        run_command([*words, "--format", "folder"])
        of_size[name] = cycle(sorted((place / name).rglob("*.jpg")))
    return [next(of_size[name]) for name in islice(cycle(MIX), len(MIX) * DRAWN)]


def measure(place: Path, photos: Sequence[Path], number: int, options: Sequence[str]) -> Round:
    """Estimate and score a number of photos once."""
    folder, out = place / "photos", place / "out"
    for leftover in (folder, out):
        shutil.rmtree(leftover, ignore_errors=True)
    folder.mkdir()
    for index, photo in enumerate(islice(cycle(photos), number)):
        shutil.copy(photo, folder / f"{index:04d}.jpg")
    plan_s, told = run_command(["plan", str(folder), *options])
    job_s, _ = run_command(["score", str(folder), "--out", str(out), *options])
    return Round(number, " ".join(options), read_estimate(told), plan_s, job_s)


def run_command(words: Sequence[str]) -> tuple[float, str]:
    """Run a command of crackscan; return its seconds and what it printed."""
    began_at_s = time.monotonic()
    ended = subprocess.run([sys.executable, "-m", "pipeline.cli", *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{words[0]} ended with {ended.returncode}: {ended.stderr}")
    return time.monotonic() - began_at_s, ended.stdout


def read_estimate(told: str) -> float:
    """Read the seconds that `plan` has printed."""
    found = re.search(r" to score: about (.+?) on ", told)
    if found is None:
        sys.exit(f"No estimate in: {told}")
    return sum(float(number) * SECONDS[unit] for number, unit in re.findall(r"([\d.]+) (s|min|h)\b", found[1]))


def make_table(rounds: Sequence[Round]) -> Iterator[str]:
    """Make a table of medians, with the lowest and highest ratio."""
    yield "| photos | options | `plan` takes, s | estimate, s | job, s | ratio |"
    yield "|---|---|---|---|---|---|"
    for photos, options in dict.fromkeys((each.photos, each.options) for each in rounds):
        own = [each for each in rounds if (each.photos, each.options) == (photos, options)]
        plan_s, estimate_s, job_s = (
            statistics.median(values)
            for values in zip(*((each.plan_s, each.estimate_s, each.job_s) for each in own), strict=True)
        )
        ratios = sorted(each.ratio for each in own)
        yield (f"| {photos} | {options or 'none'} | {plan_s:.0f} | {estimate_s:.0f} | {job_s:.0f} "
               f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |")  # fmt: skip
    far = sum(not 2 / 3 <= each.ratio <= 4 / 3 for each in rounds)
    yield f"\n{len(rounds) - far} of {len(rounds)} estimates are within a third."


if __name__ == "__main__":
    main()
