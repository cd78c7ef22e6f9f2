"""One HTML file that needs no other: template, style, script and data put together.

The templates lie in `templates/`. Whatever comes from a dataset is hostile until proven otherwise: the templates
escape all of it, the rows travel as JSON that cannot end its element, and the page forbids every script but its own.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, Literal
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from pipeline import __version__, storage
from pipeline.archives.members import archive_suffix
from pipeline.reports import heatmap
from pipeline.reports.svg_plots import count_of

FOLDER = "templates"
"""Of templates, style and script, in the package."""

NONE = "-"
"""Stands for a share of nothing."""

LINKED = ("http://", "https://")
"""Besides local files, what a browser can open."""


@dataclass(frozen=True)
class Column:
    """A column of the table of all photos."""

    label: str
    kind: Literal["text", "choice", "score", "number", "difference"]
    """A `choice` has few values and can be filtered by; a `difference` has a sign."""
    values: Sequence[Any]
    """One a photo; text, a number, or None."""


@dataclass(frozen=True)
class Rows:
    """The table of all photos, or of as many as a page can carry."""

    columns: Sequence[Column]
    """The first is the photo's name."""
    cards: Sequence[str] = field(default=())
    """Ids of the cards of the first photos, in their order."""

    def to_json(self) -> Markup:
        """Encode compactly, column by column, safe within an element of HTML."""
        columns = [_column(column) for column in self.columns]
        return htmlsafe_json_dumps({"columns": columns, "cards": list(self.cards)}, dumps=_compact)


def render(template: str, **facts: object) -> bytes:
    """Fill a template in; returns the page."""
    style, script = _asset("page.css"), _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    page = (
        _templates()
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704
            script_digest=digest,
            stops=heatmap.STOPS,
            made_at=datetime.now(UTC),
            version=__version__,
            **facts,
        )
    )
    return page.encode("utf-8", "replace")


def link(archive: str, image: str) -> str | None:
    """Return what opens a photo, or the archive that holds it; None where no browser can."""
    place = archive if archive_suffix(archive) is not None else storage.join(archive, image)
    if place.startswith(storage.LOCAL):
        return storage.LOCAL + quote(place.removeprefix(storage.LOCAL), errors="replace")
    return quote(place, safe="/:?=&%", errors="replace") if place.startswith(LINKED) else None


def _column(column: Column) -> dict[str, Any]:
    if column.kind != "choice":
        return {"label": column.label, "kind": column.kind, "values": list(map(_short, column.values))}
    choices = sorted({value for value in column.values if value is not None})
    number = {value: index for index, value in enumerate(choices)} | {None: None}
    numbers = [number[value] for value in column.values]
    return {"label": column.label, "kind": column.kind, "choices": choices, "values": numbers}


def _short(value: Any) -> Any:  # noqa: ANN401 - of any column
    if isinstance(value, float):
        return round(value, 6 if abs(value) >= 1.5 else 4)  # degrees to a tenth of a metre, scores to four digits
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value


def _compact(value: object, **_options: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@cache
def _templates() -> Environment:
    found = Environment(
        loader=PackageLoader("pipeline.reports", FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "css": heatmap.css,
        "counted": count_of,
        "moment": _moment,
        "percent": _percent,
        "name": storage.name,
    }
    return found


@cache
def _asset(name: str) -> str:
    return resources.files("pipeline.reports").joinpath(FOLDER, name).read_text(encoding="utf-8")


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%d %b %Y %H:%M}".lstrip("0")


def _percent(part: int, whole: int) -> str:
    """Write a share so that neither nothing nor all is claimed by rounding."""
    if not whole:
        return NONE
    share = part / whole
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{share:.1%}".replace(".0%", "%").replace("%", " %")
