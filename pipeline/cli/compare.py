"""`crackscan compare`: compare two datasets of one structure, or of two models."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo
from pipeline.cli.options import overwrite_option, threshold_option
from pipeline.cli.progress import progress
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.reports.compare import Comparison
    from pipeline.reports.crack_growth import Growth
    from pipeline.reports.photo_matching import By
    from pipeline.reports.score_changes import Agreement

MEANINGS = {
    "rose": "the score is higher in B, by the margin or more",
    "fell": "the score is lower in B, by the margin or more",
    "same": "the scores differ by less",
    "new": "only in B",
    "gone": "only in A",
    "failed": "in both, but one of them has no score",
    "unclear": "it cannot be told whether the other has it",
}
WORST_PHOTOS = 5
"""Changes that the command prints, and pairs whose cracks could not be compared."""


@click.command("compare")
@click.argument("a", metavar="OUT_A")
@click.argument("b", metavar="OUT_B")
@click.option("--by", type=click.Choice(["name", "place"]), default="name", show_default=True,
              help="How to match photos: by path in the archive, or by position and time.")  # fmt: skip
@click.option("--within", type=click.FloatRange(0.01, 1000), default=5, show_default=True, metavar="M",
              help="By place: greatest distance of a pair, metres.")  # fmt: skip
@click.option("--margin", type=click.FloatRange(0, 1, min_open=True), default=0.1, show_default=True, metavar="SCORE",
              help="Scores that differ by less are the same.")  # fmt: skip
@threshold_option
@click.option("--top", type=click.IntRange(0, 100), default=12, show_default=True, metavar="N",
              help="Pairs that the page shows side by side.")  # fmt: skip
@click.option("--cracks", "crack_pairs", type=click.IntRange(0, 1000), default=24, show_default=True, metavar="N",
              help="Pairs of photos whose cracks are compared, those with the longest; seconds each.")  # fmt: skip
@click.option("--out", "to", default="comparison", show_default=True, metavar="FOLDER", help="Folder or URL to write.")
@overwrite_option
def command(
    a: str,
    b: str,
    by: "By",
    within: float,
    margin: float,
    threshold: float | None,
    top: int,
    crack_pairs: int,
    to: str,
    overwrite: bool,
) -> None:
    """Compare the dataset OUT_A with OUT_B: the same structure in two years, or two models on the same photos.

    The score of a photo rose, fell or is the same, or the photo is new, gone, failed or unclear.
    FOLDER/comparison.parquet has a row for each, with both scores; FOLDER/comparison.html shows what changed most;
    older ones are replaced. Agreement says how many photos have a tile over the threshold in both, at each model's
    threshold or at --threshold.

    If cracks were measured in both, pairs of photos are laid over each other, and each crack is new, longer, wider,
    gone, the same, or outside of what both photos show. FOLDER/crack_changes.parquet has a row for each, with lengths,
    widths and by how much they grew. Photos that do not fit together are named with the reason, and nothing is said of
    their cracks. With --top 0 --cracks 0, no archive is read.

    Where both datasets have elements (`crackscan elements`), what became of cracks is also told element by element.
    Cracks that somebody rejected are left out.

    By name, photos with the same path in their archives match; if several archives have such a path, those in archives
    of the same name. Others match by the longest common end of their paths, if no other photo has it: 1.jpg of the
    folder north and north/1.jpg of a zip. By place, the nearest photos match; those of one spot in the order in which
    they were taken.

    \b
    Examples:
      crackscan compare scores-2025 scores-2026
      crackscan compare scores-2025 scores-2026 --by place --within 2
      crackscan compare scores-2025 scores-2026 --cracks 200
      crackscan compare old-model new-model --out old-new --threshold 0.9
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.reports.compare import CompareConfig, compare
    from pipeline.reports.photo_matching import Rule

    config = CompareConfig(a, b, to, Rule(by, within), margin, threshold, top, crack_pairs, overwrite=overwrite)
    with progress("photos") as show:
        comparison = compare(config, show)
    _print_comparison(comparison)


def _print_comparison(comparison: "Comparison") -> None:
    for kind, count in comparison.counts.items():
        echo(f"{kind:<8}{count:>9,}  {MEANINGS[kind]}")
    echo(_format_agreement(comparison.agreement))
    echo(*comparison.hints)
    for row in comparison.worst[:WORST_PHOTOS]:
        scores = f"{row['crack_score_a']:.3f} to {row['crack_score_b']:.3f}"
        echo(f"{row['difference']:+.3f}  {scores}  {row['image_b']}")
    _print_growth(comparison.growth)
    for element in comparison.elements:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in element.cracks.items()) or "no crack compared"
        echo(f"{element.title}: {counts}{f', {element.grown} new' if element.grown_px else ''}.")
    echo(comparison.table_url, comparison.page_url, *([comparison.cracks_url] if comparison.growth.pairs else []))


def _print_growth(growth: "Growth") -> None:
    if growth.unmeasured:
        echo(f"Cracks were not measured in {growth.unmeasured}, so it cannot be told which grew.")
    if not growth.pairs:
        return
    counts = ", ".join(f"{count:,} {kind}" for kind, count in growth.counts.items() if kind != "unknown")
    echo(f"Cracks of {count_of(growth.compared, 'pair')} of photos: {counts}.")
    failed = [pair for pair in growth.pairs if pair.reason is not None]
    for pair in failed[:WORST_PHOTOS]:
        echo(f"Not compared: the cracks of {pair.names['image_b']}. {pair.reason}")
    if len(failed) > WORST_PHOTOS:
        echo(f"… and those of {count_of(len(failed) - WORST_PHOTOS, 'more pair')}; the page lists them.")
    if growth.left:
        echo(f"{count_of(growth.left, 'more pair')} with cracks: give --cracks {len(growth.pairs) + growth.left}.")


def _format_agreement(agreed: "Agreement") -> str:
    if agreed.share is None:
        return "No photo has a score in both."
    kappa = "not defined, as both say the same of all" if agreed.kappa is None else f"{agreed.kappa:.3f}"
    return (
        f"With a tile at or over the threshold: in both {agreed.both:,}, only in A {agreed.only_a:,}, only in B "
        f"{agreed.only_b:,}, in neither {agreed.neither:,}. The same for {agreed.share:.1%}; Cohen's kappa (1 full "
        f"agreement, 0 as by chance) {kappa}."
    )
