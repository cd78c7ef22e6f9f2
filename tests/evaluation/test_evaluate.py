"""Evaluations: scores, measures and reports."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import CrackscanError, DataError, UsageError
from pipeline.core.progress import OnProgress
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.evaluate import (
    NOT_SCORED,
    Evaluation,
    EvaluationConfig,
    as_dict,
    evaluate,
    worst_mistakes,
)
from pipeline.images.decode import decode
from pipeline.labels.labelled_tiles import read_labelled_tiles
from pipeline.models.model import SHIPPED_MODEL, load_card


def darkness(
    urls: Sequence[str], model: str, cluster: ClusterConfig, on_progress: OnProgress
) -> tuple[dict[str, float], dict[str, str]]:
    """Score a tile by how dark it is: a model with computable answers."""
    assert model == SHIPPED_MODEL
    assert cluster == ClusterConfig()
    scores: dict[str, float] = {}
    failures: dict[str, str] = {}
    for done, url in enumerate(urls, start=1):
        try:
            scores[url] = 1 - float(decode(storage.read_bytes(url)).pixels.mean()) / 255
        except DataError as error:
            failures[url] = str(error)
        on_progress(done, len(urls))
    return scores, failures


def fail_on_progress(_done: int, _total: int) -> None:
    """Fail when work begins."""
    pytest.fail("the work began")


def tile(path: Path, grey: int) -> None:
    """Write a tile of one grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 16, 3), grey, dtype=np.uint8)).save(path)


@pytest.fixture
def bridges(tmp_path: Path) -> list[str]:
    """Write two folders: `a` with dark cracks, `b` with a bright crack, a dark stain and a broken file."""
    for number, grey in enumerate((10, 20, 60)):
        tile(tmp_path / "a" / "Positive" / f"{number}.png", grey)
        tile(tmp_path / "a" / "Negative" / f"{number}.png", 255 - grey)
    for name, grey in {"Positive/dark": 30, "Positive/bright": 240, "Negative/stain": 40, "Negative/wall": 200}.items():
        tile(tmp_path / "b" / f"{name}.png", grey)
    (tmp_path / "b" / "Positive" / "broken.png").write_bytes(b"no picture")
    return [str(tmp_path / "a"), str(tmp_path / "b")]


@pytest.fixture
def config(tmp_path: Path) -> EvaluationConfig:
    """Report into a folder that does not exist yet."""
    return EvaluationConfig(SHIPPED_MODEL, str(tmp_path / "report" / "deep"), 0.5, Bootstrap(50))


@pytest.fixture
def evaluation(bridges: list[str], config: EvaluationConfig) -> Evaluation:
    """Evaluate both folders."""
    return evaluate(read_labelled_tiles(bridges), config, darkness, lambda _done, _total: None)


def test_every_source_and_all(evaluation: Evaluation, bridges: list[str]) -> None:
    """The results are one per folder, then one of all together."""
    assert [result.source for result in evaluation.results] == [*bridges, "all"]
    a, b, everything = (result.metrics for result in evaluation.results)
    assert (a.n, a.accuracy, a.auc) == (6, 1, 1)
    assert (b.true_positives, b.false_negatives, b.false_positives, b.true_negatives) == (1, 1, 1, 1)
    assert everything.n == 10
    assert everything.accuracy == pytest.approx(0.8)
    assert evaluation.overall == everything


def test_failed_tiles_are_listed_and_not_counted(evaluation: Evaluation) -> None:
    """The failures have an unreadable tile with its cause; no measure counts it."""
    ((url, message),) = evaluation.failures.items()
    assert url.endswith("b/Positive/broken.png")
    assert "No photo in" in message
    assert url not in evaluation.tiles.urls


def test_report(evaluation: Evaluation, config: EvaluationConfig) -> None:
    """The report has every measure as JSON without NaN, every tile as CSV, and four pictures."""
    out = storage.local_path(config.out)
    assert sorted(path.name for path in out.iterdir()) == [
        "metrics.json",
        "mistakes.png",
        "precision_recall.png",
        "reliability.png",
        "roc.png",
        "tiles.csv",
    ]
    found = json.loads((out / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert found == json.loads(json.dumps(as_dict(evaluation)))
    assert found["model_id"] == load_card(SHIPPED_MODEL).model_id
    assert found["results"][0]["auc"] == 1
    assert found["results"][0]["intervals_95_percent"]["accuracy"] == [1, 1]
    assert [failure["url"][-10:] for failure in found["failures"]] == ["broken.png"]
    rows = list(csv.DictReader(io.StringIO((out / "tiles.csv").read_text())))
    assert [row["path"] for row in rows] == list(evaluation.tiles.urls)
    assert float(rows[0]["crack_score"]) == pytest.approx(float(evaluation.scores[0]))


def test_tiles_csv_can_be_evaluated(evaluation: Evaluation, config: EvaluationConfig) -> None:
    """The list of tiles is itself a table of labelled tiles."""
    again = read_labelled_tiles([f"{config.out}/tiles.csv"])
    assert again.urls == evaluation.tiles.urls
    assert (again.labels == evaluation.tiles.labels).all()


@pytest.fixture(scope="module")
def of_boxes(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Evaluate the four boxes of a bright photo with a dark, cracked left end; no score comes back for the last."""
    folder = tmp_path_factory.mktemp("deck")
    pixels, crack = np.full((112, 300, 3), 250, dtype=np.uint8), np.zeros((112, 300), dtype=np.bool_)
    pixels[:, :112], crack[:, 56] = 10, True
    for part, picture in (("images", pixels), ("masks", crack)):
        (folder / part).mkdir()
        Image.fromarray(picture).save(folder / part / "deck.png")

    def forgetful(
        urls: Sequence[str], model: str, cluster: ClusterConfig, on_progress: OnProgress
    ) -> tuple[dict[str, float], dict[str, str]]:
        return darkness(urls[:-1], model, cluster, on_progress)

    config = EvaluationConfig(SHIPPED_MODEL, str(folder / "report"), 0.5, Bootstrap(50))
    return evaluate(read_labelled_tiles([str(folder)]), config, forgetful, lambda _done, _total: None)


def test_boxes_are_scored_as_tiles(of_boxes: Evaluation) -> None:
    """Each box of a photo with a mask gets its own score, and only the report remains."""
    assert [box and box.left_px for box in of_boxes.tiles.boxes] == [0, 112, 168]
    assert of_boxes.scores == pytest.approx([1 - 10 / 255, 1 - 250 / 255, 1 - 250 / 255])
    assert (of_boxes.overall.n, of_boxes.overall.accuracy) == (3, 1)
    assert not any(path.is_dir() for path in storage.local_path(of_boxes.out).iterdir())
    again = read_labelled_tiles([f"{of_boxes.out}/tiles.csv"])
    assert (again.names, again.labels.tolist()) == (of_boxes.tiles.names, of_boxes.tiles.labels.tolist())


def test_failures_and_mistakes_have_their_boxes(of_boxes: Evaluation) -> None:
    """The name of a box is its photo and place, and its picture has its own pixels."""
    (url,) = set(of_boxes.tiles.urls)
    assert of_boxes.failures == {f"{url}#xywh=188,0,112,112": NOT_SCORED}
    turned = replace(of_boxes, tiles=replace(of_boxes.tiles, labels=~of_boxes.tiles.labels))
    false_alarms, misses = worst_mistakes(turned)
    assert [mistake.name for mistake in false_alarms] == ["deck.png#xywh=0,0,112,112"]
    assert [mistake.pixels.shape for mistake in [*false_alarms, *misses]] == [(112, 112, 3)] * 3


def test_name_that_comes_back_differently(bridges: list[str], config: EvaluationConfig) -> None:
    """A tile without score and reason is a failure, whatever the bytes of its name."""
    lost = f"{bridges[0]}/Positive/\udcff.png"
    Path(f"{bridges[0]}/Positive/0.png").rename(lost)

    def forgetful(
        urls: Sequence[str], model: str, cluster: ClusterConfig, on_progress: OnProgress
    ) -> tuple[dict[str, float], dict[str, str]]:
        return darkness([url for url in urls if not url.endswith("\udcff.png")], model, cluster, on_progress)

    found = evaluate(read_labelled_tiles(bridges[:1]), config, forgetful, lambda _done, _total: None)
    assert found.overall.n == 5
    assert found.failures == {storage.canonical(lost): NOT_SCORED}
    report = json.loads((storage.local_path(config.out) / "metrics.json").read_text())
    assert report["failures"][0]["url"] == storage.canonical(lost)


def test_worst_mistakes(evaluation: Evaluation) -> None:
    """The worst mistakes are tiles with wrong calls, with their pixels."""
    false_alarms, misses = worst_mistakes(evaluation)
    assert [mistake.name for mistake in false_alarms] == ["stain.png"]
    assert [mistake.name for mistake in misses] == ["bright.png"]
    assert misses[0].pixels.shape == (16, 16, 3)
    assert misses[0].score == pytest.approx(1 - 240 / 255)


def test_worst_come_first(evaluation: Evaluation) -> None:
    """False alarms fall in score, misses rise."""
    turned = replace(evaluation, tiles=replace(evaluation.tiles, labels=~evaluation.tiles.labels))
    false_alarms, misses = worst_mistakes(turned)
    assert [mistake.score for mistake in false_alarms] == sorted((each.score for each in false_alarms), reverse=True)
    assert [mistake.score for mistake in misses] == sorted(each.score for each in misses)
    assert len(false_alarms) == len(misses) == 4


def test_one_source(bridges: list[str], config: EvaluationConfig) -> None:
    """One folder gives one result, under its name."""
    found = evaluate(read_labelled_tiles(bridges[:1]), config, darkness, lambda _done, _total: None)
    assert [result.source for result in found.results] == bridges[:1]


def test_threshold_of_the_card(bridges: list[str], config: EvaluationConfig) -> None:
    """Without a threshold, the one of the model card counts."""
    found = evaluate(
        read_labelled_tiles(bridges),
        replace(config, threshold=None),
        darkness,
        lambda _done, _total: None,
    )
    assert found.overall.threshold == load_card(SHIPPED_MODEL).threshold


def test_source_that_fails_whole(bridges: list[str], config: EvaluationConfig) -> None:
    """A folder without any readable tile has failures but no result."""
    for path in sorted(storage.local_path(bridges[1]).rglob("*.png")):
        path.write_bytes(b"no picture")
    found = evaluate(read_labelled_tiles(bridges), config, darkness, lambda _done, _total: None)
    assert [result.source for result in found.results] == bridges[:1]
    assert len(found.failures) == 5


def test_nothing_readable(bridges: list[str], config: EvaluationConfig) -> None:
    """Without any scored tile, there is no report."""
    for path in sorted(storage.local_path(bridges[1]).rglob("*.png")):
        path.write_bytes(b"")
    with pytest.raises(CrackscanError, match=r"None of the 5 tiles could be scored; the first, .*: The file is empty"):
        evaluate(read_labelled_tiles(bridges[1:]), config, darkness, lambda _done, _total: None)
    assert not storage.exists(storage.join(storage.canonical(config.out), "metrics.json"))


def test_a_report_is_replaced_and_other_files_are_not(
    bridges: list[str], config: EvaluationConfig, tmp_path: Path
) -> None:
    """Ours is known by `metrics.json`, which comes last; files of its names beside none need `overwrite`."""
    tiles, report = read_labelled_tiles(bridges), tmp_path / "report" / "deep"
    for _ in range(2):
        evaluate(tiles, config, darkness, lambda _done, _total: None)
    (report / "metrics.json").unlink()
    (report / "tiles.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"tiles\.csv is there already: a CSV table that `crackscan evaluate` did not"):
        evaluate(tiles, config, darkness, fail_on_progress)
    assert (report / "tiles.csv").read_text() == "mine"
    evaluate(tiles, replace(config, overwrite=True), darkness, lambda _done, _total: None)
    assert (report / "metrics.json").exists()


def test_labels_that_are_evaluated_stay(evaluation: Evaluation, config: EvaluationConfig) -> None:
    """A table of the name `tiles.csv` is not replaced by the report on its own tiles, not even with `overwrite`."""
    labels = storage.local_path(evaluation.out) / "tiles.csv"
    before = labels.read_bytes()
    with pytest.raises(UsageError, match=r"tiles\.csv is an input of this command, and never replaced"):
        evaluate(read_labelled_tiles([str(labels)]), replace(config, overwrite=True), darkness, fail_on_progress)
    assert labels.read_bytes() == before


def test_place_that_cannot_be_written(bridges: list[str], config: EvaluationConfig, tmp_path: Path) -> None:
    """A report that cannot be written raises an error before the work."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"/file is a text; expected a folder\. Give another --out\."):
        evaluate(
            read_labelled_tiles(bridges),
            replace(config, out=str(tmp_path / "file" / "x")),
            darkness,
            fail_on_progress,
        )


def test_missing_model(bridges: list[str], config: EvaluationConfig, tmp_path: Path) -> None:
    """A missing model raises an error before the work."""
    with pytest.raises(UsageError, match="No model at"):
        evaluate(
            read_labelled_tiles(bridges),
            replace(config, model=str(tmp_path / "none")),
            darkness,
            fail_on_progress,
        )


def test_figures_are_drawn(evaluation: Evaluation, config: EvaluationConfig) -> None:
    """Every figure is a readable PNG."""
    for path in sorted(storage.local_path(config.out).glob("*.png")):
        assert min(Image.open(io.BytesIO(path.read_bytes())).size) > 300, path.name
    assert evaluation.out == storage.canonical(config.out)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_threshold_is_checked(threshold: float) -> None:
    """A threshold is a probability."""
    with pytest.raises(UsageError, match="expected a number between 0 and 1"):
        EvaluationConfig("m", "o", threshold)
