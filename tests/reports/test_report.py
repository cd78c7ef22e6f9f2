"""The report of a dataset, also of hostile and unfinished ones."""

import base64
import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import storage
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import query
from pipeline.findings.element_rules import PARTS, ElementRule, ElementRules
from pipeline.findings.elements import set_elements
from pipeline.monitoring.changes import Change
from pipeline.reports.dataset_stats import CrackRule
from pipeline.reports.report import ReportConfig, write_report
from tests.helpers.scored_photos import photo, score_archives, zip_photos
from tests.helpers.verdict_rows import judge

HOSTILE = '<script>alert(1)</script> & "it\'s".png'


def page_of(layout: Layout, folder: Path, **options: Any) -> str:  # noqa: ANN401 - of any type
    """The report of a dataset."""
    report = write_report(ReportConfig(layout.url, str(folder / "report.html"), **options))
    data = (folder / "report.html").read_bytes()
    assert report.size_bytes == len(data)
    return data.decode()


def rows_of(page: str) -> dict[str, list[Any]]:
    """The table in a page, by heading; choices spelled out."""
    found = re.search(r'<script type="application/json" id="rows">(.*?)</script>', page)
    assert found
    return {
        column["label"]: [
            column["choices"][value] if column["kind"] == "choice" and value is not None else value
            for value in column["values"]
        ]
        for column in json.loads(found[1])["columns"]
    }


def test_a_report_has_every_photo_and_all_figures(tmp_path: Path) -> None:
    """Counts as text, and one row for each photo, the worst first."""
    photos = {"bad.png": photo(250, place=(48.1, 11.5)), "good.png": photo(25), "broken.png": b"no"}
    page = page_of(score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", photos)), tmp_path)
    assert "<dd>50 %<small>1 of 2 scored</small></dd>" in page
    assert "<dd>8.3 %<small>1 of 12</small></dd>" in page
    assert page.count('class="card" id="photo-') == 2
    assert rows_of(page) == {
        "Photo": ["bad.png", "good.png", "broken.png"],
        "Score": [0.9804, 0.098, None],
        "Tiles over": [1, 0, None],
        "Tiles": [6, 6, None],
        "State": ["over threshold", "below threshold", "failed: not_an_image"],
        "Taken": [None] * 3,
        "Archive": ["one.zip"] * 3,
        "Latitude": [48.1, None, None],
        "Longitude": [11.5, None, None],
    }


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Names of photos, archives and folders, everywhere in the page."""
    archive = zip_photos(tmp_path / "<b>one.zip", {HOSTILE: photo(250, red=255), f"{HOSTILE}.jpg": b"no"})
    page = page_of(score_archives(tmp_path / "<i>out", archive), tmp_path)
    for mark in ("<script>alert", "<b>one", "<i>out"):
        assert mark not in page
    assert HOSTILE in unescape(page)
    assert HOSTILE in rows_of(page)["Photo"]


def test_another_threshold_moves_the_line(tmp_path: Path) -> None:
    """The page names it, and the counts follow it."""
    layout = score_archives(
        tmp_path / "out", zip_photos(tmp_path / "one.zip", {"a.png": photo(25), "b.png": photo(30)})
    )
    assert "<dd>0 %<small>0 of 2 scored</small></dd>" in page_of(layout, tmp_path)
    page = page_of(layout, tmp_path, threshold=0.1)
    assert "<dd>50 %<small>1 of 2 scored</small></dd>" in page
    assert "tiles are counted from a score of 0.1" in page
    assert rows_of(page)["State"] == ["over threshold", "below threshold"]


def test_no_cards_need_no_archive(tmp_path: Path) -> None:
    """`--top 0` reads no archive and shows no picture."""
    page = page_of(
        score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", {"a.png": photo(25, red=255)})),
        tmp_path,
        top=0,
    )
    assert "No photos are shown." in page
    assert "data:image" not in page.replace("img-src data:", "")


def test_a_dataset_that_is_not_finished_is_reported_as_far_as_it_is(tmp_path: Path) -> None:
    """The page says so; the result counts cards without a picture."""
    archive = zip_photos(tmp_path / "one.zip", {"a.png": photo(25), "broken.png": b"no"})
    layout = score_archives(tmp_path / "out", archive)
    storage.remove(layout.summary)
    archive.unlink()
    report = write_report(ReportConfig(layout.url, str(tmp_path / "report.html")))
    assert (report.photos, report.cards, report.without_picture) == (2, 1, 1)
    assert "This dataset is not finished: 2 of 2 photos" in (tmp_path / "report.html").read_text()


def test_the_table_is_bounded_and_says_so(tmp_path: Path) -> None:
    """It lists the worst photos; the figures count all."""
    layout = score_archives(
        tmp_path / "out", zip_photos(tmp_path / "one.zip", {f"{n}.png": photo(n) for n in (10, 20, 30)})
    )
    page = page_of(layout, tmp_path, most_rows=2)
    assert rows_of(page)["Photo"] == ["30.png", "20.png"]
    assert "The first 2 of 3" in page
    assert "0 of 3 scored" in page


def test_a_folder_is_no_place_for_a_page(tmp_path: Path) -> None:
    """`write_report` says so before it reads anything."""
    with pytest.raises(UsageError) as refused:
        write_report(ReportConfig("nowhere", str(tmp_path)))
    assert str(refused.value) == (
        f"file://{tmp_path} is a folder; expected the name of a file to write, such as file://{tmp_path}/report.html."
    )


def test_a_dataset_is_no_place_for_a_page(tmp_path: Path) -> None:
    """Every file in a dataset has its meaning."""
    with pytest.raises(UsageError, match="lies in the dataset"):
        write_report(ReportConfig(str(tmp_path), str(tmp_path / "report.html")))


def test_costs_of_runs_are_shown_and_escaped(tmp_path: Path) -> None:
    """The cost of each run, and their sum, if the run had prices; a malformed `run-report.json` shows none."""
    layout = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", {"a.png": photo(25)}))
    assert "<dt>Cost</dt>" not in page_of(layout, tmp_path)
    (run_id,) = re.findall(r"<dt><code>(\w+)</code></dt>", page_of(layout, tmp_path))
    costs = [{"run_id": run_id, "cost": {"amount": 1.5, "currency": "<i>"}}, {"cost": {"amount": 2, "currency": "<i>"}}]
    storage.write_whole(layout.report, json.dumps({"runs": [5, *costs]}).encode())
    page = page_of(layout, tmp_path)
    assert "UTC, 1.50 &lt;i&gt;</dd>" in page
    assert "<dd>3.50 &lt;i&gt; of all runs with prices; storage and traffic not included</dd>" in page


@pytest.mark.parametrize(
    ("names", "heading"), [(("a.png", "b.png"), "By archive"), (("n/a.png", "s/b.png"), "By folder")]
)
def test_one_archive_is_grouped_by_its_folders(names: tuple[str, str], heading: str, tmp_path: Path) -> None:
    """A whole inspection in one zip would be one row; another grouping can be asked for."""
    layout = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", {name: photo(200) for name in names}))
    assert f"<h2>{heading}</h2>" in page_of(layout, tmp_path)
    asked = write_report(ReportConfig(layout.url, str(tmp_path / "asked.html"), group_by="archive"))
    assert "<h2>By archive</h2>" in storage.read_bytes(asked.url).decode()


def test_changed_inputs_are_named(tmp_path: Path) -> None:
    """What the last run found replaced or vanished, by name, with the scores that stay; at most twenty of them."""
    layout = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", {"a.png": photo(9)}))
    assert "Not what was listed any more" not in page_of(layout, tmp_path)
    changes = [Change(f"file:///<{number:02d}>.zip", "replaced", "2", scored=number)._asdict() for number in range(22)]
    storage.write_whole(layout.report, json.dumps({"runs": [{"run_id": "one", "changes": changes}]}).encode())
    page = page_of(layout, tmp_path)
    assert "<code>file:///&lt;03&gt;.zip</code> (replaced; 3 scores of what was there before), <code>" in page
    assert "&lt;20&gt;.zip" not in page
    assert " and 2 more.</p>" in page


def cracked(folder: Path, mm_per_px: float | None = 0.1) -> Layout:
    """Three photos with three cracks, none and one; the one without has the highest score."""
    photos = {"few.png": photo(150), "none.png": photo(250), "most.png": photo(140)}
    scale = {} if mm_per_px is None else dict.fromkeys(photos, mm_per_px)
    archive = zip_photos(folder / "one.zip", photos)
    return score_archives(folder / "out", archive, cracks={"few.png": 1, "most.png": 3}, mm_per_px=scale)


def test_photos_with_the_most_crack_come_first(tmp_path: Path) -> None:
    """In cards and table; the figures are in metres and say where the scale is from."""
    page = page_of(cracked(tmp_path), tmp_path)
    rows = rows_of(page)
    assert rows["Photo"] == ["most.png", "few.png", "none.png"]
    assert (rows["Cracks"], rows["Widest, mm"], rows["Scale"]) == ([3, 1, 0], [0.35, 0.15, None], ["given"] * 3)
    assert "Widest, px" not in rows
    assert re.findall(r'<p class="name">(.*?)</p>', page) == ["most.png", "few.png", "none.png"]
    assert "<dt>Widest crack</dt><dd>0.35 mm<small>p95, scale given by you</small></dd>" in page
    assert 'class="heat" src=' not in page
    assert page.count('<path class="crack mm-0.3-0.5" d="M') == 2  # a line, and the legend


def test_a_threshold_leaves_narrow_cracks_out_everywhere(tmp_path: Path) -> None:
    """Figures, order, cards and table count the others, and the page says how many are left out."""
    page = page_of(cracked(tmp_path), tmp_path, rule=CrackRule(from_mm=0.2))
    assert "<dt>Cracks from 0.2 mm on</dt><dd>1<small>in 1 photo</small></dd>" in page
    assert "Only cracks from 0.2 mm on count here; 2 narrower ones are left out." in page
    assert "1 crack has no width: 1 too thin to say (under half a pixel). They are left out" in page
    assert rows_of(page)["Cracks"] == [1, 0, 0]
    assert rows_of(page)["Photo"] == ["most.png", "none.png", "few.png"]
    assert page.count("<tr><td data-value=") == 1


def test_without_a_scale_cracks_are_in_pixels(tmp_path: Path) -> None:
    """No millimetre is shown."""
    page = page_of(cracked(tmp_path, mm_per_px=None), tmp_path, rule=CrackRule(from_px=1.5))
    assert "<dt>Widest crack</dt><dd>3.5 px<small>p95, no scale is known</small></dd>" in page
    assert rows_of(page)["Widest, px"] == [3.5, 1.5, None]
    assert " mm<" not in page


def test_a_threshold_needs_measured_cracks(tmp_path: Path) -> None:
    """A report of an older dataset would show a wrong nothing."""
    layout = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", {"a.png": photo(9)}))
    with pytest.raises(UsageError) as refused:
        page_of(layout, tmp_path, rule=CrackRule(from_mm=0.2))
    assert str(refused.value) == (
        f"{layout.url} has no measured cracks: it was begun before 0.8.0, with --no-cracks, or with a model that draws "
        "none. Leave --from-mm and --from-px out, or score the photos anew elsewhere."
    )


def tell(layout: Layout, verdicts: dict[str, str]) -> None:
    """Judge photos, and file few.png and most.png under one element, all in hostile words."""
    for row in query(layout.url, "SELECT image_id, image FROM images").to_pylist():
        if row["image"] in verdicts:
            judge(layout, row["image_id"], verdicts[row["image"]], comment=f"{HOSTILE} said", by=f"{HOSTILE} by")
    values = dict.fromkeys(PARTS, "") | {"span": f"{HOSTILE} span"}
    set_elements(layout.url, ElementRules(PARTS, [ElementRule("row", "*t.png", None, values)]))


def test_findings_are_told_element_by_element(tmp_path: Path) -> None:
    """A table of elements, and a section for each with its findings; hostile words stay text."""
    layout = cracked(tmp_path)
    tell(layout, {"most.png": "crack", "none.png": "no_crack"})
    page = page_of(layout, tmp_path)
    assert "<script>alert" not in page
    assert unescape(page).count(f"{HOSTILE} span</h2>") == 1
    for words in ("said", "by"):
        assert f"<td>{HOSTILE} {words}" in unescape(page)
    figures = re.findall(
        r'<td class="number">(.*?)</td>', page.partition('id="element-table"')[2].partition("</table>")[0]
    )
    assert figures == [
        "1",
        "3",
        "0",
        "0",
        "0",
        "3",
        "0.01 m",
        "0.35 mm",
        "2",
        "0",
        "1",
        "0",
        "1",
        "1",
        "0.00 m",
        "0.15 mm",
    ]
    assert rows_of(page)["State"] == ["confirmed", "over threshold", "rejected"]
    assert rows_of(page)["Element"] == [f"{HOSTILE} span", None, None]


def test_only_confirmed_findings_are_shown(tmp_path: Path) -> None:
    """In figures, cards and tables; what is open or rejected is counted and not shown, nor is its score."""
    layout = cracked(tmp_path)
    tell(layout, {"few.png": "crack", "none.png": "no_crack"})
    page = page_of(layout, tmp_path, rule=CrackRule(confirmed=True))
    assert "<dt>Cracks confirmed</dt><dd>1<small>in 1 photo</small></dd>" in page
    assert "<dt>Findings confirmed</dt><dd>1<small>3 open, 0 unclear, 1 rejected</small></dd>" in page
    assert "<dt>Photos with a confirmed finding</dt><dd>33.3 %<small>1 of 3 scored</small></dd>" in page
    assert "Only what somebody confirmed counts here: 3 cracks are unconfirmed." in page
    assert re.findall(r'<p class="name">(.*?)</p>', page) == ["few.png"]
    assert rows_of(page)["Photo"] == ["few.png"]
    assert "How the scores are spread" not in page
    assert "most.png" not in page


def pictures_of(page: str) -> list[tuple[int, int]]:
    """Width and height of all pictures in a page."""
    data = re.findall(r'src="data:image/\w+;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(each))).size for each in data]


@pytest.mark.parametrize("cracks", [None, {"a.png": 2}])
def test_no_whole_photo_leaves(cracks: dict[str, int] | None, tmp_path: Path) -> None:
    """With `crop_only`, every picture shows at most half of the height and width of its photo, unlike ones too."""
    photos = {"a.png": photo(200), "sky.png": photo(200, red=250)}
    layout = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", photos), cracks=cracks)
    assert (150, 100) in pictures_of(page_of(layout, tmp_path))
    shown = pictures_of(page_of(layout, tmp_path, crop_only=True))
    assert shown
    assert all(width <= 75 and height <= 50 for width, height in shown)


def test_positions_are_left_out_on_demand(tmp_path: Path) -> None:
    """Of cards, plan and table."""
    photos = {"a.png": photo(250, place=(48.123456, 11.5)), "b.png": photo(25, place=(48.223456, 11.6))}
    layout = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", photos))
    assert "48.123456" in page_of(layout, tmp_path)
    page = page_of(layout, tmp_path, no_positions=True)
    assert "48.1" not in page
    assert "Where they were taken" not in page
    assert {"Latitude", "Longitude"} & {*rows_of(page)} == set()


def test_a_pdf_needs_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told before any work, and nothing is written."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CrackscanError, match="There is no browser to print a PDF with"):
        write_report(ReportConfig(cracked(tmp_path).url, str(tmp_path / "report.pdf"), pdf=True))
    assert not (tmp_path / "report.pdf").exists()


def test_a_browser_prints_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is the PDF; an older one of ours is replaced, another PDF is not."""
    browser = tmp_path / "chromium"
    browser.write_text(
        '#!/bin/sh\nfor w in "$@"; do case "$w" in\n'
        '--print-to-pdf=*) echo "%PDF-1.4" > "${w#--print-to-pdf=}";;\nesac; done\n'
    )
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    config = ReportConfig(cracked(tmp_path).url, str(tmp_path / "report.pdf"), pdf=True)
    for _ in range(2):
        assert write_report(config).size_bytes == (tmp_path / "report.pdf").stat().st_size
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-1.4\n")
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4 of somebody else")
    with pytest.raises(UsageError, match="a PDF that `crackscan report` did not write"):
        write_report(config)
