"""A run costs the hourly prices of its machines times its hours."""

import math
from typing import Any

import pytest

from pipeline.cluster.session import Node
from pipeline.core.errors import UsageError
from pipeline.monitoring.prices import Cost, Prices, parse

GOOD = {"currency": "EUR", "cpu_hour": 0.05, "gpu_hour": 1, "machine_hour": {"gpu": 1.21}}


def test_the_cost_of_machines() -> None:
    """By CPU and GPU, or by machine if its group has a price; for as long as they were held."""
    prices = parse(GOOD, "prices.yaml")
    assert prices == Prices("EUR", 0.05, 1.0, {"gpu": 1.21})
    nodes = [Node(16), Node(8, 2, "other"), Node(8, 1, "gpu")]
    amount, currency = prices.cost(nodes, 1800)
    assert currency == "EUR"
    assert math.isclose(amount, (0.8 + 2.4 + 1.21) / 2)
    assert prices.cost([], 3600) == Cost(0.0, "EUR")


@pytest.mark.parametrize(
    ("amount", "shown"), [(0.0, "0 EUR"), (0.012345, "0.0123 EUR"), (1, "1.00 EUR"), (1234.5, "1,234.50 EUR")]
)
def test_a_cost_is_shown_to_people(amount: float, shown: str) -> None:
    """Small amounts have three digits."""
    assert str(Cost(amount, "EUR")) == shown


@pytest.mark.parametrize(("change", "message"), [
    ({"cpu": 1}, "p.yaml: `cpu` is no part of a price table; expected currency, cpu_hour, gpu_hour, machine_hour."),
    ({"gpu_hour": None}, "p.yaml: `gpu_hour` is None; expected the price of an hour, a number from 0 on."),
    ({"cpu_hour": -1}, "p.yaml: `cpu_hour` is -1; expected the price of an hour, a number from 0 on."),
    ({"cpu_hour": True}, "p.yaml: `cpu_hour` is True; expected the price of an hour, a number from 0 on."),
    ({"cpu_hour": math.inf}, "p.yaml: `cpu_hour` is inf; expected the price of an hour, a number from 0 on."),
    ({"currency": 5}, "p.yaml: `currency` is 5; expected a text such as EUR."),
    ({"machine_hour": 5}, "p.yaml: `machine_hour` is 5; expected prices by node group, such as `gpu: 1.21`."),
    ({"machine_hour": {"gpu": "1"}},
     "p.yaml: `machine_hour: gpu` is '1'; expected the price of an hour, a number from 0 on."),
])  # fmt: skip
def test_an_invalid_price_table_is_refused(change: dict[str, Any], message: str) -> None:
    """The message says what was found, what was expected, and where."""
    with pytest.raises(UsageError) as refused:
        parse(GOOD | change, "p.yaml")
    assert str(refused.value) == message


def test_a_missing_price_is_told() -> None:
    """A GPU without a price is not free."""
    with pytest.raises(UsageError) as refused:
        parse({"currency": "EUR", "cpu_hour": 0.05}, "p.yaml")
    assert str(refused.value) == (
        "p.yaml has no `gpu_hour`; expected lines such as `currency: EUR`, `cpu_hour: 0.045` and `gpu_hour: 0.80`."
    )
