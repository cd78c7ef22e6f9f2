"""The page as a file: what it holds, how heavy it is, and that it cannot be broken out of; no browser."""

import base64
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.core.spreadsheets import GUARDED
from pipeline.labels.boxes import Box
from pipeline.reports.width_classes import UNKNOWN
from pipeline.review.page import MOST_BYTES, MOST_PLACE_BYTES, Shown, make_page, picture_bytes
from pipeline.review.pictures import SmallPictures, make_small
from pipeline.review.places import DrawnCrack, Place
from pipeline.review.selection import ReviewTile
from tests import ROOT

HOSTILE = "</script><script>alert(1)</script>'\"&<!-- \u2028\u202e\udcff.png"


def place_of(number: int = 0, image: str = "a.png") -> Place:
    """A tile in the middle of its surroundings, with one crack of two points."""
    tile = ReviewTile(
        "random", "file:///x.zip", image, f"{number:016x}", 1, 1, Box(224, 224, 224, 224), 0.625, weight=2.5
    )
    crack = DrawnCrack(3, [np.array([[230.0, 240.0], [300.4, 310.0]])], UNKNOWN, "unknown", is_through=True)
    return Place(tile, Box(0, 0, 672, 672), (0, 0), [crack])


def show(place: Place, small: SmallPictures) -> Shown:
    """A place of a page."""
    return Shown(place, "tiles/0001.png", "around/0001.jpg", small)


def facts_of(page: bytes) -> dict[str, Any]:
    """The data in a page, as a browser reads it."""
    found = re.search(r'<script type="application/json" id="review">(.*?)</script>', page.decode(), re.DOTALL)
    assert found is not None
    facts: dict[str, Any] = json.loads(found[1])
    return facts


def test_names_come_back_as_they_are_and_cannot_end_their_element() -> None:
    """Also halves of surrogates, which stand for bytes that are not UTF-8; what is shown is escaped by the script."""
    page = make_page(HOSTILE, 0.5, [show(place_of(image=HOSTILE), SmallPictures(None, None))])
    assert b"<script>alert" not in page
    assert page.count(b"<script") == 2
    [place] = facts_of(page)["places"]
    assert place["image"] == HOSTILE
    assert (place["cracks"], place["weight"], place["score"], place["pick"]) == ("3", 2.5, 0.625, "random")
    assert place["box"] == [224, 224, 224, 224]
    assert [(line["crack"], line["path"]) for line in place["lines"]] == [(3, "M230 240L300 310")]


def test_the_page_runs_its_own_script_and_asks_nobody() -> None:
    """Its policy allows one script by hash, and pictures from itself and beside it; nothing in it has an address."""
    page = make_page("out", 0.5, [show(place_of(), SmallPictures(None, None))]).decode()
    policy = (
        r"default-src 'none'; img-src data: file: 'self'; style-src 'unsafe-inline'; script-src 'sha256-[\w+/]{43}='; "
    )
    assert re.search(policy + "base-uri 'none'; form-action 'none'", page)
    assert not re.search(r"https?://|@import|url\(|innerHTML|insertAdjacent|eval\(", page)
    assert '<meta name="generator" content="crackscan review ' in page


def test_a_review_has_one_id_however_often_it_is_made() -> None:
    """So that the work in the browser goes on; another choice of tiles has another."""
    pages = [make_page("out", 0.5, [show(place_of(number), SmallPictures(None, None))]) for number in (1, 1, 2)]
    first, again, other = (facts_of(page)["id"] for page in pages)
    assert first == again != other


def test_two_thousand_places_of_noise_weigh_sixty_megabytes_at_most() -> None:
    """Noise is what JPEG compresses least; each picture is within its share, and large enough to see."""
    places = [place_of(number) for number in range(2000)]
    pixels = np.random.default_rng(1).integers(0, 256, (672, 672, 3), np.uint8)
    small = make_small(pixels, places[0], picture_bytes(places))
    page = make_page("out", 0.5, [show(place, small) for place in places])
    assert len(page) <= MOST_BYTES
    for url, least_px in ((small.tile, 80), (small.around, 80)):
        assert url is not None
        picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        assert picture.width == picture.height >= least_px


@pytest.mark.parametrize("places", [1, 200, 20_000])
def test_pictures_share_the_page(places: int) -> None:
    """A few have all that they need, and many together never more than the page; too small a share is none."""
    share = picture_bytes([place_of()] * places)
    assert 0 < share <= MOST_PLACE_BYTES
    assert share * places < MOST_BYTES
    assert (share == MOST_PLACE_BYTES) == (places <= 200)
    assert make_small(np.zeros((672, 672, 3), np.uint8), place_of(), 0) == SmallPictures(None, None)


def test_the_script_guards_cells_as_spreadsheets_do() -> None:
    """The same expression; a `$` of Python also matches before a line end."""
    script = (ROOT / "pipeline" / "review" / "templates" / "review.js").read_text(encoding="utf-8")
    found = re.search(r"const GUARDED = /(.+)/;", script)
    assert found is not None
    assert found[1] == GUARDED.removesuffix("$") + r"\n?$"
