"""Nights over one prefix whose archives are replaced, vanish and are mended in between; answers can be computed.

A photo is grey, and the engine scores brightness: the score says which content it was made of.
"""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from PIL import Image

from pipeline import storage
from pipeline.core.errors import CrackscanError
from pipeline.dataset.sql import query
from pipeline.dataset.verify import verify
from pipeline.monitoring.changes import Change
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.flow import retry, score
from pipeline.scoring.progress import ScoreCallbacks, ScoreSummary
from tests.helpers.brightness_engine import make_fast_brightness


def grey_photo(level: int) -> bytes:
    """Make a photo of one grey level, whose score is the level over 255."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (level, level, level)).save(buffer, "PNG")
    return buffer.getvalue()


def zip_photos(levels: Mapping[str, int]) -> bytes:
    """Pack grey photos, by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, level in levels.items():
            archive.writestr(name, grey_photo(level))
    return buffer.getvalue()


class Night(NamedTuple):
    """How a run ended, and what it told."""

    summary: ScoreSummary
    told: tuple[Change, ...]


def run_night(
    prefix: str, out: str, on_changed: Literal["report", "fail", "rescore"] = "report", limit: int | None = None
) -> Night:
    """Score what lies under a prefix."""
    told = list[Change]()

    class Note(ScoreCallbacks):
        def on_changes(self, changes: Sequence[Change], *, is_rescored: bool) -> None:  # noqa: ARG002
            told.extend(changes)

    config = ScoreConfig((prefix,), out, actors=1, device="cpu", on_changed=on_changed, limit=limit)
    return Night(score(config, Note(), make_fast_brightness), tuple(told))


def retry_night(out: str) -> ScoreSummary:
    """Retry all failed photos."""
    return retry(ScoreConfig((), out, actors=1, device="cpu"), None, None, make_fast_brightness)


def read_rows(out: str) -> dict[str, int | str]:
    """Read the grey level of each scored photo, and the kind of each failure, by the names of archive and photo."""
    rows = query(out, "SELECT archive, image, max_tile_score, failure_kind FROM images").to_pylist()
    found = {
        f"{storage.name(row['archive'])}/{row['image']}": row["failure_kind"] or round(row["max_tile_score"] * 255)
        for row in rows
    }
    if len(found) < len(rows):
        raise AssertionError("a photo has two rows")
    return found


def broken_invariants(out: str) -> list[str]:
    """Return the invariants that the dataset breaks, or does not keep yet."""
    return [check.invariant for check in verify(out, lambda *_: None) if check.broken != 0 or check.open]


def changed_names(changes: Iterable[Change]) -> list[str]:
    """Return the last parts of the URLs of changes."""
    return sorted(storage.name(change.url) for change in changes)


def refusal_of(prefix: str, out: str) -> str:
    """Return the message of a night with `--on-changed fail`."""
    try:
        run_night(prefix, out, "fail")
    except CrackscanError as error:
        return str(error)
    raise AssertionError("nothing was refused")
