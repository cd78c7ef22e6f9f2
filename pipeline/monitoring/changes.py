"""What has changed among the inputs of a dataset since they were listed, as `run-report.json` keeps it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple


class Change(NamedTuple):
    """An archive, or a loose photo, that is not what was listed any more."""

    url: str
    what: Literal["replaced", "vanished"]
    version: str
    """Its version now; empty if it has vanished."""
    scored: int = 0
    """Photos that keep the scores of its former content."""
    failed: int = 0
    """Photos that keep the failure of its former content."""
    lost: int = 0
    """Photos of its former content that had no row and cannot be scored any more: each becomes a failed row."""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same change in another night."""
        return self.url, self.version


def read_changes(runs: Sequence[Mapping[str, Any]]) -> tuple[Change, ...]:
    """Return the changes that the last run found; `runs` as in the report."""
    return tuple(_parse(runs[-1])) if runs else ()


def known_changes(runs: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """Return the keys of all changes that earlier runs found."""
    return {change.key for run in runs for change in _parse(run)}


def merge_changes(now: tuple[Change, ...], before: tuple[Change, ...]) -> tuple[Change, ...]:
    """Add earlier changes that a `retry` does not look for and cannot have settled: those with scores that stay."""
    urls = {change.url for change in now}
    return (*now, *(change for change in before if change.scored and change.url not in urls))


def _parse(run: Mapping[str, Any]) -> list[Change]:
    found = run.get("changes")
    fields = {*Change._fields}
    return [Change(**item) for item in found if {*item} == fields] if isinstance(found, list) else []
