"""Files of weights: tensors by name, read without running any code from them."""

import io
from pickle import UnpicklingError  # raised by torch.load; nothing is unpickled here
from typing import cast

import safetensors.torch
import torch
from safetensors import SafetensorError
from timm.models import clean_state_dict
from torch import Tensor

from pipeline import storage
from pipeline.core.errors import ModelError, UsageError
from pipeline.models.model import WEIGHTS_FILE, find_model

_UNREADABLE = (
    UnpicklingError, RuntimeError, ValueError, EOFError, LookupError, OSError, AttributeError, TypeError
)  # fmt: skip
"""What torch.load raises for bytes that are no PyTorch file, and for pickles with more than tensors."""


def read_weights(path_or_url: str) -> dict[str, Tensor]:
    """Read tensors by name from a `.safetensors` or PyTorch file, or from a model as `find_model` takes it.

    Raises:
        UsageError: there is no such file.
        ModelError: the file is damaged or holds no weights.
    """
    url = find_model(path_or_url)
    if storage.is_folder(url):
        url = storage.join(url, WEIGHTS_FILE)
    if not storage.exists(url):
        raise UsageError(f"No weights file at {path_or_url}; expected a .safetensors or PyTorch file, or a model.")
    data = storage.read_bytes(url)
    if not url.endswith(".safetensors"):
        return parse_tensors(data, path_or_url)
    try:
        return safetensors.torch.load(data)
    except SafetensorError as error:
        raise ModelError(f"The weights at {path_or_url} are damaged: {error}.") from error


def parse_tensors(data: bytes, where: str) -> dict[str, Tensor]:
    """Read tensors by name from the bytes of a PyTorch file.

    Raises:
        ModelError: the bytes are damaged or hold no weights; the message names `where`.
    """
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise ModelError(f"{where} is damaged, or holds more than tensors; crackscan reads nothing else.") from error
    for key in ("state_dict", "model"):
        found = found.get(key, found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelError(f"{where} holds no weights; expected tensors by name.")
    return cast("dict[str, Tensor]", clean_state_dict(found))
