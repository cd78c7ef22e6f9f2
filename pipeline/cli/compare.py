"""`crackscan compare`: compare two datasets of one structure, or of two models."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo
from pipeline.cli.options import overwrite_option, threshold_option

if TYPE_CHECKING:
    from pipeline.reports.compare import Comparison
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
"""Changes that the command prints."""


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
              help="Pairs that the page shows side by side; 0 reads no archive.")  # fmt: skip
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
    to: str,
    overwrite: bool,
) -> None:
    """Compare the dataset OUT_A with OUT_B: the same structure in two years, or two models on the same photos.

    The score of a photo rose, fell or is the same, or the photo is new, gone, failed or unclear.
    FOLDER/comparison.parquet has a row for each, with both scores; FOLDER/comparison.html shows what changed most;
    older ones are replaced. Agreement says how many photos have a tile over the threshold in both, at each model's
    threshold or at --threshold.

    By name, photos with the same path in their archives match; if several archives have such a path, those in archives
    of the same name. Others match by the longest common end of their paths, if no other photo has it: 1.jpg of the
    folder north and north/1.jpg of a zip. By place, the nearest photos match; those of one spot in the order in which
    they were taken.

    \b
    Examples:
      crackscan compare scores-2025 scores-2026
      crackscan compare scores-2025 scores-2026 --by place --within 2
      crackscan compare old-model new-model --out old-new --threshold 0.9
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.reports.compare import CompareConfig, compare
    from pipeline.reports.photo_matching import Rule

    _print_comparison(compare(CompareConfig(a, b, to, Rule(by, within), margin, threshold, top, overwrite=overwrite)))


def _print_comparison(comparison: "Comparison") -> None:
    for kind, count in comparison.counts.items():
        echo(f"{kind:<8}{count:>9,}  {MEANINGS[kind]}")
    echo(_format_agreement(comparison.agreement))
    echo(*comparison.hints)
    for row in comparison.worst[:WORST_PHOTOS]:
        scores = f"{row['crack_score_a']:.3f} to {row['crack_score_b']:.3f}"
        echo(f"{row['difference']:+.3f}  {scores}  {row['image_b']}")
    echo(comparison.table_url, comparison.page_url)


def _format_agreement(agreed: "Agreement") -> str:
    if agreed.share is None:
        return "No photo has a score in both."
    kappa = "not defined, as both say the same of all" if agreed.kappa is None else f"{agreed.kappa:.3f}"
    return (
        f"With a tile at or over the threshold: in both {agreed.both:,}, only in A {agreed.only_a:,}, only in B "
        f"{agreed.only_b:,}, in neither {agreed.neither:,}. The same for {agreed.share:.1%}; Cohen's kappa (1 full "
        f"agreement, 0 as by chance) {kappa}."
    )
