"""The one place that loads OpenVINO and NNCF, without the reports on their use that both would send to their maker."""

import sys
from functools import cache

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # "not installed", to whoever asks for it

import openvino as ov  # noqa: E402 - after the line above

__all__ = ["core", "has_bf16", "ov"]


@cache
def core() -> ov.Core:
    """Return what compiles graphs for this machine."""
    return ov.Core()


def has_bf16() -> bool:
    """Tell whether this machine's CPU multiplies bfloat16; others can only imitate it."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
