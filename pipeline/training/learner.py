"""The network in training: first its head alone, then all layers under a cosine schedule.

A plain class and functions that any process can call; several processes meet in torch.distributed. `loop` chooses the
tiles and the epochs, `worker` keeps the checkpoints.

Batch norm keeps its pre-trained statistics; only its scale and shift are trained. So a picture's gradient does not
depend on the other pictures of its worker, and two workers differ from one only by rounding.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, distributed, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parallel import DistributedDataParallel

from pipeline.evaluation.metrics import Bools, measure
from pipeline.images.decode import Pixels
from pipeline.models import backbones
from pipeline.models.backbones import Backbone
from pipeline.models.closer_look import choose_places, join_places
from pipeline.models.dense_head import pool_places
from pipeline.models.network import CrackNetwork, DenseOutput, attach_dense_head, normalise
from pipeline.training.augment import Batch
from pipeline.training.config import Hyperparameters
from pipeline.training.losses import loss_of_pictures
from pipeline.training.progress import Phase
from pipeline.training.sampler import Indices, TilePool

Part = TypeVar("Part")
Logits = NDArray[np.float32]
DENSE_RATE = 5.0
"""Learning rate of the dense head to that of the layers that were trained before, in the second phase."""
CLOSER_AT_ONCE = 4
"""Validation tiles that are looked at closely in one go."""
State = dict[str, Any]
"""The content of a checkpoint: tensors, numbers and words only, so that loading it runs no pickled code."""


@dataclass(frozen=True)
class Validation:
    """What the averaged weights score on the validation tiles."""

    logits: Logits
    """Shape (n,), in the order of the tiles."""
    loss: float
    average_precision: float
    auc: float

    @property
    def rank(self) -> tuple[float, float]:
        """Orders epochs: by average precision, to a thousandth, then by a smaller loss.

        A thousand tiles cannot tell smaller differences, which would prefer a trained head to a trained network.
        """
        return round(self.average_precision, 3), -self.loss


class Learner:
    """A network in training, with its optimiser and the moving average of its weights."""

    def __init__(self, backbone: Backbone, pool: TilePool, config: Hyperparameters, device: torch.device) -> None:
        self._backbone = backbone
        self._config = config
        self._device = device
        self._network = _make_network(backbone.network, config).to(device).to(memory_format=torch.channels_last)
        self._average = ModelEmaV3(self._network, decay=config.ema_decay, use_warmup=True)
        dense = self._network.dense
        groups = _group_parameters(self._network.body, 1.0) + (
            [] if dense is None else _group_parameters(dense, DENSE_RATE)
        )
        self._optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        self._class_weights = compute_class_weights(pool)
        self._step = 0

    def train_epoch(self, epoch: int, batches: Iterable[tuple[Indices, Batch]]) -> Iterator[float]:
        """Train on this worker's part of every batch of an epoch.

        Yields:
            The sum of the losses of this worker's tiles, step by step.
        """
        network = self._prepare_network(self._config.phase(epoch))
        for done, (_, batch) in enumerate(batches):
            rate = self._config.learning_rate_at(epoch, done / self._config.steps)
            for group in self._optimizer.param_groups:
                group["lr"] = rate if self._config.phase(epoch) == "head" else rate * group["rate"]
            loss = self._loss_sum(network, batch)
            self._optimizer.zero_grad(set_to_none=True)
            # Gradients are averaged over the workers, and a batch may not divide evenly among them.
            (loss * _count_workers() / self._config.batch_size).backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._step += 1
            self._average.update(self._network, step=self._step)
            yield float(loss.detach())

    @torch.no_grad()
    def score(self, batches: Iterable[tuple[Indices, Pixels]]) -> Iterator[tuple[Indices, Logits]]:
        """Yield the averaged weights' logits of each batch, with a closer look where the model will take one."""
        body = CrackNetwork(self._average.module.body, None)
        for indices, pixels in batches:
            logits = self._apply(body, pixels).logits.float().cpu().numpy()
            if self._average.module.dense is not None:  # a transformer has none, whatever the settings say
                places = choose_places(self._backbone.tile_px)
                join_places(logits, pixels, places, self._pool, CLOSER_AT_ONCE)
            yield indices, logits

    def averaged_weights(self) -> dict[str, Tensor]:
        """Copy the moving average of the weights to main memory."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self._average.module.tensors().items()}

    def state(self) -> State:
        """Return all that `restore` needs."""
        return {
            "network": self._network.state_dict(),
            "average": self._average.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self._step,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._network.load_state_dict(state["network"])
        self._average.module.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step = int(state["step"])

    def _prepare_network(self, phase: Phase) -> nn.Module:
        """Freeze what the phase does not train, and join the other workers."""
        backbones.freeze_body(self._network.body, frozen=phase == "head")
        self._network.train()
        for module in self._network.body.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the base class of all of them
                module.eval()
        if _count_workers() == 1:
            return self._network
        parallel: nn.Module = DistributedDataParallel(self._network, broadcast_buffers=False)
        return parallel

    def _loss_sum(self, network: nn.Module, batch: Batch) -> Tensor:
        output = self._apply(network, batch.pixels)
        labels, targets = (torch.from_numpy(part).to(self._device) for part in (batch.labels, batch.targets))
        smoothing = self._config.label_smoothing
        losses = loss_of_pictures(output, labels * (1 - smoothing) + smoothing / 2, targets)
        return (losses * torch.where(labels == 0, *self._class_weights)).sum()

    def _pool(self, pictures: Pixels) -> Logits:
        """Shape: (N, S, S, 3) → (N,)."""
        places = self._apply(self._average.module, pictures).places
        assert places is not None  # noqa: S101 - for mypy; `score` asks a network with a dense head
        return pool_places(places.float()).cpu().numpy()

    def _apply(self, network: nn.Module, pixels: Pixels) -> DenseOutput:
        """Shape: (N, T, T, 3) uint8."""
        inputs = normalise(torch.from_numpy(pixels).to(self._device), self._backbone.mean, self._backbone.std)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            return network(inputs)  # type: ignore[no-any-return]


def _group_parameters(part: nn.Module, rate: float) -> list[dict[str, Any]]:
    """Make optimiser groups: weights of matrices decay, vectors keep theirs."""
    matrices, vectors = ([each for each in part.parameters() if (each.ndim > 1) == many] for many in (True, False))
    return [{"params": matrices, "rate": rate}, {"params": vectors, "rate": rate, "weight_decay": 0.0}]


def _make_network(body: nn.Module, config: Hyperparameters) -> CrackNetwork:
    """Put a dense head on a network of timm if one is to be trained; the seed draws its weights.

    Raises:
        UsageError: the network has no stages for it.
    """
    if not config.dense:
        return CrackNetwork(body, None)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return attach_dense_head(body)


def compute_class_weights(pool: TilePool) -> tuple[float, float]:
    """Return the weights of sound and of cracked tiles: both classes have half of an epoch's weight, the mean is 1."""
    share = pool.cracked_share
    return 0.5 / (1 - share), 0.5 / share


def validate(scored: Iterable[tuple[Indices, Logits]], labels: Bools) -> Validation:
    """Gather all workers' logits and measure them once.

    Args:
        scored: this worker's tiles and their logits.
        labels: of all validation tiles.
    """
    logits = np.zeros(len(labels), np.float32)
    for part in gather_parts(list(scored)):
        for indices, values in part:
            logits[indices] = values
    truth, found = torch.from_numpy(labels.astype(np.float32)), torch.from_numpy(logits)
    metrics = measure(labels, torch.sigmoid(found).numpy())
    return Validation(
        logits=logits,
        loss=float(binary_cross_entropy_with_logits(found, truth)),
        average_precision=metrics.average_precision or 0.0,
        auc=metrics.auc or 0.0,
    )


def gather_parts(part: Part) -> list[Part]:
    """Return every worker's part, in the order of their ranks."""
    parts = [part] * _count_workers()
    if _count_workers() == 1:
        return parts
    distributed.all_gather_object(parts, part)
    return parts


def _count_workers() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1
