"""The one import of OpenVINO, without the telemetry that it and NNCF would send to their maker."""

import sys
from functools import cache

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it fails as if it were not installed

import openvino as ov  # noqa: E402 - after the line above

__all__ = ["core", "has_bf16", "ov"]


@cache
def core() -> ov.Core:
    """Return the compiler of graphs for this machine."""
    return ov.Core()


def has_bf16() -> bool:
    """Tell whether this machine's CPU multiplies bfloat16; other CPUs emulate it."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
