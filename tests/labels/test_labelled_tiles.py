"""Lists of labelled tiles from folders and tables."""

import io
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import storage
from pipeline.annotations.entries import Size
from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box, cut
from pipeline.labels.label_tables import ClassNames
from pipeline.labels.labelled_tiles import LabelledTiles, compute_descriptors, list_counts, read_labelled_tiles
from pipeline.labels.near_duplicates import DESCRIPTOR_SIZE, descriptor
from tests import ROOT
from tests.helpers.annotation_files import write_coco

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
    """Write two cracked and two sound tiles, and files that are no tiles."""
    top = tmp_path / "tiles"
    for name in ("Positive/b.jpg", "bridge/deep/positive/a.PNG", "Negative/c.jpeg", "bridge/NEGATIVE/d.tif"):
        tile(top / name, len(name))
    for name in ("Positive/.hidden.jpg", "__MACOSX/Positive/b.jpg", "Other/e.jpg"):
        tile(top / name)
    (top / "Positive" / "notes.txt").write_text("not a tile")
    return top


def test_folder(folder: Path) -> None:
    """The list has the images below class folders at any depth and in any case, sorted, and nothing else."""
    tiles = read_labelled_tiles([str(folder)])
    names = [url.removeprefix(storage.canonical(str(folder))) for url in tiles.urls]
    assert names == ["/Negative/c.jpeg", "/Positive/b.jpg", "/bridge/NEGATIVE/d.tif", "/bridge/deep/positive/a.PNG"]
    assert tiles.labels.tolist() == [False, True, False, True]
    assert tiles.groups == tiles.names == tiles.urls
    assert tiles.sources == (str(folder),) * 4
    assert tiles.boxes == (None,) * 4


def test_clutter_is_sound(folder: Path, tmp_path: Path) -> None:
    """Its tiles are told apart, in subsets, too; cracked ones among them are refused, with their number."""
    plants = str(tile(tmp_path / "plants" / "Negative" / "grass.png").parent.parent)
    tiles = read_labelled_tiles([str(folder)], clutter=[plants])
    assert [url.rpartition("/")[2] for url in tiles.subset(tiles.is_clutter).urls] == ["grass.png"]
    assert not tiles.labels[tiles.is_clutter].any()
    assert tiles.subset(tiles.is_clutter).is_clutter.all()
    assert not read_labelled_tiles([str(folder), plants]).is_clutter.any()
    with pytest.raises(UsageError, match=r"is given as clutter, and 2 of its 4 tiles are cracked\. Clutter shows"):
        read_labelled_tiles([str(folder)], clutter=[str(folder)])


def test_class_folder_as_data(folder: Path) -> None:
    """A class folder alone counts by its own name."""
    tiles = read_labelled_tiles([str(folder / "Positive"), str(folder / "Negative")])
    assert tiles.labels.tolist() == [False, True]


def test_innermost_class_folder_counts(tmp_path: Path) -> None:
    """Of nested class folders, the inner one counts."""
    tile(tmp_path / "Positive" / "Negative" / "a.png")
    tile(tmp_path / "Positive" / "b.png")
    assert read_labelled_tiles([str(tmp_path)]).labels.tolist() == [False, True]


def test_other_class_names(tmp_path: Path) -> None:
    """The classes may have other names."""
    tile(tmp_path / "Crack" / "a.png")
    tile(tmp_path / "sound" / "b.png")
    assert read_labelled_tiles([str(tmp_path)], ClassNames("crack", "Sound")).labels.tolist() == [True, False]


@pytest.fixture
def sdnet(tmp_path: Path) -> Path:
    """Write two pictures in each class folder of SDNET2018: decks, pavements and walls, cracked and uncracked."""
    for place in ("D/CD", "D/UD", "P/CP", "P/UP", "W/CW", "W/UW"):
        for number in range(2):
            tile(tmp_path / "sdnet" / place / f"{number}.jpg")
    return tmp_path / "sdnet"


def test_several_names_for_a_class(sdnet: Path) -> None:
    """Every folder with one of a class's names belongs to the class; nothing is left out."""
    tiles = read_labelled_tiles([str(sdnet)], ClassNames(("CD", "cp", "CW"), ("UD", "UP", "uw")))
    assert [("/C" in url) for url in tiles.urls] == tiles.labels.tolist()
    assert (len(tiles), tiles.unmatched, tiles.undecoded) == (12, {}, {})


def test_pictures_of_no_class_are_counted(sdnet: Path) -> None:
    """They count by folder, the most first; what is hidden, no picture, or a tile of a table does not."""
    tile(sdnet / "P" / "UP" / "2.jpg")
    tile(sdnet / "@eaDir" / "0.jpg")
    (sdnet / "notes.txt").write_text("no picture")
    names = ClassNames("CD", "UD")
    alone = read_labelled_tiles([str(sdnet), str(sdnet)], names)
    assert list(alone.unmatched.items()) == [("UP", 3), ("CP", 2), ("CW", 2), ("UW", 2)]
    assert alone.has_unused
    (sdnet.parent / "t.csv").write_text("path,label\nsdnet/P/UP/0.jpg,UD\n")
    assert read_labelled_tiles([str(sdnet), str(sdnet.parent / "t.csv")], names).unmatched["UP"] == 2


def test_pictures_that_are_not_decoded_are_counted(folder: Path) -> None:
    """They count by the endings of their names, if they are in a folder of a class."""
    for name in ("Positive/a.PSD", "Negative/b.psd", "Negative/c.svg", "Other/d.svg"):
        (folder / name).write_bytes(b"")
    tiles = read_labelled_tiles([str(folder)])
    assert (len(tiles), tiles.undecoded, tiles.unmatched) == (4, {".psd": 2, ".svg": 1}, {"Other": 2})


def test_only_the_first_folders_are_named() -> None:
    """A message names eight of them and counts the others."""
    assert list_counts({f"f{number}": 1_000 for number in range(8)}).endswith("f7 (1,000)")
    assert list_counts({f"f{number}": 1 for number in range(10)}).endswith("f7 (1), and 2 more")


def test_overlapping_data(folder: Path) -> None:
    """A tile in two arguments appears once, under the first."""
    tiles = read_labelled_tiles([str(folder), f"{folder}/../tiles/Positive", str(folder)])
    assert len(tiles) == 4
    assert set(tiles.sources) == {str(folder)}


def test_contradiction(folder: Path, tmp_path: Path) -> None:
    """A tile with both labels raises an error."""
    table = tmp_path / "table.csv"
    table.write_text("path,label\ntiles/Positive/b.jpg,0\ntiles/Negative/c.jpeg,0\n")
    with pytest.raises(UsageError, match=r"Positive/b\.jpg is labelled cracked and sound"):
        read_labelled_tiles([str(folder), str(table)])


def test_subset(folder: Path) -> None:
    """A subset takes indices or a mask."""
    tiles = read_labelled_tiles([str(folder)])
    assert tiles.subset([2, 0]).urls == (tiles.urls[2], tiles.urls[0])
    assert tiles.subset(tiles.labels).labels.tolist() == [True, True]
    assert len(tiles.subset([])) == 0


def test_missing_place(tmp_path: Path) -> None:
    """The error names a place that does not exist."""
    with pytest.raises(UsageError, match=r"nowhere does not exist; expected a folder of labelled tiles"):
        read_labelled_tiles([str(tmp_path / "nowhere")])


def test_no_tiles(tmp_path: Path) -> None:
    """The error for a folder without class folders gives the expected names."""
    tile(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"holds no labelled tiles; expected images in folders named Positive and"):
        read_labelled_tiles([str(tmp_path)])


def test_no_tiles_of_these_names(sdnet: Path) -> None:
    """The error names the folders that there are, so that one sees what to type."""
    with pytest.raises(UsageError) as caught:
        read_labelled_tiles([str(sdnet)], ClassNames(("crack", "spalling"), "sound"))
    assert str(caught.value) == (
        f"{sdnet} holds no labelled tiles; expected images in folders named crack, spalling and sound, photos in "
        "images with crack masks in masks, or the export of a labelling tool. Its 12 pictures are in CD (2), UD (2), "
        "CP (2), UP (2), CW (2), UW (2). "
        "Other names can be given with --positive and --negative, as many as there are."
    )
    (sdnet.parent / "empty").mkdir()
    with pytest.raises(UsageError, match=r"a labelling tool\. It holds no pictures\. Other names"):
        read_labelled_tiles([str(sdnet.parent / "empty")])


def test_annotations_of_a_tool(tmp_path: Path) -> None:
    """An export is data like any other; what was not used of it is said in sentences."""
    folder = tmp_path / "export"
    folder.mkdir()
    write_coco(folder, "a.png", Size(240, 320), [ACROSS])
    Image.new("RGB", (300, 300)).save(folder / "b.png")

    tiles = read_labelled_tiles([str(folder)], ClassNames("crack", "sound"))

    assert {storage.name(url) for url in tiles.urls} == {"a.png"}
    assert 0 < tiles.labels.sum() < len(tiles)
    assert tiles.has_unused
    assert tiles.remarks == ("1 photo in the folder is not in the annotations, and not used.",)
    again = read_labelled_tiles([str(next(folder.rglob("*.json")))], ClassNames("crack", "sound"))
    assert (again.names, again.labels.tolist()) == (tiles.names, tiles.labels.tolist())


ACROSS = [(20.0, 90.0), (220.0, 90.0), (220.0, 96.0), (20.0, 96.0)]
"""A crack across a photo, as a polygon."""


def test_folders_of_both_classes_count_more_than_annotations(tmp_path: Path) -> None:
    """An export beside sorted tiles is not used, and that is said; a damaged one is nobody's business."""
    for name in ("crack", "sound"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (300, 300)).save(tmp_path / name / "tile.png")
    write_coco(tmp_path, "a.png", Size(240, 320), [ACROSS])

    tiles = read_labelled_tiles([str(tmp_path)], ClassNames("crack", "sound"))

    assert tiles.boxes == (None, None)
    assert tiles.remarks == (
        f"The annotations in {tmp_path} are not used, since its pictures are in folders of both classes.",
    )
    (tmp_path / "annotations/instances.json").write_text('{"images": [')
    assert read_labelled_tiles([str(tmp_path)], ClassNames("crack", "sound")).remarks == ()


def test_an_export_in_a_folder_called_like_a_class_is_ambiguous(tmp_path: Path) -> None:
    """Nobody knows whether the folder or the export tells the class."""
    folder = tmp_path / "crack"
    folder.mkdir()
    write_coco(folder, "a.png", Size(240, 320), [ACROSS])
    with pytest.raises(UsageError) as caught:
        read_labelled_tiles([str(folder)], ClassNames("crack", "sound"))
    assert str(caught.value) == (
        f"{folder} holds annotations, and all its pictures are in folders called crack. Move the annotations away if "
        "the folders tell the class; else rename the folders."
    )


def test_what_lies_beside_masked_photos_is_told(tmp_path: Path) -> None:
    """A RAW photo without a mask, and pictures in other folders, are no tiles."""
    for folder in ("images", "masks", "more"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (300, 300)).save(tmp_path / "images/a.png")
    mask = Image.new("L", (300, 300))
    mask.paste(255, (20, 140, 280, 146))
    mask.save(tmp_path / "masks/a.png")
    (tmp_path / "images/b.dng").write_bytes(b"raw")
    (tmp_path / "more/c.jpg").write_bytes(b"c")

    tiles = read_labelled_tiles([str(tmp_path)])

    assert tiles.remarks == (
        f"{tmp_path} holds files beside its masked photos that are not used, 2 in all: dng (1), jpg (1).",
    )


def test_links_to_folders_are_told(tmp_path: Path) -> None:
    """They are not followed, since a link may lead back to where it is."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tiles").mkdir()
    for name in ("Positive", "Negative"):
        (tmp_path / "elsewhere" / name).mkdir()
        Image.new("RGB", (30, 30)).save(tmp_path / "elsewhere" / name / "tile.png")
        (tmp_path / "tiles" / name).symlink_to(tmp_path / "elsewhere" / name)
    with pytest.raises(UsageError, match=r"It holds no pictures\. The link file://.*/tiles/Negative leads to a folder"):
        read_labelled_tiles([str(tmp_path / "tiles")])


def test_one_class_of_several(sdnet: Path) -> None:
    """The error for tiles of one class names the other folders."""
    with pytest.raises(UsageError) as caught:
        read_labelled_tiles([str(sdnet)], ClassNames(positive=("CD", "CP", "CW")))
    assert str(caught.value) == (
        f"{sdnet} holds tiles of one class only: 6 cracked (CD, CP, CW) and 0 sound (Negative). Both classes are "
        "needed. Pictures in other folders: UD (2), UP (2), UW (2)."
    )


def test_a_table_whose_files_are_all_missing(tmp_path: Path) -> None:
    """The error comes before any work, and says where they were looked for; one file that is there is enough."""
    (tmp_path / "t.csv").write_text("path,label\nD\\CD\\a.jpg,1\nD\\UD\\b.jpg,0\n")
    with pytest.raises(UsageError) as caught:
        read_labelled_tiles([str(tmp_path / "t.csv")])
    assert str(caught.value) == (
        f"None of the 2 files in file://{tmp_path}/t.csv was found; the first is D\\CD\\a.jpg, looked for at "
        f"file://{tmp_path}/D/CD/a.jpg. Backslashes were read as /. Paths in a table are relative to its folder: "
        "correct them, or move the table."
    )
    tile(tmp_path / "D" / "UD" / "b.jpg")
    assert len(read_labelled_tiles([str(tmp_path / "t.csv")])) == 2


def test_one_class(tmp_path: Path) -> None:
    """The error for tiles of one class gives the counts."""
    tile(tmp_path / "Positive" / "a.png")
    with pytest.raises(UsageError, match=r"one class only: 1 cracked \(Positive\) and 0 sound \(Negative\)"):
        read_labelled_tiles([str(tmp_path)])


def test_descriptors(folder: Path) -> None:
    """Every tile gets a descriptor, in order, and progress counts the tiles."""
    tiles = read_labelled_tiles([str(folder)])
    calls: list[tuple[int, int]] = []
    descriptors = compute_descriptors(tiles, lambda done, total: calls.append((done, total)))
    assert descriptors.shape == (4, DESCRIPTOR_SIZE)
    assert (compute_descriptors(tiles.subset([3])) == descriptors[3]).all()
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


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
    """A folder of photos and masks gives boxes, sorted by photo and box, grouped by manifest or photo."""
    tiles = read_labelled_tiles([str(masked_folder)])
    assert rows_of(tiles) == sorted(rows_of(tiles))
    assert {box.height_px for box in tiles.boxes if box} == {112}
    by_left = {(storage.name(url), box.left_px): label for url, box, label in rows_of(tiles) if box}
    assert by_left == {
        ("cracked.png", 0): True,
        ("cracked.png", 56): False,
        ("cracked.png", 88): False,
        **{("sound.png", left_px): False for left_px in (0, 56, 88)},
    }
    assert len(set(tiles.groups)) == 2
    assert {group for group in tiles.groups if group.endswith(":pier")} == set(tiles.groups) - set(tiles.urls)


def rows_of(tiles: LabelledTiles) -> list[tuple[str, Box | None, bool]]:
    """Return URL, box and label of each tile."""
    return list(zip(tiles.urls, tiles.boxes, tiles.labels.tolist(), strict=True))


def test_subset_keeps_boxes(masked_folder: Path) -> None:
    """A subset keeps the boxes of its tiles."""
    tiles = read_labelled_tiles([str(masked_folder)])
    assert rows_of(tiles.subset([3, 1])) == [rows_of(tiles)[3], rows_of(tiles)[1]]


def test_descriptors_of_boxes(masked_folder: Path) -> None:
    """The descriptor of a box comes from its own pixels; progress reports each photo once, with all its boxes."""
    tiles = read_labelled_tiles([str(masked_folder)])
    calls: list[tuple[int, int]] = []
    descriptors = compute_descriptors(tiles, lambda done, total: calls.append((done, total)))
    total = len(tiles)
    first = sum("cracked" in url for url in tiles.urls)
    assert calls == [(first, total), (total, total)]
    for row in (0, total - 1):
        pixels = np.asarray(Image.open(storage.local_path(tiles.urls[row])))
        assert (descriptors[row] == descriptor(cut(pixels, tiles.boxes[row]))).all()


def test_photo_and_its_boxes(masked_folder: Path) -> None:
    """A whole photo and its boxes are tiles of their own; a box from two arguments appears once."""
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
    """The error names a box that a mask and a table label differently."""
    table = masked_folder.parent / "table.csv"
    table.write_text(
        "path,label,top_px,left_px,height_px,width_px\ndeck/images/sound.png,1,0,0,112,112\n"
        "deck/images/sound.png,0,0,0,50,50\n"
    )
    with pytest.raises(UsageError, match=r"sound\.png#xywh=0,0,112,112 is labelled cracked and sound"):
        read_labelled_tiles([str(masked_folder), str(table)])


def test_box_over_the_edge(masked_folder: Path) -> None:
    """Reading the photo reveals a box that reaches over its edge."""
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
        ("bridge_deck_uav", {112: 5_204, 160: 2_761, 224: 1_413, 320: 12}, {112: 1_921, 160: 555, 224: 91}),
        ("sdnet2018_deck_cracked", {112: 3_085, 160: 2_390, 224: 1_488}, {112: 5_205, 160: 1_774, 224: 115}),
    ],
)
def test_masked_data(name: str, cracked: dict[int, int], sound: dict[int, int]) -> None:
    """Both masked sources give thousands of tiles; most of the sound ones are small boxes."""
    tiles = read_labelled_tiles([str(DATA / name)])
    found = Counter((box.height_px, label) for _, box, label in rows_of(tiles) if box)
    assert found == {(side, True): n for side, n in cracked.items()} | {(side, False): n for side, n in sound.items()}
    assert len(set(tiles.names)) == len(tiles)
    assert set(tiles.groups) == set(tiles.urls)


def test_unreadable_tiles_are_named(folder: Path) -> None:
    """The error names up to ten unreadable tiles and counts the others."""
    for number in range(12):
        (folder / "Positive" / f"bad{number:02d}.jpg").write_bytes(b"no picture")
    with pytest.raises(UsageError) as caught:
        compute_descriptors(read_labelled_tiles([str(folder)]))
    message = "\n".join([str(caught.value), *caught.value.__notes__])
    assert message.startswith("12 of 16 labelled tiles cannot be read; repair or remove them:")
    assert "bad09.jpg" in message
    assert "bad10.jpg" not in message
    assert message.endswith("… and 2 more")


def test_cut_short_tile(folder: Path) -> None:
    """A file cut short is unreadable."""
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(data, "JPEG")
    (folder / "Positive" / "short.jpg").write_bytes(data.getvalue()[:900])
    with pytest.raises(UsageError, match=r"1 of 5 labelled tiles .*\n.*short\.jpg"):
        compute_descriptors(read_labelled_tiles([str(folder)]))


@pytest.mark.skipif(not METU.is_dir(), reason="needs the METU tiles in ../shared/data")
def test_metu() -> None:
    """METU's parts are complete and share no photo, and its manifest groups the cracked tiles by photo."""
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
    """Parts of one data set share its groups even as separate arguments; another data set never does."""
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
