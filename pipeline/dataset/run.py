"""`run.json`: the run that began a dataset, and the fingerprint of everything that moves a score."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline import storage
from pipeline.core.errors import DatasetError, UsageError
from pipeline.core.table_schemas import SCHEMA_VERSION
from pipeline.dataset.layout import Layout


@dataclass(frozen=True)
class Run:
    """One execution of `score` or `retry` on a dataset."""

    run_id: str
    """Its name in the dataset: letters and digits only, sorted by time."""
    model_id: str
    fingerprint: Mapping[str, Any]
    """Everything that moves a score; a dataset has one fingerprint."""
    details: Mapping[str, Any]
    """The rest of `run.json`, for people."""

    @property
    def schema_version(self) -> int:
        """The schema of the dataset's tables."""
        return int(self.fingerprint.get("schema_version", SCHEMA_VERSION))


def read_run(layout: Layout) -> dict[str, Any]:
    """Read `run.json`.

    Raises:
        UsageError: there is no `run.json`.
        DatasetError: it is damaged.
    """
    if not storage.exists(layout.run):
        raise UsageError(f"There is no dataset at {layout.url}; expected a folder with run.json.")
    try:
        run: dict[str, Any] = json.loads(storage.read_bytes(layout.run))
        run["fingerprint"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{layout.run} is damaged: {error!r}. Restore it, or score into another --out.") from error
    return run


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Encode as JSON that people can read, too."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def check_fingerprint(layout: Layout, fingerprint: Mapping[str, Any]) -> None:
    """Refuse to add scores of another fingerprint.

    Raises:
        UsageError: a value differs, or the dataset is sealed.
    """
    run = read_run(layout)
    if run.get("sealed"):
        raise UsageError(
            f"{layout.url} is sealed: `crackscan compact` made it of a finished dataset. Score into another --out."
        )
    found = run["fingerprint"]
    different = [
        f"{key} is {found.get(key)!r} there and {fingerprint.get(key)!r} here"
        for key in sorted({*found, *fingerprint})
        if found.get(key) != fingerprint.get(key)
    ]
    if different:
        raise UsageError(
            f"{layout.url} holds scores that were made otherwise: {'; '.join(different)}. "
            f"Give the options and the model of its first run, or another --out.{_name_shipped_model(run, fingerprint)}"
        )


def _name_shipped_model(run: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> str:
    """Say where the model is, if it is one that a release shipped."""
    if run.get("model") is not None or run["fingerprint"].get("model_id") == fingerprint.get("model_id"):
        return ""
    release = run.get("software", {}).get("crackscan", "of its first run")
    return f" Its model is the one that crackscan {release} ships: copy its pipeline/models/shipped and give --model."
