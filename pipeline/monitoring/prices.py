"""Price tables, which give what machines cost by the hour, and what a run on them costs."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.cluster.session import Node
from pipeline.core.errors import UsageError

_HOUR_S = 3600
_NUMBERS = ("cpu_hour", "gpu_hour")
_KEYS = ("currency", *_NUMBERS, "machine_hour")
EXAMPLE = "lines such as `currency: EUR`, `cpu_hour: 0.045` and `gpu_hour: 0.80`"


class Cost(NamedTuple):
    """An amount of money."""

    amount: float
    currency: str

    def __str__(self) -> str:
        """Format for people: two decimals, or three digits of a small amount."""
        return f"{self.amount:,.2f} {self.currency}" if self.amount >= 1 else f"{self.amount:.3g} {self.currency}"


@dataclass(frozen=True)
class Prices:
    """A price table."""

    currency: str
    """As users see it."""
    cpu_hour: float
    """Price of one CPU as Ray counts them; 0 on a machine that costs nothing."""
    gpu_hour: float
    """Price of one GPU, on top."""
    machine_hour: Mapping[str, float] = field(default_factory=dict)
    """Prices of whole machines by Ray's node group, instead of the prices of their CPUs and GPUs."""

    def cost(self, nodes: Iterable[Node], seconds: float) -> Cost:
        """Return the cost of holding machines for some seconds, without storage and traffic."""
        hourly = sum(self._hourly(node) for node in nodes)
        return Cost(hourly * seconds / _HOUR_S, self.currency)

    def _hourly(self, node: Node) -> float:
        return self.machine_hour.get(node.group, self.cpu_hour * node.cpus + self.gpu_hour * node.gpus)


def parse(found: Mapping[str, object], file: str) -> Prices:
    """Check a price table.

    Raises:
        UsageError: a key is unknown or missing, or its value is no price.
    """
    if unknown := sorted(str(key) for key in found if key not in _KEYS):
        raise UsageError(f"{file}: `{unknown[0]}` is no part of a price table; expected {', '.join(_KEYS)}.")
    if missing := [key for key in _KEYS[:3] if key not in found]:
        raise UsageError(f"{file} has no `{missing[0]}`; expected {EXAMPLE}.")
    currency, machines = found["currency"], found.get("machine_hour", {})
    if not isinstance(currency, str) or not currency.strip():
        raise UsageError(f"{file}: `currency` is {currency!r}; expected a text such as EUR.")
    if not isinstance(machines, Mapping):
        raise UsageError(f"{file}: `machine_hour` is {machines!r}; expected prices by node group, such as `gpu: 1.21`.")
    by_group = {str(group): _price(price, f"machine_hour: {group}", file) for group, price in machines.items()}
    cpu_hour, gpu_hour = (_price(found[key], key, file) for key in _NUMBERS)
    return Prices(currency, cpu_hour, gpu_hour, by_group)


def _price(value: object, key: str, file: str) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:  # type: ignore[arg-type,operator]  # it is a number
        raise UsageError(f"{file}: `{key}` is {value!r}; expected the price of an hour, a number from 0 on.")
    return float(value)  # type: ignore[arg-type]  # see above
