"""A report of a dataset for people: one HTML file with figures, the worst photos, and a table of all photos.

It joins the figures of `dataset_stats`, the plots of `svg_plots` and the cards of `photo_cards`. A photo whose archive
cannot be read any more has a card without a picture.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import Connection
from pipeline.dataset.targets import Target, check_targets
from pipeline.models.threshold_words import describe_threshold
from pipeline.monitoring.run_report import cost_in, read_reports
from pipeline.monitoring.status import status
from pipeline.reports import dataset_stats, html_page, svg_plots
from pipeline.reports.dataset_stats import GroupBy
from pipeline.reports.html_page import MOST_ROWS, Column, PhotoTable, short_names
from pipeline.reports.photo_cards import PhotoCard, make_cards

OUT_OF_DOMAIN_PHOTOS = 12
"""Photos unlike the training data that the report shows, at most."""
OUT_OF_DOMAIN_PX = 320
"""Longest side of their pictures."""

MEASURES = (
    ("accuracy", "Accuracy, validation"),
    ("auc", "AUC, validation"),
    ("calibration_error", "Calibration error"),
    ("left_out/recall", "Recall, sources left out"),
    ("left_out/false_alarm_rate", "False alarms, left out"),
)
"""Metrics of a model card that the report shows, and their labels."""


@dataclass(frozen=True)
class ReportConfig:
    """Which dataset to report, and how."""

    out: str
    """The dataset."""
    to: str
    """File or URL to write."""
    top: int = 24
    """Worst photos, shown as cards."""
    threshold: float | None = None
    """A tile counts as cracked from this score on; None takes the counts at the model's threshold."""
    group_by: GroupBy | None = None
    """The rows of the table of groups; None takes folders where there is one archive with several."""
    most_rows: int = MOST_ROWS
    """Photos in the table, the worst ones."""
    overwrite: bool = False
    """Also replace a page that is no report."""


@dataclass(frozen=True)
class WrittenReport:
    """The page that was written."""

    url: str
    size_bytes: int
    photos: int
    cards: int
    without_picture: int
    """Cards whose photo cannot be read any more."""


def write_report(config: ReportConfig) -> WrittenReport:
    """Write the report of a dataset, also of one that is unfinished or that a run is writing.

    Raises:
        UsageError: there is no dataset, the threshold is no probability, or `to` may not be replaced.
    """
    layout = Layout(storage.canonical(config.out))
    url = storage.canonical(config.to)
    check_targets([Target(url, html_page.product("report"), config.overwrite)], [layout])
    run = read_run(layout)
    with dataset_stats.open_photos(layout, config.threshold) as photos:
        totals = dataset_stats.count_totals(photos)
        rows = dataset_stats.list_photos(photos, config.most_rows)
        scored = [row["image_id"] for row in rows.slice(0, config.top).to_pylist() if row["crack_score"] is not None]
        worst = list(make_cards(photos, layout, scored).values())
        facts = _collect_figures(photos, config.group_by) | _out_of_domain(photos, layout, config.top)
    data = html_page.render(
        "report.html",
        dataset=layout.url,
        run=run,
        **_threshold_line(dataset_stats.threshold_of(run, config.threshold)),
        status=status(layout.url),
        costs={run.get("run_id"): cost for run in read_reports(layout) if (cost := cost_in(run)) is not None},
        measures=MEASURES,
        threshold_words=describe_threshold(run.get("model_card", {})),
        totals=totals,
        worst=worst,
        rows=_make_table(rows, worst),
        rows_shown=rows.num_rows,
        **facts,
    )
    storage.write_whole(url, data)
    return WrittenReport(url, len(data), totals.photos, len(worst), sum(photo.picture is None for photo in worst))


def _threshold_line(threshold: float | None) -> dict[str, float | None]:
    return {"threshold": threshold, "threshold_px": None if threshold is None else svg_plots.score_px(threshold)}


def _collect_figures(photos: Connection, group_by: GroupBy | None) -> dict[str, Any]:
    by = group_by or dataset_stats.choose_grouping(photos)
    counts = dataset_stats.count_by_score(photos)
    return {
        "archives": dataset_stats.count_groups(photos, "archive"),
        "group_by": by,
        "groups": dataset_stats.count_by_group(photos, by),
        "groups_count": dataset_stats.count_groups(photos, by),
        "histogram": svg_plots.draw_histogram(counts),
        "plan": svg_plots.draw_plan(*dataset_stats.list_places(photos)),
        "timeline": svg_plots.draw_timeline(dataset_stats.list_moments(photos)),
        "failures": dataset_stats.count_failures(photos),
        "runs": dataset_stats.list_runs(photos),
    }


def _out_of_domain(photos: Connection, layout: Layout, top: int) -> dict[str, Any]:
    farthest = dataset_stats.find_out_of_domain(
        photos,
        min(OUT_OF_DOMAIN_PHOTOS, top),  # without cards the report reads no archive
    )
    cards = make_cards(photos, layout, farthest, OUT_OF_DOMAIN_PX).values()
    return {"out_of_domain": sorted(cards, key=lambda photo: -photo.facts["domain_score"])}


def _make_table(listed: pa.Table, worst: list[PhotoCard]) -> PhotoTable:
    rows = {name: listed[name].to_pylist() for name in listed.schema.names}
    states = map(_describe_state, rows["failure_kind"], rows["is_over"], rows["is_out_of_domain"])
    return PhotoTable(
        [
            Column("Photo", "text", rows["image"]),
            Column("Score", "score", rows["crack_score"]),
            Column("Tiles over", "number", rows["crack_tiles"]),
            Column("Tiles", "number", rows["tiles"]),
            Column("State", "choice", list(states)),
            Column("Taken", "text", rows["captured_at"]),
            Column("Archive", "choice", short_names(rows["archive"])),
            Column("Latitude", "number", rows["latitude"]),
            Column("Longitude", "number", rows["longitude"]),
        ],
        [photo.card_id for photo in worst],
    )


def _describe_state(failure_kind: str | None, is_over: bool | None, is_out_of_domain: bool) -> str:  # noqa: FBT001 - columns
    if failure_kind is not None:
        return f"failed: {failure_kind}"
    state = "over threshold" if is_over else "below threshold"
    return f"{state}, unlike the training photos" if is_out_of_domain else state
