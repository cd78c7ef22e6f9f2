"""A scoring run with model, engine, rule and fingerprint settled, before it does anything."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import NamedTuple

from pipeline import storage
from pipeline.archives.members import Limits
from pipeline.cluster.session import has_gpus
from pipeline.core.errors import UsageError
from pipeline.core.secrets import refuse_credentials
from pipeline.core.table_schemas import CRACKS_SINCE, SCHEMA_VERSION
from pipeline.dataset.layout import Layout
from pipeline.dataset.moves import read_moves
from pipeline.dataset.run import Run, check_fingerprint, read_run
from pipeline.dataset.targets import check_dataset_place
from pipeline.images.tiles import TileSpec
from pipeline.models import engines
from pipeline.models.engines import EngineChoice
from pipeline.models.model import SHIPPED_MODEL, Model, find_model, load_model
from pipeline.monitoring.run_stats import RunStats
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.inspection import Wanted
from pipeline.scoring.placement import ScorerOptions
from pipeline.scoring.progress import ScoreCallbacks
from pipeline.scoring.scale_table import make_scale_rule
from pipeline.scoring.scorer import MakeEngine, ScoreRule, Scoring

DECODING = "pillow-1"
"""Version of decoding and cutting; change it with anything in `images` that moves a score."""

MEASURING = "lines-1"
"""Version of measuring cracks; change it with anything in `measurement` that moves a length or a width."""

SOFTWARE = ("crackscan", "pillow", "pyarrow", "ray")
"""Packages whose versions are recorded, with the engine's."""


class ScoreJob(NamedTuple):
    """A scoring run, ready to start."""

    config: ScoreConfig
    layout: Layout
    run: Run
    scoring: Scoring
    scorer_options: ScorerOptions
    engine: EngineChoice
    callbacks: ScoreCallbacks
    stats: RunStats


def prepare_job(
    config: ScoreConfig,
    callbacks: ScoreCallbacks,
    make_engine: MakeEngine | None,
) -> ScoreJob:
    """Settle what the user left open: as in the first run of the dataset, else as the model card says.

    Raises:
        UsageError: options are impossible, or differ from those of the dataset's first run.
        ModelError: the model cannot be used.
    """
    refuse_credentials(
        [("--out", config.out), ("--model", config.model), *(("An input", text) for text in config.inputs)]
    )
    layout = Layout(storage.canonical(config.out))
    check_dataset_place(layout)
    before = read_run(layout) if storage.exists(layout.run) else {"fingerprint": {}, "model": None}
    model_url = find_model(before.get("model") if config.model is None else config.model)
    model, fingerprint = load_model(model_url), before["fingerprint"]
    tile_px = config.tile_px or fingerprint.get("tile_px", model.card.tile_px)
    overlap = fingerprint.get("overlap", model.card.overlap) if config.overlap is None else config.overlap
    schema_version = min(SCHEMA_VERSION, fingerprint.get("schema_version", SCHEMA_VERSION))
    cracks = _settle_cracks(config, fingerprint, model, schema_version)
    overview = fingerprint.get("overview", 0) if config.overview is None else config.overview
    settled = settled_fingerprint(model, TileSpec(tile_px, overlap), schema_version, cracks=cracks, overview=overview)
    if fingerprint and "overview" in fingerprint and not overview:
        settled["overview"] = 0
    if fingerprint:  # before the engine, whose refusal would hide that the tiles are others
        check_fingerprint(layout, {**fingerprint, **settled})
    wanted = fingerprint.get("engine", "auto") if config.engine == "auto" else config.engine
    engine = engines.choose(wanted, config.device, (model, tile_px), partial(has_gpus, config.cluster))
    if wanted != config.engine:
        engine = engine._replace(why="the dataset's own")
    batch_tiles = config.batch_tiles or engines.batch_tiles(engine.name)
    rule = ScoreRule(
        TileSpec(tile_px, overlap),
        model.card.threshold,
        config.max_pixels,
        batch_tiles,
        model.card.photo,
        make_scale_rule(config),
        Wanted(config.maps, cracks),
        overview,
    )
    run = new_run(model, rule, None if model_url == SHIPPED_MODEL else model_url, engine, schema_version)
    if fingerprint:
        check_fingerprint(layout, run.fingerprint)
    make_engine = make_engine or partial(engines.make, engine.name, tile_px)
    device = engines.device_for(engine.name, config.device)
    limits = Limits(photo_bytes=config.max_photo_bytes, ratio=config.max_ratio)
    scoring = Scoring(model, rule, make_engine, limits, moves=read_moves(layout))
    options = ScorerOptions(config.actors, device, config.sizes)
    return ScoreJob(config, layout, run, scoring, options, engine, callbacks, RunStats())


def _settle_cracks(config: ScoreConfig, fingerprint: Mapping[str, object], model: Model, schema_version: int) -> bool:
    """Return whether cracks are measured: as in the first run of the dataset, else if the model can.

    Raises:
        UsageError: they are wanted, and the dataset or the model has none.
    """
    problem = None
    if schema_version < CRACKS_SINCE:
        problem = (
            f"the dataset was begun in schema {schema_version}, which has no cracks, and goes on as it was begun. Give "
            "another --out"
        )
    elif model.card.dense_stride is None:
        problem = (
            f"the model at {model.url} scores whole tiles and does not say where in them a crack is. Train one with "
            "--dense"
        )
    if config.cracks and problem is not None:
        raise UsageError(f"--cracks: {problem}, or leave --cracks out.")
    measured_before = bool(fingerprint.get("cracks", True))
    return problem is None and (measured_before if config.cracks is None else config.cracks)


def settled_fingerprint(
    model: Model, tiles: TileSpec, schema_version: int = SCHEMA_VERSION, *, cracks: bool, overview: int = 0
) -> dict[str, object]:
    """Return the fingerprint without the engine."""
    added: dict[str, object] = {"overview": overview} if overview else {}
    return (
        added
        | ({} if schema_version < CRACKS_SINCE else {"cracks": MEASURING if cracks else None})
        | {
            "model_id": model.model_id,
            "tile_px": tiles.tile_px,
            "overlap": tiles.overlap,
            "decoding": DECODING,
            "schema_version": schema_version,
        }
    )


def new_run(
    model: Model,
    rule: ScoreRule,
    model_url: str | None,
    engine: EngineChoice,
    schema_version: int = SCHEMA_VERSION,
) -> Run:
    """Name a run and take its fingerprint.

    Args:
        model: the model.
        rule: tiles and limits.
        model_url: canonical URL of the model folder; None for the shipped model.
        engine: the engine, and why it was chosen.
        schema_version: of the dataset.
    """
    int8 = model.int8 if engine.name == "openvino-int8" else None
    settled = partial(settled_fingerprint, cracks=rule.wanted.cracks, overview=rule.overview)
    return Run(
        run_id=new_run_id(),
        model_id=model.model_id,
        fingerprint=settled(model, rule.tiles, schema_version)
        | {"engine": engine.name}
        | ({} if int8 is None else {"int8": int8.sha256[:12]}),
        details={
            "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": model_url,
            "engine_because": engine.why,
            "model_card": asdict(model.card),
            "software": {name: version(name) for name in (*SOFTWARE, engine.library)},
        },
    )


def new_run_id() -> str:
    """Return a new name for a run: sorted by time, unlike any other."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}{uuid.uuid4().hex[:8]}"
