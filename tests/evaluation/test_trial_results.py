"""Results of trials: files that read back as written, errors for damaged ones, groups by seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import storage
from pipeline.core.errors import DatasetError
from pipeline.evaluation import trial_results
from pipeline.evaluation.calibration import Sample
from pipeline.evaluation.trial_results import TrialResult

RESULT = TrialResult(
    run="train-0123",
    backbone="x",
    augment="field",
    seed=7,
    left_out="data/a",
    training={"epochs": 1, "augment": "field"},
    training_tiles=10,
    repeats_dropped=1,
    seconds=2.5,
    tiles=("Positive/1.png", "Negative/2.png#xywh=0,0,5,5"),
    sample=Sample(np.array([0.25, -1.5], np.float32), np.array([True, False])),
)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Logits to the last bit, labels, tiles, settings; the metrics in the file are for people."""
    url = storage.join(storage.canonical(str(tmp_path)), trial_results.RESULTS, "one.json")
    storage.write_whole(url, RESULT.to_json({"auc": 1.0}).encode())
    (found,) = trial_results.read_results(str(tmp_path))
    assert found.sample.logits.tobytes() == RESULT.sample.logits.tobytes()
    assert found.sample.labels.tolist() == RESULT.sample.labels.tolist()
    assert {**vars(found), "sample": None} == {**vars(RESULT), "sample": None}


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", RESULT.to_json({}).replace("0.25", '"high"'), RESULT.to_json({}).replace("true", "false")],
)
def test_a_damaged_result_raises_an_error(tmp_path: Path, text: str) -> None:
    """The error names the file and says what to do."""
    path = tmp_path / "one.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"one.json is no result of a trial .* Remove it, and run"):
        trial_results.read_result(storage.canonical(str(path)))


def test_rounds_are_complete() -> None:
    """A seed without a trial for every source is no round."""
    other = replace(RESULT, left_out="data/b")
    assert trial_results.group_by_seed([RESULT, other]) == {7: {"data/a": RESULT, "data/b": other}}
    assert trial_results.group_by_seed([RESULT, other, replace(RESULT, seed=8)]).keys() == {7}
