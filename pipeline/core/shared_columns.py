"""Tables in parts whose equal columns are one in memory: most columns of a listing are the same from end to end."""

import pyarrow as pa


def share_with(table: pa.Table, before: pa.Table) -> pa.Table:
    """Return a table with those columns of the table before it that are equal as far as they go.

    Args:
        table: the next part.
        before: the part before it, of the same schema; a shorter one shares nothing.
    """
    if before.num_rows < table.num_rows:
        return table
    for index, column in enumerate(table.columns):
        same = before.column(index).slice(0, table.num_rows)
        if same.equals(column):
            table = table.set_column(index, table.schema.field(index), same)
    return table
