"""No command writes over a file that it did not write itself: all commands that write, and what may be in their way."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from pipeline import storage
from pipeline.cli import main
from tests.helpers.scored_photos import photo, score_archives, zip_photos
from tests.helpers.small_dataset import write_dataset

PAGE = b"<!doctype html><title>Notes on bridge 7</title>"


class Writer(NamedTuple):
    """How to call a command that writes, and what it writes."""

    words: tuple[str, ...]
    """Without the option that names the place; `scores` is a dataset of ours, `tiles` are labelled."""
    files: tuple[str, ...] = ()
    """Files that it would write into its folder and that may be in the way; empty if it writes one file."""
    has_overwrite: bool = False


TEXTS = {"tiles.csv", "metrics.json", "comparison.html"}
"""Files that would be texts, as the notes in their place are, so that `--overwrite` helps."""

PICTURES = ("a-{image_id}.png",)
WRITERS = {
    ("sample", "--out"): Writer(("sample",), ("photos.zip", "README.md", "notes.txt")),
    ("train", "--out"): Writer(("train", "tiles"), ("model.safetensors", "README.md", "int8.xml", "history.parquet")),
    ("evaluate", "--out"): Writer(
        ("evaluate", "tiles"), ("tiles.csv", "roc.png", "metrics.json", "cut-tiles/0.png"), has_overwrite=True
    ),
    ("models compare", "--out"): Writer(
        ("models", "compare", "tiles"), ("comparison.json", "comparison.csv", "quality_speed.png", "far/tiles/0.png")
    ),
    ("score", "--out"): Writer(("score", "photos.zip"), ("summary.json", "images/mine.parquet", "notes.txt")),
    ("compact", "--to"): Writer(("compact", "scores"), ("images/mine.parquet", "notes.txt")),
    ("export", "--out"): Writer(("export", "scores", "--to", "csv"), has_overwrite=True),
    ("report", "--out"): Writer(("report", "scores"), has_overwrite=True),
    ("overlay", "--out"): Writer(("overlay", "scores", "a.png"), PICTURES, has_overwrite=True),
    ("overlay", "--geojson"): Writer(("overlay", "scores"), has_overwrite=True),
    ("compare", "--out"): Writer(
        ("compare", "scores", "scores"),
        ("comparison.parquet", "comparison.html", "crack_changes.parquet"),
        has_overwrite=True,
    ),
    ("review", "--out"): Writer(("review", "scores"), ("review.csv", "tiles/0001.png", "review.html", "notes.txt")),
}
"""By command and option. `submit` runs some of these commands as jobs."""

WRITE_NO_FILE_OF_THE_USER = {
    ("plan", "--out"): "reads what is done",
    ("train", "--storage"): "writes into folders named by the run's hash",
    ("export", "--to"): "is the form",
}
"""Options that look alike, and why no file can be in their way."""


def commands(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))
        else:
            yield " ".join((*before, name)), command


def is_place_to_write(option: click.Option) -> bool:
    """By its name, or because its help says so."""
    says_so = re.search(r"\b(writes?|written)\b|Folder or URL (of|for)", option.help or "")
    return not option.is_flag and bool({"--out", "--to", "--storage"} & {*option.opts} or says_so)


def test_every_command_that_writes_is_in_the_table() -> None:
    """A new option that names a place to write fails here until this test knows what may be in its way."""
    found = {
        (name, max(option.opts, key=len))
        for name, command in commands(main)
        for option in command.params
        if isinstance(option, click.Option) and is_place_to_write(option) and not name.startswith("submit ")
    }
    assert found == WRITERS.keys() | WRITE_NO_FILE_OF_THE_USER.keys()
    offered = {
        name
        for name, command in commands(main)
        if any("--overwrite" in option.opts for option in command.params) and not name.startswith("submit ")
    }
    assert offered == {name for (name, _), writer in WRITERS.items() if writer.has_overwrite} | {"compact"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an archive, its dataset, labelled tiles, and files of the user."""
    monkeypatch.chdir(tmp_path)
    score_archives(tmp_path / "scores", zip_photos(tmp_path / "photos.zip", {"a.png": photo(200), "b.png": photo(10)}))
    for label, level in (("Positive", 200), ("Negative", 10)):
        (tmp_path / "tiles" / label).mkdir(parents=True)
        (tmp_path / "tiles" / label / "t.png").write_bytes(photo(level))
    (tmp_path / "labels.csv").write_text("path,label\na.png,1\n")
    (tmp_path / "photo.png").write_bytes(photo(99))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "mine.parquet")
    write_dataset(str(tmp_path / "other"))
    (tmp_path / "link.zip").symlink_to("photos.zip")
    (tmp_path / "hard.html").hardlink_to(tmp_path / "photos.zip")
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def call(key: tuple[str, str], place: str, *more: str) -> Result:
    """Call a command with a place to write."""
    return CliRunner().invoke(main, [*WRITERS[key].words, key[1], place, *more])


def overwriting(key: tuple[str, str]) -> list[tuple[str, ...]]:
    """The calls to make: without and, where there is one, with `--overwrite`."""
    return [(), ("--overwrite",)] if WRITERS[key].has_overwrite else [()]


IN_THE_WAY = ("photos.zip", "mine.parquet", "photo.png", "mine", "scores", "other", "scores/x", "other/x/y")
SPELLINGS = ("./mine/../photos.zip", "file://{home}/photos.zip", "link.zip", "hard.html", "photos.zip/", "photos.zip/x")


@pytest.mark.parametrize("key", WRITERS)
def test_what_is_in_the_way_stays(key: tuple[str, str], home: Path) -> None:
    """Archives, tables, photos and datasets, in any spelling, with and without --overwrite: exit code 2, no byte moves.

    Neither does a file appear. A folder of the user's is left alone by what writes one file.
    """
    before = content(home)
    for place in (*IN_THE_WAY, *(spelling.format(home=home) for spelling in SPELLINGS)):
        if place == "mine" and WRITERS[key].files:
            continue  # see the next test
        for more in overwriting(key):
            shown = call(key, place, *more)
            assert (shown.exit_code, shown.stdout) == (2, ""), (place, more, shown.output)
            assert shown.stderr.startswith("crackscan: ")
            assert "--overwrite" not in shown.stderr
            assert content(home) == before, (place, more)


@pytest.mark.parametrize("key", [key for key, writer in WRITERS.items() if writer.files])
def test_files_of_the_user_in_a_folder_stay(key: tuple[str, str], home: Path) -> None:
    """Each file that a command would write: exit code 2, no byte moves, and --overwrite is named only if it helps."""
    image_id = next(home.glob("scores/plan/*.parquet"))
    ids = dict(zip(*pq.read_table(image_id, columns=["image", "image_id"]).to_pydict().values(), strict=True))
    for name in WRITERS[key].files:
        folder = home / "work"
        mine = folder / name.format(image_id=ids["a.png"])
        mine.parent.mkdir(parents=True)
        mine.write_text("my notes")
        before = content(home)
        for more in overwriting(key):
            if more and name in TEXTS:
                continue
            shown = call(key, "work", *more)
            assert (shown.exit_code, shown.stdout) == (2, ""), (name, more, shown.output)
            assert ("--overwrite" in shown.stderr) == (name in TEXTS)
            assert content(home) == before, (name, more)
        shutil.rmtree(folder)


FILES = {
    ("report", "--out"): ("page.html", PAGE, "an HTML page", "report"),
    ("export", "--out"): ("labels.csv", b"path,label\na.png,1\n", "a CSV table", "export"),
    ("overlay", "--geojson"): ("map.geojson", b'{"type": "FeatureCollection"}', "a GeoJSON file", "export"),
}
"""A file of the user's for each command that writes one, of the kind that it writes; what the message calls both."""


@pytest.mark.parametrize("key", FILES)
@pytest.mark.parametrize("folder", ["file://{home}", "memory:///what-commands-replace"])
def test_a_file_of_the_same_kind_is_replaced_if_the_user_says_so(key: tuple[str, str], folder: str, home: Path) -> None:
    """First it is refused by name and kind; then what the command wrote itself is replaced without asking."""
    name, data, words, command = FILES[key]
    url = f"{folder.format(home=home)}/{name}"
    storage.write_whole(url, data)
    shown = call(key, url)
    assert shown.exit_code == 2
    assert shown.stderr == (
        f"crackscan: {url} is there already: {words} that `crackscan {command}` did not write. Give another {key[1]}, "
        "or --overwrite.\n"
    )
    assert storage.read_bytes(url) == data
    for more in (("--overwrite",), (), ()):
        assert call(key, url, *more).exit_code == 0
    assert storage.read_bytes(url) != data
    archive = f"{folder.format(home=home)}/archive-in-the-way"
    storage.write_whole(archive, (home / "photos.zip").read_bytes())
    for more in ((), ("--overwrite",)):
        shown = call(key, archive, *more)
        assert (shown.exit_code, shown.stdout) == (2, "")
        assert f"{archive} is there already: a zip archive, which never becomes " in shown.stderr
    assert storage.read_bytes(archive) == (home / "photos.zip").read_bytes()


@pytest.mark.parametrize(
    ("key", "data"),
    [
        (("compare", "--out"), {"comparison.html": PAGE, "comparison.parquet": b"{table}"}),
        (("overlay", "--out"), {"{picture}": photo(3)}),
    ],
)
def test_files_in_a_folder_are_replaced_if_the_user_says_so(
    key: tuple[str, str], data: dict[str, bytes], home: Path
) -> None:
    """Those that the command wrote itself need no --overwrite; none is written if one of them is refused."""
    assert call(key, "made").exit_code == 0
    made = content(home / "made")
    assert call(key, "made").exit_code == 0
    for name in made:
        [(_, mine)] = [item for item in data.items() if item[0] in {name, "{picture}"}]
        mine = (home / "mine.parquet").read_bytes() if mine == b"{table}" else mine
        (home / "made" / name).write_bytes(mine)
        before = content(home)
        shown = call(key, "made")
        assert shown.exit_code == 2
        assert shown.stderr.endswith(f"did not write. Give another {key[1]}, or --overwrite.\n")
        assert content(home) == before
        assert call(key, "made", "--overwrite").exit_code == 0
        assert (home / "made" / name).read_bytes() != mine
        assert content(home / "made").keys() == made.keys()


def test_a_table_of_cracks_goes_only_if_compare_wrote_it(home: Path) -> None:
    """Where no cracks are compared, that of an older comparison goes, and even with --overwrite a user's own stays."""
    table, mine = home / "comparison" / "crack_changes.parquet", (home / "mine.parquet").read_bytes()
    assert CliRunner().invoke(main, ["compare", "scores", "scores"]).exit_code == 0
    ours = (home / "comparison" / "comparison.parquet").read_bytes()
    for data, stays in ((mine, True), (ours, False)):
        table.write_bytes(data)
        assert CliRunner().invoke(main, ["compare", "scores", "scores", "--overwrite"]).exit_code == 0
        assert table.exists() == stays
    table.write_bytes(mine)
    shown = CliRunner().invoke(main, ["compare", "scores", "scores"])
    assert shown.exit_code == 2
    assert "crack_changes.parquet is there already: " in shown.stderr
    assert shown.stderr.endswith("did not write. Give another --out, or --overwrite.\n")
    assert table.read_bytes() == mine


def test_an_input_photo_is_never_replaced(home: Path) -> None:
    """Not even by a picture, with --overwrite."""
    folder = home / "loose"
    folder.mkdir()
    (folder / "a.png").write_bytes(photo(77))
    score_archives(home / "of-loose", folder / "a.png")
    made = CliRunner().invoke(main, ["overlay", "of-loose", "a.png", "--out", "pictures"])
    [picture] = (home / "pictures").iterdir()
    assert made.exit_code == 0
    shutil.copy(folder / "a.png", picture)
    again = score_archives(home / "again", picture)
    shown = CliRunner().invoke(main, ["export", again.url, "--to", "csv", "--out", str(picture), "--overwrite"])
    assert shown.exit_code == 2
    assert shown.stderr == (
        f"crackscan: file://{picture} is an input of the dataset {again.url}, and never replaced. Give another --out.\n"
    )
    assert picture.read_bytes() == photo(77)


@pytest.mark.parametrize("command", ["report", "compare"])
def test_pages_of_older_versions_are_replaced(command: str, home: Path) -> None:
    """They have no mark, but our rules for scripts and our title."""
    words = {"report": ["report", "scores", "--out", "page.html"], "compare": ["compare", "scores", "scores"]}[command]
    page = home / ("page.html" if command == "report" else "comparison/comparison.html")
    assert CliRunner().invoke(main, words).exit_code == 0
    old = re.sub(rb'<meta name="generator"[^\n]*\n', b"", page.read_bytes())
    assert old != page.read_bytes()
    page.write_bytes(old)
    assert CliRunner().invoke(main, words).exit_code == 0
    assert b'<meta name="generator" content="crackscan ' + command.encode() in page.read_bytes()


def test_a_page_of_one_command_is_none_of_another(home: Path) -> None:
    """`report` does not replace a comparison without --overwrite."""
    assert CliRunner().invoke(main, ["compare", "scores", "scores"]).exit_code == 0
    page = home / "comparison" / "comparison.html"
    before = page.read_bytes()
    assert CliRunner().invoke(main, ["report", "scores", "--out", str(page)]).exit_code == 2
    assert page.read_bytes() == before
