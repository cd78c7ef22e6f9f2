"""An evaluation of crack maps with computable maps: dark is crack."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline import storage
from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import CrackscanError, DataError, UsageError
from pipeline.core.progress import OnProgress
from pipeline.evaluation.evaluate import EvaluationConfig
from pipeline.evaluation.mask_evaluation import MaskEvaluation, evaluate_masks
from pipeline.images.decode import decode
from pipeline.images.tiles import TileSpec, grid
from pipeline.models.crack_maps import MappedPhoto, PhotoMapper, ScoredPhoto
from pipeline.models.model import SHIPPED_MODEL, load_card

SPEC = TileSpec(32, 0.0)


def darkness(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map tiles, shape (N, T, T, 3) → (N, T, T)."""
    maps: NDArray[np.float32] = np.float32(1) - tiles[..., 0].astype(np.float32) / np.float32(255)
    return maps


def dark_maps(
    urls: Sequence[str], model: str, cluster: ClusterConfig, on_progress: OnProgress
) -> tuple[dict[str, MappedPhoto], dict[str, str]]:
    """Map dark places as cracks, like `scoring.predict.predict_maps`; a photo whose name begins with x fails."""
    assert (model, cluster) == (SHIPPED_MODEL, ClusterConfig())
    draw = PhotoMapper(darkness, SPEC.tile_px, "model00")
    mapped: dict[str, MappedPhoto] = {}
    failures: dict[str, str] = {}
    for done, url in enumerate(urls, start=1):
        if storage.name(url).startswith("x"):
            failures[url] = "It cannot be scored."
            continue
        pixels = decode(storage.read_bytes(url)).pixels
        height_px, width_px = pixels.shape[:2]
        tiles = grid(height_px, width_px, SPEC)
        photo = ScoredPhoto(url, pixels, tiles, np.ones(len(tiles), np.float32))
        mapped[url] = MappedPhoto(1 - float(pixels.min()) / 255, draw(photo))
        on_progress(done, len(urls))
    return mapped, failures


def write(folder: Path, name: str, crack_grey: int, mask_off_px: int = 0, width_px: int = 4) -> None:
    """Write a white photo with a crack of one grey, and its mask, `mask_off_px` pixels off."""
    pixels, mask = np.full((64, 96, 3), 255, np.uint8), np.zeros((64, 96), np.uint8)
    pixels[30 : 30 + width_px] = crack_grey
    mask[30 + mask_off_px : 30 + mask_off_px + width_px] = 255
    for part, picture in (("images", pixels), ("masks", mask)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / part / f"{name}.png")


@pytest.fixture
def bridges(tmp_path: Path) -> list[str]:
    """Write two folders: in `a` the masks fit; in `b` one is 2 pixels off, and one photo fails."""
    for number in range(8):
        write(tmp_path / "a", str(number), crack_grey=0)
    write(tmp_path / "b", "off", crack_grey=204, mask_off_px=2)
    write(tmp_path / "b", "x", crack_grey=0)
    return [str(tmp_path / "a"), str(tmp_path / "b")]


@pytest.fixture
def config(tmp_path: Path) -> EvaluationConfig:
    """Report into a folder that does not exist yet."""
    return EvaluationConfig(SHIPPED_MODEL, str(tmp_path / "report"), threshold=0.5)


def evaluate_darkness(sources: list[str], config: EvaluationConfig) -> MaskEvaluation:
    """Evaluate with maps of dark places."""
    return evaluate_masks(sources, config, dark_maps, lambda _done, _total: None)


def test_each_source_and_all(bridges: list[str], config: EvaluationConfig) -> None:
    """The results are one per folder, then one of all together; failed photos are listed and not counted."""
    found = evaluate_darkness(bridges, config)
    assert [result.source for result in found.results] == [*bridges, "all"]
    a, b, everything = found.results
    assert (a.photos, a.over_threshold, b.photos, b.over_threshold) == (8, 8, 1, 0)
    assert (everything.photos, everything.quality.crack_pixels) == (9, 9 * 4 * 96)
    assert a.quality.exact.average_precision == a.quality.exact.iou == 1
    assert b.quality.exact.iou == pytest.approx(1 / 3)  # half of each of two bands
    assert b.quality.tolerant.average_precision == b.quality.tolerant.f1 == 1
    assert b.quality.exact.level == pytest.approx(51 / 255)
    assert [storage.name(url) for url in found.failures] == ["x.png"]


def test_photos_count_where_most_of_their_crack_is(bridges: list[str], config: EvaluationConfig) -> None:
    """Each photo in one class of widths, and one without a crack in none, though its false alarm counts in all."""
    write(Path(bridges[1]), "thin", crack_grey=0, mask_off_px=5, width_px=2)
    write(Path(bridges[1]), "sound", crack_grey=0, width_px=0)
    a, b, everything = evaluate_darkness(bridges, config).results
    assert [(each.least_px, each.most_px) for each in a.by_width] == [(1, 3), (4, 8), (9, None)]
    assert [each.photos for result in (a, b, everything) for each in result.by_width] == [0, 8, 0, 1, 1, 0, 1, 9, 0]
    assert (b.photos, everything.photos) == (3, 11)
    thin, middle, wide = everything.by_width
    assert thin.quality is not None
    assert middle.quality is not None
    assert thin.quality.tolerant.f1 == pytest.approx(12 / 70)  # five pixels off: nothing better than all 64 rows
    assert middle.quality.tolerant.f1 == 1
    assert wide.quality is None
    assert thin.quality.crack_pixels + middle.quality.crack_pixels == everything.quality.crack_pixels


def test_the_report(bridges: list[str], config: EvaluationConfig) -> None:
    """The report has every figure as JSON, and a picture of photos beside their masks and maps."""
    found = evaluate_darkness(bridges, config)
    out = Path(config.out)
    assert sorted(path.name for path in out.iterdir()) == ["masks.json", "masks.png"]
    content = json.loads((out / "masks.json").read_text(), parse_constant=pytest.fail)
    assert (content["model_id"], content["threshold"], content["tolerance_px"]) == (
        load_card(SHIPPED_MODEL).model_id,
        0.5,
        2,
    )
    assert content["results"][0]["quality"]["exact"]["iou"] == 1
    thin, middle, wide = content["results"][0]["by_width"]
    assert (thin["photos"], middle["photos"], middle["quality"]["tolerant"]["f1"]) == (0, 8, 1)
    assert wide == {"least_px": 9, "most_px": None, "photos": 0, "quality": None}
    assert content["failures"] == [{"url": url, "message": "It cannot be scored."} for url in found.failures]
    with Image.open(io.BytesIO((out / "masks.png").read_bytes())) as sheet:
        assert min(sheet.size) > 300


def test_one_source_and_the_threshold_of_the_card(bridges: list[str], tmp_path: Path) -> None:
    """One folder gives one result; the threshold of the card counts the maps that `score` would keep."""
    found = evaluate_darkness(bridges[:1], EvaluationConfig(SHIPPED_MODEL, str(tmp_path / "report")))
    assert [result.source for result in found.results] == bridges[:1]
    assert found.threshold == load_card(SHIPPED_MODEL).threshold


@pytest.mark.parametrize("name", ["", "images", "nowhere"])
def test_a_folder_without_masks_is_refused(bridges: list[str], config: EvaluationConfig, name: str) -> None:
    """The error comes before the work and names the folder."""
    place = f"{bridges[0]}/../{name}"
    with pytest.raises(UsageError, match=r"has no masks; expected a folder with images/ and masks/ in it\.$"):
        evaluate_darkness([place], config)


def test_nothing_to_compare(tmp_path: Path, config: EvaluationConfig) -> None:
    """A source without any scored photo of a crack ends the evaluation."""
    write(tmp_path / "c", "x", crack_grey=0)
    with pytest.raises(CrackscanError, match=r"c, no photo that has a crack in its mask could be scored\.$"):
        evaluate_darkness([str(tmp_path / "c")], config)


def test_missing_masks_raise_an_error_before_the_work(bridges: list[str], config: EvaluationConfig) -> None:
    """The same error as in training."""
    Path(bridges[0], "masks", "3.png").unlink()

    def fail(*_: object) -> tuple[dict[str, MappedPhoto], dict[str, str]]:
        raise DataError("score", "too_large", "the work began")

    with pytest.raises(UsageError, match=r"1 of 8 photos have no mask"):
        evaluate_masks(bridges, config, fail, lambda _done, _total: None)
