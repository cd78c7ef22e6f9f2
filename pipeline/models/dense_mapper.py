"""Where in a tile the dense head sees a crack. `crack_maps` joins tiles to the map of a photo."""

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.images.decode import Pixels
from pipeline.models.batching import Device
from pipeline.models.closer_look import enlarge_tiles
from pipeline.models.model import Model
from pipeline.models.network import crack_network_of, normalise


class DenseMapper:
    """Finds cracks in tiles with a model's dense head: a `crack_maps.TileMapper`.

    Args:
        model: its card has a stride of the dense head.
        device: where it runs.
        enlarged: whether in the picture that a closer look takes, or in one of the network's own size.

    Raises:
        ModelError: the model has no dense head, or is damaged.
    """

    def __init__(self, model: Model, device: Device, *, enlarged: bool = True) -> None:
        torch.set_num_threads(1)  # as in the engine
        self._card = model.card
        self._places = model.card.places if enlarged else None
        self._device = torch.device(device)
        self._network = crack_network_of(model).to(self._device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, tiles: Pixels) -> NDArray[np.float32]:
        """Return the probability of a crack at each place of one batch.

        Shape: (N, T, T, 3) → (N, S / stride, S / stride), S of the picture.
        """
        pixels = torch.from_numpy(enlarge_tiles(tiles, self._places)).to(self._device)
        places = self._network(normalise(pixels, self._card.mean, self._card.std)).places
        maps: NDArray[np.float32] = torch.sigmoid(places.float()).cpu().numpy()
        return maps
