"""A model as an OpenVINO graph, from pixels to a logit and a domain score; what torch wrote, without torch.

Which precision it computes in is `openvino_engine`'s, how it becomes one of eight-bit integers `quantise`'s.
"""

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.models.domain import Domain, domain_of
from pipeline.models.model import Model
from pipeline.models.network import apply_network, network_of, normalise
from pipeline.models.openvino_runtime import ov


class _Pixels(nn.Module):
    """A network that takes pixels as they are."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._network = network_of(model)
        self._card = model.card

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: (N, T, T, 3) uint8 → (N,) and (N, F), as in `network.Answer`."""
        return tuple(apply_network(self._network, normalise(tiles, self._card.mean, self._card.std)))  # type: ignore[return-value]


def trace(model: Model, tile_px: int) -> ov.Model:
    """Write a model's network down.

    Shape: (N, T, T, 3) uint8 → logits (N,) and textures (N, F).
    """
    example = torch.zeros((2, tile_px, tile_px, 3), dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer: numbers that become constants, as they shall
        return ov.convert_model(_Pixels(model), example_input=example, input=[(-1, tile_px, tile_px, 3)])


def build_graph(model: Model, tile_px: int) -> ov.Model:
    """Write a model down with what it knows of its training tiles; the result is `OpenVinoEngine`'s."""
    return append_domain(trace(model, tile_px), domain_of(model))


def append_domain(graph: ov.Model, domain: Domain | None) -> ov.Model:
    """Put a domain behind the textures of a graph.

    Shape: logits (N,) and textures (N, F) → logits (N,) and, where there is a domain, its distances (N,).
    """
    logits, textures = (result.input_value(0) for result in graph.get_results())
    outputs = {"logit": logits} | ({} if domain is None else {"distance": _distances(textures, domain)})
    for name, output in outputs.items():
        output.get_tensor().set_names({name})
    return ov.Model([*outputs.values()], graph.get_parameters(), "crackscan")


def _distances(textures: "ov.Output", domain: Domain) -> "ov.Output":
    """As `Domain.forward`."""
    op = ov.opset13
    apart = op.subtract(textures, domain.center.numpy())
    away = op.matmul(apart, domain.whitening.numpy(), transpose_a=False, transpose_b=False)
    return op.sqrt(op.reduce_sum(op.multiply(away, away), np.array([1]), keep_dims=False)).output(0)
