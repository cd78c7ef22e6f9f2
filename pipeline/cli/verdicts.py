"""`crackscan verdicts`: add what people say of photos, tiles and cracks to a dataset."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.messages import echo, short_url
from pipeline.core.counts import count_of

if TYPE_CHECKING:
    from pipeline.evaluation.verdict_figures import Figure, VerdictFigures
    from pipeline.findings.verdicts import Conflict, Recorded

NAMED = 3
"""How many photos or places a line names."""


@click.command("verdicts")
@click.argument("out", metavar="OUT")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--by", metavar="NAME", help="Who judged, for rows that do not say; they keep the name that they have.")
@click.option("--figures", is_flag=True, help="Estimate precision and recall from tiles that were sampled at random.")
@click.option("--threshold", type=click.FloatRange(0, 1), metavar="SCORE",
              help="For --figures: a tile at or over it is called cracked.  [default: the model's]")  # fmt: skip
def command(out: str, files: tuple[str, ...], by: str | None, figures: bool, threshold: float | None) -> None:
    """Add verdicts to the dataset OUT, and say how many of its findings are confirmed, rejected, unclear and open.

    FILE is what the page of `crackscan review` saved (verdicts.csv or verdicts.json), a review.csv with its labels
    filled in (Positive or 1, Negative or 0, ? for unclear), what a labelling tool exported, or a folder with one of
    them. Verdicts go into a new file in OUT/verdicts/; nothing else changes. The last verdict on a place counts, and
    all are kept; a file that is read twice adds nothing. People may add verdicts while a run writes.

    Without FILE, it only counts. The view `findings` of `crackscan query` has one row a place.

    \b
    Examples:
      crackscan verdicts scores looked-at/verdicts.csv --by "A. Meier"
      crackscan verdicts scores meier/review.csv chan/verdicts.json --by "A. Meier"
      crackscan verdicts scores --figures
      crackscan query scores "SELECT * FROM findings WHERE state = 'open'"
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.findings.verdicts import count_findings, record

    if threshold is not None and not figures:
        raise click.UsageError("--threshold is for --figures: give both.")
    if files:
        recorded = record(out, files, by)
        echo(*_format_recorded(recorded))
        echo(*_list_remarks(recorded), err=True)
    counts = count_findings(out)
    echo(f"Findings of {out}: {', '.join(f'{count:,} {state}' for state, count in counts.items())}")
    if figures:
        from pipeline.evaluation.verdict_figures import measure_verdicts

        echo(*_format_figures(measure_verdicts(out, threshold)))


def _format_recorded(recorded: "Recorded") -> list[str]:
    known = f"; {count_of(recorded.known, 'was', 'were')} there already" if recorded.known else ""
    place = "" if recorded.url is None else f": {short_url(recorded.url)}"
    return [f"Added {count_of(recorded.added, 'verdict')}{known}{place}"]


def _list_remarks(recorded: "Recorded") -> list[str]:
    """List what does not count, and what people should know, a line each."""
    lines = []
    if recorded.unanswered:
        rows = count_of(recorded.unanswered, "row has no answer and is", "rows have no answer and are")
        lines.append(f"{rows} left out.")
    for reason, photos in recorded.not_counting.items():
        lines.append(f"Verdicts {reason} are kept, and do not count: {_name_some(photos)}.")
    if recorded.conflicts:
        places = count_of(len(recorded.conflicts), "place is", "places are")
        named = _name_some([*map(_format_conflict, recorded.conflicts)], "; ")
        lines.append(f"{places} judged differently by two people, and the last verdict counts: {named}.")
    return lines


def _name_some(names: "list[str] | tuple[str, ...]", between: str = ", ") -> str:
    more = [f"and {len(names) - NAMED:,} more"] if len(names) > NAMED else []
    return between.join([*names[:NAMED], *more])


def _format_conflict(conflict: "Conflict") -> str:
    return f"{conflict.image} ({', then '.join(f'{who}: {verdict}' for who, verdict in conflict.answers)})"


def _format_figures(found: "VerdictFigures") -> list[str]:
    """Write the figures, or why there is none."""
    if not found.judged:
        return ["No figures: no tile was judged. Judge a fair sample: crackscan review OUT --out FOLDER --pick random"]
    if not found.sampled:
        judged = count_of(found.judged, "tile was", "tiles were")
        return [
            f"No fair figures: {judged} judged, and none of them is cracked or sound and of a random sample.",
            "Tiles that were picked because they are hard say little about the others.",
            "Judge a fair sample: crackscan review OUT --out FOLDER --pick random",
        ]
    before = f" and {found.before:,} judged before" if found.before else ""
    tiles = f"{count_of(found.sampled, 'tile')} sampled at random{before}, of {count_of(found.photos, 'photo')}"
    lines = [
        f"From {tiles} ({found.cracked:,} cracked), at threshold {found.threshold:.3g}:",
        _format_figure("precision", found.precision, "no tile of the sample is over the threshold"),
        _format_figure("recall", found.recall, "no tile of the sample is cracked"),
    ]
    left_out = {"unclear": found.unclear, "no tiles of this dataset": found.unscored}
    lines += [f"  {count:,} left out: {reason}" for reason, count in left_out.items() if count]
    return lines


def _format_figure(name: str, figure: "Figure | None", why_not: str) -> str:
    if figure is None:
        return f"  {name:<9} cannot be told: {why_not}"
    if figure.interval is None:
        return f"  {name:<9} {figure.value:.2f}  (no interval: it takes tiles of ten photos or more)"
    low, high = figure.interval
    return f"  {name:<9} {figure.value:.2f}  95 % interval {low:.2f} to {high:.2f} (photos resampled)"
