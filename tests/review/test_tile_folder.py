"""Tiles to review: the files, training on them once they have labels, and what stays untouched."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline import storage
from pipeline.cli import main
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import query
from pipeline.images.decode import decode
from pipeline.labels.labelled_tiles import compute_descriptors, read_labelled_tiles
from pipeline.review.tile_folder import ReviewConfig, Reviewed, review
from tests.helpers.scored_photos import THRESHOLD, photo, score_archives, zip_photos
from tests.helpers.small_dataset import write_dataset

LEVELS = {"a.png": 250, "b.png": 140, "c.png": 120, "sub/d.png": 5}
"""Grey levels of the right lower tile: the photo's score, times 255."""


def quiet(_done: int, _total: int) -> None:
    """Show no progress."""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Four photos of two archives, scored."""
    photos = {name: photo(level) for name, level in LEVELS.items()}
    one = zip_photos(tmp_path / "one.zip", {name: photos[name] for name in ("a.png", "b.png", "c.png")})
    return score_archives(
        tmp_path / "scores", one, zip_photos(tmp_path / "two.zip", {"sub/d.png": photos["sub/d.png"]})
    )


def table(folder: Path) -> list[dict[str, str]]:
    """The rows that people label."""
    return list(csv.DictReader(io.StringIO((folder / "review.csv").read_text())))


def fill_in(folder: Path, label_of: dict[str, str], delimiter: str = ",") -> None:
    """Write labels as a person would, for each photo by name."""
    rows = [row | {"label": label_of.get(row["image"], "")} for row in table(folder)]
    with (folder / "review.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def make_review(layout: Layout, folder: Path, tiles: int = 4) -> Reviewed:
    """A review of the worst tiles, one for each photo."""
    return review(ReviewConfig(layout.url, str(folder), tiles, "worst", per_photo=1), quiet)


def test_tiles_keep_their_pixels(layout: Layout, tmp_path: Path) -> None:
    """Each file is its box of its photo, pixel for pixel; doubtful ones first, then archives take turns."""
    found = make_review(layout, tmp_path / "look")
    rows = table(tmp_path / "look")
    assert [row["image"] for row in rows] == ["a.png", "b.png", "sub/d.png", "c.png"]
    for row in rows:
        box = [int(row[f"photo_{name}"]) for name in ("top_px", "left_px", "height_px", "width_px")]
        assert box == [50, 100, 50, 50]
        tile = np.asarray(Image.open(tmp_path / "look" / row["path"]))
        assert (tile == decode(photo(LEVELS[row["image"]])).pixels[50:, 100:]).all()
    assert (found.tiles, found.photos, found.unreachable.total()) == (4, 4, 0)


def test_the_table_says_where_each_tile_comes_from(layout: Layout, tmp_path: Path) -> None:
    """Archive, photo, place in its grid, score and reason; the label is empty, the group is the photo."""
    make_review(layout, tmp_path / "look", tiles=1)
    [row] = table(tmp_path / "look")
    assert row == {
        "path": "tiles/0001.png",
        "label": "",
        "group": row["image_id"],
        "pick": "worst",
        "weight": "",
        "cracks": "",
        "crack_score": f"{250 / 255:.4f}",
        "archive": f"file://{tmp_path}/one.zip",
        "image": "a.png",
        "image_id": row["image_id"],
        "row": "1",
        "col": "2",
        **dict(
            zip(
                ("photo_top_px", "photo_left_px", "photo_height_px", "photo_width_px"),
                ("50", "100", "50", "50"),
                strict=True,
            )
        ),
    }


def test_the_table_has_cracks_and_weights(tmp_path: Path) -> None:
    """The numbers of the cracks that run through the tile, unguarded; of a fair sample, what each tile stands for."""
    zipped = zip_photos(tmp_path / "x.zip", {"a.png": photo(250), "b.png": photo(10)})
    layout = score_archives(tmp_path / "out", zipped, cracks={"a.png": 2, "b.png": 1})
    review(ReviewConfig(layout.url, str(tmp_path / "look"), 12, "random"), quiet)
    rows = table(tmp_path / "look")
    found = {(row["image"], row["row"], row["col"]): (row["cracks"], row["weight"]) for row in rows}
    assert {place: said for place, said in found.items() if said[0]} == {
        ("a.png", "0", "0"): ("0 1", "1"), ("b.png", "0", "0"): ("0", "1"),
    }  # fmt: skip
    assert len(found) == 12
    review(ReviewConfig(layout.url, str(tmp_path / "fewer"), 5, "random"), quiet)
    assert {row["weight"] for row in table(tmp_path / "fewer")} == {"2.4"}


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    """People open the table in a spreadsheet, which would run such a cell; the folder can still be trained on."""
    formula = "=cmd|'/C calc'!A0.png"
    zipped = zip_photos(tmp_path / "x.zip", {formula: photo(250), "b.png": photo(10)})
    make_review(score_archives(tmp_path / "out", zipped), tmp_path / "look")
    assert {row["image"] for row in table(tmp_path / "look")} == {f"'{formula}", "b.png"}
    fill_in(tmp_path / "look", {f"'{formula}": "1", "b.png": "0"})
    assert read_labelled_tiles([str(tmp_path / "look")]).labels.tolist() == [True, False]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_filled_in_folder_is_labelled_data(delimiter: str, layout: Layout, tmp_path: Path) -> None:
    """Also as a spreadsheet saves it: empty labels are left out and counted, and whole files are the tiles."""
    make_review(layout, tmp_path / "look")
    fill_in(tmp_path / "look", {"a.png": "Positive", "b.png": "0", "c.png": "negative"}, delimiter)
    tiles = read_labelled_tiles([str(tmp_path / "look")])
    assert tiles.labels.tolist() == [True, False, False]
    assert tiles.unlabelled == 1
    assert tiles.boxes == (None,) * 3
    assert tiles.sources == (str(tmp_path / "look"),) * 3
    assert read_labelled_tiles([str(tmp_path / "look" / "review.csv")]).urls == tiles.urls
    assert compute_descriptors(tiles).shape[0] == 3


def test_a_photo_has_one_group_in_every_review(layout: Layout, tmp_path: Path) -> None:
    """So no split puts its tiles on both sides, even if people labelled them in different years."""
    labels = {"a.png": "1", "b.png": "0", "c.png": "0", "sub/d.png": "0"}
    for name, count in (("look", 4), ("again", 3)):
        make_review(layout, tmp_path / name, count)
        fill_in(tmp_path / name, labels)
    tiles = read_labelled_tiles([str(tmp_path / "look"), str(tmp_path / "again")])
    assert len(tiles) == 7
    assert len(set(tiles.groups)) == 4


def test_a_folder_without_a_label_is_refused(layout: Layout, tmp_path: Path) -> None:
    """The message says what to do."""
    make_review(layout, tmp_path / "look")
    with pytest.raises(UsageError) as refused:
        read_labelled_tiles([str(tmp_path / "look")])
    assert str(refused.value) == (
        f"None of the 4 rows of file://{tmp_path}/look/review.csv has a label. Write Positive or 1 for cracked and "
        "Negative or 0 for sound into the column label; rows left empty are left out."
    )


def test_photos_that_are_gone_are_counted(layout: Layout, tmp_path: Path) -> None:
    """The table leaves out their tiles, the result has the reason, and the others are there."""
    (tmp_path / "two.zip").unlink()
    found = make_review(layout, tmp_path / "look")
    assert [row["image"] for row in table(tmp_path / "look")] == ["a.png", "b.png", "c.png"]
    assert found.tiles == 3
    [(reason, tiles)] = found.unreachable.items()
    assert "two.zip" in reason
    assert tiles == 1


def test_without_any_photo_there_is_no_table(layout: Layout, tmp_path: Path) -> None:
    """The review fails with the reason and works in another attempt."""
    for name in ("one.zip", "two.zip"):
        (tmp_path / name).rename(tmp_path / f"moved-{name}")
    with pytest.raises(CrackscanError, match=r"None of the 4 tiles could be cut out of its photo: .*zip"):
        make_review(layout, tmp_path / "look")
    assert not (tmp_path / "look" / "review.csv").exists()
    for name in ("one.zip", "two.zip"):
        (tmp_path / f"moved-{name}").rename(tmp_path / name)
    assert make_review(layout, tmp_path / "look").tiles == 4


def test_labels_are_never_overwritten(layout: Layout, tmp_path: Path) -> None:
    """A folder with a table or any other file is refused and stays as it is."""
    make_review(layout, tmp_path / "look")
    fill_in(tmp_path / "look", {"a.png": "1"})
    before = {path: path.read_bytes() for path in (tmp_path / "look").rglob("*.*")}
    with pytest.raises(UsageError) as refused:
        make_review(layout, tmp_path / "look")
    assert str(refused.value) == f"file://{tmp_path}/look is not empty: it holds review.csv. Give --out a new folder."
    assert {path: path.read_bytes() for path in (tmp_path / "look").rglob("*.*")} == before


def test_tiles_of_an_interrupted_review_are_replaced(layout: Layout, tmp_path: Path) -> None:
    """Without a table, a second review removes them and cuts new ones."""
    make_review(layout, tmp_path / "look")
    (tmp_path / "look" / "review.csv").unlink()
    make_review(layout, tmp_path / "look", tiles=2)
    assert len(list((tmp_path / "look" / "tiles").iterdir())) == 2


def test_a_page_of_an_interrupted_review_is_replaced_and_one_of_the_users_stays(layout: Layout, tmp_path: Path) -> None:
    """By what stands in it; so are surroundings."""
    config = ReviewConfig(layout.url, str(tmp_path / "look"), 4, "worst", 1, page=True)
    review(config, quiet)
    assert {path.name for path in (tmp_path / "look" / "around").iterdir()} == {f"000{n}.jpg" for n in range(1, 5)}
    (tmp_path / "look" / "review.csv").unlink()
    made = review(config, quiet)
    assert made.page_bytes == (tmp_path / "look" / "review.html").stat().st_size
    (tmp_path / "look" / "review.csv").unlink()
    (tmp_path / "look" / "review.html").write_text("<!doctype html><title>mine</title>")
    with pytest.raises(UsageError, match=r"is not empty: it holds review\.html"):
        review(config, quiet)


def test_what_was_judged_leaves_nothing_to_look_at(layout: Layout, tmp_path: Path) -> None:
    """The message says so, and not that nothing was scored."""
    review(ReviewConfig(layout.url, str(tmp_path / "look"), 1, "random"), quiet)
    rows = query(layout.url, "SELECT image_id, archive, image FROM images").to_pylist()
    (tmp_path / "verdicts.json").write_text(
        json.dumps([row | {"subject": "photo", "verdict": "crack"} for row in rows])
    )
    assert (
        CliRunner().invoke(main, ["verdicts", layout.url, str(tmp_path / "verdicts.json"), "--by", "ann"]).exit_code
        == 0
    )
    with pytest.raises(UsageError, match=r"Every scored tile of .* has been judged, so there is nothing to look at\."):
        make_review(layout, tmp_path / "again")


def test_the_threshold_of_the_card_makes_scores_uncertain(layout: Layout, tmp_path: Path) -> None:
    """The tile next to it comes first, or the one next to another threshold that the call gives."""
    for name, threshold, image in (("card", None, "c.png"), ("given", 0.97, "a.png"), ("same", THRESHOLD, "c.png")):
        review(ReviewConfig(layout.url, str(tmp_path / name), 1, "uncertain", 1, threshold), quiet)
        assert table(tmp_path / name)[0]["image"] == image


def test_the_folder_may_be_remote(layout: Layout, tmp_path: Path) -> None:
    """`storage` writes it, and training reads it from there."""
    make_review(layout, tmp_path / "look")
    fill_in(tmp_path / "look", dict.fromkeys(LEVELS, "0") | {"a.png": "1"})
    review(ReviewConfig(layout.url, "memory://reviews/look", 4, "worst", per_photo=1), quiet)
    storage.write_whole("memory://reviews/look/review.csv", (tmp_path / "look" / "review.csv").read_bytes())
    tiles = read_labelled_tiles(["memory://reviews/look"])
    assert tiles.labels.sum() == 1
    assert compute_descriptors(tiles).shape[0] == 4


def test_the_command_says_what_to_do_next(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tiles are, and how to train on them; missing tiles go to stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.zip").unlink()
    shown = CliRunner().invoke(main, ["review", layout.url, "--out", "look", "--pick", "worst", "--per-photo", "1"])
    assert shown.exit_code == 0
    assert shown.stdout == (
        f"Cut 3 tiles of 3 photos: file://{tmp_path}/look\n"
        "Next: look at look/tiles, and fill in the column label of look/review.csv\n"
        "  crackscan train DATA… look --out MODEL\n"
    )
    assert "1 tile could not be cut out of its photo: " in shown.stderr


def test_the_command_leads_to_the_page(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And from there to the verdicts."""
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(main, ["review", layout.url, "--out", "look", "--page", "--crop-only", "--tiles", "2"])
    assert shown.exit_code == 0
    size_bytes = (tmp_path / "look" / "review.html").stat().st_size
    assert shown.stdout == (
        f"Cut 2 tiles of 2 photos: file://{tmp_path}/look (page: {size_bytes / 1000:,.0f} kB)\n"
        "Next: open look/review.html in a browser, judge, and save verdicts.csv\n"
        f"  crackscan verdicts {layout.url} look/verdicts.csv --by NAME\n"
    )
    assert not (tmp_path / "look" / "around").exists()


def test_wrong_use_is_one_sentence(layout: Layout, tmp_path: Path) -> None:
    """Exit code 2, and no file."""
    empty = write_dataset(str(tmp_path / "empty"), [])
    refusals = {
        "nothing scored": (
            ["review", empty.url, "--out", str(tmp_path / "look")],
            f"{empty.url} has no scored tile, so there is nothing to look at. Score photos first.",
        ),
        "inside the dataset": (
            ["review", layout.url, "--out", str(tmp_path / "scores" / "look")],
            (
                f"file://{tmp_path}/scores/look lies in the dataset {layout.url}, which holds its own files only. Give "
                "another --out."
            ),
        ),
        "no dataset": (
            ["review", str(tmp_path), "--out", str(tmp_path / "look")],
            f"There is no dataset at file://{tmp_path}; expected a folder that `crackscan score` wrote.",
        ),
    }
    for words, sentence in refusals.values():
        shown = CliRunner().invoke(main, words)
        assert (shown.exit_code, shown.stderr) == (2, f"crackscan: {sentence}\n")
    assert not (tmp_path / "look").exists()
