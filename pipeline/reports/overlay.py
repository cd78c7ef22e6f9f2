"""A photo with its heat laid over it, as a file: for a mail, a slide or a look at one photo of a dataset."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout, check_outside
from pipeline.dataset.sql import Connection
from pipeline.reports import dataset_stats, heatmap, thumbnails
from pipeline.reports.heatmap import Pixels, TileScores
from pipeline.reports.source_photos import source_photos
from pipeline.reports.thumbnails import Form

SUFFIXES: dict[Form, str] = {"png": ".png", "jpeg": ".jpg"}
NAMED = 5
"""Photos that an error lists."""

_FOUND = """
    SELECT image_id, archive, image, status, failure_message FROM photos
    WHERE image_id = $1 OR image = $1 OR (ends_with(image, '/' || $1)) ORDER BY archive, image, occurrence LIMIT 100
"""


@dataclass(frozen=True)
class OverlayConfig:
    """Which photos, and where to."""

    out: str
    """The dataset."""
    images: Sequence[str]
    """Photos, each by its path in its archive, the end of that path, or its `image_id`."""
    to: str
    """Folder or URL to write into."""
    form: Form = "png"


@dataclass(frozen=True)
class Overlay:
    """What was drawn of a photo."""

    image: str
    crack_score: float
    url: str | None
    """None where the photo cannot be read any more."""
    why: str
    """Why it cannot."""


def write_overlays(config: OverlayConfig) -> Iterator[Overlay]:
    """Draw photos one by one, in the order of their archives; nothing is drawn where one of them is not known.

    Raises:
        UsageError: there is no dataset, no one photo in it is meant by a name, or the folder lies in the dataset.
    """
    layout, folder = Layout(storage.canonical(config.out)), storage.canonical(config.to)
    check_outside(layout, folder)
    with dataset_stats.statistics_of(layout, None) as photos:
        ids = list(dict.fromkeys(_image_id(photos, layout, name) for name in config.images))
        facts = {row["image_id"]: row for row in dataset_stats.photo_rows(photos, ids)}
        scores = dataset_stats.tile_scores(photos, list(facts.values()))
    for image_id, original in source_photos(layout, {image_id: row["archive"] for image_id, row in facts.items()}):
        name, score = facts[image_id]["image"], facts[image_id]["crack_score"]
        if isinstance(original, str):
            yield Overlay(name, score, None, original)
            continue
        text = f"{storage.name(name)}   highest tile score {score:.3f}"
        url = storage.join(folder, f"{_stem(name)}-{image_id}{SUFFIXES[config.form]}")
        storage.write_whole(url, thumbnails.encode(draw_overlay(original, scores[image_id], text), config.form))
        yield Overlay(name, score, url, "")


def draw_overlay(pixels: Pixels, photo: TileScores, text: str) -> Pixels:
    """Lay the heat of its tiles over a photo, in its own size, and put the scale below.

    Shape: (H, W, 3) → (H + legend, W, 3).
    """
    return thumbnails.with_legend(heatmap.lay_over(pixels, heatmap.layer(photo, *pixels.shape[:2])), text)


def _image_id(photos: Connection, layout: Layout, name: str) -> str:
    """Return the one photo that is meant."""
    rows = dataset_stats.rows(photos, _FOUND, [name])
    exact = [row for row in rows if name in {row["image_id"], row["image"]}] or rows
    if not exact:
        raise UsageError(
            f"No photo of {layout.url} is called {name}; expected its path in its archive, the end of that path, or "
            "its image_id. The table of `crackscan report` lists them all."
        )
    if len(exact) > 1:
        listed = ", ".join(f"{row['image_id']} ({row['archive']} {row['image']})" for row in exact[:NAMED])
        more = ", …" if len(exact) > NAMED else ""
        raise UsageError(f"{name} may be any of {len(exact)} photos: {listed}{more}. Give the image_id of one.")
    [row] = exact
    if row["status"] == "failed":
        raise UsageError(f"{row['image']} was not scored: {row['failure_message']} Choose another photo.")
    return str(row["image_id"])


def _stem(image: str) -> str:
    """Return a name for a file that any system takes, near enough to the photo's to be known by."""
    stem = image.rpartition("/")[2].rpartition(".")[0]
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in stem)[:60]
