"""One HTML file that needs no other: template, style, script and data together.

Everything that comes from a dataset may be hostile: the templates in `templates/` escape all of it, the rows travel as
JSON that cannot end its element, the page forbids every script but its own, and control characters are shown.
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

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from pipeline import __version__, storage
from pipeline.archives.members import is_archive
from pipeline.core.control_characters import escape_controls
from pipeline.core.counts import count_of
from pipeline.dataset.targets import Product, has_mark, mark_of
from pipeline.reports import heatmap

FOLDER = "templates"
"""Folder of templates, style and script in the package."""

MOST_ROWS = 20_000
"""Photos in the table of a page: a page with more opens too slowly."""

NO_SHARE = "-"
"""Stands for a share of nothing."""

_RULES = b"base-uri 'none'; form-action 'none'\">\n<title>"
_BEFORE_0_4 = {"report": _RULES + b"Crack report: ", "compare": _RULES + b"Comparison: "}
"""How pages of older versions begin, by command; they have no mark."""

BROWSER_SCHEMES = ("http://", "https://")
"""URLs that a browser can open, besides local files."""


@dataclass(frozen=True)
class Column:
    """A column of the table of all photos."""

    label: str
    kind: Literal["text", "choice", "score", "number", "difference"]
    """A `choice` has few values and the page can filter by it; a `difference` has a sign."""
    values: Sequence[Any]
    """One for each photo: text, a number, a time or None."""


@dataclass(frozen=True)
class PhotoTable:
    """The table of all photos, or of the first `MOST_ROWS`."""

    columns: Sequence[Column]
    """The first is the photo's name."""
    cards: Sequence[str] = field(default=())
    """Ids of the cards of the first photos, in their order."""

    def to_json(self) -> Markup:
        """Encode compactly, column by column, safe within an element of HTML."""
        columns = [_encode_column(column) for column in self.columns]
        return htmlsafe_json_dumps({"columns": columns, "cards": list(self.cards)}, dumps=_dump_compactly)


def render(template: str | Template, **facts: object) -> bytes:
    """Fill in a template; return the page.

    Args:
        template: its name, that of the command with `.html`; or a template of `load_templates()`.
        facts: values for the template.
    """
    style, script = read_asset("page.css"), read_asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    page = (
        load_templates()
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704
            script_digest=digest,
            stops=heatmap.STOPS,
            made_at=datetime.now(UTC),
            version=__version__,
            mark=mark_of(str(template).removesuffix(".html")),
            **facts,
        )
    )
    return page.encode("utf-8", "replace")


def product(command: str) -> Product:
    """Return how to recognise the pages of a command."""
    is_marked = has_mark(command, b'<meta name="generator" content="')
    before_0_4 = _BEFORE_0_4[command]
    return Product(command, "html", lambda url, head: is_marked(url, head) or before_0_4 in head)


def find_link(archive: str, image: str) -> str | None:
    """Return a link to a photo, or to the archive file that holds it; None if no browser can open it."""
    place = archive if is_archive(archive) else storage.join(archive, image)
    if place.startswith(storage.LOCAL):
        return storage.LOCAL + quote(place.removeprefix(storage.LOCAL), errors="replace")
    return quote(place, safe="/:?=&%", errors="replace") if place.startswith(BROWSER_SCHEMES) else None


def short_names(archives: Sequence[str]) -> list[str]:
    """Return the file names of archives if those are unique, else their URLs."""
    names = {archive: storage.name(archive) for archive in archives}
    return [names[archive] for archive in archives] if len({*names.values()}) == len(names) else list(archives)


def _show_controls(value: Any) -> Any:  # noqa: ANN401 - of any expression of a template
    """Escape the control characters of a text that is no HTML of ours."""
    return escape_controls(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _encode_column(column: Column) -> dict[str, Any]:
    if column.kind != "choice":
        return {"label": column.label, "kind": column.kind, "values": list(map(_shorten, column.values))}
    choices = sorted({value for value in column.values if value is not None})
    number = {value: index for index, value in enumerate(choices)} | {None: None}
    numbers = [number[value] for value in column.values]
    return {"label": column.label, "kind": column.kind, "choices": [*map(_shorten, choices)], "values": numbers}


def _shorten(value: Any) -> Any:  # noqa: ANN401 - of any column
    if isinstance(value, float):
        return round(value, 6 if abs(value) >= 1.5 else 4)  # degrees to a tenth of a metre, scores to four digits
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else _show_controls(value)


def _dump_compactly(value: object, **_options: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@cache
def load_templates() -> Environment:
    """Return the environment of our templates, which escapes all values."""
    environment = Environment(
        loader=PackageLoader("pipeline.reports", FOLDER),
        autoescape=True,
        finalize=_show_controls,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "css": heatmap.to_css,
        "counted": count_of,
        "moment": _format_time,
        "percent": format_share,
        "name": storage.name,
    }
    return environment


@cache
def read_asset(name: str) -> str:
    """Read the style or the script of the pages."""
    return resources.files("pipeline.reports").joinpath(FOLDER, name).read_text(encoding="utf-8")


def _format_time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%d %b %Y %H:%M}".lstrip("0")


def format_share(part: int, whole: int) -> str:
    """Write a share in percent that never rounds to nothing or to all."""
    if not whole:
        return NO_SHARE
    share = part / whole
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{share:.1%}".replace(".0%", "%").replace("%", " %")
