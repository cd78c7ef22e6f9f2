"""Which engine scores, and how to load it; importing this module loads none.

The choice looks at one machine, the one that begins a dataset, and assumes that all others are like it.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

from pipeline.core.errors import UsageError
from pipeline.models.batching import BATCH_TILES, Device, Engine
from pipeline.models.card import Quantised
from pipeline.models.model import Model

EngineName = Literal["torch-fp32", "torch-fp16", "openvino-fp32", "openvino-bf16", "openvino-int8"]
"""Library and precision: `torch-fp32` is the reference, `torch-fp16` is for GPUs, OpenVINO for CPUs."""
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
_DEVICES: dict[EngineName, Device] = {
    "torch-fp16": "cuda", "openvino-fp32": "cpu", "openvino-bf16": "cpu", "openvino-int8": "cpu",
}  # fmt: skip
"""Engines that run on one kind of device only."""

MOST_AUC_LOST = 0.002
"""`auto` does not choose an int8 network that lost more AUC on held-out tiles …"""
MOST_SHIFT = 0.02
"""… nor one whose crack scores moved by more in the mean …"""
MOST_DOMAIN_SHIFT = 0.2
"""… nor one whose domain scores did; those of the training tiles are about 1. The kind of CPU alone moves them by
0.1 (docs/experiments.md)."""


class EngineChoice(NamedTuple):
    """An engine and the reason for it."""

    name: EngineName
    why: str
    """Half a sentence."""

    @property
    def library(self) -> str:
        """The package that computes."""
        return self.name.partition("-")[0]


class OpenVinoProbe(NamedTuple):
    """What OpenVINO can do on this machine's CPU."""

    problem: str | None
    """Why OpenVINO cannot be loaded; None if it can."""
    has_bf16: bool


def probe_openvino() -> OpenVinoProbe:
    """Find out whether OpenVINO can be loaded and what it can do here."""
    try:
        from pipeline.models import openvino_runtime
    except ImportError as error:
        return OpenVinoProbe(f"OpenVINO cannot be loaded ({error}): pip install openvino", has_bf16=False)
    return OpenVinoProbe(None, openvino_runtime.has_bf16())


def choose(
    requested: EngineName | Literal["auto"],
    device: Device | Literal["auto"],
    model_and_tile_px: tuple[Model, int],
    has_gpus: Callable[[], bool],
) -> EngineChoice:
    """Choose the requested engine, or the fastest one that scores reliably.

    Args:
        requested: by the user or by the dataset's first run.
        device: where the engine is to run; `auto` means the GPUs of the cluster if it has any.
        model_and_tile_px: the model and the side of its tiles.
        has_gpus: tells whether there is a GPU. It may take seconds, so this calls it only if both others are `auto`.

    Raises:
        UsageError: the requested engine cannot score here; the message says what to do.
    """
    probe = probe_openvino() if device != "cuda" else OpenVinoProbe(None, has_bf16=False)
    if requested != "auto":
        check(requested, *model_and_tile_px, probe)
        return EngineChoice(requested, "asked for")
    if device == "auto":
        device = "cuda" if has_gpus() else "cpu"
    return fastest_trusted(*model_and_tile_px, device, probe)


def fastest_trusted(model: Model, tile_px: int, device: Device, probe: OpenVinoProbe) -> EngineChoice:
    """Choose the fastest engine whose scores are reliable.

    Args:
        model: the model.
        tile_px: side of its tiles.
        device: where it is to run.
        probe: what OpenVINO can do.
    """
    if device == "cuda":
        return EngineChoice("torch-fp16", "a GPU scores")
    if probe.problem is not None:
        return EngineChoice("torch-fp32", f"several times slower than need be: {probe.problem}")
    refusal = why_not_int8(model.card.int8, model.card.tile_px, tile_px)
    if refusal is None:
        return EngineChoice("openvino-int8", "the model's int8 network was measured and is as good")
    return EngineChoice("openvino-bf16" if probe.has_bf16 else "openvino-fp32", refusal)


def why_not_int8(measured: Quantised | None, own_px: int, tile_px: int) -> str | None:
    """Say why `auto` does not choose an int8 network; None if it does."""
    if measured is None:
        return "the model has no int8 network; `crackscan models quantise` makes one"
    if tile_px != own_px:
        return f"the int8 network is for tiles of {own_px} pixels, not of {tile_px}"
    return why_not_trusted(measured)


def why_not_trusted(measured: Quantised) -> str | None:
    """Say how the scores of an int8 network are too far from those in floats; None if they are not."""
    if measured.auc_loss is None or measured.auc_loss > MOST_AUC_LOST:
        lost = "an unknown part" if measured.auc_loss is None else f"{measured.auc_loss:.4f}"
        return f"the int8 network lost {lost} of its AUC on held-out tiles; allowed is {MOST_AUC_LOST}"
    if measured.mean_shift > MOST_SHIFT:
        return f"the int8 network's scores moved by {measured.mean_shift:.3f} in the mean; allowed is {MOST_SHIFT}"
    if (measured.mean_domain_shift or 0) > MOST_DOMAIN_SHIFT:
        moved = f"the int8 network's domain scores moved by {measured.mean_domain_shift:.2f} in the mean"
        return f"{moved}; allowed is {MOST_DOMAIN_SHIFT}"
    return None


def device_for(name: EngineName, requested: Device | Literal["auto"]) -> Device | Literal["auto"]:
    """Return where an engine runs: on the only device that it supports, else on the requested one.

    Raises:
        UsageError: it does not run on the requested device.
    """
    only = _DEVICES.get(name)
    if only is not None and requested not in {"auto", only}:
        raise UsageError(f"--engine {name} runs on {only} only, and --device is {requested}. Leave one of them out.")
    return only or requested


def batch_tiles(name: EngineName) -> int:
    """Return the best batch size of an engine: what stays in the cache of a CPU, or what fills a GPU."""
    return 128 if name == "torch-fp16" else BATCH_TILES


def check(name: EngineName, model: Model, tile_px: int, probe: OpenVinoProbe) -> None:
    """Refuse a requested engine that cannot score here.

    Raises:
        UsageError: it cannot; the message says what to do.
    """
    if not name.startswith("openvino"):
        return
    if probe.problem is not None:
        raise UsageError(f"--engine {name}: {probe.problem}. Or give --engine torch-fp32, which is slower.")
    if name == "openvino-int8" and model.int8 is None:
        raise UsageError(
            f"The model at {model.url} has no int8 network. Make one with `crackscan models quantise`, or give "
            "--engine openvino-fp32."
        )
    if name == "openvino-int8" and tile_px != model.card.tile_px:
        raise UsageError(
            f"The int8 network of {model.url} is for tiles of {model.card.tile_px} pixels, and --tile is {tile_px}. "
            "Give --engine openvino-fp32."
        )


def make(name: EngineName, tile_px: int, model: Model, device: Device) -> Engine:
    """Load an engine in the process that will use it.

    Raises:
        ModelError: the model's files are damaged.
    """
    if name.startswith("torch"):
        from pipeline.models.torch_engine import TorchEngine

        return TorchEngine(model, device, half=name == "torch-fp16")
    from pipeline.models.openvino_engine import OpenVinoEngine, read_int8

    if name == "openvino-int8":
        return OpenVinoEngine(read_int8(model), model.card, "f32")
    from pipeline.models import openvino_graph

    return OpenVinoEngine(
        openvino_graph.build_graph(model, tile_px), model.card, "bf16" if name == "openvino-bf16" else "f32"
    )
