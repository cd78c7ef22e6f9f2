"""What a trial has shown, and the file it leaves.

Which trials there are is `trials`' business, what they say together `comparison`'s.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import storage
from pipeline.core.errors import DatasetError
from pipeline.evaluation.calibration import Sample
from pipeline.models.card import Value

RESULTS = "trials"
"""Folder of the trials' files, in the comparison's."""


@dataclass(frozen=True)
class TrialResult:
    """What a fine-tuned network makes of a source that it has not seen."""

    run: str
    """Identifies settings and data."""
    backbone: str
    augment: str
    seed: int
    left_out: str
    """The last two parts of the source's address."""
    training: Mapping[str, Value]
    """The settings."""
    training_tiles: int
    repeats_dropped: int
    """Training tiles left out because they repeat tiles of the left-out source."""
    seconds: float
    tiles: tuple[str, ...]
    """Tested on: the last two parts of each address, with the box in it."""
    sample: Sample
    """The logits of the tiles, and their labels."""

    def to_json(self, metrics: Mapping[str, object]) -> str:
        """Write it down, with figures for people to read."""
        told: dict[str, Any] = vars(self) | {
            "metrics": metrics,
            "sample": {"labels": self.sample.labels.tolist(), "logits": self.sample.logits.tolist()},
        }
        return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def read_result(url: str) -> TrialResult:
    """Read a trial's file.

    Raises:
        DatasetError: it is damaged, or no such file.
    """
    try:
        found = json.loads(storage.read_bytes(url))
        del found["metrics"]
        sample = _sample(**found.pop("sample"))
        return TrialResult(sample=sample, tiles=tuple(found.pop("tiles")), **found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{url} is no result of a trial ({error}). Remove it, and run `crackscan models compare` again."
        ) from error


def read_results(folder: str) -> Iterator[TrialResult]:
    """Read all trials of a comparison's folder, in the order of their names."""
    for url in sorted(storage.glob(storage.join(storage.canonical(folder), RESULTS, "*.json"))):
        yield read_result(url)


def by_seed(results: Sequence[TrialResult]) -> dict[int, dict[str, TrialResult]]:
    """Lay out results of one backbone and recipe: seed, left-out source, result; whole rounds only."""
    sources = {result.left_out for result in results}
    rounds: dict[int, dict[str, TrialResult]] = {}
    for result in results:
        rounds.setdefault(result.seed, {})[result.left_out] = result
    return {seed: dict(sorted(found.items())) for seed, found in sorted(rounds.items()) if found.keys() == sources}


def _sample(labels: list[bool], logits: list[float]) -> Sample:
    return Sample(np.array(logits, dtype=np.float32), _checked(labels))


def _checked(labels: list[bool]) -> NDArray[np.bool_]:
    if not 0 < sum(labels) < len(labels):
        raise ValueError(f"{sum(labels)} of {len(labels)} tiles are cracked; both classes are needed")
    return np.array(labels, dtype=np.bool_)
