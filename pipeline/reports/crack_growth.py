"""Growth of cracks between two inspections: photos that match are laid over each other, and their cracks compared.

Each photo is read once. What became of each crack is a row of `crack_changes.parquet`; `compare` shows the photos side
by side with their lines over them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.core.progress import OnProgress
from pipeline.core.table_schemas import CRACK_CHANGES
from pipeline.core.wkt import Line, parse_lines
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import Connection
from pipeline.measurement.darkness import Grey
from pipeline.measurement.growth import KINDS as CHANGE_KINDS
from pipeline.measurement.growth import CrackChange, CrackedPhoto, KnownCrack, Measured, compare_cracks
from pipeline.measurement.profiles import LUMA
from pipeline.measurement.registration import Features, Refusal, Registration, find_features, register
from pipeline.reports import thumbnails
from pipeline.reports.dataset_stats import read_rows
from pipeline.reports.photo_cards import PICTURE_PX
from pipeline.reports.source_photos import read_source_photos

KINDS = (*CHANGE_KINDS, "unknown")
"""Changes, those first that people look at first; `unknown` are the cracks of photos that could not be compared."""

BATCH_PAIRS = 12
"""Pairs whose photos are read together: of the first ones all are kept in grey, of the others one after the other."""

REASONS: Mapping[Refusal, str] = {
    "few_features": "A photo is too plain or too blurred to find places of it in the other.",
    "few_matches": "Too few places of one photo were found in the other: they may show different places.",
    "matches_in_one_spot": "The photos agree in one spot or along one line only, which says too little.",
    "small_overlap": "The photos show less than a fifth of the surface in common.",
    "scales_differ": "One photo was taken from much farther away, or at a flat angle.",
}

_CHOSEN = """
    SELECT a.image_id AS image_id_a, b.image_id AS image_id_b, a.archive AS archive_a, b.archive AS archive_b,
           a.image AS image_a, b.image AS image_b
    FROM matches m JOIN a ON a.image_id = m.a JOIN b ON b.image_id = m.b
    WHERE a.image_id <> b.image_id AND a.cracks + b.cracks > 0
      AND NOT regexp_full_match(a.image, 'r[0-9]+c[0-9]+') AND NOT regexp_full_match(b.image, 'r[0-9]+c[0-9]+')
    ORDER BY greatest(coalesce(a.crack_length_px, 0), coalesce(b.crack_length_px, 0)) DESC, b.image, b.image_id
"""
"""The same file on both sides shows what another model finds, not what grew. Windows of one name need not show
one place of two rasters, and their cracks run on in others."""

_IS_MEASURED = "SELECT coalesce(bool_or(cracks IS NOT NULL), false) AS measured FROM photos"

_CRACKS = """
    SELECT image_id, crack, line_wkt, crack_width_px_p50, crack_width_px_p95, width_status
    FROM cracks SEMI JOIN (FROM measured WHERE counts) USING (image_id, crack)
    WHERE image_id IN (SELECT unnest(?)) ORDER BY image_id, crack
"""
"""Without those that were rejected."""

_SCALES = "SELECT image_id, mm_per_px, scale_source FROM images WHERE image_id IN (SELECT unnest(?))"


class DrawnCrack(NamedTuple):
    """The lines of a crack over its photo."""

    change: str
    path: str
    """The `d` of an SVG path, in pixels of the photo."""


@dataclass(frozen=True)
class View:
    """A photo with its cracks."""

    picture: str
    """A `data:` URL."""
    width_px: int
    height_px: int
    """Of the photo."""
    cracks: Sequence[DrawnCrack]


@dataclass(frozen=True)
class PairGrowth:
    """Two photos of one place, and what became of their cracks."""

    names: Mapping[str, str]
    """`image_id`, `archive` and `image` of both."""
    views: tuple[View, View] | None
    """None where the photos could not be compared."""
    rows: Sequence[Mapping[str, Any]]
    """Rows of `CRACK_CHANGES`."""
    reason: str | None
    """Why the photos could not be compared."""

    @property
    def summary(self) -> str:
        """How many cracks there are of each kind, in words."""
        found = [row["change"] for row in self.rows]
        return ", ".join(f"{found.count(kind)} {kind}" for kind in KINDS if kind in found) or "No crack"

    @property
    def grown_px(self) -> float:
        """Length that is new in B, pixels of A."""
        return sum(row["length_px_b"] if row["change"] == "new" else row["longer_by_px"] or 0.0 for row in self.rows)


@dataclass(frozen=True)
class Growth:
    """What became of the cracks of two datasets."""

    pairs: Sequence[PairGrowth]
    """Those that grew most first, and those that could not be compared last."""
    left: int
    """Pairs with cracks that were not compared, because of the limit."""
    unmeasured: str
    """The datasets whose cracks were not measured: `A`, `B`, `A and B`, or empty."""

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        """All rows of `CRACK_CHANGES`, pair by pair."""
        return [row for pair in self.pairs for row in pair.rows]

    @property
    def counts(self) -> dict[str, int]:
        """Rows of each of `KINDS`."""
        found = [row["change"] for row in self.rows]
        return {kind: found.count(kind) for kind in KINDS}

    @property
    def compared(self) -> int:
        """Pairs that could be compared."""
        return sum(pair.reason is None for pair in self.pairs)

    def to_table(self) -> pa.Table:
        """Return all rows as a table."""
        return pa.Table.from_pylist(self.rows, CRACK_CHANGES)


class _Seen(NamedTuple):
    """What is kept of a photo."""

    grey: Grey
    features: Features
    picture: str


class _Facts(NamedTuple):
    """What a dataset says of the chosen photos, by `image_id`."""

    cracks: Mapping[str, Sequence[KnownCrack]]
    scales: Mapping[str, tuple[float | None, str | None]]


def compare_growth(
    both: Connection,
    sides: Sequence[Connection],
    layouts: Sequence[Layout],
    most_pairs: int,
    on_progress: OnProgress,
) -> Growth:
    """Compare the cracks of photos that match, those with the longest cracks first.

    Args:
        both: has the tables `a`, `b` and `matches`, see `photo_matching.match`.
        sides: the two datasets, see `dataset_stats.open_photos`.
        layouts: the same.
        most_pairs: compare at most so many pairs.
        on_progress: told of each photo.
    """
    lacking = [name for name, side in zip("AB", sides, strict=True) if not read_rows(side, _IS_MEASURED)[0]["measured"]]
    chosen = [] if lacking else read_rows(both, _CHOSEN)
    pairs = chosen[:most_pairs]
    facts_a, facts_b = (
        _read_facts(side, [pair[f"image_id_{name}"] for pair in pairs]) for name, side in zip("ab", sides, strict=True)
    )
    found, seen_a = list[PairGrowth](), dict[str, _Seen | str]()
    for first in range(0, len(pairs), BATCH_PAIRS):
        batch = {pair["image_id_b"]: pair for pair in pairs[first : first + BATCH_PAIRS]}
        for image_id, seen in _look(layouts[0], {pair["image_id_a"]: pair["archive_a"] for pair in batch.values()}):
            seen_a[image_id] = seen
            on_progress(2 * len(found) + len(seen_a), 2 * len(pairs))
        for image_id, seen in _look(layouts[1], {pair["image_id_b"]: pair["archive_b"] for pair in batch.values()}):
            before = seen_a.pop(batch[image_id]["image_id_a"])
            found.append(_compare_pair(batch[image_id], (before, seen), facts_a, facts_b))
            on_progress(2 * len(found) + len(seen_a), 2 * len(pairs))
    found.sort(key=lambda pair: (pair.reason is not None, -pair.grown_px, pair.names["image_b"]))
    return Growth(found, len(chosen) - len(pairs), " and ".join(lacking))


def _read_facts(photos: Connection, image_ids: Sequence[str]) -> _Facts:
    cracks: dict[str, list[KnownCrack]] = {image_id: [] for image_id in image_ids}
    for row in read_rows(photos, _CRACKS, [list(image_ids)]):
        widths = row["crack_width_px_p50"], row["crack_width_px_p95"], row["width_status"]
        cracks[row["image_id"]].append(KnownCrack(row["crack"], parse_lines(row["line_wkt"]), *widths))
    scales = read_rows(photos, _SCALES, [list(image_ids)])
    return _Facts(cracks, {row["image_id"]: (row["mm_per_px"], row["scale_source"]) for row in scales})


def _look(layout: Layout, archives: Mapping[str, str]) -> Iterator[tuple[str, _Seen | str]]:
    """Read photos, and keep what is needed of them."""
    for image_id, source in read_source_photos(layout, archives):
        if isinstance(source, str):
            yield image_id, source
        else:
            picture = thumbnails.to_data_url(thumbnails.shrink(source, PICTURE_PX), "jpeg")
            yield image_id, _Seen((source @ LUMA).astype(np.uint8), find_features(source), picture)


def _compare_pair(
    names: Mapping[str, str], seen: tuple[_Seen | str, _Seen | str], facts_a: _Facts, facts_b: _Facts
) -> PairGrowth:
    a, b = seen
    cracks_a, cracks_b = facts_a.cracks[names["image_id_a"]], facts_b.cracks[names["image_id_b"]]
    if isinstance(a, str) or isinstance(b, str):
        reason = f"A: {a}" if isinstance(a, str) else f"B: {b}"
        return _leave_out(names, cracks_a, cracks_b, reason)
    found = register(a.features, b.features)
    if not isinstance(found, Registration):
        return _leave_out(names, cracks_a, cracks_b, REASONS[found])
    changes = compare_cracks(CrackedPhoto(a.grey, cracks_a), CrackedPhoto(b.grey, cracks_b), found)
    scale = _find_scale(facts_a.scales[names["image_id_a"]], facts_b.scales[names["image_id_b"]], found)
    views = _draw(a, cracks_a, changes, "a"), _draw(b, cracks_b, changes, "b")
    return PairGrowth(names, views, [_make_row(names, change, found, *scale) for change in changes], None)


def _leave_out(
    names: Mapping[str, str], cracks_a: Sequence[KnownCrack], cracks_b: Sequence[KnownCrack], reason: str
) -> PairGrowth:
    """Make the one row of two photos that could not be compared."""
    numbers = {"cracks_a": [each.crack for each in cracks_a], "cracks_b": [each.crack for each in cracks_b]}
    empty: dict[str, Any] = dict.fromkeys(CRACK_CHANGES.names)
    return PairGrowth(names, None, [{**empty, **names, **numbers, "change": "unknown", "reason": reason}], reason)


def _find_scale(
    a: tuple[float | None, str | None], b: tuple[float | None, str | None], found: Registration
) -> tuple[float | None, str | None]:
    """Return the millimetres to a pixel of A and their source: those that A has, else those of B as seen in A."""
    mm_per_px, source = b
    if a[0] is not None or mm_per_px is None:
        return a
    middle = np.array([found.size_b]) / 2
    return mm_per_px / float(np.sqrt(found.areas(middle)[0])), source


def _make_row(
    names: Mapping[str, str],
    change: CrackChange,
    found: Registration,
    mm_per_px: float | None,
    scale_source: str | None,
) -> dict[str, Any]:
    """Make a row of `CRACK_CHANGES`."""
    px = {"longer_by_px": change.longer_by_px, "wider_by_px": change.wider_by_px}
    sides: tuple[tuple[str, Measured], ...] = ("a", change.a), ("b", change.b)
    for side, measured in sides:
        px[f"length_px_{side}"] = measured.length_px
        px[f"crack_width_px_p50_{side}"] = measured.width_px_p50
        px[f"crack_width_px_p95_{side}"] = measured.width_px_p95
    mm = {name.replace("px", "mm"): _multiply(value, mm_per_px) for name, value in px.items()}
    return {
        "change": change.change,
        **names,
        **{f"cracks_{side}": list(measured.cracks) for side, measured in sides},
        **{f"width_status_{side}": measured.width_status for side, measured in sides},
        **px,
        "length_error_px": change.length_error_px,
        "width_error_px": change.width_error_px,
        "mm_per_px": mm_per_px,
        "scale_source": scale_source,
        **mm,
        "overlap": found.overlap,
        "registration_error_px": found.error_px,
        "reason": None,
    }


def _multiply(px: float | None, mm_per_px: float | None) -> float | None:
    return None if px is None or mm_per_px is None else px * mm_per_px


def _draw(seen: _Seen, cracks: Sequence[KnownCrack], changes: Sequence[CrackChange], side: Literal["a", "b"]) -> View:
    """Draw the cracks of a photo, those last that matter most: they lie on top."""
    kinds = {number: change.change for change in changes for number in getattr(change, side).cracks}
    drawn = [DrawnCrack(kinds[crack.crack], " ".join(map(_to_path, crack.lines))) for crack in cracks]
    if side == "b":
        drawn += [DrawnCrack("new", _to_path(line)) for change in changes for line in change.grown]
    drawn.sort(key=lambda each: KINDS.index(each.change), reverse=True)
    return View(seen.picture, seen.features.width_px, seen.features.height_px, drawn)


def _to_path(line: Line) -> str:
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in line)
