"""The result of a trial, and its file.

`training.trials` lists the trials, `trial_comparison` compares their results.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import storage
from pipeline.core.counts import count_of
from pipeline.core.errors import DatasetError
from pipeline.evaluation.calibration import Sample
from pipeline.labels.boxes import picture_of
from pipeline.models.card import Value

RESULTS = "trials"
"""Folder of the trials' files, in the folder of the comparison."""


@dataclass(frozen=True)
class TrialResult:
    """Logits of a fine-tuned network for a source that it has not seen."""

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
    """Training tiles left out, since they repeat tiles of the left-out source."""
    seconds: float
    tiles: tuple[str, ...]
    """The test tiles: the last two parts of each address, with the box."""
    sample: Sample
    """The logits and the labels of the test tiles."""

    @property
    def pictures(self) -> list[str]:
        """The picture that each test tile is a part of."""
        return [picture_of(name) for name in self.tiles]

    def to_json(self, metrics: Mapping[str, object]) -> str:
        """Return the content of the trial's file, with metrics for people to read."""
        content: dict[str, Any] = vars(self) | {
            "metrics": metrics,
            "sample": {"labels": self.sample.labels.tolist(), "logits": self.sample.logits.tolist()},
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def read_result(url: str) -> TrialResult:
    """Read a trial's file.

    Raises:
        DatasetError: the file is damaged or no trial's.
    """
    try:
        found = json.loads(storage.read_bytes(url))
        del found["metrics"]
        sample = _parse_sample(**found.pop("sample"))
        return TrialResult(sample=sample, tiles=tuple(found.pop("tiles")), **found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{url} is no result of a trial ({error}). Remove it, and run `crackscan models compare` again."
        ) from error


def read_results(folder: str) -> Iterator[TrialResult]:
    """Read all trials in the folder of a comparison, in the order of their names."""
    for url in sorted(storage.glob(storage.join(storage.canonical(folder), RESULTS, "*.json"))):
        yield read_result(url)


def group_by_seed(results: Sequence[TrialResult]) -> dict[int, dict[str, TrialResult]]:
    """Group the results of one backbone and recipe by seed and left-out source; complete rounds only."""
    sources = {result.left_out for result in results}
    rounds: dict[int, dict[str, TrialResult]] = {}
    for result in results:
        rounds.setdefault(result.seed, {})[result.left_out] = result
    return {seed: dict(sorted(found.items())) for seed, found in sorted(rounds.items()) if found.keys() == sources}


def _parse_sample(labels: list[bool], logits: list[float]) -> Sample:
    if not 0 < sum(labels) < len(labels):
        raise ValueError(f"{sum(labels)} of {count_of(len(labels), 'tile')} are cracked; both classes are needed")
    return Sample(np.array(logits, dtype=np.float32), np.array(labels, dtype=np.bool_))
