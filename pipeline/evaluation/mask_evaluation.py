"""An evaluation of crack maps: maps photos with a model, compares them with their masks, and writes a report.

The maps come from the same flow as those of `crackscan score --maps`, but of every photo, so that the figures depend on
places only and not on the threshold.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from math import ceil

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.core.progress import OnProgress
from pipeline.evaluation import figures
from pipeline.evaluation.crack_widths import LEAST_PX, width_class
from pipeline.evaluation.evaluate import ALL, EvaluationConfig, check_report
from pipeline.evaluation.figures import MaskedMap
from pipeline.evaluation.pixel_metrics import TOLERANCE_PX, MapQuality, PixelCounts
from pipeline.labels import masks
from pipeline.labels.masks import MaskedPhoto
from pipeline.models import crack_maps
from pipeline.models.crack_maps import MappedPhoto
from pipeline.models.model import load_card
from pipeline.storage.file_kinds import Kind

REPORT: Mapping[str, Kind] = {"masks.png": "png", "masks.json": "json"}
"""The files of a report; the last one is written last."""

SHOWN = 6
"""Photos of each source on the contact sheet, spread evenly over the source."""

CrackMaps = Callable[[Sequence[str], str, ClusterConfig, OnProgress], tuple[dict[str, MappedPhoto], dict[str, str]]]
"""Returns maps by URL, and the reasons of failures by URL; `scoring.predict.predict_maps` is one."""


@dataclass(frozen=True)
class WidthResult:
    """The maps of the photos of one source in which most crack pixels are of one class of widths."""

    least_px: int
    most_px: int | None
    """None in the class of the widest cracks."""
    photos: int
    quality: MapQuality | None
    """At the levels that are best for this class; None without photos."""


@dataclass(frozen=True)
class SourceResult:
    """The maps of one source."""

    source: str
    photos: int
    over_threshold: int
    """Photos whose maps `score --maps` would keep."""
    quality: MapQuality
    by_width: tuple[WidthResult, ...]
    """The narrowest cracks first. Photos without a crack in their masks have no width and count in `quality` only."""


@dataclass(frozen=True)
class MaskEvaluation:
    """The outcome of an evaluation."""

    model_id: str
    threshold: float
    out: str
    """Canonical URL of the report."""
    results: tuple[SourceResult, ...]
    """One per source and, with several sources, one of all together at the end."""
    failures: dict[str, str]
    """Reasons by URL for photos without a map; no figure counts them."""


@dataclass
class _Comparison:
    """Photos compared with their masks."""

    counts: PixelCounts = field(default_factory=PixelCounts)
    by_width: list[PixelCounts] = field(default_factory=lambda: [PixelCounts() for _ in LEAST_PX])
    """For each class of `LEAST_PX`."""
    scores: list[float] = field(default_factory=list)
    shown: list[MaskedMap] = field(default_factory=list)

    def result(self, source: str, threshold: float) -> SourceResult:
        quality = self.counts.measure()
        if quality is None:
            raise CrackscanError(f"Of {source}, no photo that has a crack in its mask could be scored.")
        over_threshold = sum(score >= threshold for score in self.scores)
        return SourceResult(source, len(self.scores), over_threshold, quality, self._results_by_width())

    def _results_by_width(self) -> tuple[WidthResult, ...]:
        most_px = (*(least_px - 1 for least_px in LEAST_PX[1:]), None)
        return tuple(
            WidthResult(least, most, counts.photos, counts.measure())
            for least, most, counts in zip(LEAST_PX, most_px, self.by_width, strict=True)
        )


def evaluate_masks(
    sources: Sequence[str], config: EvaluationConfig, crack_maps: CrackMaps, on_progress: OnProgress
) -> MaskEvaluation:
    """Map photos that have masks, compare, and write `masks.json` and `masks.png`.

    Args:
        sources: folders with `images/` and `masks/`.
        config: the model, the threshold, and the place of the report.
        crack_maps: maps photos by URL, as `scoring.predict.predict_maps` does.
        on_progress: takes the number of photos done and their total.

    Raises:
        UsageError: there is no model, a mask is missing or does not fit, or the report cannot be written.
        CrackscanError: a source has no photo with a crack that could be scored.
    """
    urls_of = {source: [photo.url for photo in _read_photos(source)] for source in sources}
    card = load_card(config.model)
    out = check_report(config, REPORT, {url for urls in urls_of.values() for url in urls})
    mapped, failures = crack_maps([*chain(*urls_of.values())], config.model, config.cluster, on_progress)
    threshold = card.threshold if config.threshold is None else config.threshold
    comparisons = {source: _compare(source, urls, mapped) for source, urls in urls_of.items()}
    if len(comparisons) > 1:
        comparisons[ALL] = _combine(comparisons.values())
    results = [comparison.result(source, threshold) for source, comparison in comparisons.items()]
    evaluation = MaskEvaluation(card.model_id, threshold, out, tuple(results), failures)
    sheet = figures.masked_maps([row for comparison in comparisons.values() for row in comparison.shown])
    storage.write_whole(storage.join(out, "masks.png"), sheet)
    storage.write_whole(storage.join(out, "masks.json"), f"{json.dumps(as_dict(evaluation), indent=2)}\n".encode())
    return evaluation


def as_dict(evaluation: MaskEvaluation) -> dict[str, object]:
    """Return the content of `masks.json`."""
    return {
        "model_id": evaluation.model_id,
        "threshold": evaluation.threshold,
        "tolerance_px": TOLERANCE_PX,
        "results": [asdict(result) for result in evaluation.results],
        "failures": [{"url": url, "message": message} for url, message in sorted(evaluation.failures.items())],
    }


def _read_photos(source: str) -> Iterator[MaskedPhoto]:
    folder = storage.canonical(source)
    if not storage.exists(folder) or not masks.is_masked(folder):
        raise UsageError(f"{source} has no masks; expected a folder with {masks.IMAGES}/ and {masks.MASKS}/ in it.")
    return masks.read_masked_photos(folder)


def _compare(source: str, urls: Sequence[str], mapped: Mapping[str, MappedPhoto]) -> _Comparison:
    """Compare the photos of a source that have a map; this reads them again, one at a time."""
    found, shown = _Comparison(), {*urls[:: ceil(len(urls) / SHOWN)]}
    for photo in _read_photos(source):
        if photo.url in mapped:
            score, png = mapped[photo.url]
            grey = crack_maps.enlarge_map(*crack_maps.decode_map(png), *photo.crack.shape)
            found.counts.add(grey, photo.crack)
            if (widths := width_class(photo.crack)) is not None:
                found.by_width[widths].add(grey, photo.crack)
            found.scores.append(score)
            if photo.url in shown:
                found.shown.append(MaskedMap(photo.pixels, photo.crack, grey, score, storage.name(photo.url)))
    return found


def _combine(comparisons: Collection[_Comparison]) -> _Comparison:
    """Count the photos of all sources together, without pictures, which the sheet has already."""
    counts = sum((comparison.counts for comparison in comparisons), start=PixelCounts())
    by_class = zip(*(comparison.by_width for comparison in comparisons), strict=True)
    by_width = [sum(of_class, start=PixelCounts()) for of_class in by_class]
    return _Comparison(counts, by_width, [*chain(*(comparison.scores for comparison in comparisons))])
