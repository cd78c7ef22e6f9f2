"""The places of verdicts in a dataset: which photo, which picture of it, and which of its cracks run through."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.archives.listing import image_id as make_image_id
from pipeline.archives.members import is_archive, is_raster
from pipeline.core.errors import StorageError, UsageError
from pipeline.core.wkt import parse_lines
from pipeline.dataset.sql import Connection
from pipeline.findings.crack_tiles import runs_through
from pipeline.findings.verdict_files import Said
from pipeline.labels.boxes import Box

UNKNOWN = "about photos that the dataset does not have"
OTHER_NAME = "about photos whose image_id is that of another name in the dataset"
OVER_EDGE = "about places over the edges of their photos, which are others now"
OTHER_CRACK = "about cracks that their photos do not have, or not there"
"""Why a verdict does not count, to be read after a number of verdicts."""

_ADDRESS = "image_id, archive, image, width_px, height_px, scored_at"

_PHOTOS = f"""
    SELECT {_ADDRESS} FROM images_files SEMI JOIN said USING (image_id)
    UNION
    SELECT {_ADDRESS} FROM images_files SEMI JOIN said USING (archive, image)
    ORDER BY archive, image, image_id
"""  # noqa: S608 - our own SQL

_CRACKS = """
    SELECT image_id, crack, left_px, top_px, width_px, height_px, line_wkt
    FROM cracks SEMI JOIN judged USING (image_id) ORDER BY image_id, crack
"""


class Place(NamedTuple):
    """What a verdict is about."""

    image_id: str
    archive: str | None
    image: str
    box: Box | None = None
    cracks: list[int] | None = None
    """Numbers of the photo's cracks that run through it; None for a photo."""
    scored_at: datetime | None = None
    """When the photo was scored; None for one that is not there as it was judged."""
    reason: str | None = None
    """Why the verdict does not count, one of the reasons above; None if it does."""


class _Photo(NamedTuple):
    image_id: str
    archive: str
    image: str
    width_px: int | None
    height_px: int | None
    scored_at: datetime


class _Crack(NamedTuple):
    number: int
    box: Box
    line_wkt: str


def find_places(connection: Connection, said: Sequence[Said]) -> list[Place]:
    """Find the place of each verdict, in their order.

    Args:
        connection: DuckDB with a dataset's views.
        said: what files say.

    Raises:
        UsageError: two photos of an archive share the name that a row gives without an `image_id`.
    """
    photos = _Photos(connection, said)
    found = [photos.find(each) for each in said]
    cracks_of = _read_cracks(connection, {place.image_id for place in found if place.reason is None})
    return [
        place if place.reason is not None or each.subject == "photo" else _add_cracks(each, place, cracks_of)
        for each, place in zip(said, found, strict=True)
    ]


class _Photos:
    """The photos of a dataset that files name."""

    def __init__(self, connection: Connection, said: Sequence[Said]) -> None:
        self._archives = {place: _canonical(place) for each in said if (place := each.archive) is not None}
        rows = [(each.image_id, self._archives.get(each.archive or ""), each.image) for each in said]
        columns = zip(*rows, strict=True) if rows else ((), (), ())
        texts = [pa.array(column, pa.string()) for column in columns]
        connection.register("said", pa.table(texts, names=["image_id", "archive", "image"]))
        found = [_Photo(*row) for row in connection.execute(_PHOTOS).fetchall()]
        connection.unregister("said")
        self._by_id = {photo.image_id: photo for photo in found}
        self._by_name = defaultdict[tuple[str, str], list[_Photo]](list)
        for photo in found:
            self._by_name[photo.archive, photo.image].append(photo)

    def find(self, said: Said) -> Place:
        """Find the photo of a verdict, and check that it is the one that was judged."""
        archive = self._archives.get(said.archive or "")
        photo = self._by_id.get(said.image_id) if said.image_id else self._find_by_name(said, archive or "")
        image = said.image or (photo.image if photo else said.image_id or "")
        if photo is None or not _has_name(photo, archive, said.image):
            image_id = said.image_id or _make_id(archive or "", image)
            return Place(image_id, archive, image, said.box, _given(said), reason=OTHER_NAME if photo else UNKNOWN)
        place = Place(photo.image_id, photo.archive, photo.image, said.box, _given(said))
        if _is_over_edge(photo, said.box):
            return place._replace(reason=OVER_EDGE)
        return place._replace(scored_at=photo.scored_at)

    def _find_by_name(self, said: Said, archive: str) -> _Photo | None:
        found = self._by_name.get((archive, said.image or ""), [])
        if len(found) > 1:
            raise UsageError(
                f"{archive} has {len(found)} photos called {said.image}, and {said.where} does not tell which. Give "
                f"its image_id, one of {', '.join(photo.image_id for photo in found)}."
            )
        return found[0] if found else None


def _canonical(archive: str) -> str:
    """Return the URL of an archive, however people write it; what is no place stays as it is."""
    try:
        return storage.canonical(archive)
    except (StorageError, UsageError, ValueError):
        return archive


def _make_id(archive: str, image: str) -> str:
    """Return the id that a photo would have, the first of its name."""
    between = "!/" if is_archive(archive) else "/"
    return make_image_id(f"{archive}{between}{image}".encode("utf-8", "surrogateescape"), 0)


def _has_name(photo: _Photo, archive: str | None, image: str | None) -> bool:
    return archive in {None, photo.archive} and image in {None, photo.image}


def _given(said: Said) -> list[int] | None:
    return None if said.subject == "photo" else [*(said.cracks or ())]


def _is_over_edge(photo: _Photo, box: Box | None) -> bool:
    """Tell whether a box leaves its photo; boxes in windows of rasters are in pixels of the raster."""
    if box is None or photo.width_px is None or photo.height_px is None or is_raster(photo.archive):
        return False
    return box.left_px + box.width_px > photo.width_px or box.top_px + box.height_px > photo.height_px


def _read_cracks(connection: Connection, image_ids: set[str]) -> dict[str, list[_Crack]]:
    connection.register("judged", pa.table({"image_id": pa.array(sorted(image_ids), pa.string())}))
    cracks_of = defaultdict[str, list[_Crack]](list)
    for image_id, number, left_px, top_px, width_px, height_px, line_wkt in connection.execute(_CRACKS).fetchall():
        cracks_of[image_id].append(_Crack(number, Box(top_px, left_px, height_px, width_px), line_wkt))
    connection.unregister("judged")
    return cracks_of


def _add_cracks(said: Said, place: Place, cracks_of: dict[str, list[_Crack]]) -> Place:
    """Say which cracks run through a tile, or where a crack is; as the file says, if that is so."""
    cracks = {crack.number: crack for crack in cracks_of.get(place.image_id, [])}
    if said.subject == "crack":
        return _place_crack(said, place, cracks)
    if said.cracks is not None and cracks.keys() >= {*said.cracks}:
        return place
    assert said.box is not None  # noqa: S101 - `verdict_files` refuses a tile without one
    return place._replace(cracks=list(_list_through(cracks.values(), said.box)))


def _place_crack(said: Said, place: Place, cracks: dict[int, _Crack]) -> Place:
    """Give a verdict on a crack the box of the crack: people who judge it with and without a box judge one place."""
    numbers = [number for number, crack in cracks.items() if said.cracks is None and crack.box == said.box]
    number = said.cracks[0] if said.cracks else next(iter(numbers), None)
    crack = None if number is None else cracks.get(number)
    if crack is None or said.box not in {None, crack.box}:
        return place._replace(scored_at=None, reason=OTHER_CRACK)
    return place._replace(box=crack.box, cracks=[crack.number])


def _list_through(cracks: Iterable[_Crack], box: Box) -> Iterator[int]:
    for crack in cracks:
        one, other = crack.box, box
        # Lines are rounded to a tenth of a pixel, and so may leave the box around their pixels a little.
        is_down = one.top_px - 1 <= other.top_px + other.height_px and other.top_px <= one.top_px + one.height_px + 1
        is_right = one.left_px - 1 <= other.left_px + other.width_px and other.left_px <= one.left_px + one.width_px + 1
        if is_down and is_right and runs_through(parse_lines(crack.line_wkt), box):
            yield crack.number
