"""`crackscan verdicts`: what it says, and training on what people said."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.cli.verdict_labels import resolve_datasets
from pipeline.core.errors import UsageError
from pipeline.labels.labelled_tiles import read_labelled_tiles
from tests.helpers.scored_photos import photo, score_archives, zip_photos
from tests.helpers.small_dataset import address, write_dataset

NOON = "2026-11-30T12:00:00Z"
TILE = {"subject": "tile", "left_px": 0, "top_px": 0, "width_px": 100, "height_px": 100}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the dataset `scores`: four cracks in a.jpg and ccc.jpg, and bb.jpg."""
    monkeypatch.chdir(tmp_path)
    write_dataset("scores")
    return tmp_path


def run(*words: str) -> Result:
    """The output of the command."""
    return CliRunner(env={"COLUMNS": "300"}).invoke(main, ["verdicts", "scores", *words])


def save(name: str, *rows: dict[str, object]) -> None:
    """Save verdicts; each row has the name of its photo and its answer."""
    said = [
        {key: value for key, value in address(str(row["image"])).items() if key != "occurrence"}
        | {"judged_at": NOON}
        | row
        for row in rows
    ]
    Path(name).write_text(json.dumps(said))


def test_it_says_what_it_added_and_what_is_open() -> None:
    """A file that is read twice adds nothing."""
    save("v.json", {"image": "a.jpg", "verdict": "crack"}, {"image": "ccc.jpg", "verdict": "no_crack"})
    added, *summary = run("v.json", "--by", "ann").stdout.splitlines()
    assert added.startswith("Added 2 verdicts: ")
    assert "/scores/verdicts/" in added
    assert summary[0].startswith("Findings of scores: 3 confirmed, ")
    assert summary[0].endswith(" 0 unclear, 1 rejected")
    again = run("v.json", "--by", "ann").stdout.splitlines()
    assert again == ["Added 0 verdicts; 2 were there already", *summary]
    assert run().stdout.splitlines() == summary


def test_it_tells_what_does_not_count_and_who_differs() -> None:
    """On stderr, by names of photos; a name cannot steer the terminal."""
    gone = [{"image": f"gone-{n}\x1b.jpg", "verdict": "crack", "by": "ann"} for n in range(5)]
    save("ann.json", {"image": "a.jpg", "verdict": "crack", "by": "ann"}, *gone)
    save("bob.json", {"image": "a.jpg", "verdict": "no_crack", "by": "bob", "judged_at": "2026-11-30T13:00:00Z"})
    shown = run("ann.json", "bob.json")
    assert shown.exit_code == 0
    assert shown.stderr.splitlines() == [
        (
            "Verdicts about photos that the dataset does not have are kept, and do not count: gone-0\\x1b.jpg, "
            "gone-1\\x1b.jpg, gone-2\\x1b.jpg, and 2 more."
        ),
        (
            "1 place is judged differently by two people, and the last verdict counts: a.jpg (ann: crack, then bob: "
            "no_crack)."
        ),
    ]


def test_a_bad_row_is_one_plain_sentence() -> None:
    """Exit code 2, and nothing is added."""
    save("v.json", {"image": "a.jpg", "verdict": "perhaps"})
    shown = run("v.json", "--by", "ann")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr.startswith("crackscan: The answer is 'perhaps' in row 1 of file://")
    assert not Path("scores/verdicts").exists()


def test_figures_need_a_fair_sample() -> None:
    """Hard tiles alone give none, and it says so; a random sample gives them, without an interval if it is small."""
    assert run("--figures").stdout.splitlines()[1].startswith("No figures: no tile was judged.")
    save("hard.json", {"image": "a.jpg", "verdict": "crack", "pick": "worst", **TILE})
    run("hard.json", "--by", "ann")
    assert run("--figures").stdout.splitlines()[1:] == [
        "No fair figures: 1 tile was judged, and none of them is cracked or sound and of a random sample.",
        "Tiles that were picked because they are hard say little about the others.",
        "Judge a fair sample: crackscan review OUT --out FOLDER --pick random",
    ]
    later = {"judged_at": "2026-11-30T13:00:00Z", "pick": "random", "weight": 3}
    save("fair.json", {"image": "a.jpg", "verdict": "crack", **TILE, **later})
    run("fair.json", "--by", "ann")
    shown = run("--figures", "--threshold", "0").stdout.splitlines()[1:]
    assert shown == [
        "From 1 tile sampled at random, of 1 photo (1 cracked), at threshold 0:",
        "  precision 1.00  (no interval: it takes tiles of ten photos or more)",
        "  recall    1.00  (no interval: it takes tiles of ten photos or more)",
    ]
    assert "--threshold is for --figures" in run("--threshold", "0.5").stderr


def test_a_dataset_with_verdicts_is_data_for_training(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its labels are cut into a folder that takes its place; other data stays as it is given."""
    archive = zip_photos(folder / "x.zip", {"a.png": photo(250), "b.png": photo(10)})
    score_archives(folder / "judged", archive)
    box = {"subject": "tile", "left_px": 100, "top_px": 50, "width_px": 50, "height_px": 50, "judged_at": NOON}
    place = {"archive": str(archive), "by": "ann"}
    rows = [
        place | box | {"image": name, "verdict": said} for name, said in (("a.png", "crack"), ("b.png", "no_crack"))
    ]
    Path("v.json").write_text(json.dumps(rows))
    assert CliRunner().invoke(main, ["verdicts", "judged", "v.json"]).exit_code == 0
    labelled, other = resolve_datasets(["judged", "tiles/"])
    assert other == "tiles/"
    assert "The verdicts of judged label 1 tiles cracked and 1 sound." in capsys.readouterr().out
    assert sorted(read_labelled_tiles([labelled]).labels.tolist()) == [False, True]


@pytest.mark.parametrize("words", [(), ("--from", "shipped")])
def test_training_on_a_dataset_without_verdicts_is_refused(words: tuple[str, ...]) -> None:
    """Before anything is loaded or written, with what to do."""
    shown = CliRunner(env={"COLUMNS": "300"}).invoke(main, ["train", "scores", "--out", "model", *words])
    assert shown.exit_code == UsageError.exit_code
    assert (
        "has no verdict that labels a tile. Let people judge tiles with `crackscan review scores --out" in shown.stderr
    )
    assert not Path("model").exists()
