"""A model as an OpenVINO graph, from pixels to a logit and a domain score.

`openvino_engine` sets the precision; `training.quantise` turns the graph into one of eight-bit integers.
"""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.core.errors import ModelError
from pipeline.models.dense_head import pool_places
from pipeline.models.domain import Domain, domain_of
from pipeline.models.model import Model
from pipeline.models.network import apply_network, normalise, scoring_network_of
from pipeline.models.openvino_runtime import ov


class _FromPixels(nn.Module):
    """A network whose input is raw pixels."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._card = model.card
        self._network = scoring_network_of(model)

    def forward(self, tiles: Tensor) -> tuple[Tensor, ...]:
        """Shape: (N, T, T, 3) uint8 → (N,) and (N, F) as in `network.NetworkOutput`, and (N,) as in `pool_places`."""
        inputs = normalise(tiles, self._card.mean, self._card.std)
        logits, textures, places = apply_network(self._network.body, inputs, self._network.dense)
        return (logits, textures) if places is None else (logits, textures, pool_places(places))


def trace(model: Model, tile_px: int) -> ov.Model:
    """Convert a model's network to a graph.

    Shape: (N, T, T, 3) uint8 → logits (N,), textures (N, F) and, where the places count, their highest logits (N,).
    """
    example = torch.zeros((2, tile_px, tile_px, 3), dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of numbers that become constants, which is intended
        return ov.convert_model(_FromPixels(model), example_input=example, input=[(-1, tile_px, tile_px, 3)])


def build_graph(model: Model, tile_px: int) -> ov.Model:
    """Convert a model with its domain to the graph that `OpenVinoEngine` takes."""
    return append_domain(trace(model, tile_px), domain_of(model))


def append_domain(graph: ov.Model, domain: Domain | None) -> ov.Model:
    """Append a domain to a graph, which then returns distances in place of textures.

    Shape: as `trace` returns them → logits (N,), with a domain distances (N,), and the last as it was.
    """
    logits, textures, *pooled = (result.input_value(0) for result in graph.get_results())
    outputs = {"logit": logits} | ({} if domain is None else {"distance": _distances(textures, domain)})
    outputs |= {"pooled": pooled[0]} if pooled else {}
    for name, output in outputs.items():
        output.get_tensor().set_names({name})
    return ov.Model([*outputs.values()], graph.get_parameters(), "crackscan")


def replace_last_layer(graph: ov.Model, weight: NDArray[np.float32], bias: float) -> ov.Model:
    """Return a graph, of floats or of integers, with another last layer of its network, which is in floats in both.

    Args:
        graph: as `append_domain` returns it.
        weight: of the features that the layer weighs, shape (F,).
        bias: added to their sum.

    Raises:
        ModelError: the graph has no such layer.
    """
    changed = graph.clone()
    found = [step for step in changed.get_ordered_ops() if _weighs(step, len(weight))]
    readers = [reader.get_node() for step in found for reader in step.output(0).get_target_inputs()]
    if len(found) != 1 or [reader.get_type_name() for reader in readers] != ["Add"]:
        raise ModelError(f"The int8 network has {len(found)} layers that weigh {len(weight)} features; expected one.")
    for step, values in ((found[0], weight), (readers[0], np.float32(bias))):
        old = step.input(1).get_source_output()
        new = ov.opset13.constant(np.broadcast_to(values, old.get_shape()).astype(np.float32))
        step.input(1).replace_source_output(new.output(0))
    return changed


def _weighs(step: "ov.Node", features: int) -> bool:
    return step.get_type_name() == "MatMul" and list(step.input_value(1).get_shape()) == [1, features]


def _distances(textures: "ov.Output", domain: Domain) -> "ov.Output":
    """Compute what `Domain.forward` does."""
    op = ov.opset13
    apart = op.subtract(textures, domain.center.numpy())
    away = op.matmul(apart, domain.whitening.numpy(), transpose_a=False, transpose_b=False)
    return op.sqrt(op.reduce_sum(op.multiply(away, away), np.array([1]), keep_dims=False)).output(0)
