"""Parts of a table share the columns that are equal."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.shared_columns import share_with

rows = st.lists(st.tuples(st.sampled_from(["a", None]), st.integers(0, 1)), max_size=6)


def _table(part: list[tuple[str | None, int]]) -> pa.Table:
    schema = pa.schema([("word", pa.string()), ("number", pa.int64())])
    return pa.table([[word for word, _ in part], [number for _, number in part]], schema=schema)


@given(rows, rows)
def test_nothing_changes_but_the_memory(
    part: list[tuple[str | None, int]], before: list[tuple[str | None, int]]
) -> None:
    """Whatever is shared, the rows are the same."""
    assert share_with(_table(part), _table(before)).equals(_table(part))


def test_equal_columns_are_one() -> None:
    """A thousand parts of one value take the memory of one."""
    parts = [_table([("a", 7)] * 1000)]
    before = pa.total_allocated_bytes()
    for _ in range(100):
        parts.append(share_with(_table([("a", 7)] * 1000), parts[-1]))

    assert pa.concat_tables(parts).num_rows == 101_000
    assert pa.total_allocated_bytes() - before < 2 * parts[0].nbytes
