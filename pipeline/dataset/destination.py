"""Where what is made of a dataset may go: anywhere but into it, since every file in it has its meaning."""

from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout


def check_outside(layout: Layout, url: str) -> None:
    """Refuse a place in a dataset.

    Raises:
        UsageError: `url` is the dataset or lies in it.
    """
    if f"{url}/".startswith(f"{layout.url}/"):
        raise UsageError(f"{url} lies in the dataset {layout.url}, which holds its own files only. Give another --out.")
