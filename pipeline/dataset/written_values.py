"""How values of a query are written in every form, as by `export`: times in ISO 8601, scores in few digits.

A score is a number of single precision: 0.7 is written `0.7`, not `0.699999988079071`. A time with a zone is written in
UTC with microseconds and a Z, one without a zone in whole seconds, or with microseconds where some value has any.
"""

import pyarrow as pa
import pyarrow.compute as pc


def write_values(found: pa.Table) -> pa.Table:
    """Turn times into text, and single precision into the double of the shortest digits; leave all else."""
    for index, field in enumerate(found.schema):
        if pa.types.is_timestamp(field.type):
            found = found.set_column(index, field.name, _write_times(found[index], field.type))
        elif pa.types.is_float32(field.type):
            found = found.set_column(index, field.name, found[index].cast(pa.string()).cast(pa.float64()))
    return found


def _write_times(times: pa.ChunkedArray, kind: pa.TimestampType) -> pa.ChunkedArray:
    if kind.tz is not None:
        return pc.strftime(times.cast(pa.timestamp("us", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
    try:
        times = times.cast(pa.timestamp("s"))
    except pa.ArrowInvalid:  # it would lose a fraction
        times = times.cast(pa.timestamp("us"), safe=False)
    return pc.strftime(times, "%Y-%m-%dT%H:%M:%S")
