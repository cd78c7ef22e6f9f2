"""`crackscan sample`: draw synthetic photos and labelled tiles to try everything out."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo
from pipeline.cli.progress import progress
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.synthetic.sample import SampleSummary


class _Size(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT in pixels, as cameras state it."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return height and width."""
        width, cross, height = str(value).lower().partition("x")
        if not (cross and width.isdecimal() and height.isdecimal()):
            self.fail(f"{value} is not WIDTHxHEIGHT in pixels, such as 1600x1200.", param, ctx)
        return int(height), int(width)


class _WidthRange(click.ParamType[tuple[float, float]]):
    """THIN-WIDE in pixels, or one width."""

    name = "range"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Return the thinnest and the widest."""
        low, _, high = str(value).partition("-")
        try:
            return float(low), float(high or low)
        except ValueError:
            self.fail(f"{value} is not THIN-WIDE in pixels, such as 1-30.", param, ctx)


@click.command()
@click.option("--out", required=True, metavar="DIR", help="Folder to write; new, empty, or the same sample.")
@click.option("--photos", default=24, show_default=True, type=click.IntRange(min=0), help="Photos to draw.")
@click.option("--size", default="1600x1200", show_default=True, type=_Size(), metavar="WxH", help="Size of a photo.")
@click.option("--tiles", default=800, show_default=True, type=click.IntRange(min=0), help="Labelled tiles to cut.")
@click.option("--tile", default=224, show_default=True, type=int, metavar="PX", help="Side of a labelled tile.")
@click.option(
    "--format",
    "kind",
    default="zip",
    show_default=True,
    type=click.Choice(["folder", "zip", "tar", "tgz"]),
    help="How the photos are kept.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Same seed, same pictures.")
@click.option(
    "--crack-width",
    default="1-30",
    show_default=True,
    type=_WidthRange(),
    metavar="PX-PX",
    help="Thinnest and widest crack; none is wider than a quarter of its photo's shorter side.",
)
def command(
    out: str,
    photos: int,
    size: tuple[int, int],
    tiles: int,
    tile: int,
    kind: str,
    seed: int,
    crack_width: tuple[float, float],
) -> None:
    """Draw synthetic photos of concrete with cracks, their truth, and labelled tiles.

    Nothing in it is real: file names, EXIF and the README in DIR say so. Half of the photos have cracks; the others
    have joints, stains and shadows that look a little like them. What is written:

    \b
      DIR/photos.zip       the photos, to be scored
      DIR/masks/           the truth: white = crack; DIR/truth_cracks.parquet has lines, lengths and widths
      DIR/tiles/train/     Positive/ and Negative/ tiles to train on
      DIR/tiles/val/       the same, from other walls, to validate on
      DIR/check.sql        recall and false alarms once the photos are scored, and errors of lengths and widths

    \b
    Examples:
      crackscan sample --out demo
      crackscan sample --out big --photos 200 --size 4000x3000 --tiles 0 --format tar
      crackscan sample --out hairlines --crack-width 1-3 --seed 7
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from typing import cast

    from pipeline import storage
    from pipeline.dataset.targets import check_place
    from pipeline.synthetic.config import Format, SampleConfig
    from pipeline.synthetic.sample import write_sample

    config = SampleConfig(
        out=storage.local_path(out),
        photos=photos,
        height_px=size[0],
        width_px=size[1],
        tiles=tiles,
        tile_px=tile,
        format=cast("Format", kind),
        seed=seed,
        widths_px=crack_width,
    )
    check_place(storage.canonical(out))
    with progress("photos and tiles") as show:
        summary = write_sample(config, show)
    echo(*_format_result(summary, out))


def _format_result(summary: "SampleSummary", out: str) -> list[str]:
    """Write what is where, and what to type next."""
    place = out.rstrip("/") or out
    lines = ["Next:"]
    if summary.train_tiles:
        tiles = f"{place}/tiles"
        lines.insert(
            0, f"  {tiles}  {count_of(summary.train_tiles, 'tile')} to train on, {summary.val_tiles} to validate on"
        )
        lines.append(f"  crackscan train {tiles}/train --val {tiles}/val --out {place}/model --preset quick")
    if summary.photos:
        photos = f"{place}/{summary.photos_path.name}"
        model = f" --model {place}/model" if summary.train_tiles else ""
        lines = [
            f"  {photos}  {count_of(summary.photos, 'photo')}, {summary.cracked_photos} of them with cracks",
            f"  {place}/masks  the truth: white = crack",
            *lines,
            f"  crackscan score {photos}{model} --out {place}/scores",
            f"  crackscan query {place}/scores @{place}/check.sql",
        ]
    done = "This sample is already there and was left as it is" if summary.already_there else "Drew a synthetic sample"
    return [f"{done}: {place}", *lines]
