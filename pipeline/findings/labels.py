"""Verdicts as labelled tiles: which tiles of a dataset they label, and a folder of them to train on.

The rule in full, over verdicts that are the last on their place and about the photos as they are:

* A verdict on a tile labels it: `crack` cracked, `no_crack` sound, and `unclear` keeps it out.
* A confirmed crack labels the tiles that its line runs through, those with the most of it first, up to
  `TILES_OF_A_CRACK`: cracked. Beside the first one, a tile counts if the line is long in it (`LEAST_PART`).
* A rejected crack labels such tiles as sound where every crack that runs through them was rejected.
* A rejected photo labels its `TILES_OF_A_PHOTO` highest tiles as sound, unless something in it is confirmed.

A rule further up counts before those below it. `group` is the photo, so that no split puts its tiles on both sides.
"""

import csv
import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa

from pipeline import storage
from pipeline.core.counts import none_of
from pipeline.core.errors import CrackscanError, DataError, UsageError
from pipeline.core.progress import OnProgress
from pipeline.core.spreadsheets import guard
from pipeline.core.wkt import parse_lines
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import Connection, views
from pipeline.findings.crack_tiles import length_inside_px
from pipeline.images.decode import Pixels
from pipeline.labels.boxes import Box, cut
from pipeline.labels.crops import encode_png
from pipeline.labels.label_tables import REVIEW_TABLE

TILES_OF_A_CRACK = 5
"""A crack of ten metres runs through hundreds of tiles, which look alike."""
TILES_OF_A_PHOTO = 4
"""The highest tiles of a sound photo are what the model finds hard; the others teach it nothing new."""
LEAST_PART = 0.25
"""Of a tile's shorter side: a line that only clips a corner can hardly be seen in the tile."""

ReadPhotos = Callable[[Layout, Mapping[str, str]], Iterator[tuple[str, Pixels | str]]]
"""From a dataset and the archive of each photo to the photos' pixels, or the reasons why there are none."""

_BOX = "top_px, left_px, height_px, width_px"

_TILES = f"""
    SELECT image_id, {_BOX}, verdict FROM verdicts WHERE is_last AND is_current AND subject = 'tile' ORDER BY ALL
"""  # noqa: S608 - our own SQL

_CRACKS = f"""
    WITH said AS (
        SELECT image_id, cracks[1] AS crack, verdict FROM verdicts WHERE is_last AND is_current AND subject = 'crack'
    ), judged AS (
        SELECT c.image_id, crack, c.left_px, c.top_px, c.width_px, c.height_px, line_wkt,
               coalesce(verdict, 'open') AS verdict
        FROM cracks AS c LEFT JOIN said USING (image_id, crack) WHERE c.image_id IN (SELECT image_id FROM said)
    )
    SELECT t.image_id, {", ".join(f"t.{name}" for name in _BOX.split(", "))}, crack, verdict, line_wkt
    FROM tiles AS t JOIN judged AS c ON t.image_id = c.image_id
         AND t.left_px <= c.left_px + c.width_px + 1 AND c.left_px <= t.left_px + t.width_px + 1
         AND t.top_px <= c.top_px + c.height_px + 1 AND c.top_px <= t.top_px + t.height_px + 1
    ORDER BY t.image_id, crack, t.top_px, t.left_px
"""  # noqa: S608 - our own SQL
"""Each crack of the photos that have a judged one, with the tiles that the box around it touches."""

_SOUND_PHOTOS = f"""
    WITH said AS (SELECT image_id, subject, verdict FROM verdicts WHERE is_last AND is_current)
    SELECT image_id, {_BOX}
    FROM tiles SEMI JOIN (FROM said WHERE subject = 'photo' AND verdict = 'no_crack') USING (image_id)
         ANTI JOIN (FROM said WHERE verdict = 'crack') USING (image_id)
    QUALIFY row_number() OVER (PARTITION BY image_id ORDER BY crack_score DESC, "row", col) <= {TILES_OF_A_PHOTO}
    ORDER BY ALL
"""  # noqa: S608 - our own SQL

_PHOTOS = """
    SELECT image_id, archive, image, scored_at, coalesce(left_px, 0), coalesce(top_px, 0)
    FROM (FROM images SEMI JOIN wanted USING (image_id)) LEFT JOIN (
        SELECT image_id, min(left_px) AS left_px, min(top_px) AS top_px FROM tiles SEMI JOIN wanted USING (image_id)
        GROUP BY image_id
    ) USING (image_id)
"""
"""The first tile begins in the corner of its photo, which is that of its window in a raster. A photo that failed since
has none."""

_COLUMNS = ("path", "label", "group", "archive", "image", "image_id")


class LabelledPlace(NamedTuple):
    """A tile with the label that verdicts give it."""

    image_id: str
    box: Box
    cracked: bool


@dataclass(frozen=True)
class LabelFolder:
    """A folder of labelled tiles, as `review` writes them."""

    url: str
    cracked: int
    sound: int
    unreachable: Counter[str]
    """Number of tiles that could not be cut, by reason."""


class _Photo(NamedTuple):
    archive: str
    image: str
    scored_at: datetime
    left_px: int
    top_px: int


class _Through(NamedTuple):
    """A crack that runs through a tile."""

    length_px: float
    """Of its line in the tile."""
    verdict: str


def write_labels(out: str, read_photos: ReadPhotos, on_progress: OnProgress) -> LabelFolder:
    """Cut the tiles that a dataset's verdicts label, into a folder of the dataset that any worker can read.

    The tiles lie in `OUT/verdicts/labels/tiles/`, each cut once; a table of them in a folder whose name is the hash of
    the labels. So the same verdicts give the same folder, and another training may read an older one meanwhile.

    Args:
        out: the dataset.
        read_photos: reads photos again.
        on_progress: called with the number of tiles cut, and of all that are to be.

    Raises:
        UsageError: there is no dataset, or its verdicts label no tile.
        CrackscanError: none of the tiles could be cut.
    """
    layout = Layout(storage.canonical(out))
    with views(layout) as connection:
        labels = choose_labels(connection)
        if not labels:
            raise UsageError(
                f"{layout.url} has no verdict that labels a tile. Let people judge tiles with `crackscan review {out} "
                f"--out FOLDER`, and add what they say with `crackscan verdicts {out} FOLDER/review.csv --by NAME`."
            )
        photos = _read_photos(connection, labels)
    folder = storage.join(layout.url, "verdicts", "labels")
    paths = {label: _name_tile(label, photos[label.image_id]) for label in labels}
    unreachable = _cut_missing(layout, folder, (paths, photos), read_photos, on_progress)
    cut_labels = [label for label in labels if label not in unreachable]
    reasons = Counter(unreachable.values())
    if not cut_labels:
        [(reason, _)] = reasons.most_common(1)
        raise CrackscanError(f"{none_of(len(labels), 'tile')} could be cut out of its photo: {reason}")
    table = _encode_table([_make_row(label, paths[label], photos[label.image_id]) for label in cut_labels])
    url = storage.join(folder, hashlib.sha256(table).hexdigest()[:12])
    storage.write_whole(storage.join(url, REVIEW_TABLE), table)
    cracked = sum(label.cracked for label in cut_labels)
    return LabelFolder(url, cracked, len(cut_labels) - cracked, reasons)


def choose_labels(connection: Connection) -> list[LabelledPlace]:
    """Choose labels by the rule above, each tile once, sorted by photo and box.

    Args:
        connection: DuckDB with a dataset's views.
    """
    answers: dict[tuple[str, Box], bool | None] = {}
    for image_id, *box, verdict in connection.execute(_TILES).fetchall():
        answers[image_id, Box(*box)] = None if verdict == "unclear" else verdict == "crack"
    for place, cracked in (*_label_crack_tiles(connection), *_label_sound_photos(connection)):
        answers.setdefault(place, cracked)
    return sorted(LabelledPlace(*place, cracked) for place, cracked in answers.items() if cracked is not None)


def _label_sound_photos(connection: Connection) -> Iterator[tuple[tuple[str, Box], bool]]:
    for image_id, *box in connection.execute(_SOUND_PHOTOS).fetchall():
        yield (image_id, Box(*box)), False


def _label_crack_tiles(connection: Connection) -> Iterator[tuple[tuple[str, Box], bool]]:
    """Yield the tiles of confirmed cracks, then those of rejected ones."""
    through = defaultdict[tuple[str, Box], dict[int, _Through]](dict)
    for image_id, *box, crack, verdict, line_wkt in connection.execute(_CRACKS).fetchall():
        place = image_id, Box(*box)
        if length_px := length_inside_px(parse_lines(line_wkt), place[1]):
            through[place][crack] = _Through(length_px, verdict)
    for verdict, cracked in (("crack", True), ("no_crack", False)):
        for place in _choose_tiles_of_cracks(through, verdict):
            if cracked or all(each.verdict == "no_crack" for each in through[place].values()):
                yield place, cracked


def _choose_tiles_of_cracks(
    through: Mapping[tuple[str, Box], Mapping[int, _Through]], verdict: str
) -> Iterator[tuple[str, Box]]:
    """Yield the tiles of each crack with a verdict, those with the most of its line."""
    tiles_of = defaultdict[tuple[str, int], list[tuple[float, Box]]](list)
    for (image_id, box), cracks in through.items():
        for crack, found in cracks.items():
            if found.verdict == verdict:
                tiles_of[image_id, crack].append((found.length_px, box))
    for (image_id, _), tiles in tiles_of.items():
        ranked = sorted(tiles, key=lambda tile: (-tile[0], tile[1]))[:TILES_OF_A_CRACK]
        for number, (length_px, box) in enumerate(ranked):
            if number == 0 or length_px >= LEAST_PART * min(box.height_px, box.width_px):
                yield image_id, box


def _read_photos(connection: Connection, labels: Sequence[LabelledPlace]) -> dict[str, _Photo]:
    ids = sorted({label.image_id for label in labels})
    connection.register("wanted", pa.table({"image_id": pa.array(ids, pa.string())}))
    return {image_id: _Photo(*facts) for image_id, *facts in connection.execute(_PHOTOS).fetchall()}


def _name_tile(label: LabelledPlace, photo: _Photo) -> str:
    """Name the file of a tile by its picture and box."""
    facts = json.dumps([label.image_id, photo.scored_at.isoformat(), *label.box])
    return f"tiles/{hashlib.sha256(facts.encode()).hexdigest()[:24]}.png"


def _cut_missing(
    layout: Layout,
    folder: str,
    chosen: tuple[Mapping[LabelledPlace, str], Mapping[str, _Photo]],
    read_photos: ReadPhotos,
    on_progress: OnProgress,
) -> dict[LabelledPlace, str]:
    """Cut the tiles that are not there yet; return why some could not be cut."""
    paths, photos = chosen
    tiles = storage.join(folder, "tiles")
    there = {f"tiles/{file.path}" for file in storage.list_files(tiles)} if storage.exists(tiles) else set()
    missing = defaultdict[str, list[LabelledPlace]](list)
    for label, path in paths.items():
        if path not in there:
            missing[label.image_id].append(label)
    total, done = sum(map(len, missing.values())), 0
    unreachable: dict[LabelledPlace, str] = {}
    for image_id, source in read_photos(layout, {each: photos[each].archive for each in missing}):
        for label in missing[image_id]:
            reason = _cut_tile(source, label.box, photos[image_id], storage.join(folder, paths[label]))
            unreachable |= {} if reason is None else {label: reason}
            done += 1
            on_progress(done, total)
    return unreachable


def _cut_tile(source: Pixels | str, box: Box, photo: _Photo, url: str) -> str | None:
    """Write one tile as it is in its photo; return the reason if that is impossible."""
    if isinstance(source, str):
        return source
    inside = box._replace(left_px=box.left_px - photo.left_px, top_px=box.top_px - photo.top_px)
    try:
        storage.write_whole(url, encode_png(cut(source, inside)))
    except DataError as error:
        return str(error)
    return None


def _make_row(label: LabelledPlace, path: str, photo: _Photo) -> dict[str, str]:
    """Make the row of a tile; 1 and 0 are labels whatever the names of the classes."""
    row = {"path": path, "label": str(int(label.cracked)), "group": label.image_id}
    return row | {"archive": photo.archive, "image": photo.image, "image_id": label.image_id}


def _encode_table(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Write the table as `review` does; the paths begin in the folder above, as tables of labels may."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({name: guard(value) for name, value in row.items()})
    return text.getvalue().encode()
