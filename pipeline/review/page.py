"""The page to judge on: one HTML file with all places, which needs no server and no network.

It holds small pictures, so that it shows something wherever it is opened; where the folder is beside it, it shows the
full tiles. The script in `templates/` draws only what is near the place that is looked at, keeps the work in the
browser and saves it as a file that `crackscan verdicts` takes.

As in reports, everything that comes from a dataset may be hostile: it travels as JSON that cannot end its element, the
script sets it as text only, and the page forbids every script but its own.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

from markupsafe import Markup

from pipeline import __version__
from pipeline.core.control_characters import dump_json
from pipeline.dataset.targets import mark_of
from pipeline.labels.boxes import Box
from pipeline.reports.html_page import load_templates, read_asset
from pipeline.review.crack_lines import thin
from pipeline.review.doubts import WORDS
from pipeline.review.pictures import SmallPictures
from pipeline.review.places import DrawnCrack, Place

PAGE = "review.html"

MOST_BYTES = 60_000_000
"""Of a page: it can be mailed within an office, and opens in two seconds."""
FRAME_BYTES = 500_000
"""Of them, for all that is no place."""
MOST_PLACE_BYTES = 160_000
"""Of the pictures of one place: more show no more."""

LEAST_STEP_PX = 3
"""Distance of the points of a line in the page; the frame of a tile is about as wide."""

_UNSAFE = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&'"}


class Shown(NamedTuple):
    """A place whose pictures could be cut."""

    place: Place
    tile: str
    """Path of the tile in the folder."""
    around: str | None
    """Path of its surroundings in the folder; None where nothing but the tile may leave."""
    small: SmallPictures


def picture_bytes(places: Sequence[Place]) -> int:
    """Return how many bytes the pictures of each place may have in a page of all of them."""
    facts = sum(len(_dump(_encode_place(Shown(place, "", "", SmallPictures("", ""))))) for place in places)
    return max(0, min(MOST_PLACE_BYTES, (MOST_BYTES - FRAME_BYTES - facts) // max(1, len(places)) - 100))


def make_page(dataset: str, threshold: float, shown: Sequence[Shown]) -> bytes:
    """Make the page.

    Args:
        dataset: name of the dataset, for people.
        threshold: the score from which on a tile counts as cracked.
        shown: the places, the first to be asked first.
    """
    places = [_encode_place(one) for one in shown]
    review = {"id": _identify(dataset, shown), "threshold": threshold, "places": places}
    script = _read("review.js")
    template = load_templates().from_string(_read("review.html"))
    page = template.render(
        mark=mark_of("review"),
        version=__version__,
        dataset=dataset,
        count=len(shown),
        has_around=any(one.around for one in shown),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        style=Markup(read_asset("page.css") + _read("review.css")),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        review=Markup(_dump(review)),  # noqa: S704 - without a sign that HTML knows
    )
    return page.encode()


def _identify(dataset: str, shown: Sequence[Shown]) -> str:
    """Return what names this review in a browser: the same for a page of the same tiles, which goes on with them."""
    tiles = [[one.place.tile.image_id, *one.place.tile.box, one.tile] for one in shown]
    return hashlib.sha256(json.dumps([dataset, tiles]).encode()).hexdigest()[:16]


def _encode_place(one: Shown) -> dict[str, Any]:
    tile, around = one.place.tile, one.place.around
    return {
        "image_id": tile.image_id,
        "archive": tile.archive,
        "image": tile.image,
        "box": _corners(tile.box),
        "around": _corners(around),
        "cracks": one.place.cracks,
        "lines": [_encode_crack(crack, around) for crack in one.place.drawn],
        "pick": tile.pick,
        "weight": tile.weight,
        "score": round(tile.crack_score, 4),
        "doubt": WORDS[tile.doubt] if tile.doubt else None,
        "files": [one.tile, one.around],
        "small": [one.small.tile, one.small.around],
    }


def _corners(box: Box) -> list[int]:
    """Return a box as SVG has it: left, top, width, height."""
    return [box.left_px, box.top_px, box.width_px, box.height_px]


def _encode_crack(crack: DrawnCrack, around: Box) -> dict[str, Any]:
    corner = (around.left_px, around.top_px)
    lines = [(thin(line, LEAST_STEP_PX) - corner).round().astype(int).tolist() for line in crack.lines]
    path = "".join("M" + "L".join(f"{x} {y}" for x, y in line) for line in lines)
    kind = {"colour": crack.width_class.colour, "class": crack.width_class.label}
    return {"crack": crack.number, "path": path, "width": crack.width, "through": crack.is_through, **kind}


def _dump(value: object) -> str:
    """Write JSON that cannot end its element, and that keeps every character of a name."""
    return dump_json(value, separators=(",", ":")).translate(_UNSAFE)


def _read(name: str) -> str:
    return resources.files("pipeline.review").joinpath("templates", name).read_text(encoding="utf-8")
