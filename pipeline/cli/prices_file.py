"""The prices of machines from a file: `--prices FILE`, in YAML or JSON; `monitoring.prices` checks its content."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipeline.monitoring.prices import Prices

prices_option = click.option(
    "--prices",
    "prices_file",
    metavar="FILE",
    help="YAML or JSON file, or URL of one, with what machines cost: currency, cpu_hour, gpu_hour, and machine_hour by "
    "node group. The cost of the run is shown, and kept in OUT/run-report.json.",
)


def read_prices(file: str | None) -> "Prices | None":
    """Read a price table; return None without a file.

    Raises:
        UsageError: the file cannot be read, or is no price table.
    """
    from pipeline.cli.config_file import read_mapping
    from pipeline.monitoring.prices import EXAMPLE, parse

    return None if file is None else parse(read_mapping(file, "--prices", EXAMPLE), file)
