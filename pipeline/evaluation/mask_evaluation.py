"""An evaluation of crack maps: photos with masks, mapped by a model, compared pixel by pixel, written down.

Maps come from the same flow that `score --maps` uses, but of every photo, so that the figures are about places and not
about the threshold. What is measured is left to `map_quality`, the picture to `figures`.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from math import ceil

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.evaluation import figures
from pipeline.evaluation.evaluate import ALL, EvaluationConfig, OnProgress, check_writable
from pipeline.evaluation.figures import MaskedMap
from pipeline.evaluation.pixel_metrics import TOLERANCE_PX, MapQuality, PixelCounts
from pipeline.labels import masks
from pipeline.labels.masks import MaskedPhoto
from pipeline.models import crack_maps
from pipeline.models.crack_maps import MappedPhoto
from pipeline.models.model import load_card

SHOWN = 6
"""Photos of each source on the contact sheet, spread evenly over it."""

CrackMaps = Callable[[Sequence[str], str, ClusterConfig, OnProgress], tuple[dict[str, MappedPhoto], dict[str, str]]]
"""What `single_photos.crack_maps` is: maps by URL, and why by URL where a photo failed."""


@dataclass(frozen=True)
class SourceResult:
    """The maps of one source."""

    source: str
    photos: int
    over_threshold: int
    """Photos whose map `score --maps` would keep."""
    quality: MapQuality


@dataclass(frozen=True)
class MaskEvaluation:
    """What came out."""

    model_id: str
    threshold: float
    out: str
    """Canonical URL of the report."""
    results: tuple[SourceResult, ...]
    """One a source, and all together last; where there is one source, only that one."""
    failures: dict[str, str]
    """Why, by URL, for photos that could not be scored; they are not counted."""


@dataclass
class _Comparison:
    """Photos that were compared with their masks."""

    tally: PixelCounts = field(default_factory=PixelCounts)
    scores: list[float] = field(default_factory=list)
    shown: list[MaskedMap] = field(default_factory=list)

    def result(self, source: str, threshold: float) -> SourceResult:
        quality = self.tally.quality()
        if quality is None:
            raise CrackscanError(f"Of {source}, no photo that has a crack in its mask could be scored.")
        return SourceResult(source, len(self.scores), sum(score >= threshold for score in self.scores), quality)


def evaluate_masks(
    sources: Sequence[str], config: EvaluationConfig, crack_maps: CrackMaps, on_progress: OnProgress
) -> MaskEvaluation:
    """Map photos that have masks, compare, and write `masks.json` and `masks.png`.

    Args:
        sources: folders with `images/` and `masks/`.
        config: with which model, and where the report goes.
        crack_maps: maps photos by URL (`single_photos.crack_maps`).
        on_progress: called with the photos done and their total.

    Raises:
        UsageError: there is no model, a mask is missing or does not fit, or the report cannot be written.
        CrackscanError: of a source, no photo with a crack could be scored.
    """
    urls_of = {source: [photo.url for photo in _photos(source)] for source in sources}
    card = load_card(config.model)
    out = check_writable(config.out)
    mapped, failures = crack_maps([*chain(*urls_of.values())], config.model, config.cluster, on_progress)
    threshold = card.threshold if config.threshold is None else config.threshold
    comparisons = {source: _compared(source, urls, mapped) for source, urls in urls_of.items()}
    if len(comparisons) > 1:
        comparisons[ALL] = _together(comparisons.values())
    results = [comparison.result(source, threshold) for source, comparison in comparisons.items()]
    evaluation = MaskEvaluation(card.model_id, threshold, out, tuple(results), failures)
    sheet = figures.masked_maps([row for comparison in comparisons.values() for row in comparison.shown])
    storage.write_whole(storage.join(out, "masks.png"), sheet)
    storage.write_whole(storage.join(out, "masks.json"), f"{json.dumps(as_dict(evaluation), indent=2)}\n".encode())
    return evaluation


def as_dict(evaluation: MaskEvaluation) -> dict[str, object]:
    """Return what `masks.json` holds."""
    return {
        "model_id": evaluation.model_id,
        "threshold": evaluation.threshold,
        "tolerance_px": TOLERANCE_PX,
        "results": [asdict(result) for result in evaluation.results],
        "failures": [{"url": url, "message": message} for url, message in sorted(evaluation.failures.items())],
    }


def _photos(source: str) -> Iterator[MaskedPhoto]:
    folder = storage.canonical(source)
    if not storage.exists(folder) or not masks.is_masked(folder):
        raise UsageError(f"{source} has no masks; expected a folder with {masks.IMAGES}/ and {masks.MASKS}/ in it.")
    return masks.read_masked_photos(folder)


def _compared(source: str, urls: Sequence[str], mapped: Mapping[str, MappedPhoto]) -> _Comparison:
    """Compare the photos of a source that could be mapped; they are read once more, one at a time."""
    found, shown = _Comparison(), {*urls[:: ceil(len(urls) / SHOWN)]}
    for photo in _photos(source):
        if photo.url in mapped:
            score, png = mapped[photo.url]
            grey = crack_maps.enlarge_map(*crack_maps.decode_map(png), *photo.crack.shape)
            found.tally.add(grey, photo.crack)
            found.scores.append(score)
            if photo.url in shown:
                found.shown.append(MaskedMap(photo.pixels, photo.crack, grey, score, storage.name(photo.url)))
    return found


def _together(comparisons: Collection[_Comparison]) -> _Comparison:
    """Count the photos of all sources as one; the sheet shows them already."""
    tally = sum((comparison.tally for comparison in comparisons), start=PixelCounts())
    return _Comparison(tally, [*chain(*(comparison.scores for comparison in comparisons))])
