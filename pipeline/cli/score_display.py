"""What `score`, `retry` and `plan` show while they work, and what `score` and `retry` print at the end."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.cli.messages import DONE_WITH_FAILED_PHOTOS, echo, list_kinds, short_url
from pipeline.cli.progress import progress
from pipeline.core.counts import count_of
from pipeline.core.waits import working_time

if TYPE_CHECKING:
    from pipeline.monitoring.changes import Change
    from pipeline.scoring.progress import FailOn

NAMED = 20
"""Changed inputs, and rasters with notes, that are named; the run report and the log have all."""
LEAST_S = 0.1
"""Shorter times give no pace."""
WORST_PHOTOS = 5
"""Photos that a run lists at its end."""
WHY_FAILED = "SELECT image, failure_kind, failure_message FROM failures"
EMPTY_TILES = "SELECT coalesce(sum(empty_tiles), 0)::BIGINT FROM rasters"
WORST = "SELECT image, crack_score FROM images ANTI JOIN out_of_domain USING (image_id) ORDER BY 2 DESC LIMIT 20"
MEASURED = "SELECT image_id FROM images WHERE cracks IS NOT NULL LIMIT 1"
WIDEST = (
    "SELECT image, crack, length_{unit}, crack_width_{unit}_p95, scale_source "
    "FROM cracks ANTI JOIN out_of_domain USING (image_id) ORDER BY 4 DESC NULLS LAST LIMIT 20"
)
UNLIKE = "  (unlike the training photos)"
OUT_OF_DOMAIN = "SELECT image, domain_score, crack_score FROM out_of_domain ORDER BY domain_score DESC"


@contextmanager
def show_run(print_counts: Callable[[Any], None] | None = None) -> Iterator[Any]:  # ScoreCallbacks: loads pyarrow
    """Show the progress of a run while the context lasts.

    Args:
        print_counts: prints what a plan contains; only `plan` does.
    """
    from pipeline.dataset.lease import Holder
    from pipeline.models.engines import EngineChoice
    from pipeline.monitoring.changes import Change
    from pipeline.scoring.estimate import Counts
    from pipeline.scoring.progress import Progress, ScoreCallbacks

    began_s = working_time()
    with progress("photos") as show:

        class ScoreDisplay(ScoreCallbacks):
            has_waited = False
            on_notes = _NoteTeller()

            def on_engine(self, engine: EngineChoice) -> None:
                echo(f"Engine: {engine.name} ({engine.why})", err=True)

            def on_counted(self, counts: Counts) -> None:
                if print_counts is not None:
                    print_counts(counts)

            def on_wait(self, holder: Holder) -> None:
                if not self.has_waited:
                    echo(f"The dataset is held by {holder}; waiting to see whether that run still lives.", err=True)
                self.has_waited = True

            def on_changes(self, changes: Sequence[Change], *, is_rescored: bool) -> None:
                for line in describe_changes(changes, is_rescored=is_rescored):
                    echo(line, err=True)

            def on_listed(self, archives: int, total: int) -> None:
                show(0, 0, f"({archives:,} of {count_of(total, 'archive')} listed)")

            def on_progress(self, now: Progress) -> None:
                rate = now.tiles / max(working_time() - began_s, LEAST_S)
                more = (
                    f", and {count_of(now.uncounted, 'archive')} whose photos are not counted yet"
                    if now.uncounted
                    else ""
                )
                note = f"({count_of(now.tiles, 'tile')}, {rate:,.0f}/s, {now.failed:,} failed{more})"
                show(now.tried, max(now.photos, now.tried), note)

        yield ScoreDisplay()


class _NoteTeller:
    """Prints what is not read or not known of rasters, of each of the first ones on a line."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, archive: str, notes: Sequence[str]) -> None:
        """Print the notes of a raster; see `ScoreCallbacks.on_notes`."""
        self._told += 1
        if self._told <= NAMED:
            echo(f"{short_url(archive)}: {' '.join(notes)}", err=True)
        elif self._told == NAMED + 1:
            echo("Of further rasters, too, something is not read or not known; see OUT/logs.", err=True)


def describe_changes(changes: "Sequence[Change]", *, is_rescored: bool = False) -> list[str]:
    """Say what has changed among the inputs since they were listed, by name, and what to do."""
    lines = [_describe_change(change, is_rescored=is_rescored) for change in changes[:NAMED]]
    return lines if len(changes) <= NAMED else [*lines, f"… and {len(changes) - NAMED:,} more; see run-report.json."]


def _describe_change(change: "Change", *, is_rescored: bool) -> str:
    lost = f" {count_of(change.lost, 'photo')} of it had no row yet and cannot be scored." if change.lost else ""
    if change.what == "vanished":
        return f"Vanished since it was listed: {short_url(change.url)}.{lost}"
    replaced = f"Replaced since it was listed: {short_url(change.url)}."
    if is_rescored:
        return f"{replaced} What is there now is scored in its place."
    if not change.scored:
        return f"{replaced}{lost} Its failed row stays; `crackscan retry` scores what is there now."
    return (
        f"{replaced}{lost} {count_of(change.scored, 'score')} of what was there before stay; `crackscan score "
        "--on-changed rescore` scores what is there now."
    )


def end_run(summary: Any, out: str, seconds: float, fail_on: "FailOn") -> None:  # noqa: ANN401 - its module loads pyarrow
    """Print how a run ended, and exit."""
    if not summary.listed and not summary.uncounted:  # only a watch may end so, which has begun no dataset
        echo("Nothing came to score.")
        sys.exit(0)
    _print_run(summary, out, seconds)
    _print_empty(out)
    _print_worst(summary, out)
    sys.exit(DONE_WITH_FAILED_PHOTOS if summary.has_trouble(fail_on) else 0)


def _print_run(summary: Any, out: str, seconds: float) -> None:  # noqa: ANN401 - its module loads pyarrow
    run = summary.run
    if run.tried == 0 and not summary.left and not summary.uncounted:
        rows = count_of(summary.listed, "photo has its row", "photos have their row")
        echo(f"Nothing left to score: {rows} in {out}.")
    else:
        echo(
            f"Scored {count_of(run.scored, 'photo')} ({count_of(run.tiles, 'tile')}) in {seconds:,.0f} s; "
            f"{run.failed:,} failed, {summary.done_before:,} were done before."
        )
    if summary.cost is not None:
        echo(f"Cost: {summary.cost}, storage and traffic not included; more in {out}/run-report.json.")
    if summary.skipped:
        echo(f"Skipped files that are no photos: {list_kinds(dict(sorted(summary.skipped.items())))}")
    if summary.left:
        echo(f"{count_of(summary.left, 'photo is', 'photos are')} left; run it again without --limit to go on.")
    if not summary.is_finished and not summary.left and not summary.uncounted:
        echo("The dataset is not finished: photos that were planned before are not among these inputs.")
    if summary.uncounted:
        archives = count_of(summary.uncounted, "archive was not read to its end", "archives were not read to their end")
        echo(f"{archives}; run it again without --limit.")


def _print_empty(out: str) -> None:
    """Print how many tiles of rasters show nothing."""
    from pipeline.dataset.sql import query

    if count := query(out, EMPTY_TILES)[0][0].as_py():
        echo(f"{count_of(count, 'tile shows', 'tiles show')} nothing of a raster (nodata or transparent); not scored.")


def _print_worst(summary: Any, out: str) -> None:  # noqa: ANN401 - its module loads pyarrow
    from pipeline.dataset.sql import count_out_of_domain, list_worst, query

    place = shlex.quote(out)
    if query(out, MEASURED).num_rows:
        next_steps = [f"  crackscan report {place}", f"  crackscan query {place} '{_print_cracks(out)}'"]
    else:
        next_steps = [f"  crackscan query {place} '{WORST}'"]
        for photo in list_worst(out, WORST_PHOTOS):
            tiles = f"{photo.crack_tiles:>4} of {count_of(photo.tiles, 'tile')}"
            echo(f"  {photo.crack_score:.3f}  {tiles}  {photo.image}{UNLIKE if photo.is_out_of_domain else ''}")
    if count := count_out_of_domain(out):
        echo(f"{count_of(count, 'photo is', 'photos are')} unlike the training photos: look yourself. See which:")
        echo(f"  crackscan query {place} '{OUT_OF_DOMAIN}'")
    echo("Next:", *next_steps)
    if summary.failed:
        echo(f"  crackscan query {place} '{WHY_FAILED}'", f"  crackscan retry {place}")
    echo(_describe_trouble(summary))


def _print_cracks(out: str) -> str:
    """Print how many cracks there are, and the photos with the most; return the query that lists them."""
    from pipeline import storage
    from pipeline.dataset.layout import Layout
    from pipeline.reports import crack_stats, dataset_stats

    with dataset_stats.open_photos(Layout(storage.canonical(out)), None) as photos:
        totals = crack_stats.count_cracks(photos, dataset_stats.EVERY_CRACK)
        worst = dataset_stats.list_photos(photos, WORST_PHOTOS).to_pylist()
    if totals is not None:
        echo(f"Cracks: {crack_stats.describe_totals(totals)}")
    for photo in worst:
        if photo["crack_score"] is not None:
            note = UNLIKE if photo["is_out_of_domain"] else ""
            echo(f"  {photo['crack_score']:.3f}  {photo['image']}: {crack_stats.describe_photo(photo)}{note}")
    return WIDEST.format(unit="px" if totals is None else totals.unit)


def _describe_trouble(summary: Any) -> str:  # noqa: ANN401 - its module loads pyarrow
    """Count failed photos and changed inputs, the new ones apart."""
    changed = (
        f"; changed inputs: {len(summary.new_changes):,} new, {len(summary.changes):,} in all"
        if summary.changes or summary.new_changes
        else ""
    )
    return f"Failed photos: {summary.run.failed:,} new, {summary.failed:,} in all{changed}."
