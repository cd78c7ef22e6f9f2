"""A photo with its heat over it, as a file: for a mail, a slide, or one photo of a dataset."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline import storage
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import Connection
from pipeline.dataset.targets import Product, Target, check_targets, has_mark, mark_of
from pipeline.images.decode import Pixels
from pipeline.reports import dataset_stats, heatmap, thumbnails
from pipeline.reports.heatmap import TileScores
from pipeline.reports.source_photos import read_source_photos
from pipeline.reports.thumbnails import Form

SUFFIXES: dict[Form, str] = {"png": ".png", "jpeg": ".jpg"}
_IS_OVERLAY: dict[Form, Callable[[str, bytes], bool]] = {
    "png": has_mark("overlay", b"tEXtSoftware\0"),
    "jpeg": has_mark("overlay", b""),  # behind the mark of a comment and its length
}
LISTED_MATCHES = 5
"""Photos that an error message lists."""

_BY_NAME = """
    SELECT image_id, archive, image, status, failure_message FROM photos
    WHERE image_id = $1 OR image = $1 OR (ends_with(image, '/' || $1)) ORDER BY archive, image, occurrence LIMIT 100
"""


@dataclass(frozen=True)
class OverlayConfig:
    """Which photos to draw, and where to."""

    out: str
    """The dataset."""
    images: Sequence[str]
    """Photos, each by its path in its archive, the end of that path, or its `image_id`."""
    to: str
    """Folder or URL to write into."""
    form: Form = "png"
    overwrite: bool = False
    """Also replace pictures that are no overlays."""


@dataclass(frozen=True)
class Overlay:
    """The picture of one photo."""

    image: str
    crack_score: float
    url: str | None
    """None if the photo cannot be read any more."""
    why: str
    """Why it cannot be read; empty if it can."""


def write_overlays(config: OverlayConfig) -> Iterator[Overlay]:
    """Draw photos one by one, in the order of their archives; draw none if a name is unknown or a file in the way.

    Raises:
        UsageError: there is no dataset, a name means none or several of its photos, or a file may not be replaced.
    """
    layout, folder = Layout(storage.canonical(config.out)), storage.canonical(config.to)
    with dataset_stats.open_photos(layout, None) as photos:
        ids = list(dict.fromkeys(_find_photo(photos, layout, name) for name in config.images))
        facts = {row["image_id"]: row for row in dataset_stats.read_photos(photos, ids)}
        scores = dataset_stats.read_tile_scores(photos, list(facts.values()))
    urls = {
        id_: storage.join(folder, f"{_file_stem(row['image'])}-{id_}{SUFFIXES[config.form]}")
        for id_, row in facts.items()
    }
    product = Product("overlay", config.form, _IS_OVERLAY[config.form])
    check_targets([Target(url, product, config.overwrite) for url in urls.values()], [layout])
    for image_id, source in read_source_photos(layout, {image_id: row["archive"] for image_id, row in facts.items()}):
        name, score = facts[image_id]["image"], facts[image_id]["crack_score"]
        if isinstance(source, str):
            yield Overlay(name, score, None, source)
            continue
        text = f"{storage.name(name)}   highest tile score {score:.3f}"
        picture = draw_overlay(source, scores[image_id], text)
        storage.write_whole(urls[image_id], thumbnails.encode(picture, config.form, mark_of("overlay")))
        yield Overlay(name, score, urls[image_id], "")


def draw_overlay(pixels: Pixels, photo: TileScores, text: str) -> Pixels:
    """Draw the heat of its tiles over a photo, in its own size, and add the colour scale below.

    Shape: (H, W, 3) → (H + legend, W, 3).
    """
    return thumbnails.add_legend(heatmap.blend(pixels, heatmap.draw_layer(photo, *pixels.shape[:2])), text)


def _find_photo(photos: Connection, layout: Layout, name: str) -> str:
    """Return the `image_id` of the one photo with this name."""
    rows = dataset_stats.read_rows(photos, _BY_NAME, [name])
    exact = [row for row in rows if name in {row["image_id"], row["image"]}] or rows
    if not exact:
        raise UsageError(
            f"No photo of {layout.url} is called {name}; expected its path in its archive, the end of that path, or "
            "its image_id. The table of `crackscan report` lists them all."
        )
    if len(exact) > 1:
        listed = ", ".join(f"{row['image_id']} ({row['archive']} {row['image']})" for row in exact[:LISTED_MATCHES])
        more = ", …" if len(exact) > LISTED_MATCHES else ""
        raise UsageError(
            f"{name} may be any of {count_of(len(exact), 'photo')}: {listed}{more}. Give the image_id of one."
        )
    [row] = exact
    if row["status"] == "failed":
        raise UsageError(f"{row['image']} was not scored: {row['failure_message']} Choose another photo.")
    return str(row["image_id"])


def _file_stem(image: str) -> str:
    """Return a file name that every system takes, close to that of the photo."""
    stem = image.rpartition("/")[2].rpartition(".")[0]
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in stem)[:60]
