"""Scores and crack maps of single photos, by the same workers as in `flow`, without a dataset."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from pipeline.archives.listing import image_id
from pipeline.cluster.session import ClusterConfig, has_gpus, ray_session
from pipeline.core.interrupt import Interrupt, iterate_in_thread, stop_on_interrupt
from pipeline.core.progress import OnProgress, no_progress
from pipeline.images.tiles import TileSpec
from pipeline.models import engines
from pipeline.models.crack_maps import MappedPhoto
from pipeline.models.model import load_model
from pipeline.scoring.inspection import Wanted
from pipeline.scoring.placement import ScorerOptions
from pipeline.scoring.plan import list_photos
from pipeline.scoring.scorer import ScoreRule, Scoring

_COLUMNS = ["image_id", "max_tile_score", "crack_map", "failure_message"]


def predict_scores(
    urls: Sequence[str],
    model: str,
    cluster: ClusterConfig = ClusterConfig(),
    on_progress: OnProgress = no_progress,
) -> tuple[dict[str, float], dict[str, str]]:
    """Score photos.

    Args:
        urls: canonical URLs of photos.
        model: model folder.
        cluster: which Ray to work on.
        on_progress: called with photos done and photos in all.

    Returns:
        The highest score of a tile of each photo by URL, and the reason by URL for each photo that failed.
    """
    rows, failures = _score_rows(urls, model, cluster, on_progress, Wanted())
    return {url: row["max_tile_score"] for url, row in rows.items()}, failures


def predict_maps(
    urls: Sequence[str],
    model: str,
    cluster: ClusterConfig = ClusterConfig(),
    on_progress: OnProgress = no_progress,
) -> tuple[dict[str, MappedPhoto], dict[str, str]]:
    """Score photos and draw the crack map of each, over the threshold or not.

    Arguments and result are those of `predict_scores`, with the maps.
    """
    rows, failures = _score_rows(urls, model, cluster, on_progress, Wanted(maps=True))
    return {url: MappedPhoto(row["max_tile_score"], row["crack_map"]) for url, row in rows.items()}, failures


def _score_rows(
    urls: Sequence[str], model: str, cluster: ClusterConfig, on_progress: OnProgress, wanted: Wanted
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Score photos: rows of schema `SCORED` by URL, with maps if they are wanted, and failures by URL."""
    loaded, members = load_model(model), list_photos(urls)
    rule = ScoreRule(
        TileSpec(loaded.card.tile_px, loaded.card.overlap), threshold=0.0, wanted=wanted
    )  # every photo gets a map
    engine = engines.choose("auto", "auto", (loaded, loaded.card.tile_px), partial(has_gpus, cluster))
    make_engine = partial(engines.make, engine.name, loaded.card.tile_px)
    scoring = Scoring(loaded, rule, make_engine)
    options = ScorerOptions(device=engines.device_for(engine.name, "auto"))
    by_id = {image_id(url.encode("utf-8", "surrogateescape"), 0): url for url in urls}
    rows: dict[str, dict[str, Any]] = {}
    failures: dict[str, str] = {}
    with ray_session(cluster), Interrupt() as interrupt:
        from pipeline.scoring.ray_data import score_photos  # loads Ray

        with iterate_in_thread(score_photos(members, scoring, options, members["image_id"].slice(0, 0))) as scored:
            for table in stop_on_interrupt(scored, interrupt):
                for row in [] if table is None else table.select(_COLUMNS).to_pylist():
                    url = by_id[row["image_id"]]
                    if row["failure_message"] is None:
                        rows[url] = row
                    else:
                        failures[url] = row["failure_message"]
                on_progress(len(rows) + len(failures), len(urls))
    return rows, failures
