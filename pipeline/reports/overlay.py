"""A photo, or a region of a raster, with its crack lines or its heat over it, as a file: for a mail or a slide."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline import storage
from pipeline.core.counts import count_of
from pipeline.core.errors import DataError, StorageError, UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.rasters import read_rasters
from pipeline.dataset.sql import Connection
from pipeline.dataset.targets import Product, Target, check_targets, has_mark, mark_of
from pipeline.images.decode import Pixels
from pipeline.images.tiles import Tile
from pipeline.reports import crack_stats, dataset_stats, heatmap, svg_plots, thumbnails
from pipeline.reports.crack_stats import NOT_MEASURED, CrackLines
from pipeline.reports.heatmap import TileScores
from pipeline.reports.photo_cards import choose_crop, move_into
from pipeline.reports.raster_pictures import Region, find_raster, open_region_reader, read_region_scores
from pipeline.reports.source_photos import read_source_photos
from pipeline.reports.thumbnails import Form, LegendItem
from pipeline.reports.width_classes import ALL_CLASSES

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
    cracks: bool = False
    """Draw the lines of cracks, coloured by width, in place of the heat."""
    crop_only: bool = False
    """Draw no photo as a whole, only what is around its worst place."""


@dataclass(frozen=True)
class Overlay:
    """The picture of one photo."""

    image: str
    crack_score: float
    measures: str
    """What was measured in it, in words; empty if nothing was."""
    url: str | None
    """None if the photo cannot be read any more."""
    why: str
    """Why it cannot be read; empty if it can."""


def write_overlays(config: OverlayConfig) -> Iterator[Overlay]:
    """Draw photos one by one, in the order of their archives; draw none if a name is unknown or a file in the way.

    Raises:
        UsageError: there is no dataset, a name means none or several of its photos, a file may not be replaced, or
            cracks are asked for where none were measured.
    """
    layout, folder = Layout(storage.canonical(config.out)), storage.canonical(config.to)
    with dataset_stats.open_photos(layout, None) as photos:
        ids = list(dict.fromkeys(_find_photo(photos, layout, name) for name in config.images))
        facts = {row["image_id"]: row for row in dataset_stats.read_photos(photos, ids)}
        if config.cracks and any(row["cracks"] is None for row in facts.values()):
            raise UsageError(f"{layout.url} {NOT_MEASURED} Leave --cracks out.")
        scores = dataset_stats.read_tile_scores(photos, list(facts.values()))
        lines = crack_stats.read_lines(photos, ids) if config.cracks else {}
    urls = {id_: storage.join(folder, _file_name(row["image"], id_, config)) for id_, row in facts.items()}
    product = Product("overlay", config.form, _IS_OVERLAY[config.form])
    check_targets([Target(url, product, config.overwrite) for url in urls.values()], [layout])
    for image_id, source in read_source_photos(layout, {image_id: row["archive"] for image_id, row in facts.items()}):
        row = facts[image_id]
        name, score, measures = row["image"], row["crack_score"], crack_stats.describe_photo(row)
        if isinstance(source, str):
            yield Overlay(name, score, measures, None, source)
            continue
        found = lines.get(image_id, [])
        text = f"{storage.name(name)}   {measures if config.cracks else f'highest tile score {score:.3f}'}"
        if config.cracks and config.crop_only:
            crop = choose_crop(scores[image_id], found[-1] if found else None)
            picture = draw_cracks(thumbnails.cut(source, crop), move_into(found, crop), row["mm_per_px"], text)
        elif config.cracks:
            picture = draw_cracks(source, found, row["mm_per_px"], text)
        else:
            part = choose_crop(scores[image_id], None) if config.crop_only else None
            picture = draw_overlay(source, scores[image_id], text, part)
        storage.write_whole(urls[image_id], thumbnails.encode(picture, config.form, mark_of("overlay")))
        yield Overlay(name, score, measures, urls[image_id], "")


def write_region(config: OverlayConfig, region: Region | None) -> Overlay:
    """Draw a region of a raster, the one image of the config; None draws all of it, if it is small enough.

    Raises:
        UsageError: there is no such raster, the region is none of it, a file may not be replaced, or cracks are asked
            for where none were measured.
    """
    layout, folder = Layout(storage.canonical(config.out)), storage.canonical(config.to)
    [name] = config.images
    raster = find_raster(read_rasters(layout), name)
    region = region or Region.whole(raster)
    region.check(raster)
    left_px, top_px, width_px, height_px = region
    with dataset_stats.open_photos(layout, None) as photos:
        if config.cracks and crack_stats.count_cracks(photos, dataset_stats.EVERY_CRACK) is None:
            raise UsageError(f"{layout.url} {NOT_MEASURED} Leave --cracks out.")
        scores = read_region_scores(photos, raster, region)
        box = left_px, top_px, left_px + width_px, top_px + height_px
        lines = crack_stats.read_lines_in(photos, raster.archive, box)
    stem = f"{storage.name(raster.archive).rpartition('.')[0]}-{'-'.join(map(str, region))}"
    url = storage.join(folder, f"{stem}{'-cracks' if config.cracks else ''}{SUFFIXES[config.form]}")
    product = Product("overlay", config.form, _IS_OVERLAY[config.form])
    check_targets([Target(url, product, config.overwrite)], [layout], {raster.archive})
    score = float(scores.scores.max(initial=0))
    measures = count_of(len(lines), "crack")
    try:
        pixels = open_region_reader(layout, raster).read(top_px, left_px, height_px, width_px)
    except (DataError, StorageError) as error:
        return Overlay(raster.archive, score, measures, None, str(error))
    title = f"{storage.name(raster.archive)}   {','.join(map(str, region))}"
    if config.cracks:
        picture = draw_cracks(pixels, lines, raster.mm_per_px, f"{title}   {measures}")
    else:
        picture = draw_overlay(pixels, scores, f"{title}   highest tile score {score:.3f}")
    storage.write_whole(url, thumbnails.encode(picture, config.form, mark_of("overlay")))
    return Overlay(raster.archive, score, measures, url, "")


def draw_cracks(pixels: Pixels, cracks: Sequence[CrackLines], mm_per_px: float | None, text: str) -> Pixels:
    """Draw cracks over a photo, in its own size, and add their classes of width and a scale bar below.

    Shape: (H, W, 3) → (H + legend, W, 3).
    """
    lines = [(line, crack.width_class.colour) for crack in cracks for line in crack.lines]
    seen = {crack.width_class for crack in cracks}
    classes = [LegendItem(one.label, one.colour) for one in ALL_CLASSES if one in seen]
    bar = [] if mm_per_px is None else [_scale_bar(mm_per_px, pixels.shape[1])]
    return thumbnails.add_samples(thumbnails.draw_lines(pixels, lines), [*bar, *classes, LegendItem(text)])


def _scale_bar(mm_per_px: float, width_px: int) -> LegendItem:
    """Return a round length of at most a quarter of a photo."""
    long_mm = svg_plots.round_down(width_px / 4 * mm_per_px)
    label = f"{long_mm / 1000:g} m" if long_mm >= 1000 else f"{long_mm:g} mm"
    return LegendItem(label, "#000000", round(long_mm / mm_per_px))


def draw_overlay(pixels: Pixels, photo: TileScores, text: str, crop: Tile | None = None) -> Pixels:
    """Draw the heat of its tiles over a photo, in its own size, and add the colour scale below.

    Shape: (H, W, 3) → (H + legend, W, 3); of a crop, its height and width.

    Args:
        pixels: the photo.
        photo: its tiles.
        text: stands in the legend.
        crop: the part to show; None for all.
    """
    drawn = heatmap.blend(pixels, heatmap.draw_layer(photo, *pixels.shape[:2]))
    return thumbnails.add_legend(drawn if crop is None else thumbnails.cut(drawn, crop), text)


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


def _file_name(image: str, image_id: str, config: OverlayConfig) -> str:
    """Return a file name that every system takes, close to that of the photo."""
    stem = image.rpartition("/")[2].rpartition(".")[0]
    plain = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in stem)[:60]
    ending = f"{'-cracks' if config.cracks else ''}{'-crop' if config.crop_only else ''}{SUFFIXES[config.form]}"
    return f"{plain}-{image_id}{ending}"
