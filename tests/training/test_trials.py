"""Leave one source out: the tiles that a trial trains on, and those it tests on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UsageError
from pipeline.labels.boxes import Box
from pipeline.labels.labelled_tiles import LabelledTiles
from pipeline.labels.near_duplicates import DESCRIPTOR_SIZE, Descriptors, find_duplicates
from pipeline.training.trials import LeaveOneSourceOutConfig, choose_test_tiles, list_trials, shorten_place, split_trial

SOURCES = ("a", "b", "c")
CONFIG = LeaveOneSourceOutConfig(
    data=SOURCES, out="out", backbones=("x", "y"), augments=("plain", "field"), seeds=(0, 7)
)


def make_tiles(rows: list[tuple[str, bool, str]]) -> LabelledTiles:
    """Return tiles that exist in name only, from (source, cracked, group)."""
    return LabelledTiles(
        urls=tuple(f"file:///data/{source}/{number:03d}.png" for number, (source, _, _) in enumerate(rows)),
        labels=np.array([cracked for _, cracked, _ in rows]),
        groups=tuple(group for _, _, group in rows),
        sources=tuple(source for source, _, _ in rows),
        boxes=(None,) * len(rows),
    )


DESCRIPTORS = np.random.default_rng(0).standard_normal((40, DESCRIPTOR_SIZE)).astype(np.float32)
DESCRIPTORS /= np.linalg.norm(DESCRIPTORS, axis=1, keepdims=True)


def descriptors_of(pictures: list[int]) -> Descriptors:
    """Return descriptors: the same for one picture, orthogonal or nearly so for two."""
    return DESCRIPTORS[pictures]


APART = [(source, cracked, f"{source}{cracked}", 30 + number) for number, (source, cracked) in
         enumerate((source, cracked) for source in SOURCES for cracked in (False, True))]  # fmt: skip
"""A tile of each source and class that shares its photo and its picture with no other."""


TILE = st.tuples(st.sampled_from(SOURCES), st.booleans(), st.sampled_from("ghijklmnop"), st.integers(0, 25))


@settings(max_examples=50)
@given(st.lists(TILE, max_size=30), st.sampled_from(SOURCES))
def test_nothing_of_the_left_out_source_is_in_training(more: list[tuple[str, bool, str, int]], left_out: str) -> None:
    """Training has none of its tiles, none of their photos, and no picture like one of its own, tested or not."""
    rows = [*APART, *more]
    tiles, descriptors = make_tiles([row[:3] for row in rows]), descriptors_of([row[3] for row in rows])
    row_of = {url: row for row, url in enumerate(tiles.urls)}
    own = np.array(tiles.sources) == left_out
    parts = split_trial(tiles, descriptors, left_out)
    training = np.array([row_of[url] for url in parts.training.urls])
    assert not own[training].any()
    assert not set(parts.training.groups) & set(tiles.subset(own).groups)
    assert not find_duplicates(descriptors[training], descriptors[own]).any()
    assert set(parts.validation.sources) == {left_out}
    assert len(parts.training) + parts.dropped + int(own.sum()) == len(tiles)


def test_only_repeats_are_left_out() -> None:
    """Only its photo or its picture excludes a training tile."""
    rows = [
        ("a", False, "g"),
        ("a", True, "h"),
        ("b", False, "g"),
        ("b", True, "i"),
        ("b", False, "j"),
        ("b", True, "k"),
    ]
    parts = split_trial(make_tiles(rows), descriptors_of([0, 1, 2, 1, 4, 5]), "a")
    assert [url[-7:] for url in parts.training.urls] == ["004.png", "005.png"]
    assert parts.dropped == 2


def source(count: int, boxes: tuple[Box | None, ...] | None = None, place: str = "here") -> LabelledTiles:
    """Return tiles of one source, every third cracked."""
    urls = tuple(f"file:///{place}/tiles/{number:04d}.png" for number in range(count))
    labels = np.arange(count) % 3 == 0
    return LabelledTiles(urls, labels, urls, (place,) * count, boxes or (None,) * count)


def test_the_choice_is_small_and_independent_of_the_folder() -> None:
    """It has at most 400 of each class, in the order of the tiles, and depends on names below the data's folder."""
    chosen = choose_test_tiles(source(2000))
    assert np.bincount(chosen.labels).tolist() == [400, 400]
    assert list(chosen.urls) == sorted(chosen.urls)
    moved = choose_test_tiles(source(2000, place="some/where/else"))
    assert [url[-8:] for url in moved.urls] == [url[-8:] for url in chosen.urls]
    assert len(choose_test_tiles(source(30))) == 30


def test_the_order_of_listing_does_not_matter() -> None:
    """The same tiles in reverse give the same choice."""
    tiles = source(2000)
    backwards = choose_test_tiles(tiles.subset(np.arange(len(tiles))[::-1]))
    assert set(backwards.urls) == set(choose_test_tiles(tiles).urls)


def test_the_size_of_a_box_says_nothing_about_its_class() -> None:
    """If sound tiles are mostly small boxes, the choice still has as many of both classes in each size."""
    sides = [
        (112, 112, 112, 224)[number % 4] if number % 3 else (112, 224, 448)[number % 5 % 3] for number in range(6000)
    ]
    chosen = choose_test_tiles(source(6000, tuple(Box(0, 0, side, side) for side in sides)))
    heights = np.array([box.height_px for box in chosen.boxes if box is not None])
    assert set(heights) == {112, 224}  # no sound tile is larger
    assert 398 <= int(chosen.labels.sum()) <= 400
    for side in (112, 224):
        sound, cracked = np.bincount(chosen.labels[heights == side])
        assert sound == cracked
    with pytest.raises(UsageError, match="no size of its tiles has cracked ones and sound ones"):
        choose_test_tiles(source(9, tuple(Box(0, 0, 50 if number % 3 else 100, 50) for number in range(9))))


def test_every_source_is_left_out_by_every_kind_and_seed() -> None:
    """Two backbones, two augmentations, two seeds and three sources make 24 trials; all of one seed come first."""
    found = list_trials(CONFIG)
    assert len(set(found)) == 2 * 2 * 2 * 3
    assert [trial.hyperparameters.seed for trial in found] == [0] * 12 + [7] * 12
    for trial in found:
        config = trial.config(CONFIG)
        assert (config.data, config.val) == (tuple(s for s in SOURCES if s != trial.left_out), (trial.left_out,))
        assert (config.workers, config.hyperparameters.seed) == (1, trial.hyperparameters.seed)
        assert replace(config.hyperparameters, augment="field", seed=0) == CONFIG.hyperparameters


def test_clutter_is_never_left_out() -> None:
    """Every trial trains on it."""
    config = replace(CONFIG, clutter=("plants",))
    assert {trial.left_out for trial in list_trials(config)} == set(SOURCES)
    assert {trial.config(config).clutter for trial in list_trials(config)} == {("plants",)}


def test_files_have_different_names() -> None:
    """People can tell a trial from others by its file name; the run id tells settings apart."""
    names = [trial.file_name("run") for trial in list_trials(replace(CONFIG, data=("d/a b", "d/b", "s3://x/d/c/")))]
    assert len(set(names)) == len(names)
    assert names[0] == "x_plain_seed-0_d-a-b_run.json"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (("a",), r"One source was given \(a\); expected at least two DATA"),
        (("x/d/a", "y/d/a"), "Two DATA end in d/a"),
        (("a", "a/"), "Two DATA end in a"),
    ],
)
def test_sources_must_be_two_or_more_with_different_names(data: tuple[str, ...], message: str) -> None:
    """Sources that cannot be compared raise UsageError before anything is read."""
    with pytest.raises(UsageError, match=message):
        LeaveOneSourceOutConfig(data=data, out="out")


@pytest.mark.parametrize(
    ("place", "name"),
    [("s3://bucket/a/b/", "a/b"), ("tiles.csv", "tiles.csv"), ("/x/y/tiles.csv", "y/tiles.csv"), ("./a", "a")],
)
def test_a_place_is_shortened_to_its_last_parts(place: str, name: str) -> None:
    """The last two names stay."""
    assert shorten_place(place) == name
