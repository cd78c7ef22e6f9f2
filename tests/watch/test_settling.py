"""Files that change are held back; hypothesis writes them as it likes."""

import os
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.archives.listing import Listing
from pipeline.archives.members import Entry
from pipeline.dataset.layout import Layout
from pipeline.scoring.inputs import Inputs, LoosePhotos, find_inputs
from pipeline.watch.settling import SETTLE_S, Settling


def make_inputs(folder: str, photos: dict[str, int], archives: dict[str, int]) -> Inputs:
    """Make the inputs of a look; the numbers are versions."""
    listing = Listing(folder)
    for name, version in photos.items():
        listing.add(Entry(name, 1, version=str(version)))
    files = [storage.StoredFile(f"{folder}/{name}", name, 1, str(version)) for name, version in archives.items()]
    return Inputs((folder,), (LoosePhotos(listing.table(), is_whole=True),), tuple(files))


def names_of(inputs: Inputs) -> set[str]:
    """The complete photos and archives of a look."""
    photos = {name for found in inputs.loose for name in found.photos["image"].to_pylist()}
    return photos | {file.path for file in inputs.archives}


LOOKS = st.lists(
    st.tuples(
        st.floats(0.5, 30.0),
        st.dictionaries(st.sampled_from(["a.jpg", "b.jpg", "c.jpg"]), st.integers(0, 2)),
        st.dictionaries(st.sampled_from(["a.zip", "b.zip"]), st.integers(0, 2)),
    ),
    max_size=8,
)


@given(LOOKS)
def test_complete_is_what_stayed_the_same(looks: list[tuple[float, dict[str, int], dict[str, int]]]) -> None:
    """For `SETTLE_S` and in all looks meanwhile, two at least; every file is complete or waits."""
    now_s, since = 0.0, dict[tuple[str, int], float]()
    settling = Settling(lambda: now_s)
    for pause_s, photos, archives in looks:
        now_s += pause_s
        files = {*photos.items(), *archives.items()}
        since = {file: since.get(file, now_s) for file in files}
        found = make_inputs("file:///in", photos, archives)
        settled = settling.hold_back(found)
        expected = {name for name, version in files if now_s - since[name, version] >= SETTLE_S}
        assert names_of(settled) == expected
        assert len(settled.waiting.photos) + len(settled.waiting.archives) == len(files) - len(expected)
        assert settled.waiting.archives == {f"file:///in/{name}" for name in archives} - {
            f"file:///in/{name}" for name in expected
        }


def test_in_an_object_store_files_are_whole() -> None:
    """One look is enough."""
    found = make_inputs("s3://bucket/in", {"a.jpg": 1}, {"a.zip": 1})
    settled = Settling(lambda: 0.0).hold_back(found)
    assert names_of(settled) == {"a.jpg", "a.zip"}
    assert settled == found


def test_what_other_programs_see_of_a_file_does_not_matter(tmp_path: Path) -> None:
    """A file with a time in the future is complete like any other: cameras' clocks are wrong."""
    (tmp_path / "a.jpg").write_bytes(b"a")
    os.utime(tmp_path / "a.jpg", (4e9, 4e9))
    seconds = iter([0.0, SETTLE_S])
    settling, layout = Settling(lambda: next(seconds)), Layout("file:///out")
    first, second = (settling.hold_back(find_inputs([str(tmp_path)], layout)) for _ in range(2))
    assert (names_of(first), names_of(second)) == (set(), {"a.jpg"})
    assert first.waiting.photos.type == pa.string()
