"""The parts of structures that photos show: what was found at each, what people said of it, and what became of it.

SQL over the copies that `dataset_stats.open_photos` makes. A part is named by its structure, span, element and face.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dataset.sql import Connection
from pipeline.reports.crack_growth import KINDS
from pipeline.reports.dataset_stats import CrackRule, read_rows
from pipeline.reports.width_classes import format_length, format_width

NO_ELEMENT = "Without an element"
"""Names the photos that no rule fits."""
MOST_FINDINGS = 100
"""Findings of a part in a page; the dataset has them all."""

_TOTALS = """
    SELECT part_name AS name, count(*) AS photos, count(*) FILTER (status = 'failed') AS failed,
           coalesce(sum(confirmed), 0)::BIGINT AS confirmed, coalesce(sum("open"), 0)::BIGINT AS "open",
           coalesce(sum(unclear), 0)::BIGINT AS unclear, coalesce(sum(rejected), 0)::BIGINT AS rejected,
           coalesce(sum(cracks), 0)::BIGINT AS cracks,
           coalesce(sum(crack_length_px), 0) AS length_px,
           if(getvariable('in_mm') AND sum(cracks) > 0, sum(crack_length_mm), NULL) AS length_mm,
           max(widest_px) AS widest_px, if(getvariable('in_mm'), max(widest_mm), NULL) AS widest_mm
    FROM photos GROUP BY part_name
"""

_FINDINGS = """
    SELECT part_name, image_id, kind, judged.image, crack, judged.state, judged.comment, judged."by", judged.judged_at,
           length_px, length_mm, p95_px, p95_mm
    FROM judged JOIN (SELECT image_id, part_name FROM photos) USING (image_id)
    LEFT JOIN measured USING (image_id, crack)
    WHERE if(getvariable('confirmed'), judged.state = 'confirmed', true)
        AND (kind <> 'crack' OR counts OR judged.state = 'rejected')
    QUALIFY row_number() OVER (PARTITION BY part_name ORDER BY {worst}) <= $most
    ORDER BY {worst}
"""

_WORST = """
    list_position(['confirmed', 'open', 'unclear', 'rejected'], judged.state),
    if(getvariable('in_mm'), p95_mm, p95_px) DESC NULLS LAST, length_px DESC NULLS LAST, judged.archive, judged.image,
    crack
"""

_GROWN = {"new": "length_{}_b", "longer": "longer_by_{}"}
"""The columns of `CRACK_CHANGES` that tell how much longer cracks became, by kind of change."""


@dataclass(frozen=True)
class ElementTotals:
    """Figures of one part, or of the photos without one."""

    name: str | None
    photos: int
    failed: int
    confirmed: int
    """Findings, as in the next ones."""
    open: int
    unclear: int
    rejected: int
    cracks: int
    """Those that count, as in the next ones."""
    length_px: float
    length_mm: float | None
    """None unless all cracks of the dataset that count have a scale."""
    widest_px: float | None
    widest_mm: float | None

    @property
    def title(self) -> str:
        """The name of the part."""
        return self.name or NO_ELEMENT

    @property
    def length(self) -> str:
        """The length of its cracks, in words."""
        return format_length(self.length_px, self.length_mm) if self.cracks else "-"

    @property
    def widest(self) -> str:
        """The width of its widest crack (p95), in words."""
        return format_width(self.widest_px, self.widest_mm) if self.cracks else "-"


@dataclass(frozen=True)
class ElementSection:
    """A part in a page."""

    number: int
    totals: ElementTotals
    findings: Sequence[Mapping[str, Any]]
    """The first `MOST_FINDINGS`: confirmed ones first, then the widest."""
    total: int
    """Number of all findings that the page may show."""


@dataclass(frozen=True)
class ElementChange:
    """What changed at a part between two inspections."""

    name: str | None
    photos: tuple[int, int]
    """In A and B."""
    cracks: Mapping[str, int]
    """Cracks of compared photos by kind of change."""
    grown_px: float
    """Length that is new in B, in pixels of A …"""
    grown_mm: float | None
    """… and in millimetres; None unless all that grew have a scale."""

    @property
    def title(self) -> str:
        """The name of the part."""
        return self.name or NO_ELEMENT

    @property
    def grown(self) -> str:
        """Length that is new, in words."""
        return format_length(self.grown_px, self.grown_mm) if self.grown_px else "-"


def count_by_element(photos: Connection) -> list[ElementTotals]:
    """Count photos and findings of each part, by name, those without one last; none if no photo has a part."""
    found = [ElementTotals(**row) for row in read_rows(photos, _TOTALS)]
    return sorted(found, key=lambda one: order_key(one.name)) if any(one.name for one in found) else []


def list_sections(photos: Connection, rule: CrackRule) -> list[ElementSection]:
    """List the findings of each part; of a dataset without parts, those of all photos, if anybody has judged one.

    Args:
        photos: see `dataset_stats.open_photos`.
        rule: the one with which it was opened.
    """
    parts = count_by_element(photos)
    if not parts:
        parts = [ElementTotals(**row) for row in read_rows(photos, _TOTALS)]
        if not any(part.confirmed + part.unclear + part.rejected for part in parts):
            return []
    by_part = dict[str | None, list[dict[str, Any]]]()
    for row in read_rows(photos, _FINDINGS.format(worst=_WORST), {"most": MOST_FINDINGS}):
        by_part.setdefault(row["part_name"], []).append(row | {"size": _describe_size(row)})
    return [
        ElementSection(
            number,
            part,
            by_part.get(part.name, []),
            part.confirmed if rule.confirmed else part.confirmed + part.open + part.unclear + part.rejected,
        )
        for number, part in enumerate(parts)
    ]


def _describe_size(row: Mapping[str, Any]) -> str:
    if row["length_px"] is None:
        return ""
    length, width = format_length(row["length_px"], row["length_mm"]), format_width(row["p95_px"], row["p95_mm"])
    return f"{length}, width {width}"


def read_names(photos: Connection) -> dict[str, str]:
    """Return the part of each photo that has one, by `image_id`."""
    rows = read_rows(photos, "SELECT image_id, part_name FROM photos WHERE part_name IS NOT NULL")
    return {row["image_id"]: row["part_name"] for row in rows}


def compare_elements(
    a: Mapping[str, str], b: Mapping[str, str], changes: Iterable[Mapping[str, Any]]
) -> list[ElementChange]:
    """Tell part by part what became of its cracks; nothing unless both datasets have parts.

    Args:
        a: the parts of A's photos, see `read_names`.
        b: those of B's.
        changes: rows of `CRACK_CHANGES`; a crack is at the part of its photo in B, or else of that in A.
    """
    if not a or not b:
        return []
    rows = dict[str | None, list[Mapping[str, Any]]]({name: [] for name in {*a.values(), *b.values()}})
    for row in changes:
        rows.setdefault(b.get(row["image_id_b"], a.get(row["image_id_a"])), []).append(row)
    in_a, in_b = Counter[str | None](a.values()), Counter[str | None](b.values())
    return [_describe_change(name, (in_a[name], in_b[name]), rows[name]) for name in sorted(rows, key=order_key)]


def _describe_change(name: str | None, photos: tuple[int, int], rows: Sequence[Mapping[str, Any]]) -> ElementChange:
    kinds = [row["change"] for row in rows]
    grown = [(row, _GROWN[row["change"]]) for row in rows if row["change"] in _GROWN]
    px = [row[column.format("px")] or 0.0 for row, column in grown]
    mm = [row[column.format("mm")] for row, column in grown]
    in_mm = None if None in mm else sum(mm)
    return ElementChange(name, photos, {kind: kinds.count(kind) for kind in KINDS if kind in kinds}, sum(px), in_mm)


def order_key(name: str | None) -> tuple[bool, list[tuple[int, str]]]:
    """Put span 10 behind span 9, and photos without a part last."""
    parts = re.findall(r"([0-9]*)([^0-9]*)", name or "")
    return name is None, [(int(digits or -1), words) for digits, words in parts]
