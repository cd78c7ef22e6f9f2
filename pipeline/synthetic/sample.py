"""A synthetic sample: photos, ground truth and labelled tiles, the same for the same arguments.

`README.md` is written first and marks the folder as a sample; `sample.json` is written last and marks it as complete.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline import __version__
from pipeline.core.counts import count_of
from pipeline.core.errors import StorageError, UsageError
from pipeline.core.progress import OnProgress, no_progress
from pipeline.synthetic.config import SampleConfig
from pipeline.synthetic.drawing import draw_photo
from pipeline.synthetic.ground_truth import GroundTruth
from pipeline.synthetic.photos import encode, open_photos, photos_path
from pipeline.synthetic.tiles import count_splits, write_tiles

TITLE = "# SYNTHETIC concrete photos, drawn by crackscan sample"
"""First line of a sample's README; a folder with it and without `sample.json` is an incomplete sample."""

PARTS = (
    *("README.md", "check.sql", "masks", "photos", "photos.csv", "photos.tar", "photos.tgz", "photos.zip"),
    *("tiles", "truth.parquet", "truth_cracks.parquet"),
)
"""Everything that a sample may hold besides `sample.json`."""


@dataclass(frozen=True)
class SampleSummary:
    """What a sample holds, and where."""

    out: Path
    photos_path: Path
    """The archive or folder of photos."""
    photos: int
    cracked_photos: int
    train_tiles: int
    val_tiles: int
    already_there: bool
    """Whether an equal sample was there, and is left as it is."""


def write_sample(config: SampleConfig, on_progress: OnProgress | None = None) -> SampleSummary:
    """Write a sample, unless the same one is there already; replace an incomplete one.

    Raises:
        UsageError: the folder holds something else.
        StorageError: the folder cannot be written.
    """
    try:
        if _is_complete(config):
            return _summarise(config, already_there=True)
        _clear(config.out)
        _write(config, on_progress or (no_progress))
    except OSError as error:
        raise StorageError(f"The sample could not be written to {config.out}: {error.strerror or error}.") from error
    return _summarise(config, already_there=False)


def _is_complete(config: SampleConfig) -> bool:
    marker = config.out / "sample.json"
    if not marker.is_file():
        return False
    try:
        found = json.loads(marker.read_bytes())["arguments"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{marker} is not what a sample leaves there. Choose another --out.") from error
    if found != config.arguments():
        expected = config.arguments().items()
        other = [f"{name} {found.get(name)} instead of {value}" for name, value in expected if found.get(name) != value]
        raise UsageError(
            f"{config.out} holds a sample made with {', '.join(other)}. Choose another --out, or remove that folder."
        )
    return True


def _clear(folder: Path) -> None:
    """Make an empty folder, or empty one with an incomplete sample."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; --out must be a new or empty folder.")
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        return
    readme = folder / "README.md"
    if not readme.is_file() or not readme.read_bytes().startswith(TITLE.encode()):
        raise UsageError(f"{folder} is not empty and is no sample. Choose a new or empty folder as --out.")
    for name in PARTS:
        part = folder / name
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def _write(config: SampleConfig, on_progress: OnProgress) -> None:
    total, done = config.photos + config.tiles, 0

    def advance() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    on_progress(0, total)
    (config.out / "README.md").write_text(_readme(config))
    if config.photos:
        _write_photos(config, advance)
    if config.tiles:
        write_tiles(config, config.out / "tiles", advance)
    marker = {"arguments": config.arguments(), "version": __version__}
    temporary = config.out / ".sample.json.tmp"
    temporary.write_text(json.dumps(marker, indent=2) + "\n")
    temporary.replace(config.out / "sample.json")


def _write_photos(config: SampleConfig, on_photo: Callable[[], None]) -> None:
    (config.out / "masks").mkdir()
    truth = GroundTruth(config.out)
    with open_photos(photos_path(config.out, config.format), config.format) as add_file:
        for index, cracked in enumerate(_choose_cracked(config)):
            rng = np.random.default_rng((config.seed, 0, index))
            seed, quality = int(rng.integers(2**63)), int(rng.integers(72, 96))
            drawing = draw_photo(
                config.height_px, config.width_px, seed, cracked=bool(cracked), widths_px=config.widths_px
            )
            name = f"synthetic-{index:05d}.jpg"
            add_file(name, encode(drawing.pixels, index, quality))
            truth.add(name, drawing, seed)
            on_photo()
    truth.write()


def _choose_cracked(config: SampleConfig) -> list[bool]:
    """Return for each photo whether it has cracks: one half, rounded up, in random order."""
    flags = [index < (config.photos + 1) // 2 for index in range(config.photos)]
    return [flags[index] for index in np.random.default_rng((config.seed, 2)).permutation(config.photos)]


def _summarise(config: SampleConfig, *, already_there: bool) -> SampleSummary:
    counts = count_splits(config.tiles)
    return SampleSummary(
        out=config.out,
        photos_path=photos_path(config.out, config.format),
        photos=config.photos,
        cracked_photos=(config.photos + 1) // 2,
        train_tiles=counts["train"],
        val_tiles=counts["val"],
        already_there=already_there,
    )


def _readme(config: SampleConfig) -> str:
    photos = photos_path(config.out, config.format).name
    return f"""{TITLE}

Nothing in this folder was photographed. Every picture is drawn from random numbers by crackscan {__version__};
its EXIF data (time, place, camera) are made up. It is for trying out and testing software. A model trained on it knows
nothing about real bridges, and figures measured on it say nothing about the field.

Made with seed {config.seed} by

    {config.command()}

The same command makes the same pictures again.

* `{photos}`: {count_of(config.photos, "photo")}, {config.width_px} x {config.height_px} px, half of them with cracks. \
Some are stored rotated, with EXIF orientation 3, 6 or 8.
* `masks/`: for each photo, upright, a 1-bit PNG; white = crack.
* `photos.csv`: for each photo, whether it is cracked, its crack pixels, its widest crack in pixels, and the seed for
  `pipeline.synthetic.drawing.draw_photo`.
* `truth.parquet`: crack pixels in each 16 px cell of each photo; cells without any have no row.
* `truth_cracks.parquet`: for each arm and branch of a crack, the line along which it is drawn (WKT), its length and its
  median width, in pixels of the upright photo.
* `check.sql`: recall and false alarms of a scored dataset, and how far its lengths and widths of cracks are off:
  `crackscan query OUT @check.sql`.
* `tiles/`: {count_of(config.tiles, "labelled tile")}, {config.tile_px} px, for training (`train/`) and validation \
(`val/`), from different synthetic walls.
  `manifest.csv` names the wall of each tile (`group`).
* `sample.json`: the arguments; it is written last, so a sample without it is not finished.

How it is drawn: mottled cement skin (noise in octaves), bug holes, formwork boards, joints, scratches, stains, streaks
and shadows; cracks walk at random with momentum, kink, taper and branch. Then uneven light, a soft lens, sensor
noise and JPEG.
"""
