"""The int8 network of a model, and its cost."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.labels.labelled_tiles import LabelledTiles, read_labelled_tiles
from pipeline.labels.split import TrainValSplit
from pipeline.models import engines
from pipeline.models.batching import CRACK
from pipeline.models.engines import EngineName
from pipeline.models.model import CARD_FILE, SHIPPED_MODEL, load_model, save_model
from pipeline.synthetic.drawing import draw_photo


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw twelve cracked and twelve sound tiles."""
    folder = tmp_path_factory.mktemp("tiles")
    for seed in range(24):
        of_class = folder / ("Positive" if seed % 2 else "Negative")
        of_class.mkdir(exist_ok=True)
        Image.fromarray(draw_photo(224, 224, seed, cracked=seed % 2 == 1).pixels).save(of_class / f"{seed}.png")
    return folder


@pytest.mark.ray
def test_a_model_is_quantised_in_its_folder(data: Path, tmp_path: Path) -> None:
    """The command adds the network, the card holds its cost, `score` can use it, and weights and model id stay."""
    shipped = load_model(SHIPPED_MODEL)
    folder = tmp_path / "model"
    save_model(str(folder), replace(shipped, int8=None, card=replace(shipped.card, int8=None)), lambda _: "")

    done = CliRunner().invoke(main, ["models", "quantise", str(folder), str(data), "--val-fraction", "0.5"])

    assert done.exit_code == 0, done.output
    assert f"Wrote int8.xml and int8.bin into {folder}\n  on 12 held-out tiles: AUC " in done.output
    found = load_model(str(folder))
    assert found.model_id == shipped.model_id
    assert found.int8 is not None
    assert found.card.int8 is not None
    assert found.card.int8.tiles == 12
    assert 0 < found.card.int8.mean_shift < 0.1
    assert "In eight-bit integers" in (folder / "README.md").read_text()
    tile = draw_photo(224, 224, 100, cracked=True).pixels[None]
    names: tuple[EngineName, ...] = ("torch-fp32", "openvino-int8")
    expected, scored = (np.asarray(engines.make(name, 224, found, "cpu")(tile)) for name in names)
    np.testing.assert_allclose(scored[:, CRACK], expected[:, CRACK], atol=0.1)
    # A dozen drawn tiles are not what the model was trained on, and too few to read ranges from.
    assert "`score` will not use it on its own: the int8 network's " in done.output


def test_a_network_that_cannot_be_quantised_is_an_error_in_words(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says that the model is whole without an int8 network."""
    from pipeline.models.openvino_runtime import ov
    from pipeline.training import quantise

    def fail(*_: object, **_given: object) -> None:
        raise RuntimeError("No conversion rule for aten::strange.\nmore")

    monkeypatch.setattr(ov, "convert_model", fail)
    tiles = read_labelled_tiles([str(data)])
    with pytest.raises(CrackscanError, match=r"lite0 cannot be quantised: No conversion rule for aten::strange\. The"):
        quantise.quantise(load_model(SHIPPED_MODEL), TrainValSplit(tiles, tiles, 0))


def test_the_cost_is_measured_on_some_of_many_tiles() -> None:
    """The sample is even; of few tiles it is all."""
    from pipeline.training import quantise

    urls = tuple(f"file:///{number}.png" for number in range(5000))
    many = LabelledTiles(urls, np.zeros(5000, bool), urls, urls, (None,) * 5000)
    assert len(quantise.sample_evenly(many)) == quantise.MAX_HELD_OUT_TILES
    assert quantise.sample_evenly(many).urls[-1] == urls[-1]
    assert quantise.sample_evenly(many.subset(range(7))).urls == urls[:7]


def test_a_folder_with_another_int8_network_is_damaged(tmp_path: Path) -> None:
    """A network whose checksum is not the card's raises ModelError."""
    from pipeline.core.errors import ModelError
    from pipeline.models.model import Int8, add_int8

    shipped = load_model(SHIPPED_MODEL)
    written = save_model(str(tmp_path / "model"), shipped, lambda _: "")
    int8 = Int8(b"<net/>", b"1")
    assert shipped.card.int8 is not None
    add_int8(written, int8, replace(shipped.card.int8, sha256=int8.sha256), lambda _: "")
    assert load_model(written.url).int8 == int8
    (tmp_path / "model" / "int8.bin").write_bytes(b"2")
    with pytest.raises(ModelError, match=r"has other int8.xml and int8.bin than the card describes. Copy the whole"):
        load_model(written.url)
    (tmp_path / "model" / "int8.bin").unlink()
    with pytest.raises(ModelError, match=r"has no int8.bin, which the card describes"):
        load_model(written.url)


def test_the_shipped_model_and_a_readme_of_others_stay(tmp_path: Path) -> None:
    """The one belongs to the package, the other to the user; both are told before the work."""
    from pipeline.training import quantise

    with pytest.raises(UsageError, match=r"^The shipped model is part of the package and stays as it is\. Copy "):
        quantise.quantise_folder(quantise.QuantiseConfig("shipped", ("tiles",)), lambda *_: None)
    written = save_model(str(tmp_path / "model"), load_model(SHIPPED_MODEL), lambda _: "My notes.")
    with pytest.raises(UsageError) as refused:
        quantise.quantise_folder(quantise.QuantiseConfig(written.url, ("tiles",)), lambda *_: None)
    assert str(refused.value) == (
        f"{written.url}/README.md is there already, and no training wrote it. Give it another name."
    )


def test_a_kill_while_int8_is_added_leaves_the_model(tmp_path: Path) -> None:
    """Until the new network is whole, the card has none."""
    from pipeline.models.model import Int8, add_int8

    written = save_model(str(tmp_path / "model"), load_model(SHIPPED_MODEL), lambda _: "")

    def stop(_card: object) -> str:
        raise KeyboardInterrupt

    assert written.card.int8 is not None
    with pytest.raises(KeyboardInterrupt):
        add_int8(written, Int8(b"<net/>", b"1"), written.card.int8, stop)
    left = load_model(written.url)
    assert (left.int8, left.model_id) == (None, written.model_id)
    assert (tmp_path / "model" / CARD_FILE).exists()
