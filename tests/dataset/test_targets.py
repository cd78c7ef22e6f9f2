"""What a command may write over. tests/cli/test_what_commands_replace.py goes through all commands."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.targets import Product, Target, check_dataset_place, check_place, check_targets, has_mark, mark_of
from tests.helpers.small_dataset import write_dataset

PRODUCT = Product("report", "html", has_mark("report", b"by "))


def is_refused(check: Callable[[], None]) -> bool:
    """Tell whether a check refuses."""
    try:
        check()
    except UsageError:
        return True
    return False


@pytest.mark.parametrize("url", ["memory:///results/tonight-report", "memory:///results", "memory:///results/tonigh"])
def test_a_place_beside_a_dataset_is_free(url: str) -> None:
    """Also if its name only begins like that of the dataset; a place in it is not."""
    dataset = Layout("memory:///results/tonight")
    assert not is_refused(lambda: check_place(url, [dataset]))
    assert is_refused(lambda: check_place(f"{dataset.url}/report", [dataset]))


@pytest.mark.parametrize(
    ("below", "where"),
    [("", "is a dataset"), ("/maps/report.html", "lies in the dataset {url}"), ("/new", "lies in the dataset {url}")],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_a_dataset_holds_its_own_files_only(below: str, where: str, is_known: bool) -> None:  # noqa: FBT001
    """At any depth, all other files are refused: in datasets that the command reads, and in others."""
    dataset = write_dataset("memory://targets/scores")
    url = dataset.url + below
    with pytest.raises(UsageError) as refused:
        check_targets([Target(url, PRODUCT, overwrite=True)], [dataset] if is_known else [])
    found = where.format(url=dataset.url)
    assert str(refused.value) == f"{url} {found}, which holds its own files only. Give another --out."


@pytest.mark.parametrize(
    ("data", "is_replaced"),
    [
        (f"<html>by {mark_of('report')}", True),
        ("<html>by crackscan report 0.1.0", True),
        ("<html>by crackscan compare 0.4.0", False),
        ("<html>by hand", False),
        ("by crackscan report 0.4.0", True),
    ],
)
def test_a_file_is_ours_by_the_mark_of_the_command(data: str, is_replaced: bool) -> None:  # noqa: FBT001
    """Of any version, but not of another command."""
    url = "memory:///targets-marks/page"
    storage.write_whole(url, data.encode())
    if is_replaced:
        check_targets([Target(url, PRODUCT)])
    else:
        with pytest.raises(UsageError, match=r"did not write\. Give another --out\.$"):
            check_targets([Target(url, PRODUCT)])
    check_targets([Target(url, PRODUCT, overwrite=True)])


def test_an_archive_with_a_marked_page_in_it_stays() -> None:
    """A zip that only stores its members has the mark among its first bytes."""
    url = "memory:///targets-zip/page.html"
    storage.write_whole(url, b"PK\x03\x04<html>by crackscan report 0.4.0")
    with pytest.raises(UsageError, match="a zip archive, which never becomes an HTML page"):
        check_targets([Target(url, PRODUCT, overwrite=True)])


def test_an_input_of_the_command_stays() -> None:
    """Even one that the command could have written."""
    url = "memory:///targets-input/page.html"
    storage.write_whole(url, b"<html>by crackscan report 0.4.0")
    with pytest.raises(UsageError, match=r"is an input of this command, and never replaced\. Give another --out\."):
        check_targets([Target(url, PRODUCT, overwrite=True)], inputs={url})


def test_a_folder_that_is_read_only_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest folder that exists decides; nothing is made to try."""
    monkeypatch.setattr(os, "access", lambda path, _mode: str(path) != str(tmp_path))
    with pytest.raises(UsageError) as refused:
        check_place(f"file://{tmp_path}/new/page.html")
    assert str(refused.value) == (
        f"file://{tmp_path} cannot be written to: it is read-only for you. Give another --out."
    )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "names", [(), ("lease",), ("logs/one.jsonl", "run-report.json"), (".DS_Store",), (".run.json.0.tmp",)]
)
def test_a_new_dataset_takes_a_folder_of_its_own(names: tuple[str, ...], tmp_path: Path) -> None:
    """It may hold what a run left that was killed before it began the dataset, and hidden files."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    for place in (f"file://{tmp_path}", f"file://{tmp_path}/new"):
        assert not is_refused(partial(check_dataset_place, Layout(place)))


@pytest.mark.parametrize("place", ["file://{tmp_path}", "memory:///targets-foreign"])
def test_a_new_dataset_takes_no_folder_with_other_files(place: str, tmp_path: Path) -> None:
    """On any store; a folder below is free, and a dataset that exists is taken whatever lies beside its files."""
    url = place.format(tmp_path=tmp_path)
    storage.write_whole(f"{url}/2026/a.jpg", b"mine")
    with pytest.raises(UsageError) as refused:
        check_dataset_place(Layout(url))
    assert str(refused.value) == (
        f"{url} is no dataset, and not empty: it holds 2026/a.jpg. Give --out a new folder, which may lie in it."
    )
    check_dataset_place(Layout(f"{url}/scores"))
    dataset = write_dataset(f"{url}/scores")
    storage.write_whole(f"{dataset.url}/notes.txt", b"mine")
    check_dataset_place(dataset)
