"""Checks this machine before a night's work, in the order in which a run needs things.

`cluster.machine` and `storage.probe` collect facts; `cluster.checks` judges them.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from pipeline import storage
from pipeline.cluster import checks, machine
from pipeline.cluster.checks import Finding
from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import CrackscanError, InterruptedRunError
from pipeline.core.scratch import temporary_folder
from pipeline.models.model import SHIPPED_MODEL, load_model
from pipeline.storage import probe
from pipeline.synthetic.drawing import draw_photo
from pipeline.synthetic.photos import encode

TRIAL_PX = 224
"""Side of the photo that a trial run scores: one tile."""
QUALITY = 90
"""JPEG quality of that photo."""

REINSTALL = "Install crackscan again: pip install --force-reinstall --no-deps crackscan"

Predict = Callable[[Sequence[str], str, ClusterConfig], tuple[Mapping[str, float], Mapping[str, str]]]
"""From URLs of photos, model and cluster to crack scores and failures, by URL."""


def run_checks(places: Sequence[str] = (), *, with_ray: bool = False) -> Iterator[Finding]:
    """Check one thing after the other.

    Args:
        places: storage to try: photos to read, and where results go.
        with_ray: whether to start Ray and score a photo, which takes half a minute.
    """
    needs, cpu = machine.required_packages(), machine.detect_processor()
    yield checks.check_python(platform.python_version(), machine.required_python())
    yield checks.check_packages(needs, machine.installed_versions(needs))
    yield checks.check_processor(cpu)
    yield checks.check_memory(machine.memory_bytes(), cpu.cpus)
    yield checks.check_gpus(machine.detect_gpus())
    yield checks.check_object_store(machine.shared_memory_bytes())
    yield checks.check_folder(machine.probe_temporary_folder())
    yield checks.check_folder(machine.probe_current_folder())
    yield checks.check_codecs(machine.detect_codecs())
    yield check_model()
    yield check_ray() if with_ray else checks.check_ray(machine.installed_versions(["ray"])["ray"])
    for place in places:
        yield checks.check_storage(probe.probe(place))


def check_model(folder_url: str = SHIPPED_MODEL) -> Finding:
    """Load a model, and compare its checksum with its card's."""
    try:
        found = load_model(folder_url)
    except CrackscanError as error:
        return Finding("model", "failed", str(error), REINSTALL)
    return Finding("model", "ok", f"{found.model_id}, {found.card.architecture}; weights as its card says")


def check_ray(predict: Predict | None = None) -> Finding:
    """Start a private Ray, score one drawn photo in it with the shipped model, and stop it.

    Args:
        predict: scores photos; None takes `predict_scores`.
    """
    if predict is None:
        from pipeline.scoring.predict import predict_scores

        predict = predict_scores
    began_at = time.monotonic()
    advice = "Run `crackscan score` on one photo with --verbose: it shows what Ray says."
    try:
        with temporary_folder() as folder:
            url = storage.join(storage.canonical(str(folder)), "drawn.jpg")
            storage.write_whole(url, encode(draw_photo(TRIAL_PX, TRIAL_PX, seed=0).pixels, 0, QUALITY))
            scores, failures = predict([url], SHIPPED_MODEL, ClusterConfig(cpus=1))
    except InterruptedRunError:
        raise
    except CrackscanError as error:
        return Finding("Ray", "failed", str(error), advice)
    seconds = time.monotonic() - began_at
    if not scores:
        return Finding("Ray", "failed", f"it scored no photo: {failures.get(url, 'none came back')}", advice)
    return Finding("Ray", "ok", f"started, scored a drawn photo and stopped, in {seconds:.0f} s")
