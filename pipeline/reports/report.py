"""A report of a dataset, for people: one HTML file with figures, the worst photos, and a table of all photos.

Puts the figures of `inspection`, the plots and the pictures together. Photos whose archive cannot be read any more
stand in it without a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout, check_outside
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import Connection
from pipeline.monitoring.run_report import cost_in, read_reports
from pipeline.monitoring.status import status
from pipeline.reports import dataset_stats, html_page, svg_plots
from pipeline.reports.html_page import Column, Rows
from pipeline.reports.photo_cards import PhotoCard, photo_cards

ROWS = 20_000
"""The table has at most so many photos, the worst ones; a page of more opens too slowly."""
OUT_OF_DOMAIN_PHOTOS = 12
"""So many of those unlike the training data are shown."""
OUT_OF_DOMAIN_PX = 320
"""Longest side of their pictures."""

MEASURES = (
    ("accuracy", "Accuracy, validation"),
    ("auc", "AUC, validation"),
    ("calibration_error", "Calibration error"),
    ("left_out/recall", "Recall, sources left out"),
    ("left_out/false_alarm_rate", "False alarms, left out"),
)
"""Metrics of a model card that a report shows, and what it calls them."""


@dataclass(frozen=True)
class ReportConfig:
    """What a report shows."""

    out: str
    """The dataset."""
    to: str
    """File or URL to write."""
    top: int = 24
    """Photos on cards, the worst ones."""
    threshold: float | None = None
    """A tile counts as cracked from this score on; None takes what was counted at the model's threshold."""


@dataclass(frozen=True)
class Made:
    """What was written."""

    url: str
    size_bytes: int
    photos: int
    cards: int
    without_picture: int
    """Cards whose photo cannot be read any more."""


def write_report(config: ReportConfig) -> Made:
    """Make the report of a dataset; a dataset that is not finished, or being written, is reported as far as it is.

    Raises:
        UsageError: there is no dataset, the threshold is no probability, or the report would be written into it.
    """
    layout = Layout(storage.canonical(config.out))
    url = storage.canonical(config.to)
    refuse_folder(url)
    check_outside(layout, url)
    run = read_run(layout)
    with dataset_stats.statistics_of(layout, config.threshold) as photos:
        totals = dataset_stats.totals(photos)
        rows = dataset_stats.listed(photos, ROWS)
        scored = [row["image_id"] for row in rows.slice(0, config.top).to_pylist() if row["crack_score"] is not None]
        worst = list(photo_cards(photos, layout, scored).values())
        facts = _figures(photos) | _out_of_domain(photos, layout, config.top)
    data = html_page.render(
        "report.html",
        dataset=layout.url,
        run=run,
        **_line(threshold_of(run, config.threshold)),
        status=status(layout.url),
        costs={run.get("run_id"): cost for run in read_reports(layout) if (cost := cost_in(run)) is not None},
        measures=MEASURES,
        totals=totals,
        worst=worst,
        rows=_rows(rows, worst),
        rows_shown=rows.num_rows,
        **facts,
    )
    storage.write_whole(url, data)
    return Made(url, len(data), totals.photos, len(worst), sum(photo.picture is None for photo in worst))


def refuse_folder(url: str) -> None:
    """Refuse to write a page where a folder is.

    Raises:
        UsageError: there is one.
    """
    if storage.is_folder(url):
        raise UsageError(f"{url} is a folder; expected the name of a file to write, such as {url}/report.html.")


def threshold_of(run: dict[str, Any], given: float | None) -> float | None:
    """Return from where on a tile counts as cracked; None where a dataset does not tell."""
    threshold: float | None = run.get("model_card", {}).get("threshold") if given is None else given
    return threshold


def _line(threshold: float | None) -> dict[str, float | None]:
    return {"threshold": threshold, "threshold_px": None if threshold is None else svg_plots.score_px(threshold)}


def _figures(photos: Connection) -> dict[str, Any]:
    counts = dataset_stats.histogram(photos)
    return {
        "by_archive": dataset_stats.by_archive(photos),
        "by_archive_count": dataset_stats.archives(photos),
        "histogram": svg_plots.histogram(counts),
        "plan": svg_plots.plan(*dataset_stats.places(photos)),
        "timeline": svg_plots.timeline(dataset_stats.moments(photos)),
        "failures": dataset_stats.failures(photos),
        "runs": dataset_stats.runs(photos),
    }


def _out_of_domain(photos: Connection, layout: Layout, top: int) -> dict[str, Any]:
    farthest = dataset_stats.most_out_of_domain(
        photos, min(OUT_OF_DOMAIN_PHOTOS, top)
    )  # who asks for no cards wants no archive read
    found = photo_cards(photos, layout, farthest, OUT_OF_DOMAIN_PX).values()
    return {"out_of_domain": sorted(found, key=lambda photo: -photo.facts["domain_score"])}


def _rows(listed: pa.Table, worst: list[PhotoCard]) -> Rows:
    rows = {name: listed[name].to_pylist() for name in listed.schema.names}
    states = map(_state, rows["failure_kind"], rows["crack_tiles"], rows["is_out_of_domain"])
    return Rows(
        [
            Column("Photo", "text", rows["image"]),
            Column("Score", "score", rows["crack_score"]),
            Column("Cracked tiles", "number", rows["crack_tiles"]),
            Column("Tiles", "number", rows["tiles"]),
            Column("State", "choice", list(states)),
            Column("Taken", "text", rows["captured_at"]),
            Column("Archive", "choice", short_names(rows["archive"])),
            Column("Latitude", "number", rows["latitude"]),
            Column("Longitude", "number", rows["longitude"]),
        ],
        [photo.card for photo in worst],
    )


def short_names(archives: Sequence[str]) -> list[str]:
    """Call archives by their file names where those tell them apart, else by their URLs."""
    names = {archive: storage.name(archive) for archive in archives}
    return [names[archive] for archive in archives] if len({*names.values()}) == len(names) else list(archives)


def _state(failure_kind: str | None, crack_tiles: int | None, is_out_of_domain: bool) -> str:  # noqa: FBT001 - a column
    if failure_kind is not None:
        return f"failed: {failure_kind}"
    return ("cracked" if crack_tiles else "below threshold") + (
        ", unlike the training data" if is_out_of_domain else ""
    )
