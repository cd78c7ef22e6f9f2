"""Hosts listing, reading and scoring on Ray, placed so that none starves another.

This is the only module that knows Ray Data. The workers run plain code of other modules; `flow` consumes the scores.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.data import ActorPoolStrategy, DataContext, ExecutionResources, TaskPoolStrategy

from pipeline.archives.members import Limits
from pipeline.archives.readers import MeasuredListing, list_and_measure
from pipeline.cluster.session import MALLOC_ENV, nodes
from pipeline.core.errors import CrackscanError
from pipeline.core.log import capture
from pipeline.core.table_schemas import MEMBERS
from pipeline.dataset.moves import Moves
from pipeline.images.decode import Decoder
from pipeline.images.isolated_decoder import IsolatedDecoder, with_watchdog
from pipeline.models.batching import Device, Engine
from pipeline.models.model import Model
from pipeline.rasters.window_decoder import decode_window
from pipeline.rasters.window_reader import WindowRule
from pipeline.scoring.inspection import PhotoInspector
from pipeline.scoring.placement import READ_CPUS, ScorerOptions, place_scorers
from pipeline.scoring.reading import pack_unit, read_measured, split_units, unpack_units
from pipeline.scoring.scorer import Decoders, MakeEngine, PhotoScorer, ScoreRule, Scoring, make_inspector
from pipeline.storage import StoredFile

WAITING_BYTES = 64 << 20
"""Most bytes of photos that wait for each scorer: seconds of work, whatever the size of the archive."""
GPU_BATCH_PHOTOS = 8
"""Photos in one call of a GPU scorer; Ray Data needs a number there."""
STUCK_S = 1800
"""A run without progress for this long ends: something other than a photo keeps killing its scorers, or nodes are
missing."""
LISTINGS_AT_ONCE = 64
"""Most archives that are listed at a time; their listings wait in the object store."""


def list_archives(archives: Sequence[StoredFile], moves: Moves, windows: WindowRule) -> Iterator[MeasuredListing]:
    """List archives in parallel and yield them in any order; Ray must be running."""
    task = ray.remote(num_cpus=READ_CPUS, max_retries=-1)(_list_with_log)
    left, running = list(reversed(archives)), list["ray.ObjectRef[MeasuredListing]"]()
    try:
        while left or running:
            while left and len(running) < LISTINGS_AT_ONCE:
                archive = left.pop()
                running.append(task.remote(archive, moves.place_of(archive.url), windows))
            ready, running = ray.wait(running)
            yield from ray.get(ready)
    except ray.exceptions.RayError as error:
        _raise_cause(error)


def score_photos(
    members: pa.Table, scoring: Scoring, options: ScorerOptions, done: pa.ChunkedArray
) -> Iterator[pa.Table]:
    """Score photos with Ray Data and yield them in any order; Ray must be running.

    Args:
        members: photos and streams.
        scoring: what is done with each photo.
        options: number, device and batch sizes of the scorers.
        done: `image_id` of photos to leave out of the streams.

    Shape: schema `MEMBERS` → tables of schema `SCORED`: one row per photo, and one for the end of each stream.
    """
    if members.num_rows == 0:
        return
    placement = place_scorers(options, nodes())
    photo_bytes = pc.sum(members["size_bytes"]).as_py() or 0  # without photos in streams, whose sizes are unknown
    _bound_memory(options.sizes.target_block_bytes(photo_bytes, placement.actors), placement.actors)
    next_unit_bytes = partial(options.sizes.next_unit_bytes, photo_bytes, placement.actors)
    to_read = [*map(pack_unit, split_units(members, next_unit_bytes, options.sizes.unit_photos))]
    has_streams = "stream" in members["entry"].unique().to_pylist()
    skipped = done if has_streams else pa.chunked_array([], MEMBERS.field("image_id").type)
    scored = (
        ray.data.from_arrow(to_read)
        .map_batches(
            partial(
                _read_packed,
                limits=scoring.limits,
                done=skipped,
                moves=scoring.moves,
                windows=scoring.window_rule,
            ),
            batch_size=None,
            batch_format="pyarrow",
            compute=TaskPoolStrategy(size=min(placement.readers, len(to_read))),
            num_cpus=READ_CPUS,
        )
        .map_batches(
            PhotoScorer,
            fn_constructor_args=_scorer_arguments(scoring, placement.gpus),
            batch_size=GPU_BATCH_PHOTOS if placement.gpus else None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=placement.actors),
            num_cpus=placement.cpus,
            num_gpus=placement.gpus or None,
            runtime_env={"env_vars": MALLOC_ENV},
        )
    )
    try:
        # Prefetching would hold each table back until the next one comes.
        yield from scored.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayError as error:
        _raise_cause(error)


def _read_packed(
    packed: pa.Table, limits: Limits, done: pa.ChunkedArray, moves: Moves, windows: WindowRule
) -> Iterator[pa.Table]:
    """Read photos as `read_measured` does."""
    for unit in unpack_units(packed):
        yield from read_measured(unit, limits, done, moves, windows)


def _bound_memory(block_bytes: int, actors: int) -> None:
    """Set the size of blocks, and how much of the object store they may take."""
    context = DataContext.get_current()
    context.target_max_block_size = block_bytes
    context.execution_no_progress_timeout_s = STUCK_S
    context.execution_options.resource_limits = ExecutionResources(object_store_memory=actors * WAITING_BYTES)


def _scorer_arguments(scoring: Scoring, gpus: float) -> tuple[object, ...]:
    """Return the arguments of `PhotoScorer`; each actor builds engine, decoder and inspector for itself."""
    model = ray.put(scoring.model)  # by reference: Ray cannot restart actors whose own arguments are large
    device: Device = "cuda" if gpus else "cpu"
    make_engine = partial(_make_engine, scoring.make_engine, model, device)
    inspector = partial(_make_inspector, model, device, scoring.rule) if any(scoring.rule.wanted) else None
    return make_engine, scoring.rule, partial(_choose_decoders, scoring.decode), inspector, gpus


def _list_with_log(archive: StoredFile, place: str, windows: WindowRule) -> MeasuredListing:
    """List an archive in a worker; its log lines come along."""
    with capture() as lines:
        return list_and_measure(archive, place, windows)._replace(log=lines)


def _make_engine(make_engine: MakeEngine, model: "ray.ObjectRef[Model]", device: Device) -> Engine:
    """Build the engine in the actor that uses it."""
    return make_engine(ray.get(model), device)


def _make_inspector(model: "ray.ObjectRef[Model]", device: Device, rule: ScoreRule, engine: Engine) -> PhotoInspector:
    """Build what looks into photos, in the actor that uses it."""
    return make_inspector(engine, ray.get(model), device, rule)


def _choose_decoders(decode: Decoder) -> Decoders:
    """Isolate the decoders in a restarted actor: a photo may have killed the actor, and will come again."""
    restarted = ray.get_runtime_context().was_current_actor_reconstructed
    guard = IsolatedDecoder if restarted else with_watchdog
    return Decoders(guard(decode), guard(decode_window))


def _raise_cause(error: ray.exceptions.RayError) -> NoReturn:
    """Raise the crackscan error that Ray has wrapped, or else report that Ray gave up."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, CrackscanError):
        inner = getattr(inner, "cause", None) or inner.__cause__
    if inner is None:
        raise CrackscanError(f"Ray gave up: {str(error).strip().splitlines()[-1]} (the log is in OUT/logs)") from error
    raise type(inner)(*inner.args) from error
