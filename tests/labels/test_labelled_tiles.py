"""Listing labelled tiles of folders and tables."""

import io
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box, cut
from pipeline.labels.labelled_tiles import ClassNames, LabelledTiles, compute_descriptors, read_labelled_tiles
from pipeline.labels.near_duplicates import FINGERPRINT_SIZE, descriptor
from tests import ROOT

DATA = ROOT.parent / "shared" / "data"
METU = DATA / "metu_tiles"


def tile(path: Path, grey: int = 128) -> Path:
    """Write a small tile with a little texture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(grey).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write two cracked and two sound tiles, and what is none."""
    top = tmp_path / "tiles"
    for name in ("Positive/b.jpg", "bridge/deep/positive/a.PNG", "Negative/c.jpeg", "bridge/NEGATIVE/d.tif"):
        tile(top / name, len(name))
    for name in ("Positive/.hidden.jpg", "__MACOSX/Positive/b.jpg", "Other/e.jpg"):
        tile(top / name)
    (top / "Positive" / "notes.txt").write_text("not a tile")
    return top


def test_folder(folder: Path) -> None:
    """Images below the class folders are listed, at any depth and in any case, sorted; all else is passed over."""
    tiles = read_labelled_tiles([str(folder)])
    names = [url.removeprefix(storage.canonical(str(folder))) for url in tiles.urls]
    assert names == ["/Negative/c.jpeg", "/Positive/b.jpg", "/bridge/NEGATIVE/d.tif", "/bridge/deep/positive/a.PNG"]
    assert tiles.labels.tolist() == [False, True, False, True]
    assert tiles.groups == tiles.names == tiles.urls
    assert tiles.sources == (str(folder),) * 4
    assert tiles.boxes == (None,) * 4


def test_class_folder_as_data(folder: Path) -> None:
    """A class folder given by itself counts by its own name."""
    tiles = read_labelled_tiles([str(folder / "Positive"), str(folder / "Negative")])
    assert tiles.labels.tolist() == [False, True]


def test_innermost_class_folder_counts(tmp_path: Path) -> None:
    """Where class folders lie in each other, the inner one is meant."""
    tile(tmp_path / "Positive" / "Negative" / "a.png")
    tile(tmp_path / "Positive" / "b.png")
    assert read_labelled_tiles([str(tmp_path)]).labels.tolist() == [False, True]


def test_other_class_names(tmp_path: Path) -> None:
    """The classes may be called otherwise."""
    tile(tmp_path / "Crack" / "a.png")
    tile(tmp_path / "sound" / "b.png")
    assert read_labelled_tiles([str(tmp_path)], ClassNames("crack", "Sound")).labels.tolist() == [
        True,
        False,
    ]


def test_overlapping_data(folder: Path) -> None:
    """A tile that two arguments reach is listed once, under the first."""
    tiles = read_labelled_tiles([str(folder), f"{folder}/../tiles/Positive", str(folder)])
    assert len(tiles) == 4
    assert set(tiles.sources) == {str(folder)}


def test_contradiction(folder: Path, tmp_path: Path) -> None:
    """A tile labelled both ways is refused."""
    table = tmp_path / "table.csv"
    table.write_text("path,label\ntiles/Positive/b.jpg,0\ntiles/Negative/c.jpeg,0\n")
    with pytest.raises(UsageError, match=r"Positive/b\.jpg is labelled cracked and sound"):
        read_labelled_tiles([str(folder), str(table)])


def test_subset(folder: Path) -> None:
    """A subset is taken by index or by mask."""
    tiles = read_labelled_tiles([str(folder)])
    assert tiles.subset([2, 0]).urls == (tiles.urls[2], tiles.urls[0])
    assert tiles.subset(tiles.labels).labels.tolist() == [True, True]
    assert len(tiles.subset([])) == 0


def test_missing_place(tmp_path: Path) -> None:
    """A place that does not exist is named."""
    with pytest.raises(UsageError, match=r"nowhere does not exist; expected a folder of labelled tiles"):
        read_labelled_tiles([str(tmp_path / "nowhere")])


def test_no_tiles(tmp_path: Path) -> None:
    """A folder without class folders is refused, with the names expected."""
    tile(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"holds no labelled tiles; expected images in folders named Positive and"):
        read_labelled_tiles([str(tmp_path)])


def test_one_class(tmp_path: Path) -> None:
    """Tiles of one class are refused, with the counts found."""
    tile(tmp_path / "Positive" / "a.png")
    with pytest.raises(UsageError, match=r"one class only: 1 cracked \(Positive\) and 0 sound \(Negative\)"):
        read_labelled_tiles([str(tmp_path)])


def test_fingerprints(folder: Path) -> None:
    """Every tile has a fingerprint, in order, and progress counts them."""
    tiles = read_labelled_tiles([str(folder)])
    told: list[tuple[int, int]] = []
    prints = compute_descriptors(tiles, lambda done, total: told.append((done, total)))
    assert prints.shape == (4, FINGERPRINT_SIZE)
    assert (compute_descriptors(tiles.subset([3])) == prints[3]).all()
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.fixture
def masked_folder(tmp_path: Path) -> Path:
    """Write two photos of noise, one with a vertical crack at column 40, one without, and a manifest of the first."""
    folder = tmp_path / "deck"
    for number, name in enumerate(("cracked", "sound")):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "masks").mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (120, 200, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
        mask = np.zeros((120, 200), dtype=np.bool_)
        mask[:, 40:42] = name == "cracked"
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    (folder / "manifest.csv").write_text("file,group\nimages/cracked.png,pier\n")
    return folder


def test_photos_with_masks(masked_folder: Path) -> None:
    """A folder of photos and masks is boxes, sorted by photo and box, grouped by manifest or photo."""
    tiles = read_labelled_tiles([str(masked_folder)])
    assert _rows(tiles) == sorted(_rows(tiles))
    assert {box.height_px for box in tiles.boxes if box} == {112}
    by_left = {(storage.name(url), box.left_px): label for url, box, label in _rows(tiles) if box}
    assert by_left == {
        ("cracked.png", 0): True,
        ("cracked.png", 56): False,
        ("cracked.png", 88): False,
        **{("sound.png", left_px): False for left_px in (0, 56, 88)},
    }
    assert len(set(tiles.groups)) == 2
    assert {group for group in tiles.groups if group.endswith(":pier")} == set(tiles.groups) - set(tiles.urls)


def _rows(tiles: LabelledTiles) -> list[tuple[str, Box | None, bool]]:
    return list(zip(tiles.urls, tiles.boxes, tiles.labels.tolist(), strict=True))


def test_subset_keeps_boxes(masked_folder: Path) -> None:
    """The boxes go with their tiles."""
    tiles = read_labelled_tiles([str(masked_folder)])
    assert _rows(tiles.subset([3, 1])) == [_rows(tiles)[3], _rows(tiles)[1]]


def test_fingerprints_of_boxes(masked_folder: Path) -> None:
    """A box looks like its own pixels; each photo is told of once, with all its boxes."""
    tiles = read_labelled_tiles([str(masked_folder)])
    told: list[tuple[int, int]] = []
    prints = compute_descriptors(tiles, lambda done, total: told.append((done, total)))
    total = len(tiles)
    first = sum("cracked" in url for url in tiles.urls)
    assert told == [(first, total), (total, total)]
    for row in (0, total - 1):
        pixels = np.asarray(Image.open(storage.local_path(tiles.urls[row])))
        assert (prints[row] == descriptor(cut(pixels, tiles.boxes[row]))).all()


def test_photo_and_its_boxes(masked_folder: Path) -> None:
    """A whole photo and boxes of it are tiles of their own; a box that two arguments give is listed once."""
    table = masked_folder.parent / "table.csv"
    table.write_text(
        "path,label,top_px,left_px,height_px,width_px\n"
        "deck/images/sound.png,0,,,,\n"
        "deck/images/sound.png,0,0,0,112,112\n"
        "deck/images/cracked.png,1,,,,\n"
    )
    alone, both = (
        read_labelled_tiles([str(masked_folder)]),
        read_labelled_tiles([str(masked_folder), str(table)]),
    )
    assert len(both) == len(alone) + 2
    assert set(both.names) == set(alone.names) | set(both.urls)


def test_box_labelled_both_ways(masked_folder: Path) -> None:
    """A box that a mask and a table label otherwise is refused by name."""
    table = masked_folder.parent / "table.csv"
    table.write_text(
        "path,label,top_px,left_px,height_px,width_px\ndeck/images/sound.png,1,0,0,112,112\n"
        "deck/images/sound.png,0,0,0,50,50\n"
    )
    with pytest.raises(UsageError, match=r"sound\.png#xywh=0,0,112,112 is labelled cracked and sound"):
        read_labelled_tiles([str(masked_folder), str(table)])


def test_box_over_the_edge(masked_folder: Path) -> None:
    """A box of a table that does not lie in its photo is told when the photo is read."""
    table = masked_folder.parent / "table.csv"
    table.write_text(
        "path,label,top_px,left_px,height_px,width_px\ndeck/images/sound.png,1,0,100,112,112\n"
        "deck/images/sound.png,0,0,0,50,50\n"
    )
    with pytest.raises(
        UsageError, match=r"2 of 2 labelled .*\n.*120 pixels high and 200 wide; the tile ends at 112 and"
    ):
        compute_descriptors(read_labelled_tiles([str(table)]))


@pytest.mark.ray
@pytest.mark.skipif(not (DATA / "bridge_deck_uav").is_dir(), reason="needs the masked photos in ../shared/data")
@pytest.mark.parametrize(
    ("name", "cracked", "sound"),
    [
        ("bridge_deck_uav", {112: 5_204, 160: 2_761, 224: 1_413}, {112: 1_921, 160: 555, 224: 91}),
        ("sdnet2018_deck_cracked", {112: 3_085, 160: 2_390, 224: 1_488}, {112: 5_205, 160: 1_774, 224: 115}),
    ],
)
def test_masked_data(name: str, cracked: dict[int, int], sound: dict[int, int]) -> None:
    """Both masked sources give thousands of tiles of both classes; the smaller boxes give most of the sound ones."""
    tiles = read_labelled_tiles([str(DATA / name)])
    found = Counter((box.height_px, label) for _, box, label in _rows(tiles) if box)
    assert found == {(side, True): n for side, n in cracked.items()} | {(side, False): n for side, n in sound.items()}
    assert len(set(tiles.names)) == len(tiles)
    assert set(tiles.groups) == set(tiles.urls)


def test_unreadable_tiles_are_named(folder: Path) -> None:
    """Unreadable tiles are named up to ten, and counted."""
    for number in range(12):
        (folder / "Positive" / f"bad{number:02d}.jpg").write_bytes(b"no picture")
    with pytest.raises(UsageError) as caught:
        compute_descriptors(read_labelled_tiles([str(folder)]))
    message = str(caught.value)
    assert message.startswith("12 of 16 labelled tiles cannot be read; repair or remove them:")
    assert "bad09.jpg" in message
    assert "bad10.jpg" not in message
    assert message.endswith("… and 2 more")


def test_cut_short_tile(folder: Path) -> None:
    """A tile cut short is unreadable, not half read."""
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(data, "JPEG")
    (folder / "Positive" / "short.jpg").write_bytes(data.getvalue()[:900])
    with pytest.raises(UsageError, match=r"1 of 5 labelled tiles .*\n.*short\.jpg"):
        compute_descriptors(read_labelled_tiles([str(folder)]))


@pytest.mark.skipif(not METU.is_dir(), reason="needs the METU tiles in ../shared/data")
def test_metu() -> None:
    """METU's two parts are listed whole, no photo stands in both, and its manifest tells the photos of the cracked."""
    train, val = (
        read_labelled_tiles([str(METU / "train")]),
        read_labelled_tiles([str(METU / "val")]),
    )
    assert (len(train), int(train.labels.sum())) == (10_732, 5_366)
    assert (len(val), int(val.labels.sum())) == (1_174, 587)
    assert not set(train.groups) & set(val.groups)
    assert len({train.groups[row] for row in np.flatnonzero(train.labels)}) < 100
    assert len({train.groups[row] for row in np.flatnonzero(~train.labels)}) == 5_366
    whole = read_labelled_tiles([str(METU / "manifest.csv")])
    assert dict(zip(whole.urls, whole.groups, strict=True)) == dict(
        zip(train.urls + val.urls, train.groups + val.groups, strict=True)
    )


def test_group_of_train_and_val_is_one(tmp_path: Path) -> None:
    """Parts of one data set share its groups when they are given separately; another data set's never are the same."""
    lines = ["file,label,split,group"]
    for part in ("train", "val"):
        for label in ("Positive", "Negative"):
            tile(tmp_path / "set" / part / label / "a.png")
            lines.append(f"{part}/{label}/a.png,{label},{part},wall1")
    (tmp_path / "set" / "manifest.csv").write_text("\n".join(lines))
    train, val = (read_labelled_tiles([str(tmp_path / "set" / part)]) for part in ("train", "val"))
    assert set(train.groups) == set(val.groups)
    assert len(set(train.groups)) == 1
    shutil.copytree(tmp_path / "set", tmp_path / "other")
    (tmp_path / "other" / "manifest.csv").write_text("\n".join([*lines, "train/Negative/b.png,Negative,train,wall2"]))
    assert not set(read_labelled_tiles([str(tmp_path / "other")]).groups) & set(train.groups)
