"""Two datasets compared: the same structure in two years, or two models on the same photos; as a table and as a page.

Puts `matching`, `changes` and the parts of a report together. Each photo or pair of photos is one row of
`comparison.parquet`, and the page shows those that changed most side by side.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.commit_log import table_bytes
from pipeline.dataset.layout import Layout, check_outside
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import Connection, connect
from pipeline.reports import dataset_stats, html_page, score_changes, svg_plots
from pipeline.reports.html_page import Column, Rows
from pipeline.reports.photo_cards import PhotoCard, photo_cards
from pipeline.reports.photo_matching import By, Rule, match
from pipeline.reports.report import ROWS, short_names, threshold_of
from pipeline.reports.score_changes import Agreement

TABLE, PAGE = "comparison.parquet", "comparison.html"

_SIDE = """
    SELECT image_id, archive, image, occurrence, crack_score, crack_tiles, tiles, captured_at, latitude, longitude
    FROM photos WHERE failure_stage IS DISTINCT FROM 'open'
"""
"""An archive that could not be opened is no photo."""


@dataclass(frozen=True)
class CompareConfig:
    """What is compared, and how."""

    a: str
    """The dataset that was before, or the first model's."""
    b: str
    to: str
    """Folder or URL to write into."""
    rule: Rule = field(default_factory=Rule)
    margin: float = 0.1
    """Photos whose scores differ by less are the same."""
    threshold: float | None = None
    """A tile counts as cracked from this score on; None takes what was counted at each model's threshold."""
    top: int = 12
    """Pairs that the page shows with their pictures."""

    def __post_init__(self) -> None:
        """Check the margin."""
        if not 0 < self.margin <= 1:
            raise UsageError(f"The margin is {self.margin:g}; expected more than 0, at most 1. Give another --margin.")


@dataclass(frozen=True)
class Side:
    """One of the two."""

    url: str
    model_id: str
    threshold: float | None
    photos: int


@dataclass(frozen=True)
class Pair:
    """A photo that got worse or better, with what there is to see of it on both sides."""

    card: str
    """The id of its card in the page."""
    change: str
    difference: float
    before: PhotoCard
    after: PhotoCard


@dataclass(frozen=True)
class Comparison:
    """What was found."""

    counts: Mapping[str, int]
    """Photos and pairs by `changes.KINDS`."""
    agreement: Agreement
    sides: Sequence[Side]
    worst: Sequence[Mapping[str, Any]]
    """The pairs that the page shows, as rows of the table."""
    table_url: str
    page_url: str


def compare(config: CompareConfig) -> Comparison:
    """Compare two datasets, and write the table and the page.

    Raises:
        UsageError: there is no dataset, the threshold is no probability, or the folder lies in one of the datasets.
    """
    layouts = [Layout(storage.canonical(place)) for place in (config.a, config.b)]
    folder = storage.canonical(config.to)
    for layout in layouts:
        check_outside(layout, folder)
    with ExitStack() as stack:
        sides = [stack.enter_context(dataset_stats.statistics_of(layout, config.threshold)) for layout in layouts]
        both = stack.enter_context(connect(layouts[0]))
        for name, side in zip(("a", "b"), sides, strict=True):
            both.register(name, side.sql(_SIDE).to_arrow_table())
        match(both, config.rule)
        score_changes.make_changes(both, config.margin)
        table, found = score_changes.table(both), score_changes.agreement(both)
        worst = [row for row in table.slice(0, config.top).to_pylist() if row["change"] in {"worse", "better"}]
        told = [_side(layout, side, config.threshold) for layout, side in zip(layouts, sides, strict=True)]
        made = Comparison(score_changes.counts(both), found, told, worst, *_places(folder))
        pairs = _pairs(worst, sides, layouts)
    storage.write_whole(made.table_url, table_bytes(table))
    storage.write_whole(made.page_url, _page(config, made, table, pairs))
    return made


def _places(folder: str) -> tuple[str, str]:
    return storage.join(folder, TABLE), storage.join(folder, PAGE)


def _side(layout: Layout, photos: Connection, threshold: float | None) -> Side:
    run = read_run(layout)
    model_id = run["fingerprint"].get("model_id", "unknown")
    return Side(layout.url, model_id, threshold_of(run, threshold), dataset_stats.totals(photos).photos)


def _pairs(rows: Sequence[Mapping[str, Any]], sides: Sequence[Connection], layouts: Sequence[Layout]) -> list[Pair]:
    before, after = (
        photo_cards(photos, layout, [row[f"image_id_{name}"] for row in rows])
        for name, photos, layout in zip("ab", sides, layouts, strict=True)
    )
    return [
        Pair(f"pair-{number}", row["change"], row["difference"], before[row["image_id_a"]], after[row["image_id_b"]])
        for number, row in enumerate(rows)
    ]


def _page(config: CompareConfig, made: Comparison, table: pa.Table, pairs: Sequence[Pair]) -> bytes:
    listed = table.slice(0, ROWS)
    return html_page.render(
        "compare.html",
        made=made,
        rule=config.rule,
        margin=config.margin,
        pairs=pairs,
        histogram=svg_plots.differences(table["difference"].drop_null().to_numpy()),
        rows=_rows(listed, pairs, config.rule.by),
        rows_shown=listed.num_rows,
        total=table.num_rows,
    )


def _rows(listed: pa.Table, pairs: Sequence[Pair], by: By) -> Rows:
    rows = {name: listed[name].to_pylist() for name in listed.schema.names}
    images = [after or before for before, after in zip(rows["image_a"], rows["image_b"], strict=True)]
    archives = [after or before for before, after in zip(rows["archive_a"], rows["archive_b"], strict=True)]
    return Rows(
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
        [pair.card for pair in pairs],
    )
