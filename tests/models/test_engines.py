"""Which engine scores, and which requests are refused."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from pipeline.core.errors import UsageError
from pipeline.models import engines
from pipeline.models.batching import CRACK, DOMAIN
from pipeline.models.card import Quantised
from pipeline.models.engines import (
    ENGINES,
    MOST_AUC_LOST,
    MOST_DOMAIN_SHIFT,
    MOST_SHIFT,
    EngineName,
    OpenVinoProbe,
    device_for,
    fastest_trusted,
)
from pipeline.models.model import SHIPPED_MODEL, Model, load_model

PLAIN, WITH_BF16 = OpenVinoProbe(None, has_bf16=False), OpenVinoProbe(None, has_bf16=True)
MISSING = OpenVinoProbe("OpenVINO cannot be loaded (No module named 'openvino'): pip install openvino", has_bf16=False)
GOOD = Quantised("", 1000, auc=0.99, auc_float=0.99, mean_shift=0.003, greatest_shift=0.4, mean_domain_shift=0.01,
                 nncf="3")  # fmt: skip
"""The measurements of a reliable int8 network."""


def no_gpus() -> bool:
    """Act like a machine or cluster without a GPU."""
    return False


@pytest.fixture(scope="module")
def shipped() -> Model:
    """Return the model of the package."""
    return load_model(SHIPPED_MODEL)


def with_int8(model: Model, **measured: float | None) -> Model:
    """Return the model with other measurements of its int8 network."""
    return replace(model, card=replace(model.card, int8=replace(GOOD, **measured)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("measured", "probe", "expected"),
    [
        ({}, PLAIN, "openvino-int8"),
        ({}, WITH_BF16, "openvino-int8"),
        ({"auc": 0.99 - MOST_AUC_LOST * 0.99}, PLAIN, "openvino-int8"),
        ({"auc": 0.99 - MOST_AUC_LOST * 1.01}, PLAIN, "openvino-fp32"),
        ({"auc": 0.99 - MOST_AUC_LOST * 1.01}, WITH_BF16, "openvino-bf16"),
        ({"auc": None}, PLAIN, "openvino-fp32"),
        ({"mean_shift": MOST_SHIFT}, PLAIN, "openvino-int8"),
        ({"mean_shift": MOST_SHIFT * 1.01}, WITH_BF16, "openvino-bf16"),
        ({"mean_domain_shift": MOST_DOMAIN_SHIFT * 1.01}, PLAIN, "openvino-fp32"),
        ({"mean_domain_shift": None}, PLAIN, "openvino-int8"),
        ({}, MISSING, "torch-fp32"),
    ],
)
def test_the_fastest_reliable_engine(
    shipped: Model, measured: dict[str, float | None], probe: OpenVinoProbe, expected: EngineName
) -> None:
    """On a CPU it is int8 if that measured well, else bf16 if the CPU has it, and torch without OpenVINO."""
    assert fastest_trusted(with_int8(shipped, **measured), 224, "cpu", probe).name == expected


def test_the_shipped_model_is_scored_in_int8(shipped: Model) -> None:
    """Its card has measurements that `auto` trusts; without them scoring is half as fast, and nothing fails."""
    assert engines.why_not_int8(shipped.card.int8, shipped.card.tile_px, shipped.card.tile_px) is None


def test_int8_is_for_the_tiles_it_was_made_for(shipped: Model) -> None:
    """Floats score tiles of another size, and models that were never quantised; the choice says why."""
    choice = fastest_trusted(with_int8(shipped), 320, "cpu", PLAIN)
    assert choice == ("openvino-fp32", "the int8 network is for tiles of 224 pixels, not of 320")
    never = replace(shipped, card=replace(shipped.card, int8=None))
    assert fastest_trusted(never, 224, "cpu", WITH_BF16).name == "openvino-bf16"


def test_a_gpu_computes_in_half_precision(shipped: Model) -> None:
    """Even without OpenVINO."""
    assert fastest_trusted(shipped, 224, "cuda", MISSING).name == "torch-fp16"


def test_without_openvino_it_is_slower_and_says_so(shipped: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` chooses torch and says why; a request for OpenVINO by name raises an error that says what to do."""
    monkeypatch.setitem(sys.modules, "pipeline.models.openvino_runtime", None)
    monkeypatch.delattr("pipeline.models.openvino_runtime", raising=False)

    choice = engines.choose("auto", "cpu", (shipped, 224), no_gpus)

    assert choice.name == "torch-fp32"
    assert choice.why.startswith("several times slower than need be: OpenVINO cannot be loaded (")
    assert choice.why.endswith("pip install openvino")
    with pytest.raises(UsageError, match=r"^--engine openvino-fp32: OpenVINO cannot be loaded .* --engine torch-fp32"):
        engines.choose("openvino-fp32", "cpu", (shipped, 224), no_gpus)


def test_a_requested_engine_is_chosen_or_refused(shipped: Model) -> None:
    """A request for an int8 network that is missing, or made for other tiles, never silently scores with another."""
    assert engines.choose("torch-fp32", "auto", (shipped, 224), no_gpus).name == "torch-fp32"
    with pytest.raises(UsageError, match=r"has no int8 network. Make one with `crackscan models quantise`, or"):
        engines.choose("openvino-int8", "auto", (replace(shipped, int8=None), 224), no_gpus)
    with pytest.raises(UsageError, match=r"is for tiles of 224 pixels, and --tile is 320\. Give --engine openvino"):
        engines.choose("openvino-int8", "auto", (shipped, 320), no_gpus)


def test_each_engine_runs_where_it_can() -> None:
    """OpenVINO runs on CPUs only, half precision on GPUs only, and the reference anywhere."""
    assert {name: device_for(name, "auto") for name in ENGINES} == {
        "torch-fp32": "auto",
        "torch-fp16": "cuda",
        "openvino-fp32": "cpu",
        "openvino-bf16": "cpu",
        "openvino-int8": "cpu",
    }
    with pytest.raises(UsageError, match=r"--engine openvino-int8 runs on cpu only, and --device is cuda\. Leave"):
        device_for("openvino-int8", "cuda")


BOUNDS: dict[EngineName, tuple[float, float]] = {
    "openvino-fp32": (1e-5, 1e-4),
    "openvino-bf16": (0.05, 0.1),
    "torch-fp16": (1e-3, 0.02),
    "openvino-int8": (MOST_SHIFT, 0.2),
}
"""Largest mean distances of an engine's crack scores and domain scores from the reference's."""


def test_every_engine_but_the_reference_has_its_bound() -> None:
    """A new engine needs a bound, too."""
    assert BOUNDS.keys() == set(ENGINES) - {"torch-fp32"}


@pytest.mark.parametrize("name", BOUNDS)
def test_engines_score_as_the_reference_does(shipped: Model, name: EngineName) -> None:
    """On tiles from even grey to noise, with cracked and sound concrete among them.

    On even grey a spread is pure rounding, and the domain score that its logarithm gives differs between processors, by
    5 with AMX. It must still be higher than that of concrete.
    """
    tiles = draw_tiles()
    expected = np.asarray(engines.make("torch-fp32", 224, shipped, "cpu")(tiles))
    assert expected[:, CRACK].min() < 0.1  # the reference tells these tiles apart, so the comparison means something
    assert expected[:, CRACK].max() > 0.9

    found = np.asarray(engines.make(name, 224, shipped, "cpu")(tiles))

    assert found.dtype == np.float32
    shifts, is_even = np.abs(found - expected), np.ptp(tiles, axis=(1, 2, 3)) == 0
    assert np.count_nonzero(is_even) == 1
    assert shifts[:, CRACK].mean() <= BOUNDS[name][CRACK]
    assert shifts[~is_even, DOMAIN].mean() <= BOUNDS[name][DOMAIN]
    assert found[is_even, DOMAIN] > found[:24, DOMAIN].max()  # the concrete
    order = np.argsort(expected[:, DOMAIN])
    assert found[order[-4:], DOMAIN].min() > found[order[:4], DOMAIN].max()


def draw_tiles() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Draw concrete, every other tile cracked, and noise."""
    from pipeline.synthetic.drawing import draw_photo

    random = np.random.default_rng(0)
    concrete = [draw_photo(224, 224, seed, cracked=seed % 2 == 1).pixels for seed in range(24)]
    noise = [random.integers(128 - 4 * n, 129 + 3 * n, (224, 224, 3), np.uint8) for n in range(0, 32, 4)]
    return np.stack(concrete + noise)
