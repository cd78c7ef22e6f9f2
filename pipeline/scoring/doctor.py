"""A look over this machine before a night's work: every check, in the order in which things are needed.

What is looked at is `machine`'s and `access`'s business, what is made of it that of `checks`.
"""

import platform
import tempfile
import time
from collections.abc import Iterator, Sequence

from pipeline import storage
from pipeline.cluster import checks, machine
from pipeline.cluster.checks import Finding
from pipeline.cluster.session import ClusterConfig
from pipeline.core.errors import CrackscanError, InterruptedRunError
from pipeline.models.model import SHIPPED_MODEL, load_model
from pipeline.storage import probe
from pipeline.synthetic.drawing import draw_photo
from pipeline.synthetic.photos import encode

TRIAL_PX = 224
"""Side of the photo that Ray is tried with: one tile."""
QUALITY = 90

AGAIN = "Install crackscan again: pip install --force-reinstall --no-deps crackscan"


def run_checks(places: Sequence[str] = (), *, with_ray: bool = False) -> Iterator[Finding]:
    """Check one thing after the other.

    Args:
        places: storage to be tried: photos to read, and where results go.
        with_ray: whether Ray is started and scores a photo; takes half a minute.
    """
    needs, cpu = machine.requirements(), machine.processor()
    yield checks.python(platform.python_version(), machine.needed_python())
    yield checks.packages(needs, machine.versions(needs))
    yield checks.processor(cpu)
    yield checks.memory(machine.memory_bytes(), cpu.cpus)
    yield checks.gpus(machine.gpus())
    yield checks.object_store(machine.shared_memory_bytes())
    yield checks.folder(machine.temporary_folder())
    yield checks.folder(machine.current_folder())
    yield checks.codecs(machine.codecs())
    yield _model()
    yield _ray() if with_ray else checks.ray(machine.versions(["ray"])["ray"])
    for place in places:
        yield checks.storage(probe.probe(place))


def _model(folder_url: str = SHIPPED_MODEL) -> Finding:
    """Load the model that is used unless another is given; its checksum is compared with its card's."""
    try:
        found = load_model(folder_url)
    except CrackscanError as error:
        return Finding("model", "failed", str(error), AGAIN)
    return Finding("model", "ok", f"{found.model_id}, {found.card.architecture}; weights as its card says")


def _ray() -> Finding:
    """Start a private Ray, score one drawn photo in it with the default model, and stop it."""
    from pipeline.scoring.predict import predict_scores

    began_at = time.monotonic()
    advice = "Run `crackscan score` on one photo with --verbose: it shows what Ray says."
    try:
        with tempfile.TemporaryDirectory(prefix="crackscan-") as folder:
            url = storage.join(storage.canonical(folder), "drawn.jpg")
            storage.write_whole(url, encode(draw_photo(TRIAL_PX, TRIAL_PX, seed=0).pixels, 0, QUALITY))
            scores, failures = predict_scores([url], SHIPPED_MODEL, ClusterConfig(cpus=1))
    except InterruptedRunError:
        raise
    except CrackscanError as error:
        return Finding("Ray", "failed", str(error), advice)
    seconds = time.monotonic() - began_at
    if not scores:
        return Finding("Ray", "failed", f"it scored no photo: {failures.get(url, 'none came back')}", advice)
    return Finding("Ray", "ok", f"started, scored a drawn photo and stopped, in {seconds:.0f} s")
