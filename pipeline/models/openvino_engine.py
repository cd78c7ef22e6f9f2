"""The engine for CPUs: OpenVINO compiles a model's graph for one thread of this machine.

`openvino_graph` makes the graph; the int8 graph comes from the model folder and needs no torch.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import ModelError
from pipeline.images.decode import Pixels
from pipeline.models.batching import TileMapper
from pipeline.models.card import Card
from pipeline.models.closer_look import count_highest, enlarge_tiles, join_places, picture_side
from pipeline.models.model import Model
from pipeline.models.openvino_runtime import core, ov

Precision = Literal["f32", "bf16"]
"""Precision of everything that is not quantised, in OpenVINO's words."""

ONE_THREAD = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    # OpenVINO would pin its threads to the first cores, and so all actors of a machine to the same one.
    "ENABLE_CPU_PINNING": False,
}


def read_int8(model: Model) -> ov.Model:
    """Read a model's quantised graph.

    Raises:
        ModelError: the model has none, or it is damaged.
    """
    if model.int8 is None:
        raise ModelError(f"The model at {model.url} has no int8 network; `crackscan models quantise` makes one.")
    try:
        return core().read_model(model.int8.graph, model.int8.constants)
    except RuntimeError as error:
        raise ModelError(
            f"The int8 network of {model.url} cannot be read by OpenVINO {ov.__version__}: "
            f"{str(error).splitlines()[-1]} Make it anew with `crackscan models quantise`."
        ) from error


class OpenVinoEngine:
    """A graph on one thread; use more actors for more threads.

    Args:
        graph: from `openvino_graph.build_graph` or `read_int8`.
        card: the model's, for its calibration.
        precision: of everything that is not quantised.
    """

    def __init__(self, graph: ov.Model, card: Card, precision: Precision) -> None:
        self._calibration = card.calibration
        self._places = card.places
        self._precision = precision
        outputs = [*range(len(graph.outputs))]
        self._closer = None
        if card.places is not None:
            pooled = outputs.pop()
            self._closer = _Part(_show_places(_pool_more(graph, card)), [pooled, pooled + 1], precision)
            self._own = _show_places(graph)
        self._network = _Part(graph, outputs, precision)

    def __call__(self, tiles: Pixels) -> NDArray[np.float32]:
        """Score one batch.

        Shape: (N, T, T, 3) → (N, 2), the columns of `batching`.
        """
        logits, *distances = self.answer(tiles)
        self._look_closer(tiles, logits)
        calibrated = logits / np.float32(self._calibration.temperature) + np.float32(self._calibration.bias)
        crack = 1 / (1 + np.exp(-np.clip(calibrated, -80, 80)))  # 32-bit floats overflow beyond
        domain = distances[0] if distances else np.full_like(crack, np.nan)
        return np.stack((crack, domain), axis=1)

    def make_mapper(self, *, enlarged: bool) -> TileMapper | None:
        """Return what finds cracks in tiles with the dense head, one after the other, as `DenseMapper` does.

        None if the places do not count.

        Args:
            enlarged: whether in the larger picture, as in a closer look, or in one of the network's own size.
        """
        if self._closer is None:
            return None
        if enlarged:
            closer, places = self._closer, self._places
            return lambda tiles: _find_places(closer, enlarge_tiles(tiles, places))
        part = _Part(self._own, [len(self._own.outputs) - 1], self._precision)
        return lambda tiles: _find_places(part, tiles)

    def answer(self, tiles: Pixels) -> list[NDArray[np.float32]]:
        """Return the graph's outputs for a batch.

        Shape: (N, T, T, 3) → each (N, …).
        """
        return self._network(tiles)

    def _look_closer(self, tiles: Pixels, logits: NDArray[np.float32]) -> None:
        """Join the places to the logits of those tiles where they count; each alone, so that others change no score."""
        if self._places is None or self._closer is None:
            return
        closer, side_px = self._closer, picture_side(self._places, tiles.shape[1])
        closer.compile((1, side_px, side_px, 3))  # at the first batch, which is no photo's
        join_places(logits, tiles, self._places, lambda picture: closer(picture)[0])


def _pool_more(graph: ov.Model, card: Card) -> ov.Model:
    """Return a graph that takes the highest of all places of the larger picture, if the card wants one."""
    if card.places is None or card.places.side_px is None or card.dense_stride is None:
        return graph
    side_px = picture_side(card.places, graph.input(0).get_partial_shape()[1].get_length())
    changed, highest = graph.clone(), count_highest(math.ceil(side_px / card.dense_stride) ** 2)
    for step in changed.get_ordered_ops():
        if step.get_type_name() == "TopK":  # the tracer made a constant of the number in the network's own picture
            step.input(1).replace_source_output(ov.opset13.constant(np.int64(highest)).output(0))
    return changed


def _show_places(graph: ov.Model) -> ov.Model:
    """Return a graph with one more output, the last: the logits of all places, of which it pools the highest."""
    changed = graph.clone()
    places = [step.input_value(0) for step in changed.get_ordered_ops() if step.get_type_name() == "TopK"]
    changed.add_outputs(places)
    return changed


def _find_places(part: "_Part", pictures: Pixels) -> NDArray[np.float32]:
    """Return probabilities, one picture at a time. Shape: (N, S, S, 3) → (N, h, w)."""
    logits = np.concatenate([part(picture[None])[-1] for picture in pictures])
    side = math.isqrt(logits.shape[1])
    places: NDArray[np.float32] = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    return places.reshape(-1, side, side)


class _Part:
    """Computes some of a graph's outputs, and no more than they need."""

    def __init__(self, graph: ov.Model, outputs: list[int], precision: Precision) -> None:
        whole = graph.clone()
        self._graph = ov.Model([whole.output(number) for number in outputs], whole.get_parameters())
        self._settings = {**ONE_THREAD, "INFERENCE_PRECISION_HINT": precision}
        self._shape: tuple[int, ...] | None = None
        self._request: ov.InferRequest

    def __call__(self, tiles: Pixels) -> list[NDArray[np.float32]]:
        self.compile(tiles.shape)
        found = self._request.infer([tiles], share_inputs=True)
        return [np.array(output) for output in found.values()]

    def compile(self, shape: tuple[int, ...]) -> None:
        """Compile for one shape, which is a twentieth faster than for any; nothing to do if it is the last one."""
        if shape != self._shape:
            self._graph.reshape(shape)
            self._request = core().compile_model(self._graph, "CPU", self._settings).create_infer_request()
            self._shape = shape
