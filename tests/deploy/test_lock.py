"""`requirements.lock`: what the image installs is fixed to the byte, whole, and what pyproject.toml asks for."""

import re
import tomllib
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import ROOT

LOCK = (ROOT / "deploy" / "requirements.lock").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^([a-z0-9.-]+)==(\S+) \\\n((?:    --hash=\S+(?: \\)?\n)+)", LOCK, re.MULTILINE)
LOCKED = {canonicalize_name(name): version for name, version, _ in ENTRIES}
IMAGE = {"platform_release": "", "platform_version": "", "implementation_version": "3.11.14",
         "python_version": "3.11", "python_full_version": "3.11.14", "sys_platform": "linux",
         "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix",
         "implementation_name": "cpython", "platform_python_implementation": "CPython"}  # fmt: skip
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def needed(requirement: Requirement) -> list[Requirement]:
    """What a requirement brings with it, if the locked version is installed here."""
    if installed_version(requirement.name) != LOCKED[canonicalize_name(requirement.name)]:
        return []
    found = map(Requirement, metadata.requires(requirement.name) or [])
    extras = ["", *requirement.extras]
    return [
        each
        for each in found
        if not each.marker or any(each.marker.evaluate(IMAGE | {"extra": extra}) for extra in extras)
    ]


def installed_version(name: str) -> str | None:
    """The version of a package here."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def test_the_lock_is_entries_with_hashes_and_nothing_else() -> None:
    """No address of an index, no option."""
    assert "".join(f"{name}=={version} \\\n{hashes}" for name, version, hashes in ENTRIES) == LOCK
    assert len(LOCKED) == len(ENTRIES)
    assert all(re.fullmatch(r"(\s+--hash=sha256:[0-9a-f]{64}( \\)?\n)+", hashes) for *_, hashes in ENTRIES)


def test_everything_that_is_asked_for_is_locked() -> None:
    """The dependencies, what the build needs, and what they need in turn, each in a version that all allow."""
    left = [*map(Requirement, [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]])]
    seen = set[str]()
    while left:
        each = left.pop()
        name = canonicalize_name(each.name)
        assert name in LOCKED, f"{each} is not in deploy/requirements.lock; run `make lock`"
        assert each.specifier.contains(LOCKED[name], prereleases=True), f"{each}: the lock has {LOCKED[name]}"
        if str(each) not in seen:
            left += needed(each)
        seen.add(str(each))
    assert {"torch", "ray", "hatchling", "nvidia-cublas"} <= LOCKED.keys()


def test_the_image_for_cpus_leaves_out_what_only_a_gpu_needs() -> None:
    """The Dockerfile's pattern takes torch, which comes from PyTorch's index, and what only its CUDA build needs."""
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"kept = !/(\^\(torch.+?)/\}", dockerfile)
    left_out = {name for name in LOCKED if re.match(pattern, f"{name}==")}
    assert {"torch", "torchvision", "triton", "cuda-bindings", "nvidia-cublas"} <= left_out
    kept = LOCKED.keys() - left_out
    assert not [name for name in kept if re.search("cuda|nvidia|torch$", name)]
    needed_for_cuda = {name for name in left_out if name not in {"torch", "torchvision", "triton"}}
    assert all(name.startswith(("nvidia-", "cuda-")) for name in needed_for_cuda)
    assert dockerfile.count("pip install") == dockerfile.count("--no-deps") == 3
    assert dockerfile.count("--require-hashes") == 1
