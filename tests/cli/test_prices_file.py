"""`--prices`: a file that is a price table, or a sentence."""

from pathlib import Path

import pytest

from pipeline.cli.prices_file import read_prices
from pipeline.core.errors import UsageError
from pipeline.monitoring.prices import Prices

TABLE = "currency: EUR\ncpu_hour: 0.045\ngpu_hour: 0.80\nmachine_hour: {gpu: 1.21}\n"


def test_yaml_and_json_are_read(tmp_path: Path) -> None:
    """The same table; None without a file."""
    prices = Prices("EUR", 0.045, 0.8, {"gpu": 1.21})
    (tmp_path / "p.yaml").write_text(TABLE)
    (tmp_path / "p.json").write_text(
        '{"currency": "EUR", "cpu_hour": 0.045, "gpu_hour": 0.8, "machine_hour": {"gpu": 1.21}}'
    )
    assert [read_prices(str(tmp_path / name)) for name in ("p.yaml", "p.json")] == [prices, prices]
    assert read_prices(None) is None


@pytest.mark.parametrize(("text", "sentence"), [
    (None, "--prices: {file} could not be read: it was not found."),
    ("currency: [", "{file}, line 1 is neither YAML nor JSON; expected "),
    ("- 5", "{file} holds a list; expected keys and values, in "),
    ("currency: EUR", "{file} has no `cpu_hour`; expected "),
])  # fmt: skip
def test_a_wrong_price_table_is_one_sentence(text: str | None, sentence: str, tmp_path: Path) -> None:
    """The file, what is wrong in it, and what is expected."""
    file = tmp_path / "p.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_prices(str(file))
    expected = "lines such as `currency: EUR`, `cpu_hour: 0.045` and `gpu_hour: 0.80`."
    assert str(refused.value) == sentence.format(file=file) + ("" if text is None else expected)
