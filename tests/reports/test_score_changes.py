"""Changes of photos, and the agreement of both sides: laws, and cases with a known answer."""

from collections import Counter
from functools import cache

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import table_schemas
from pipeline.dataset.sql import Connection
from pipeline.reports import score_changes
from pipeline.reports.photo_matching import Rule, match
from pipeline.reports.score_changes import Agreement, count_changes, make_changes, measure_agreement

Scores = dict[str, float | None]
"""Score by name, None for a failed photo; a photo from 0.5 on has a cracked tile."""

SCORES = st.dictionaries(st.sampled_from("uvwxyz"), st.none() | st.floats(0, 1, width=32))
OPPOSITE = {"rose": "fell", "fell": "rose", "new": "gone", "gone": "new"}


@cache
def duck() -> Connection:
    """One DuckDB for all tests: opening one takes longer than comparing a few photos."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    return connection


def changes_of(a: Scores, b: Scores, margin: float = 0.1) -> Connection:
    """Make the changes between two sides."""
    connection = duck()
    for side, scores in (("a", a), ("b", b)):
        rows = [
            {
                "image_id": name, "archive": f"file:///{side}.zip", "image": name, "occurrence": 0,
                "crack_score": score, "crack_tiles": None if score is None else int(score >= 0.5),
                "tiles": None if score is None else 1,
            }
            for name, score in scores.items()
        ]  # fmt: skip
        connection.register(side, pa.Table.from_pylist(rows, table_schemas.IMAGES))
    match(connection, Rule())
    make_changes(connection, margin)
    return connection


@settings(max_examples=12)
@given(SCORES, SCORES)
def test_every_photo_is_of_one_kind_and_exchanging_exchanges(a: Scores, b: Scores) -> None:
    """New becomes gone, rose becomes fell, and agreement stays."""
    there, agreed = count_changes(changes_of(a, b)), measure_agreement(duck())
    sides = duck().execute("SELECT count(image_id_a), count(image_id_b) FROM changes").fetchall()
    assert sides == [(len(a), len(b))]
    back, again = count_changes(changes_of(b, a)), measure_agreement(duck())
    assert Counter({OPPOSITE.get(kind, kind): count for kind, count in there.items()}) == Counter(back)
    assert sum(there.values()) == len({*a} | {*b})
    assert (agreed.share, agreed.kappa, agreed.only_a) == (again.share, again.kappa, again.only_b)


def test_kinds() -> None:
    """By the margin, and by the sides that have a photo."""
    a: Scores = {"rose": 0.5, "same": 0.5, "fell": 0.75, "gone": 1.0, "failed": 0.5}
    b: Scores = {"rose": 0.625, "same": 0.5625, "fell": 0.625, "new": 0.0, "failed": None}
    table = score_changes.read_changes(changes_of(a, b, 0.125))
    assert count_changes(duck()) == dict.fromkeys(score_changes.KINDS, 1) | {"unclear": 0}
    assert table.schema.equals(table_schemas.CHANGES)
    assert [row["change"] for row in table.to_pylist()] == [
        row["image_b"] or row["image_a"] for row in table.to_pylist()
    ]
    assert table["change"].to_pylist() == ["rose", "fell", "new", "gone", "same", "failed"]
    assert table["difference"].to_pylist() == [0.125, -0.125, None, None, 0.0625, None]


@pytest.mark.parametrize(
    ("found", "share", "kappa"),
    [
        (Agreement(20, 5, 10, 15, 0.0, 0.0), 0.7, 0.4),  # the example of Wikipedia's "Cohen's kappa"
        (Agreement(5, 0, 0, 5, 0.0, 0.0), 1.0, 1.0),
        (Agreement(0, 5, 5, 0, 0.0, 0.0), 0.0, -1.0),
        (Agreement(0, 0, 0, 9, 0.0, 0.0), 1.0, None),
        (Agreement(0, 0, 0, 0, None, None), None, None),
    ],
)
def test_agreement(found: Agreement, share: float | None, kappa: float | None) -> None:
    """If chance alone would agree on all photos, kappa has no value."""
    assert found.share == share
    assert found.kappa == (None if kappa is None else pytest.approx(kappa))


def test_differences_are_averaged_with_and_without_their_sign() -> None:
    """Over the photos with a score on both sides."""
    found = measure_agreement(changes_of({"x": 0.25, "y": 0.75, "z": None}, {"x": 0.75, "y": 0.5, "z": 0.5, "w": 0.5}))
    assert found == Agreement(1, 0, 1, 0, 0.125, 0.375)
