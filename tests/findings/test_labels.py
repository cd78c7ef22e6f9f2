"""Verdicts as labelled tiles: which tiles get which label, and the folder that training reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.core.table_schemas import CRACKS
from pipeline.dataset.beside import VERDICTS
from pipeline.dataset.commit_log import read_table, table_bytes
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import query, views
from pipeline.findings.labels import TILES_OF_A_CRACK, TILES_OF_A_PHOTO, choose_labels, write_labels
from pipeline.images.decode import Pixels, decode
from pipeline.labels.boxes import Box, cut
from pipeline.labels.labelled_tiles import read_labelled_tiles
from pipeline.reports.source_photos import read_source_photos
from tests.helpers.scored_photos import photo, score_archives, zip_photos
from tests.helpers.small_dataset import BEGAN_AT

LEVELS = {"a.png": 250, "b.png": 140, "c.png": 120, "d.png": 5}
BRIGHT = Box(50, 100, 50, 50)
"""The one tile of each photo that is not black."""


def quiet(_done: int, _total: int) -> None:
    """Show no progress."""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Four photos of 2 x 3 tiles; a.png has two cracks, along the upper tiles and down the left ones."""
    archive = zip_photos(tmp_path / "one.zip", {name: photo(level) for name, level in LEVELS.items()})
    layout = score_archives(tmp_path / "scores", archive, cracks={"a.png": 2})
    lines = ["MULTILINESTRING ((10 20, 102 20))", "MULTILINESTRING ((30 10, 30 90))"]
    boxes = [{"left_px": 10, "top_px": 19, "width_px": 93, "height_px": 2}]
    boxes += [{"left_px": 29, "top_px": 10, "width_px": 2, "height_px": 81}]
    for file in storage.list_files(storage.join(layout.url, "cracks")):
        rows = [
            row | {"line_wkt": lines[row["crack"]]} | boxes[row["crack"]] for row in read_table(file.url).to_pylist()
        ]
        storage.write_whole(file.url, table_bytes(pa.Table.from_pylist(rows, CRACKS)))
    return layout


def judge(layout: Layout, *said: tuple[str, str, Box | int | None], name: str = "a") -> None:
    """Save verdicts: the photo, the answer, and the tile, the number of a crack or None for the photo."""
    facts = query(layout.url, "SELECT image_id, archive, image, scored_at FROM images").to_pylist()
    photos = {row["image"]: row for row in facts}
    rows: list[dict[str, Any]] = []
    for number, (image, verdict, place) in enumerate(said):
        subject = "photo" if place is None else "crack" if isinstance(place, int) else "tile"
        box = place._asdict() if isinstance(place, Box) else {}
        cracks = [place] if isinstance(place, int) else []
        row = photos[image] | box | {"subject": subject, "cracks": cracks, "verdict": verdict, "by": "ann"}
        rows.append(row | {"verdict_id": f"{name}{number}", "judged_at": BEGAN_AT, "recorded_at": BEGAN_AT})
    table = pa.Table.from_pylist(rows, VERDICTS)
    storage.write_whole(storage.join(layout.url, "verdicts", f"{name}.parquet"), table_bytes(table))


def labels(layout: Layout) -> dict[tuple[str, int, int], bool]:
    """Whether each labelled tile is cracked, by photo, left and top."""
    names = {
        row["image_id"]: row["image"] for row in query(layout.url, "SELECT image_id, image FROM images").to_pylist()
    }
    with views(layout) as connection:
        found = choose_labels(connection)
    return {(names[each.image_id], each.box.left_px, each.box.top_px): each.cracked for each in found}


def test_verdicts_on_tiles_are_labels(layout: Layout) -> None:
    """But for unclear ones."""
    judge(layout, ("a.png", "crack", BRIGHT), ("b.png", "no_crack", BRIGHT), ("c.png", "unclear", BRIGHT))
    assert labels(layout) == {("a.png", 100, 50): True, ("b.png", 100, 50): False}


def test_a_confirmed_crack_labels_the_tiles_that_it_runs_through(layout: Layout) -> None:
    """Not the third one, of whose corner it has two pixels."""
    judge(layout, ("a.png", "crack", 0))
    assert labels(layout) == {("a.png", 0, 0): True, ("a.png", 50, 0): True}


def test_a_rejected_crack_labels_tiles_that_no_other_runs_through(layout: Layout) -> None:
    """The other one may be a crack, as long as nobody has rejected it."""
    judge(layout, ("a.png", "no_crack", 0))
    assert labels(layout) == {("a.png", 50, 0): False}
    judge(layout, ("a.png", "no_crack", 1), name="b")
    assert labels(layout) == {("a.png", 0, 0): False, ("a.png", 50, 0): False, ("a.png", 0, 50): False}


def test_a_tile_is_labelled_once(layout: Layout) -> None:
    """By its own verdict, else by a confirmed crack, else by a rejected one."""
    judge(layout, ("a.png", "crack", 1), ("a.png", "no_crack", 0), ("a.png", "unclear", Box(50, 0, 50, 50)))
    assert labels(layout) == {("a.png", 0, 0): True, ("a.png", 50, 0): False}


def test_a_long_crack_gives_a_few_tiles(layout: Layout) -> None:
    """Those with the most of it: a bridge-long crack would be most of the labels."""
    assert TILES_OF_A_CRACK < 6
    [file] = storage.list_files(storage.join(layout.url, "cracks"))
    everywhere = "MULTILINESTRING ((1 20, 149 20), (1 70, 140 70))"
    box = {"left_px": 1, "top_px": 20, "width_px": 148, "height_px": 51}
    rows = [row | box | {"line_wkt": everywhere} for row in read_table(file.url).to_pylist()][:1]
    storage.write_whole(file.url, table_bytes(pa.Table.from_pylist(rows, CRACKS)))
    judge(layout, ("a.png", "crack", 0))
    found = labels(layout)
    assert len(found) == TILES_OF_A_CRACK
    assert ("a.png", 100, 50) not in found


def test_a_rejected_photo_gives_its_highest_tiles(layout: Layout) -> None:
    """As sound ones; not if something in it is confirmed."""
    judge(layout, ("b.png", "no_crack", None), ("a.png", "no_crack", None), ("a.png", "crack", BRIGHT))
    found = labels(layout)
    assert ("b.png", 100, 50) in found
    assert [cracked for (image, _, _), cracked in found.items() if image == "b.png"] == [False] * TILES_OF_A_PHOTO
    assert {place: cracked for place, cracked in found.items() if place[0] == "a.png"} == {("a.png", 100, 50): True}


def test_the_last_verdict_labels(layout: Layout) -> None:
    """And one on another picture of the photo does not."""
    judge(layout, ("a.png", "crack", BRIGHT), ("b.png", "crack", BRIGHT))
    [file] = storage.list_files(storage.join(layout.url, "verdicts"))
    of_a, of_b = read_table(file.url).to_pylist()
    rows = [of_a, of_a | {"verdict_id": "x", "verdict": "no_crack", "judged_at": BEGAN_AT.replace(year=2027)}]
    rows.append(of_b | {"scored_at": BEGAN_AT})
    storage.write_whole(file.url, table_bytes(pa.Table.from_pylist(rows, VERDICTS)))
    assert labels(layout) == {("a.png", 100, 50): False}


def test_training_reads_the_folder(layout: Layout) -> None:
    """Each tile has the pixels of its place, its label, and its photo as group."""
    judge(layout, ("a.png", "crack", BRIGHT), ("b.png", "no_crack", BRIGHT), ("b.png", "crack", Box(0, 0, 50, 50)))
    made = write_labels(layout.url, read_source_photos, quiet)
    assert (made.cracked, made.sound, made.unreachable.total()) == (2, 1, 0)
    assert made.url.startswith(storage.join(layout.url, "verdicts", "labels", ""))
    tiles = read_labelled_tiles([made.url])
    means = sorted(
        (round(decode(storage.read_bytes(url)).pixels.mean()), group)
        for url, group in zip(tiles.urls, tiles.groups, strict=True)
    )
    ids = {row["image"]: f"image_id:{row['image_id']}" for row in query(layout.url, "FROM images").to_pylist()}
    assert means == [(0, ids["b.png"]), (140, ids["b.png"]), (250, ids["a.png"])]
    by_mean = {
        round(decode(storage.read_bytes(url)).pixels.mean()): bool(label)
        for url, label in zip(tiles.urls, tiles.labels, strict=True)
    }
    assert by_mean == {0: True, 140: False, 250: True}
    whole = decode(photo(140)).pixels
    assert any((decode(storage.read_bytes(url)).pixels == cut(whole, BRIGHT)).all() for url in tiles.urls)


def test_the_same_verdicts_give_the_same_folder(layout: Layout) -> None:
    """So a training goes on where it was; a further verdict gives another one, and cuts only its own tile."""
    judge(layout, ("a.png", "crack", BRIGHT), ("b.png", "no_crack", BRIGHT))
    read: list[list[str]] = []

    def note(layout: Layout, archives: Mapping[str, str]) -> Iterator[tuple[str, Pixels | str]]:
        read.append(sorted(archives))
        yield from read_source_photos(layout, archives)

    first, again = (write_labels(layout.url, note, quiet) for _ in range(2))
    judge(layout, ("c.png", "crack", BRIGHT), name="b")
    more = write_labels(layout.url, note, quiet)
    assert first == again
    assert more.url != first.url
    assert [len(each) for each in read] == [2, 0, 1]
    assert len(read_labelled_tiles([first.url])) == 2
    assert len(read_labelled_tiles([more.url])) == 3


def test_photos_that_are_gone_are_told(layout: Layout, tmp_path: Path) -> None:
    """Tiles that were cut before stay labels; without any, there is nothing to train on."""
    judge(layout, ("a.png", "crack", BRIGHT), ("b.png", "no_crack", BRIGHT))
    (tmp_path / "one.zip").rename(tmp_path / "away.zip")
    with pytest.raises(CrackscanError, match="None of the 2 tiles could be cut out of its photo: "):
        write_labels(layout.url, read_source_photos, quiet)
    (tmp_path / "away.zip").rename(tmp_path / "one.zip")
    write_labels(layout.url, read_source_photos, quiet)
    (tmp_path / "one.zip").rename(tmp_path / "away.zip")
    judge(layout, ("c.png", "crack", BRIGHT), name="b")
    made = write_labels(layout.url, read_source_photos, quiet)
    assert (made.cracked, made.sound, made.unreachable.total()) == (1, 1, 1)


def test_a_window_of_a_raster_is_cut_from_its_own_corner(layout: Layout) -> None:
    """Tiles of windows are in pixels of the raster: whatever the reader gives begins at the first tile."""
    [file] = storage.list_files(storage.join(layout.url, "tiles"))
    table = read_table(file.url)
    moved = table.set_column(table.schema.get_field_index("left_px"), "left_px", pa.compute.add(table["left_px"], 1000))
    storage.write_whole(file.url, table_bytes(moved.cast(table.schema)))
    judge(
        layout, ("a.png", "crack", BRIGHT._replace(left_px=1100)), ("b.png", "no_crack", BRIGHT._replace(left_px=1100))
    )
    tiles = read_labelled_tiles([write_labels(layout.url, read_source_photos, quiet).url])
    assert sorted(round(np.mean(decode(storage.read_bytes(url)).pixels)) for url in tiles.urls) == [140, 250]


def test_a_dataset_without_verdicts_has_no_labels(layout: Layout) -> None:
    """Says how to get some."""
    with pytest.raises(UsageError) as caught:
        write_labels(layout.url, read_source_photos, quiet)
    assert str(caught.value) == (
        f"{layout.url} has no verdict that labels a tile. Let people judge tiles with `crackscan review {layout.url} "
        f"--out FOLDER`, and add what they say with `crackscan verdicts {layout.url} FOLDER/review.csv --by NAME`."
    )
