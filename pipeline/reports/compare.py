"""Compare two datasets: the same structure in two years, or two models on the same photos; as a table and as a page.

It joins `photo_matching`, `score_changes`, `crack_growth` and the parts of a report. Each photo or pair of photos is
one row of `comparison.parquet`, and each crack of two photos of one place one of `crack_changes.parquet`; the page
shows the greatest changes side by side.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.core.errors import DatasetError, UsageError
from pipeline.core.progress import OnProgress, no_progress
from pipeline.dataset.commit_log import read_table, table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import Connection, connect
from pipeline.dataset.targets import Product, Target, check_targets, mark_of
from pipeline.reports import dataset_stats, html_page, score_changes, svg_plots
from pipeline.reports.crack_growth import Growth, compare_growth
from pipeline.reports.element_stats import ElementChange, compare_elements, read_names
from pipeline.reports.html_page import MOST_ROWS, Column, PhotoTable, short_names
from pipeline.reports.photo_cards import PhotoCard, make_cards
from pipeline.reports.photo_matching import SIDES, By, Rule, count_matched, explain_unmatched, match
from pipeline.reports.score_changes import Agreement

TABLE, PAGE, CRACKS = "comparison.parquet", "comparison.html", "crack_changes.parquet"

GROWTH_ROWS = 500
"""Changes of cracks in the page's table, pair by pair."""

_MARK = b"crackscan.made_by"
"""Key of the table's metadata."""

_SCORED = """
    SELECT image_id, archive, image, occurrence, crack_score, crack_tiles, tiles, captured_at, latitude, longitude,
           cracks, crack_length_px
    FROM photos WHERE failure_stage IS DISTINCT FROM 'open'
"""
"""A row for an archive that could not be opened is no photo."""


@dataclass(frozen=True)
class CompareConfig:
    """Which datasets to compare, and how."""

    a: str
    """The earlier dataset, or that of the first model."""
    b: str
    to: str
    """Folder or URL to write into."""
    rule: Rule = field(default_factory=Rule)
    margin: float = 0.1
    """Photos whose scores differ by less are the same."""
    threshold: float | None = None
    """A tile counts as cracked from this score on; None takes the counts at each model's threshold."""
    top: int = 12
    """Pairs that the page shows with their pictures, by score and by growth of cracks."""
    crack_pairs: int = 24
    """Pairs of photos whose cracks are compared: those with the longest cracks."""
    most_rows: int = MOST_ROWS
    """Photos and pairs in the page's table, the greatest changes first."""
    overwrite: bool = False
    """Also replace a table and a page that are no comparison."""

    def __post_init__(self) -> None:
        """Check the margin."""
        if not 0 < self.margin <= 1:
            raise UsageError(f"The margin is {self.margin:g}; expected more than 0, at most 1. Give another --margin.")


@dataclass(frozen=True)
class Side:
    """One of the two datasets."""

    url: str
    model_id: str
    threshold: float | None
    photos: int


@dataclass(frozen=True)
class Pair:
    """A photo whose score rose or fell, with its cards of both sides."""

    card_id: str
    """The id of the pair's element in the page."""
    change: str
    difference: float
    before: PhotoCard
    after: PhotoCard


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison."""

    counts: Mapping[str, int]
    """Photos and pairs of each of `score_changes.KINDS`."""
    agreement: Agreement
    sides: Sequence[Side]
    worst: Sequence[Mapping[str, Any]]
    """The pairs that the page shows, as rows of the table."""
    hints: Sequence[str]
    """Why photos have no match, and what to do; empty if most have one."""
    growth: Growth
    elements: Sequence[ElementChange]
    """What became of cracks part by part, if both datasets have elements."""
    table_url: str
    page_url: str
    cracks_url: str
    """Written where cracks were compared."""


def compare(config: CompareConfig, on_progress: OnProgress = no_progress) -> Comparison:
    """Compare two datasets, and write the tables and the page.

    Args:
        config: what to compare.
        on_progress: told of each photo read again to compare its cracks, which takes a second or more.

    Raises:
        UsageError: there is no dataset, the threshold is no probability, a file in the folder may not be replaced, or
            no photo of a side has the position by which it should match.
    """
    layouts = [Layout(storage.canonical(place)) for place in (config.a, config.b)]
    urls = [storage.join(storage.canonical(config.to), name) for name in (TABLE, PAGE, CRACKS)]
    with ExitStack() as stack:
        sides = [stack.enter_context(dataset_stats.open_photos(layout, config.threshold)) for layout in layouts]
        products = (_TABLE_PRODUCT, html_page.product("compare"), _TABLE_PRODUCT)
        check_targets([Target(*each, config.overwrite) for each in zip(urls, products, strict=True)], layouts)
        both = stack.enter_context(connect(layouts[0]))
        for name, side in zip(SIDES, sides, strict=True):
            both.register(name, side.sql(_SCORED).to_arrow_table())
        match(both, config.rule)
        hints = explain_unmatched(config.rule, *(count_matched(both, side) for side in SIDES))
        score_changes.make_changes(both, config.margin)
        table, agreement = score_changes.read_changes(both), score_changes.measure_agreement(both)
        worst = [row for row in table.slice(0, config.top).to_pylist() if row["change"] in {"rose", "fell"}]
        described = [_describe_side(layout, side, config) for layout, side in zip(layouts, sides, strict=True)]
        growth = compare_growth(both, sides, layouts, config.crack_pairs, on_progress)
        counts = score_changes.count_changes(both)
        elements = compare_elements(read_names(sides[0]), read_names(sides[1]), growth.rows)
        comparison = Comparison(counts, agreement, described, worst, hints, growth, elements, *urls)
        pairs = _make_pairs(worst, sides, layouts)
    _write(config, comparison, table, pairs)
    return comparison


def _write(config: CompareConfig, comparison: Comparison, table: pa.Table, pairs: Sequence[Pair]) -> None:
    storage.write_whole(comparison.table_url, _encode(table))
    if comparison.growth.pairs:
        storage.write_whole(comparison.cracks_url, _encode(comparison.growth.to_table()))
    elif storage.exists(comparison.cracks_url) and _is_comparison(comparison.cracks_url, b""):  # an older one
        storage.remove(comparison.cracks_url)
    storage.write_whole(comparison.page_url, _render_page(config, comparison, table, pairs))


def _encode(table: pa.Table) -> bytes:
    return table_bytes(table.replace_schema_metadata({_MARK: mark_of("compare")}))


def _is_comparison(url: str, _head: bytes) -> bool:
    try:
        made_by: bytes = (read_table(url).schema.metadata or {}).get(_MARK, b"")
    except DatasetError:
        return False
    return made_by.startswith(b"crackscan compare ")


_TABLE_PRODUCT = Product("compare", "parquet", _is_comparison)


def _describe_side(layout: Layout, photos: Connection, config: CompareConfig) -> Side:
    run = read_run(layout)
    model_id = run["fingerprint"].get("model_id", "unknown")
    threshold = dataset_stats.threshold_of(run, config.threshold)
    return Side(layout.url, model_id, threshold, dataset_stats.count_totals(photos).photos)


def _make_pairs(
    rows: Sequence[Mapping[str, Any]], sides: Sequence[Connection], layouts: Sequence[Layout]
) -> list[Pair]:
    before, after = (
        make_cards(photos, layout, [row[f"image_id_{name}"] for row in rows])
        for name, photos, layout in zip("ab", sides, layouts, strict=True)
    )
    return [
        Pair(f"pair-{number}", row["change"], row["difference"], before[row["image_id_a"]], after[row["image_id_b"]])
        for number, row in enumerate(rows)
    ]


def _render_page(config: CompareConfig, comparison: Comparison, table: pa.Table, pairs: Sequence[Pair]) -> bytes:
    listed = table.slice(0, config.most_rows)
    return html_page.render(
        "compare.html",
        comparison=comparison,
        growth=comparison.growth,
        shown_growth=[pair for pair in comparison.growth.pairs if pair.views is not None][: config.top],
        crack_rows=comparison.growth.rows[:GROWTH_ROWS],
        rule=config.rule,
        margin=config.margin,
        pairs=pairs,
        histogram=svg_plots.draw_differences(table["difference"].drop_null().to_numpy()),
        rows=_make_table(listed, pairs, config.rule.by),
        rows_shown=listed.num_rows,
        total=table.num_rows,
    )


def _make_table(listed: pa.Table, pairs: Sequence[Pair], by: By) -> PhotoTable:
    rows = {name: listed[name].to_pylist() for name in listed.schema.names}
    images = [after or before for before, after in zip(rows["image_a"], rows["image_b"], strict=True)]
    archives = [after or before for before, after in zip(rows["archive_a"], rows["archive_b"], strict=True)]
    return PhotoTable(
        [
            Column("Photo", "text", images),
            Column("Change", "choice", rows["change"]),
            Column("Score A", "score", rows["crack_score_a"]),
            Column("Score B", "score", rows["crack_score_b"]),
            Column("Difference", "difference", rows["difference"]),
            *([] if by == "name" else [Column("Distance, m", "number", rows["distance_m"])]),
            Column("Taken A", "text", rows["captured_at_a"]),
            Column("Taken B", "text", rows["captured_at_b"]),
            Column("Archive", "choice", short_names(archives)),
        ],
        [pair.card_id for pair in pairs],
    )
