"""Scores of single photos, through the same workers as `flow`, without a dataset."""

from collections.abc import Callable, Sequence

from pipeline.cluster import ClusterConfig, session
from pipeline.hosting import Hosting, Scoring, scored_photos, torch_engine
from pipeline.interrupt import Interrupt, pumped, until_asked
from pipeline.listing import image_id
from pipeline.model import load_model
from pipeline.plan import photo_files
from pipeline.scoring import ScoreRule
from pipeline.tiles import TileSpec


def crack_scores(
    urls: Sequence[str], model: str, cluster: ClusterConfig, on_progress: Callable[[int, int], None]
) -> tuple[dict[str, float], dict[str, str]]:
    """Score photos.

    Args:
        urls: canonical URLs of photos.
        model: model folder.
        cluster: which Ray to work on.
        on_progress: is told photos done, and of how many.

    Returns:
        The highest tile score by URL, and why by URL where a photo failed.
    """
    loaded, members = load_model(model), photo_files(urls)
    rule = ScoreRule(TileSpec(loaded.card.tile_px, loaded.card.overlap), loaded.card.threshold)
    by_id = {image_id(url.encode("utf-8", "surrogateescape"), 0): url for url in urls}
    scores: dict[str, float] = {}
    failures: dict[str, str] = {}
    with session(cluster), Interrupt() as interrupt:
        scored = scored_photos(members, Scoring(loaded, rule, torch_engine), Hosting(), members["image_id"].slice(0, 0))
        for table in until_asked(pumped(scored), interrupt):
            rows = [] if table is None else table.select(["image_id", "crack_score", "failure_message"]).to_pylist()
            scores |= {by_id[row["image_id"]]: row["crack_score"] for row in rows if row["failure_message"] is None}
            failures |= {by_id[row["image_id"]]: row["failure_message"] for row in rows if row["failure_message"]}
            on_progress(len(scores) + len(failures), len(urls))
    return scores, failures
