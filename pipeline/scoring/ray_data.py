"""What Ray hosts: the listing of archives, the reading of units, the scorers; placed so that none starves another.

The one place that knows Ray Data. What the workers do is plain code of other modules; what becomes of the scores is the
business of `flow`.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.data import ActorPoolStrategy, DataContext, ExecutionResources, TaskPoolStrategy

from pipeline.archives.readers import Listed, list_measured
from pipeline.cluster.session import KEPT_MEMORY, nodes
from pipeline.core.errors import CrackscanError
from pipeline.core.log import capture
from pipeline.core.schema import MEMBERS
from pipeline.images.decode import Decoder
from pipeline.images.isolated_decoder import IsolatedDecoder, with_watchdog
from pipeline.models.batching import Device, Engine
from pipeline.models.crack_maps import PhotoMapper
from pipeline.models.model import Model
from pipeline.scoring.placement import READ_CPUS, ScorerOptions, block_bytes, place_scorers, unit_bytes
from pipeline.scoring.reading import read_measured, units
from pipeline.scoring.scorer import MakeEngine, MakeMapper, PhotoScorer, ScoreRule, Scoring
from pipeline.storage import StoredFile

WAITING_BYTES = 64 << 20
"""Photos that wait for each scorer, at most: seconds of work, whatever the size of the archive."""
GPU_BATCH_PHOTOS = 8
"""Photos in one call of a GPU scorer; Ray Data asks for a number there."""
STUCK_S = 1800
"""A run that gets nowhere for so long ends: what kills its scorers again and again is no photo, or nodes stay away."""
LISTINGS_AT_ONCE = 64
"""Archives that are being listed at a time, at most; what they find waits in the object store."""


def list_archives(archives: Sequence[StoredFile]) -> Iterator[Listed]:
    """List archives side by side, in any order; Ray must be running."""
    task = ray.remote(num_cpus=READ_CPUS, max_retries=-1)(_listed)
    left, running = list(reversed(archives)), list["ray.ObjectRef[Listed]"]()
    try:
        while left or running:
            while left and len(running) < LISTINGS_AT_ONCE:
                running.append(task.remote(left.pop()))
            ready, running = ray.wait(running)
            yield from ray.get(ready)
    except ray.exceptions.RayError as error:
        _raise_ours(error)


def scored_photos(
    members: pa.Table, scoring: Scoring, hosting: ScorerOptions, done: pa.ChunkedArray
) -> Iterator[pa.Table]:
    """Score photos with Ray Data, in any order; Ray must be running.

    Args:
        members: photos and streams.
        scoring: what is done with each photo.
        hosting: on what.
        done: `image_id` of photos to leave out of the streams.

    Shape: schema `MEMBERS` → tables of schema `SCORED`: one row a photo, and one for the end of each stream.
    """
    if members.num_rows == 0:
        return
    placement = place_scorers(hosting, nodes())
    context = DataContext.get_current()
    photo_bytes = pc.sum(members["size_bytes"]).as_py() or 0  # how large a stream's are, nobody knows yet
    context.target_max_block_size = block_bytes(photo_bytes, placement.actors)
    context.execution_no_progress_timeout_s = STUCK_S
    context.execution_options.resource_limits = ExecutionResources(object_store_memory=placement.actors * WAITING_BYTES)
    weights = ray.put(scoring.model)  # by reference: Ray cannot restart actors whose own arguments are large
    device: Device = "cuda" if placement.gpus else "cpu"
    make_engine = partial(_engine, scoring.make_engine, weights, device)
    make_mapper = scoring.make_mapper and partial(_mapper, scoring.make_mapper, weights, device, scoring.rule)
    to_read = [*units(members, partial(unit_bytes, photo_bytes, placement.actors))]
    has_streams = "stream" in members["entry"].unique().to_pylist()
    left_out = done if has_streams else pa.chunked_array([], MEMBERS.field("image_id").type)
    scored = (
        ray.data.from_arrow(to_read)
        .map_batches(
            partial(read_measured, limits=scoring.limits, done=left_out),
            batch_size=None,
            batch_format="pyarrow",
            compute=TaskPoolStrategy(size=min(placement.readers, len(to_read))),
            num_cpus=READ_CPUS,
        )
        .map_batches(
            PhotoScorer,
            fn_constructor_args=(
                make_engine,
                scoring.rule,
                partial(_decoder, scoring.decode),
                make_mapper,
                placement.gpus,
            ),
            batch_size=GPU_BATCH_PHOTOS if placement.gpus else None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=placement.actors),
            num_cpus=placement.cpus,
            num_gpus=placement.gpus or None,
            runtime_env={"env_vars": KEPT_MEMORY},
        )
    )
    try:
        # prefetch would hold each table back until the next is there
        yield from scored.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayError as error:
        _raise_ours(error)


def _listed(archive: StoredFile) -> Listed:
    """List an archive in a worker, and bring its log lines along."""
    with capture() as lines:
        return list_measured(archive)._replace(log=lines)


def _engine(make_engine: MakeEngine, model: "ray.ObjectRef[Model]", device: Device) -> Engine:
    """Build the engine in the actor that will use it."""
    return make_engine(ray.get(model), device)


def _mapper(make_mapper: MakeMapper, model: "ray.ObjectRef[Model]", device: Device, rule: ScoreRule) -> PhotoMapper:
    """Build what draws crack maps in the actor that will use it."""
    found = ray.get(model)
    return PhotoMapper(make_mapper(found, device), rule.tiles.tile_px, found.model_id)


def _decoder(decode: Decoder) -> Decoder:
    """Make the decoder of an actor: one that was restarted may have been killed by a photo, which comes again."""
    restarted = ray.get_runtime_context().was_current_actor_reconstructed
    return IsolatedDecoder(decode) if restarted else with_watchdog(decode)


def _raise_ours(error: ray.exceptions.RayError) -> NoReturn:
    """Raise the crackscan error that a worker raised, out of Ray's wrappings; a foreign one stays as it is."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, CrackscanError):
        inner = getattr(inner, "cause", None) or inner.__cause__
    if inner is None:
        raise CrackscanError(f"Ray gave up: {str(error).strip().splitlines()[-1]} (the log is in OUT/logs)") from error
    raise type(inner)(*inner.args) from error
