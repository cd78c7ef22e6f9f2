"""Names of pictures for labelling tools, which say what each picture shows: tools keep them where they drop all else.

`0001_2f1c9ab04d5e7788_tile_100_50_256_256_random_12.5.png` is the tile at 100, 50 of the photo with that `image_id`,
256 pixels wide and high, drawn at random and standing for 12.5 tiles.
"""

import math
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple, cast

from pipeline.labels.boxes import Box

Subject = Literal["tile", "photo"]

_NUMBER = r"_([0-9]{1,9})"
_NAME = re.compile(
    rf"(?<![0-9a-f])([0-9a-f]{{16}})_(tile|photo){_NUMBER * 4}(?![0-9])"
    r"(?:_(uncertain|worst|random)(?:_([0-9]{1,12}(?:\.[0-9]{1,20})?))?)?"
)
"""Anywhere in a name: tools put a hash before it, or their own ending behind it."""

KEYS = ("left_px", "top_px", "width_px", "height_px")


class PictureName(NamedTuple):
    """What a picture shows."""

    image_id: str
    """Of the photo: 16 hexadecimal digits."""
    subject: Subject
    """A tile of the photo, or the whole photo."""
    box: Box
    """Which part of the photo; windows of rasters begin elsewhere than at 0, 0."""
    pick: str | None = None
    weight: float | None = None
    """The number of tiles that it stands for; None if it was not drawn at random."""

    @property
    def stem(self) -> str:
        """The name without number and ending."""
        box = (self.box.left_px, self.box.top_px, self.box.width_px, self.box.height_px)
        words = [self.image_id, self.subject, *map(str, box)]
        words += [] if self.pick is None else [self.pick]
        words += [] if self.pick is None or self.weight is None else [f"{self.weight:.10f}".rstrip("0").rstrip(".")]
        return "_".join(words)

    def to_facts(self) -> dict[str, object]:
        """Return the same as values by name, for the data of a task."""
        place = {key: getattr(self.box, key) for key in KEYS}
        return {"image_id": self.image_id, "subject": self.subject, **place, "pick": self.pick, "weight": self.weight}


def parse_name(text: str) -> PictureName | None:
    """Return what a picture of this name shows; None for a name that is not ours."""
    found = _NAME.search(text)
    if found is None:
        return None
    image_id, subject, left_px, top_px, width_px, height_px, pick, weight = found.groups()
    box = Box(int(top_px), int(left_px), int(height_px), int(width_px))
    if not box.width_px or not box.height_px:
        return None
    return PictureName(image_id, cast("Subject", subject), box, pick, _read_weight(weight))


def parse_facts(facts: Mapping[str, object]) -> PictureName | None:
    """Return what a picture shows by the data of its task; None if it does not say."""
    image_id, place = facts.get("image_id"), [str(facts.get(key)) for key in KEYS]
    subject: Subject = "tile" if facts.get("subject") == "tile" else "photo"
    if not isinstance(image_id, str) or facts.get("subject") != subject or not all(map(_is_whole, place)):
        return None
    left_px, top_px, width_px, height_px = map(int, place)
    if not width_px or not height_px:
        return None
    pick, weight = facts.get("pick"), facts.get("weight")
    box = Box(top_px, left_px, height_px, width_px)
    name = pick if isinstance(pick, str) else None
    return PictureName(image_id, subject, box, name, _read_weight(str(weight)))


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _read_weight(text: str | None) -> float | None:
    """Return a weight; None without one, and for what is none."""
    try:
        weight = float(text or "nan")
    except ValueError:
        return None
    return weight if 0 < weight < math.inf else None
