"""What `score`, `retry` and `plan` show while they work, and what `score` and `retry` print at the end."""

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.cli.messages import DONE_WITH_FAILED_PHOTOS, echo, list_kinds
from pipeline.cli.progress import progress
from pipeline.core.counts import count_of

WORST_PHOTOS = 5
"""Photos that a run lists at its end."""
WHY_FAILED = "SELECT image, failure_kind, failure_message FROM failures"
WORST = "SELECT image, crack_score FROM images ORDER BY crack_score DESC LIMIT 20"
OUT_OF_DOMAIN = "SELECT image, domain_score, crack_score FROM out_of_domain ORDER BY domain_score DESC"


@contextmanager
def show_run() -> Iterator[Any]:  # ScoreCallbacks, whose module loads pyarrow
    """Show the progress of a run while the context lasts."""
    from pipeline.dataset.lease import Holder
    from pipeline.models.engines import EngineChoice
    from pipeline.scoring.progress import Progress, ScoreCallbacks

    began_at = time.monotonic()
    with progress("photos") as show:

        class ScoreDisplay(ScoreCallbacks):
            has_waited = False

            def on_engine(self, engine: EngineChoice) -> None:
                echo(f"Engine: {engine.name} ({engine.why})", err=True)

            def on_wait(self, holder: Holder) -> None:
                if not self.has_waited:
                    echo(f"The dataset is held by {holder}; waiting to see whether that run still lives.", err=True)
                self.has_waited = True

            def on_listed(self, archives: int, total: int) -> None:
                show(0, 0, f"({archives:,} of {count_of(total, 'archive')} listed)")

            def on_progress(self, now: Progress) -> None:
                rate = now.tiles / (time.monotonic() - began_at)
                more = (
                    f", and {count_of(now.uncounted, 'archive')} whose photos are not counted yet"
                    if now.uncounted
                    else ""
                )
                note = f"({count_of(now.tiles, 'tile')}, {rate:,.0f}/s, {now.failed:,} failed{more})"
                show(now.tried, max(now.photos, now.tried), note)

        yield ScoreDisplay()


def end_run(summary: Any, out: str, seconds: float) -> None:  # noqa: ANN401 - its module loads pyarrow
    """Print how a run ended, and exit."""
    _print_run(summary, out, seconds)
    _print_worst(summary, out)
    sys.exit(DONE_WITH_FAILED_PHOTOS if summary.failed else 0)


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


def _print_worst(summary: Any, out: str) -> None:  # noqa: ANN401 - its module loads pyarrow
    from pipeline.dataset.sql import count_out_of_domain, list_worst

    for photo in list_worst(out, WORST_PHOTOS):
        note = "  (unlike the training photos)" if photo.is_out_of_domain else ""
        echo(
            f"  {photo.crack_score:.3f}  {photo.crack_tiles:>4} of {count_of(photo.tiles, 'tile')}  {photo.image}{note}"
        )
    if count := count_out_of_domain(out):
        echo(f"{count_of(count, 'photo is', 'photos are')} unlike the training photos: look yourself. See which:")
        echo(f"  crackscan query {shlex.quote(out)} '{OUT_OF_DOMAIN}'")
    if summary.failed:
        echo(f"{count_of(summary.failed, 'photo')} failed; see why, or try them again:")
        echo(f"  crackscan query {shlex.quote(out)} '{WHY_FAILED}'", f"  crackscan retry {shlex.quote(out)}")
    echo("Next:", f"  crackscan query {shlex.quote(out)} '{WORST}'")
