"""A report of a dataset for people: one HTML file with figures, the worst photos, and a table of all photos.

It joins the figures of `dataset_stats` and `crack_stats`, the plots of `svg_plots` and the cards of `photo_cards`. A
photo whose archive cannot be read any more has a card without a picture.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.rasters import read_rasters
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import Connection
from pipeline.dataset.targets import Target, check_targets
from pipeline.models.threshold_words import describe_threshold
from pipeline.monitoring.run_report import cost_in, read_reports
from pipeline.monitoring.status import status
from pipeline.reports import crack_stats, dataset_stats, element_stats, html_page, pdf_print, svg_plots
from pipeline.reports.crack_stats import NOT_MEASURED, CrackTotals
from pipeline.reports.dataset_stats import EVERY_CRACK, CrackRule, GroupBy
from pipeline.reports.html_page import MOST_ROWS, Column, PhotoTable, short_names
from pipeline.reports.photo_cards import PICTURE_PX, PhotoCard, Picture, make_cards
from pipeline.reports.raster_pictures import make_raster_card
from pipeline.reports.width_classes import ALL_CLASSES, WidthClass, name_source

OUT_OF_DOMAIN_PHOTOS = 12
"""Photos unlike the training data that the report shows, at most."""
OUT_OF_DOMAIN_PX = 320
"""Longest side of their pictures."""

MOST_RASTERS, MOST_PLACES = 12, 12
"""Rasters that the report shows, and the worst places of each, at most."""

DIRECTIONS = {0.0: "0°", 0.25: "45°", 0.5: "90°", 0.75: "135°", 1.0: "180°"}
"""Labels of crack directions by their places on the axis."""

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
    rule: CrackRule = EVERY_CRACK
    """Which cracks count."""
    overwrite: bool = False
    """Also replace a page that is no report."""
    pdf: bool = False
    """Print the page into a PDF."""
    crop_only: bool = False
    """Show no photo as a whole, only what is around its worst place."""
    no_positions: bool = False
    """Leave out where photos were taken."""


@dataclass(frozen=True)
class WrittenReport:
    """The page that was written."""

    url: str
    size_bytes: int
    photos: int
    cards: int
    without_picture: int
    """Cards whose photo cannot be read any more."""
    cracks: CrackTotals | None
    """None if the dataset measures none."""


def write_report(config: ReportConfig) -> WrittenReport:
    """Write the report of a dataset, also of one that is unfinished or that a run is writing.

    Raises:
        UsageError: there is no dataset, the threshold is no probability, `to` may not be replaced, or cracks of some
            width are asked for where none was measured.
        CrackscanError: there is no browser to print with, or it fails.
    """
    layout = Layout(storage.canonical(config.out))
    url = storage.canonical(config.to)
    browser = pdf_print.find_browser() if config.pdf else None
    product = pdf_print.product("report") if config.pdf else html_page.product("report")
    check_targets([Target(url, product, config.overwrite)], [layout])
    run = read_run(layout)
    with dataset_stats.open_photos(layout, config.threshold, config.rule) as photos:
        if config.no_positions:
            photos.execute("UPDATE photos SET latitude = NULL, longitude = NULL, altitude_m = NULL")
        totals, cracks = dataset_stats.count_totals(photos), crack_stats.count_cracks(photos, config.rule)
        if cracks is None and config.rule.is_set:
            raise UsageError(
                f"{layout.url} {NOT_MEASURED} Leave --from-mm and --from-px out, or score the photos anew elsewhere."
            )
        rows = dataset_stats.list_photos(photos, config.most_rows)
        worst, facts = _show(photos, layout, rows, cracks, config)
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
        rows=_make_table(rows, worst, cracks, config),
        rows_shown=rows.num_rows,
        confirmed=config.rule.confirmed,
        crop_only=config.crop_only,
        **facts,
    )
    if browser is not None:
        data = pdf_print.print_page(browser, data, "report")
    storage.write_whole(url, data)
    without_picture = sum(photo.picture is None for photo in worst)
    return WrittenReport(url, len(data), totals.photos, len(worst), without_picture, cracks)


def _show(
    photos: Connection, layout: Layout, rows: pa.Table, cracks: CrackTotals | None, config: ReportConfig
) -> tuple[list[PhotoCard], dict[str, Any]]:
    """Return the cards of the worst photos, and what else the page shows."""
    rasters = read_rasters(layout)
    of_rasters = {raster.archive for raster in rasters}  # their windows have no cards of their own
    scored = [row["image_id"] for row in rows.slice(0, config.top).to_pylist()
              if row["crack_score"] is not None and row["archive"] not in of_rasters]  # fmt: skip
    longest_px = None if config.crop_only else PICTURE_PX
    worst = list(make_cards(photos, layout, scored, longest_px, with_cracks=True).values())
    facts = _collect_figures(photos, config.group_by) | _out_of_domain(photos, layout, config)
    facts |= _describe_cracks(photos, cracks, config.rule)
    facts["sections"] = element_stats.list_sections(photos, config.rule)
    facts["rasters"] = [
        make_raster_card(photos, layout, raster, min(MOST_PLACES, config.top), found_only=_shows_finds_only(config))
        for raster in rasters[:MOST_RASTERS]
    ]
    if cracks is not None:
        shown = [card.picture for card in (*worst, *facts["out_of_domain"], *facts["rasters"])]
        facts["width_classes"] = _list_width_classes(shown)
    return worst, facts


def _shows_finds_only(config: ReportConfig) -> bool:
    """Tell whether rasters are shown by their places alone: not as a whole, nor with the heat of unconfirmed tiles."""
    return config.crop_only or config.rule.confirmed


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


def _describe_cracks(photos: Connection, totals: CrackTotals | None, rule: CrackRule) -> dict[str, Any]:
    if totals is None:
        return {"cracks": None, "crack_figures": ()}
    widths = crack_stats.count_by_width(photos, totals)
    names = [one.label.removeprefix("width ").replace(f" {totals.unit}", "") for one in widths]
    middles = {(number + 0.5) / len(names): name for number, name in enumerate(names)}
    return {
        "cracks": totals,
        "crack_figures": _make_figures(totals, rule),
        "crack_words": crack_stats.explain_totals(totals, rule),
        "crack_rows": crack_stats.list_cracks(photos),
        "width_plot": svg_plots.draw_cracks(widths, middles),
        "direction_plot": svg_plots.draw_cracks(crack_stats.count_by_direction(photos), DIRECTIONS),
    }


def _make_figures(totals: CrackTotals, rule: CrackRule) -> list[tuple[str, str, str, bool]]:
    """Return label, value, note, and whether it is the most important."""
    scale = "not all have a scale" if totals.sources else "no scale is known"
    if totals.unit == "mm":
        scale = f"scale {', '.join(map(name_source, totals.sources))}"
    return [
        (f"Cracks {crack_stats.name_rule(rule)}".strip(), f"{totals.cracks:,}", f"in {count_of(totals.photos)}", True),
        ("Length of cracks", totals.length, scale, False),
        ("Widest crack", totals.widest, f"p95, {scale}", False),
    ]


def _list_width_classes(pictures: Iterable[Picture | None]) -> list[WidthClass]:
    seen = {crack.width_class for picture in pictures if picture is not None for crack in picture.cracks}
    return [one for one in ALL_CLASSES if one in seen]


def _out_of_domain(photos: Connection, layout: Layout, config: ReportConfig) -> dict[str, Any]:
    if _shows_finds_only(config):
        return {"out_of_domain": []}
    farthest = dataset_stats.find_out_of_domain(
        photos,
        min(OUT_OF_DOMAIN_PHOTOS, config.top),  # without cards the report reads no archive
    )
    cards = make_cards(photos, layout, farthest, OUT_OF_DOMAIN_PX, with_cracks=True).values()
    return {"out_of_domain": sorted(cards, key=lambda photo: -photo.facts["domain_score"])}


def _make_table(
    listed: pa.Table, worst: list[PhotoCard], cracks: CrackTotals | None, config: ReportConfig
) -> PhotoTable:
    rows = {name: listed[name].to_pylist() for name in listed.schema.names}
    states = map(_describe_state, listed.to_pylist())
    return PhotoTable(
        [
            Column("Photo", "text", rows["image"]),
            *([Column("Element", "choice", rows["part_name"])] if any(rows["part_name"]) else []),
            *([] if cracks is None else _list_measures(rows, cracks)),
            Column("Score", "score", rows["crack_score"]),
            Column("Tiles over", "number", rows["crack_tiles"]),
            Column("Tiles", "number", rows["tiles"]),
            Column("State", "choice", list(states)),
            Column("Taken", "text", rows["captured_at"]),
            Column("Archive", "choice", short_names(rows["archive"])),
            *([] if config.no_positions else [Column(name.title(), "number", rows[name]) for name in _POSITION]),
        ],
        [photo.card_id for photo in worst],
    )


_POSITION = ("latitude", "longitude")


def _list_measures(rows: dict[str, list[Any]], cracks: CrackTotals) -> list[Column]:
    columns = [Column("Cracks", "number", rows["cracks"])]
    if cracks.unit == "px":
        columns.append(_round("Length, px", rows["crack_length_px"], 1, 0))
        columns.append(_round("Widest, px", rows["widest_px"], 1, 1))
    if cracks.sources:
        columns.append(_round("Length, m", rows["crack_length_mm"], 1000, 2))
        columns.append(_round("Widest, mm", rows["widest_mm"], 1, 2))
        columns.append(Column("Scale", "choice", rows["scale_source"]))
    return columns


def _round(label: str, values: Sequence[float | None], divisor: float, digits: int) -> Column:
    return Column(label, "number", [None if value is None else round(value / divisor, digits) for value in values])


def _describe_state(row: dict[str, Any]) -> str:
    if row["failure_kind"] is not None:
        return f"failed: {row['failure_kind']}"
    state = "over threshold" if row["is_over"] else "below threshold"
    if row["state"] in {"confirmed", "unclear", "rejected"}:
        state = str(row["state"])
    return f"{state}, unlike the training photos" if row["is_out_of_domain"] else state
