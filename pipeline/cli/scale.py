"""`crackscan scale`: set the scale of photos that are scored."""

from functools import partial

import click

from pipeline.cli.messages import echo
from pipeline.core.counts import count_of


@click.command("scale")
@click.argument("out", metavar="OUT")
@click.option(
    "--mm-per-px",
    type=click.FloatRange(0, min_open=True),
    metavar="X",
    help="Millimetres of the surface to a pixel of every photo, such as 0.42.",
)
@click.option(
    "--scale",
    "scale_table",
    metavar="TABLE",
    help="CSV or Parquet, or URL of one, with the columns image (a name, or a glob such as pier-7/*.JPG or "
    "*/night.zip/*) and mm_per_px. The first row that matches a photo counts; other photos keep their scale.",
)
@click.option("--remove", is_flag=True, help="Go back to the scales that the photos were scored with.")
def command(out: str, mm_per_px: float | None, scale_table: str | None, remove: bool) -> None:
    """Set how many millimetres a pixel spans in the photos of the dataset OUT, without scoring them again.

    It keeps the scales in OUT/scales.parquet. The views `images` and `cracks` of query, and what export, report and
    compact make, show millimetres by them; pixels stay. Each call replaces the one before. Photos that are scored
    later have the scale of their run, until the next call.

    A distance tells a scale only with the photo's focal length in pixels, which a dataset does not keep: give
    distance_m when you score.

    \b
    Examples:
      crackscan scale scores --mm-per-px 0.42
      crackscan scale s3://results/tonight --scale scales.csv
      crackscan scale scores --remove
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.findings.scales import remove_scales, set_scales
    from pipeline.images.scale_facts import ScaleFacts
    from pipeline.measurement.scale import find_scale
    from pipeline.scoring.config import ScoreConfig
    from pipeline.scoring.scale_table import make_scale_rule

    if (mm_per_px is not None) + (scale_table is not None) + remove != 1:
        raise click.UsageError("Give one of --mm-per-px, --scale and --remove.")
    if remove:
        was_set = remove_scales(out)
        echo(f"Photos of {out} have the scales that they were scored with{'' if was_set else '; no other was set'}.")
        return
    rule = make_scale_rule(ScoreConfig((), out, mm_per_px=mm_per_px, scale_table=scale_table))
    if distance := next((row for row in rule.table.rows if row.mm_per_px is None), None):
        raise click.BadParameter(
            f"the row of {distance.image} has a distance, which tells a scale only with the photo's focal length in "
            "pixels; a dataset does not keep that (focal_length_mm is in millimetres). Give mm_per_px, or score into "
            "another OUT with this table.",
            param_hint="'--scale'",
        )
    done = set_scales(out, partial(find_scale, ScaleFacts(), 1, rule))
    others = count_of(done.measured - done.photos, "has the one that it was", "have the ones that they were")
    kept = f"; {others} scored with" if done.measured > done.photos else ""
    echo(f"Set the scale of {count_of(done.photos, 'photo')} of {out}{kept}.")
