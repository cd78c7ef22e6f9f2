"""How work tells its caller how far it is; how a person sees it is up to `cli.progress`."""

from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


def no_progress(_done: int, _total: int) -> None:
    """Tell nobody."""
