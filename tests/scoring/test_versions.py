"""Planned archives and photos that are not what was listed any more; the dataset is made of real archives."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline import storage
from pipeline.archives.listing import image_id
from pipeline.archives.readers import list_archive
from pipeline.dataset.commit_log import read_log, table_bytes
from pipeline.dataset.layout import Layout
from pipeline.monitoring.changes import Change
from pipeline.scoring.inputs import Waiting, find_inputs
from pipeline.scoring.plan import Plan, make_plan
from pipeline.scoring.planned_inputs import look_again, read_planned_inputs
from tests.helpers.scored_photos import photo, score_archives, zip_photos

Change3 = tuple[str, str, tuple[int, int, int]]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Score a folder with two zips, a damaged one, and three loose photos, of which one is empty."""
    folder = tmp_path / "in"
    folder.mkdir()
    zip_photos(folder / "a.zip", {"1.png": photo(1), "2.png": photo(2)})
    zip_photos(folder / "b.zip", {"1.png": photo(1)})
    (folder / "no.zip").write_bytes(b"no zip")
    for level in (1, 2):
        (folder / f"{level}.png").write_bytes(photo(level))
    (folder / "empty.png").write_bytes(b"")
    return score_archives(tmp_path / "out", folder)


def plan_again(layout: Layout, *spelled: str) -> Plan:
    """Plan the folder again, or these inputs."""
    inputs = find_inputs(spelled or [f"{storage.parent(layout.url)}/in"], layout)
    return make_plan(inputs, layout, read_log(layout).done)


def short(changes: tuple[Change, ...]) -> list[Change3]:
    """Return name, what, and photos scored, failed and lost of each change."""
    return sorted((storage.name(c.url), c.what, (c.scored, c.failed, c.lost)) for c in changes)


def test_unchanged_inputs_have_no_changes(layout: Layout) -> None:
    """The plan is what it was, and nothing is left to do."""
    plan = plan_again(layout)
    assert (plan.changes, plan.outdated, plan.unlisted, plan.new_listings) == ((), (), (), ())
    assert plan.without(read_log(layout).done).num_rows == 0


def test_what_was_replaced_keeps_its_rows_and_is_told(layout: Layout, tmp_path: Path) -> None:
    """Archive, loose photo, failed photo and unreadable archive; new photos and archives are planned."""
    folder = tmp_path / "in"
    for name in ("a.zip", "no.zip", "new.zip"):
        zip_photos(folder / name, {"1.png": photo(100), "9.png": photo(101)})
    for name in ("1.png", "empty.png", "new.png"):
        (folder / name).write_bytes(photo(105))
    plan = plan_again(layout)
    assert short(plan.changes) == [
        ("1.png", "replaced", (1, 0, 0)),
        ("a.zip", "replaced", (2, 0, 0)),
        ("empty.png", "replaced", (0, 1, 0)),
        ("no.zip", "replaced", (0, 1, 0)),
    ]
    assert [storage.name(file.url) for file in plan.unlisted] == ["new.zip"]
    assert plan.without(read_log(layout).done)["image"].to_pylist() == ["new.png"]
    assert len(plan.outdated) == 5


def test_what_lost_its_rows_is_listed_anew(layout: Layout, tmp_path: Path) -> None:
    """Then nothing stands in the dataset that could be mixed."""
    zip_photos(tmp_path / "in/b.zip", {"1.png": photo(100), "9.png": photo(101)})
    (tmp_path / "in/1.png").write_bytes(photo(105))
    plan = plan_again(layout)
    inputs = find_inputs([str(tmp_path / "in")], layout)
    done = read_log(layout).done
    left = pa.chunked_array([pa.array([each for each in done.to_pylist() if each not in plan.outdated], pa.string())])
    for path in (tmp_path / "out").glob("*/part-*"):
        path.unlink()  # so that the dataset agrees with `left`, as after `forget`
    again = make_plan(inputs, layout, left)
    assert [storage.name(file.url) for file in again.unlisted] == ["b.zip"]
    todo = again.without(left)
    assert todo["image"].to_pylist() == ["1.png"]
    assert todo["version"].to_pylist() == [storage.stat(f"file://{tmp_path}/in/1.png").version]
    assert len(again.new_listings) == 1


@pytest.mark.parametrize(
    "spell", [lambda at: f"{at}/in", lambda at: f"{at}/in/*.zip", lambda at: f"{at}/in/late.zip"], ids=["/", "*", "1"]
)
def test_an_archive_that_vanished_before_it_was_scored_is_told(
    spell: Callable[[Path], str], layout: Layout, tmp_path: Path
) -> None:
    """Whether a folder, a glob or its own name names it; its photos fail. One that was scored may be put away."""
    late = zip_photos(tmp_path / "in/late.zip", {"1.png": photo(1), "2.png": photo(2)})
    storage.write_whole(layout.plan(f"file://{late}"), table_bytes(list_archive(storage.stat(f"file://{late}"))))
    late.unlink()
    (tmp_path / "in/b.zip").unlink()
    plan = plan_again(layout, spell(tmp_path), str(tmp_path / "in/a.zip"))
    assert short(plan.changes) == [("late.zip", "vanished", (0, 0, 2))]
    todo = plan.without(read_log(layout).done).to_pylist()
    assert [(row["image"], row["failure_kind"]) for row in todo] == [("1.png", "vanished"), ("2.png", "vanished")]
    assert todo[0]["failure_message"] == (
        "late.zip has vanished since it was listed. Once it is there again, `crackscan retry` scores it."
    )


def test_what_other_inputs_name_does_not_vanish(layout: Layout, tmp_path: Path) -> None:
    """A run of one archive says nothing of the others."""
    late = zip_photos(tmp_path / "late.zip", {"1.png": photo(1)})
    storage.write_whole(layout.plan(f"file://{late}"), table_bytes(list_archive(storage.stat(f"file://{late}"))))
    late.unlink()
    assert plan_again(layout).changes == ()


def test_a_stream_that_was_replaced_before_its_end_stays_open(layout: Layout, tmp_path: Path) -> None:
    """Nobody can tell what else it held, so no row is invented; what it has stays, and it is told."""
    url = f"file://{tmp_path}/in/a.zip"
    listing = list_archive(storage.stat(url))
    stream = pa.Table.from_pylist([{"entry": "stream", "archive": url, "version": "1"}], listing.schema)
    storage.write_whole(layout.plan(url), table_bytes(stream.replace_schema_metadata(
        {**listing.schema.metadata, b"version": b"1"})))  # fmt: skip
    plan = plan_again(layout)
    assert short(plan.changes) == [("a.zip", "replaced", (2, 0, 0))]
    assert plan.without(read_log(layout).done).num_rows == 0


def test_retry_looks_at_loose_photos_again(layout: Layout, tmp_path: Path) -> None:
    """A mended photo is planned as it is now, one that is gone fails, and an archive that is gone stops nothing."""
    (tmp_path / "in/empty.png").write_bytes(photo(105))
    (tmp_path / "in/2.png").unlink()
    (tmp_path / "in/b.zip").unlink()
    ids = read_log(layout).done.to_pylist()
    inputs = read_planned_inputs(layout)
    table = next(found.photos for found in inputs.loose)
    undone = {row["image_id"] for row in table.to_pylist() if row["image"] in {"empty.png", "2.png"}}
    done = pa.chunked_array([pa.array([each for each in ids if each not in undone], pa.string())])
    plan = make_plan(look_again(inputs, done), layout, done)
    todo = {row["image"]: row for row in plan.without(done).to_pylist()}
    assert todo.keys() == {"empty.png", "2.png"}
    assert todo["2.png"]["failure_kind"] == "vanished"
    assert todo["empty.png"]["size_bytes"] == len(photo(105))


def test_what_waits_is_left_as_it_is(layout: Layout, tmp_path: Path) -> None:
    """Neither planned nor vanished nor replaced, whether it has rows or not; the rest of its folder is planned."""
    folder = tmp_path / "in"
    zip_photos(folder / "a.zip", {"1.png": photo(100)})
    for name in ("1.png", "new.png", "late.png"):
        (folder / name).write_bytes(photo(105))
    ids = [each for each in read_log(layout).done.to_pylist() if each != image_id(f"file://{folder}/2.png".encode(), 0)]
    done = pa.chunked_array([pa.array(ids, pa.string())])  # so that 2.png was planned and not scored
    inputs = find_inputs([str(folder)], layout)
    [found] = inputs.loose
    names = pa.array(["1.png", "2.png", "late.png"])
    waits = pc.is_in(found.photos["image"], value_set=names)
    waiting = Waiting(frozenset({f"file://{folder}/a.zip"}), found.photos["image_id"].filter(waits).combine_chunks())
    plan = make_plan(
        replace(
            inputs,
            loose=(found._replace(photos=found.photos.filter(pc.invert(waits))),),
            archives=tuple(file for file in inputs.archives if file.url not in waiting.archives),
            waiting=waiting,
        ),
        layout,
        done,
    )
    assert (plan.changes, plan.unlisted) == ((), ())
    assert plan.without(done)["image"].to_pylist() == ["new.png"]
    [listing] = plan.new_listings
    assert "late.png" not in listing["image"].to_pylist()
