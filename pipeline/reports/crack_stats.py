"""Statistics of measured cracks: which count, how long and wide they are, and the lines of a photo.

SQL over the copies that `dataset_stats.open_photos` makes. A dataset of schema 1 or 2, or of a run with `--no-cracks`,
has no cracks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.core.counts import count_of
from pipeline.core.wkt import Line, parse_lines
from pipeline.dataset.sql import Connection
from pipeline.reports.dataset_stats import UNKNOWN_WIDTH_PX, CrackRule, find_corner, read_rows
from pipeline.reports.width_classes import (
    MM_CLASSES,
    PX_CLASSES,
    UNKNOWN,
    WidthClass,
    classify,
    explain_status,
    format_length,
    format_width,
    name_source,
)

MOST_LISTED = 500
"""Cracks in the table of a page."""
NOT_MEASURED = "has no measured cracks: it was begun before 0.8.0, with --no-cracks, or with a model that draws none."
"""Follows the name of a dataset."""
ORIENTATION_BINS = 18
"""Bins of the direction, from 0 to 180 degrees."""


@dataclass(frozen=True)
class CrackTotals:
    """Figures of all cracks that count, and of those that do not."""

    cracks: int
    photos: int
    """With such a crack."""
    out_of_domain: int
    """Of the cracks, those in photos unlike the training data."""
    length_px: float
    length_mm: float | None
    """None unless all cracks have a scale."""
    widest_px: float | None
    """The highest p95 in photos like the training data; None if no width is known."""
    widest_mm: float | None
    """The same of cracks with a scale."""
    narrower: int
    """Cracks that do not count since they are narrower than asked for …"""
    unscaled: int
    """… and since their scale is unknown, but not their width."""
    unknown: dict[str, int]
    """Cracks without a width by `width_status`, whether they count or not."""
    sources: dict[str, int]
    """Cracks that count by `scale_source`, if they have one."""
    rejected: int = 0
    """Cracks that do not count since somebody said that they are none …"""
    unconfirmed: int = 0
    """… and, where only confirmed ones count, since nobody has confirmed them."""

    @property
    def unit(self) -> str:
        """The unit in which all of them can be compared."""
        return "px" if self.length_mm is None else "mm"

    @property
    def length(self) -> str:
        """The length of all, in words."""
        return format_length(self.length_px, self.length_mm)

    @property
    def widest(self) -> str:
        """The width of the widest in this unit, in words."""
        return format_width(self.widest_px, None if self.length_mm is None else self.widest_mm)


@dataclass(frozen=True)
class ClassTotals:
    """Cracks of one class of widths, or of one span of directions."""

    label: str
    cracks: int
    length_px: float
    length_mm: float | None
    """None unless all cracks have a scale."""
    colour: str = ""

    @property
    def length(self) -> float:
        """Their length in the unit in which all can be compared."""
        return self.length_px if self.length_mm is None else self.length_mm

    @property
    def title(self) -> str:
        """Their figures in words."""
        return f"{self.label}: {count_of(self.cracks, 'crack')}, {format_length(self.length_px, self.length_mm)}"


@dataclass(frozen=True)
class CrackLines:
    """One crack of a photo with its lines."""

    lines: Sequence[Line]
    """x, y in pixels of the upright photo, the longest line first. Shape: (N, 2) each."""
    width_px: float | None
    """p95, as the next."""
    width_mm: float | None
    title: str
    """Its measures in words."""

    @property
    def width_class(self) -> WidthClass:
        """The class of its width."""
        return classify(self.width_px, self.width_mm)


_MEASURED = "measured JOIN (SELECT image_id, is_out_of_domain, part_name FROM photos) USING (image_id)"

_TOTALS = f"""
    SELECT count(*) FILTER (counts) AS cracks, count(DISTINCT image_id) FILTER (counts) AS photos,
           count(*) FILTER (counts AND is_out_of_domain) AS out_of_domain,
           coalesce(sum(length_px) FILTER (counts), 0) AS length_px,
           if(getvariable('in_mm'), sum(length_mm) FILTER (counts), NULL) AS length_mm,
           max(p95_px) FILTER (counts AND NOT is_out_of_domain) AS widest_px,
           max(p95_mm) FILTER (counts AND NOT is_out_of_domain) AS widest_mm,
           count(*) FILTER (is_wanted AND NOT counts AND p95_px IS NOT NULL
                            AND ($from_px IS NOT NULL OR mm_per_px IS NOT NULL)) AS narrower,
           count(*) FILTER (is_wanted AND NOT counts AND p95_px IS NOT NULL) - narrower AS unscaled,
           count(*) FILTER (state = 'rejected') AS rejected,
           count(*) FILTER (NOT is_wanted) - rejected AS unconfirmed
    FROM {_MEASURED}
"""  # noqa: S608 - our own text

_BY = """
    SELECT {column} AS name, count(*) AS cracks FROM measured WHERE {condition} GROUP BY ALL ORDER BY cracks DESC, name
"""

_CLASSES = """
    SELECT if(p95_px IS NULL, NULL, len(list_filter($bounds::FLOAT[], lambda bound: {p95} >= bound))) AS place,
           count(*) AS cracks, sum(length_px) AS length_px, if(getvariable('in_mm'), sum(length_mm), NULL) AS length_mm
    FROM measured WHERE counts GROUP BY place
"""

_DIRECTIONS = f"""
    SELECT (floor(orientation_deg * {ORIENTATION_BINS} / 180) % {ORIENTATION_BINS})::INTEGER AS place,
           count(*) AS cracks, sum(length_px) AS length_px, if(getvariable('in_mm'), sum(length_mm), NULL) AS length_mm
    FROM measured WHERE counts GROUP BY place
"""  # noqa: S608 - our own numbers

_LISTED = f"""
    FROM {_MEASURED} WHERE counts
    ORDER BY is_out_of_domain, if(getvariable('in_mm'), p95_mm, p95_px) DESC NULLS LAST, length_px DESC, archive, image,
             crack
    LIMIT ?
"""

_LINES = """
    SELECT line_wkt, measured.*
    FROM measured JOIN cracks USING (image_id, crack) WHERE counts AND image_id IN (SELECT unnest(?))
    ORDER BY image_id, measured.p95_px NULLS FIRST, crack
"""


_IN_REGION = """
    SELECT line_wkt, measured.* EXCLUDE (archive, image)
    FROM measured JOIN cracks USING (image_id, crack)
    WHERE counts AND measured.archive = $archive AND left_px < $right AND left_px + width_px > $left
        AND top_px < $bottom AND top_px + height_px > $top
    ORDER BY measured.p95_px NULLS FIRST, image_id, crack
"""


def count_cracks(photos: Connection, rule: CrackRule) -> CrackTotals | None:
    """Count all cracks; None if the dataset measures none.

    Args:
        photos: see `dataset_stats.open_photos`.
        rule: the one with which it was opened.
    """
    if not photos.sql("FROM photos WHERE cracks IS NOT NULL LIMIT 1").fetchall():
        return None
    [totals] = read_rows(photos, _TOTALS, {"from_px": rule.from_px})
    unknown = read_rows(photos, _BY.format(column="width_status", condition="is_wanted AND p95_px IS NULL"))
    sources = read_rows(photos, _BY.format(column="scale_source", condition="counts AND mm_per_px IS NOT NULL"))
    return CrackTotals(
        **totals,
        unknown={row["name"]: row["cracks"] for row in unknown},
        sources={row["name"]: row["cracks"] for row in sources},
    )


def count_by_width(photos: Connection, totals: CrackTotals) -> list[ClassTotals]:
    """Count the cracks of each class of widths in their common unit; the last class is that of unknown widths."""
    classes = [*(PX_CLASSES if totals.length_mm is None else MM_CLASSES), UNKNOWN]
    bounds = [one.from_width for one in classes[1:-1]]
    rows = read_rows(photos, _CLASSES.format(p95=f"p95_{totals.unit}"), {"bounds": bounds})
    by_place = {len(classes) - 1 if row["place"] is None else row["place"]: row for row in rows}
    return [_class_totals(by_place.get(place), one.label, one.colour) for place, one in enumerate(classes)]


def count_by_direction(photos: Connection) -> list[ClassTotals]:
    """Count the cracks of each tenth degree from 0, along a row, to 180."""
    step = 180 // ORIENTATION_BINS
    by_place = {row["place"]: row for row in read_rows(photos, _DIRECTIONS)}
    labels = (f"{step * place} to {step * (place + 1)}°" for place in range(ORIENTATION_BINS))
    return [_class_totals(by_place.get(place), label) for place, label in enumerate(labels)]


def _class_totals(row: dict[str, Any] | None, label: str, colour: str = "") -> ClassTotals:
    facts = row or {"cracks": 0, "length_px": 0.0, "length_mm": None}
    return ClassTotals(label, facts["cracks"], facts["length_px"], facts["length_mm"], colour)


def list_cracks(photos: Connection, most: int = MOST_LISTED) -> list[dict[str, Any]]:
    """List cracks, the widest first and those in photos unlike the training data last; `notes` says what is special."""
    return [row | {"notes": _note(row)} for row in read_rows(photos, _LISTED, [most])]


def _note(row: dict[str, Any]) -> str:
    unknown = "" if row["p95_px"] is not None else f"width {explain_status(row['width_status'])}"
    unlike = "in a photo unlike the training data" if row["is_out_of_domain"] else ""
    said = "" if row["state"] == "open" else f"{row['state']} by {row['by']}"
    return "; ".join(filter(None, (said, row["comment"], unknown, unlike)))


def read_lines(photos: Connection, image_ids: Sequence[str]) -> dict[str, list[CrackLines]]:
    """Read the cracks of photos that count, the widest last, by `image_id`."""
    of_photo: dict[str, list[CrackLines]] = {image_id: [] for image_id in image_ids}
    for row in read_rows(photos, _LINES, [list(image_ids)]) if image_ids else ():
        of_photo[row["image_id"]].append(_make_lines(row, find_corner(row["archive"], row["image"])))
    return of_photo


def read_lines_in(photos: Connection, archive: str, box: tuple[int, int, int, int]) -> list[CrackLines]:
    """Read the cracks of a raster that count and touch a box, the widest last, in pixels of the box.

    Args:
        photos: see `dataset_stats.open_photos`.
        archive: the raster.
        box: left, top, right and bottom.
    """
    region = dict(zip(("left", "top", "right", "bottom"), box, strict=True))
    return [_make_lines(row, box[:2]) for row in read_rows(photos, _IN_REGION, {"archive": archive, **region})]


def _make_lines(row: dict[str, Any], corner: tuple[int, int]) -> CrackLines:
    """Make a crack of a row, in pixels from a corner, left and top."""
    lines = [line - np.array(corner) for line in parse_lines(row["line_wkt"])]
    return CrackLines(lines, row["p95_px"], row["p95_mm"], _describe_crack(row))


def _describe_crack(row: dict[str, Any]) -> str:
    length, width = format_length(row["length_px"], row["length_mm"]), format_width(row["p95_px"], row["p95_mm"])
    why = "" if row["p95_px"] is not None else f", {explain_status(row['width_status'])}"
    return f"Crack {row['crack']}: {length}, width {width}{why}, {row['orientation_deg']:.0f}°"


def describe_photo(photo: dict[str, Any]) -> str:
    """Say what was measured in a photo, a row of `dataset_stats.read_photos`; empty if nothing was."""
    if not photo["cracks"]:
        return "" if photo["cracks"] is None else "no crack counted"
    length = format_length(photo["crack_length_px"], photo["crack_length_mm"])
    widest = "width" if photo["widest_px"] is None else "the widest"
    width = format_width(photo["widest_px"], photo["widest_mm"])
    scale = "" if photo["crack_length_mm"] is None else f" (scale {name_source(photo['scale_source'])})"
    return f"{count_of(photo['cracks'], 'crack')}, {length}, {widest} {width}{scale}"


def describe_totals(totals: CrackTotals) -> str:
    """Say in a sentence how many cracks there are, how long, and how wide the widest is."""
    if not totals.cracks:
        return "none was found."
    sources = f" (scale {', '.join(map(name_source, totals.sources))})" if totals.unit == "mm" else ""
    widest = "no width is known" if totals.widest_px is None else f"the widest {totals.widest}"
    unknown = sum(totals.unknown.values())
    rest = f"; {count_of(unknown, 'has', 'have')} no width" if unknown and totals.widest_px is not None else ""
    return f"{totals.cracks:,} in {count_of(totals.photos)}, {totals.length}, {widest}{sources}{rest}."


def explain_totals(totals: CrackTotals, rule: CrackRule) -> list[str]:
    """Say in sentences what the figures mean, what they leave out and how far they can be trusted."""
    told = [explain(totals, rule) for explain in (_explain_verdicts, _explain_rule, _explain_unknown)]
    told.append(_explain_scale(totals))
    if totals.out_of_domain:
        told.append(
            f"{count_of(totals.out_of_domain, 'crack is', 'cracks are')} in photos unlike the training data, which may "
            "show no concrete: look yourself. The table has them last."
        )
    return [sentence for sentence in told if sentence]


def name_rule(rule: CrackRule) -> str:
    """Say which cracks count, in words that follow `cracks`; empty if all do."""
    limits = ((rule.from_mm, "mm"), (rule.from_px, "px"))
    named = " or, without a scale, ".join(f"{value:g} {unit}" for value, unit in limits if value is not None)
    return " ".join(filter(None, ("confirmed" if rule.confirmed else "", named and f"from {named} on")))


def _explain_verdicts(totals: CrackTotals, rule: CrackRule) -> str:
    rejected = count_of(totals.rejected, "crack was rejected", "cracks were rejected")
    if rule.confirmed:
        more = f" and {rejected}" if totals.rejected else ""
        unconfirmed = count_of(totals.unconfirmed, "crack is unconfirmed", "cracks are unconfirmed")
        return f"Only what somebody confirmed counts here: {unconfirmed}{more}."
    return f"{rejected} by somebody who looked, and left out." if totals.rejected else ""


def _explain_rule(totals: CrackTotals, rule: CrackRule) -> str:
    if not rule.is_set:
        return ""
    narrower = count_of(totals.narrower, "narrower one is", "narrower ones are")
    told = f"Only cracks {name_rule(replace(rule, confirmed=False))} count here; {narrower} left out."
    if not totals.unscaled:
        return told
    unscaled = count_of(totals.unscaled, "more is", "more are")
    return f"{told} {unscaled} left out for lack of a scale; --from-px compares such cracks in pixels."


def _explain_unknown(totals: CrackTotals, rule: CrackRule) -> str:
    if not totals.unknown:
        return ""
    reasons = (f"{count:,} {explain_status(status)}" for status, count in totals.unknown.items())
    counts = (
        "They are left out, too, however wide they really are."
        if rule.is_set
        else f"Where photos are put in order, they count as {UNKNOWN_WIDTH_PX} px wide."
    )
    return (
        f"{count_of(sum(totals.unknown.values()), 'crack has', 'cracks have')} no width: {'; '.join(reasons)}. {counts}"
    )


def _explain_scale(totals: CrackTotals) -> str:
    without = totals.cracks - sum(totals.sources.values())
    if not totals.sources:
        return "No photo with cracks has a scale, so lengths and widths are in pixels." if totals.cracks else ""
    sources = (f"{name_source(source)} ({count_of(count, 'crack')})" for source, count in totals.sources.items())
    rest = f" {count_of(without, 'crack has', 'cracks have')} no scale." if without else ""
    return f"The scale is {', '.join(sources)}.{rest} Millimetres are no better than their scale."
