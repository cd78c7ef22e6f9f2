"""crackscan: find cracks in archives of bridge-inspection photos.

The names below are the public API; everything else may change between releases. Open `scoring/flow.py` to see how
photos become a dataset, and `training/flow.py` to see how labelled tiles become a model.

* `core`: errors, logs, shutdown, resource usage, table schemas
* `storage`: files and byte ranges on local disk, S3 and other stores
* `images`: from a photo's bytes to upright pixels and the tile grid
* `synthetic`: drawn concrete and cracks
* `archives`: zip, tar and folders of photos, listed once and read by byte ranges
* `labels`: labelled tiles: read, deduplicated, split
* `models`: a model folder, its network, and the engines that compute with it
* `dataset`: the output dataset: files, commits, one writer, SQL, integrity checks
* `cluster`: Ray sessions, submitted jobs, checks of a machine
* `monitoring`: how far a run is, how fast, and what it costs
* `evaluation`: metrics, calibration, intervals, figures, left-out sources
* `scoring`: from inputs to a dataset, hosted by Ray Data
* `training`: from labelled tiles to a model folder, hosted by Ray Train
* `reports`: report page, comparison, overlays, tiles to review
* `cli`: the `crackscan` command
"""

import importlib
import os
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.cluster.session import ClusterConfig
    from pipeline.core.errors import CrackscanError, UsageError
    from pipeline.dataset.sql import query
    from pipeline.dataset.verify import verify
    from pipeline.evaluation.evaluate import EvaluationConfig, evaluate
    from pipeline.labels.labelled_tiles import LabelledTiles, read_labelled_tiles
    from pipeline.models.model import load_model
    from pipeline.monitoring.status import status
    from pipeline.scoring.config import ScoreConfig
    from pipeline.scoring.flow import retry, score
    from pipeline.scoring.predict import predict_scores
    from pipeline.training.config import Hyperparameters, TrainConfig
    from pipeline.training.flow import train
    from pipeline.training.progress import TrainCallbacks

__all__ = [
    "ClusterConfig",
    "CrackscanError",
    "EvaluationConfig",
    "Hyperparameters",
    "LabelledTiles",
    "ScoreConfig",
    "TrainCallbacks",
    "TrainConfig",
    "UsageError",
    "evaluate",
    "load_model",
    "predict_scores",
    "query",
    "read_labelled_tiles",
    "retry",
    "score",
    "status",
    "train",
    "verify",
]

_MODULES = {
    "ClusterConfig": "cluster.session",
    "CrackscanError": "core.errors",
    "EvaluationConfig": "evaluation.evaluate",
    "Hyperparameters": "training.config",
    "LabelledTiles": "labels.labelled_tiles",
    "ScoreConfig": "scoring.config",
    "TrainCallbacks": "training.progress",
    "TrainConfig": "training.config",
    "UsageError": "core.errors",
    "evaluate": "evaluation.evaluate",
    "load_model": "models.model",
    "predict_scores": "scoring.predict",
    "query": "dataset.sql",
    "read_labelled_tiles": "labels.labelled_tiles",
    "retry": "scoring.flow",
    "score": "scoring.flow",
    "status": "monitoring.status",
    "train": "training.flow",
    "verify": "dataset.verify",
}
"""Where each public name is defined: it is loaded when it is first used, so that `import pipeline` loads no torch."""

# A thread that outlives its session must not start another Ray. Ray reads this when it is imported.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

try:
    __version__ = version("crackscan")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    """Load a public name from its module."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, too."""
    return sorted({*globals(), *__all__})
