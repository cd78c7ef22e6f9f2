"""What is recorded of a scoring run: its name, and the fingerprint of everything that moves a score."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pipeline.core.errors import UsageError
from pipeline.core.schema import SCHEMA_VERSION
from pipeline.dataset.commit_log import read_run
from pipeline.dataset.layout import Layout
from pipeline.models.engines import Choice
from pipeline.models.model import Model
from pipeline.scoring.scorer import ScoreRule

DECODING = "pillow-1"
"""How photos become pixels and boxes tiles; to be changed with anything in `decode` or `tiles` that moves a score."""

SOFTWARE = ("crackscan", "pillow", "pyarrow", "ray")
"""Packages whose versions are recorded, besides the engine's."""


@dataclass(frozen=True)
class Run:
    """Who writes a dataset, and with what."""

    run_id: str
    """Names the run in the dataset; letters and digits only, sorts by time."""
    model_id: str
    fingerprint: Mapping[str, Any]
    """Everything that moves a score; a dataset holds scores of one fingerprint."""
    about: Mapping[str, Any]
    """What else stands in `run.json`, for people."""


def new_run(model: Model, rule: ScoreRule, model_url: str | None, engine: Choice) -> Run:
    """Name a run and take its fingerprint.

    Args:
        model: the model it scores with.
        rule: tiles and limits.
        model_url: canonical URL of the model folder; None for the model shipped with the package.
        engine: what scores, and why.
    """
    began_at = datetime.now(UTC)
    int8 = model.int8 if engine.name == "openvino-int8" else None
    return Run(
        run_id=f"{began_at:%Y%m%dT%H%M%S}{uuid.uuid4().hex[:8]}",
        model_id=model.model_id,
        fingerprint={
            "model_id": model.model_id,
            "tile_px": rule.tiles.tile_px,
            "overlap": rule.tiles.overlap,
            "decoding": DECODING,
            "engine": engine.name,
            "schema_version": SCHEMA_VERSION,
        }
        | ({} if int8 is None else {"int8": int8.sha256[:12]}),
        about={
            "began_at": began_at.isoformat(timespec="seconds"),
            "model": model_url,
            "engine_because": engine.why,
            "model_card": asdict(model.card),
            "software": {name: version(name) for name in (*SOFTWARE, engine.library)},
        },
    )


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Encode what is recorded, to be read by people, too."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def check_fingerprint(layout: Layout, fingerprint: Mapping[str, Any]) -> None:
    """Refuse to mix scores.

    Raises:
        UsageError: naming every value that differs; or the dataset is sealed.
    """
    there = read_run(layout)
    if there.get("sealed"):
        raise UsageError(
            f"{layout.url} is sealed: `crackscan compact` made it of a finished dataset. Score into another --out."
        )
    found = there["fingerprint"]
    different = [
        f"{key} is {found.get(key)!r} there and {fingerprint.get(key)!r} here"
        for key in sorted({*found, *fingerprint})
        if found.get(key) != fingerprint.get(key)
    ]
    if different:
        raise UsageError(
            f"{layout.url} holds scores that were made otherwise: {'; '.join(different)}. "
            "Give the options and the model of its first run, or another --out."
        )
