"""Facts of the machine that runs the tests, and of files that look like another machine's."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.cluster import machine

X86 = "processor\t: 0\nvendor_id\t: any\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nflags\t\t: fpu avx2 fma\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd bf16\n"


@pytest.mark.parametrize(("text", "flags"), [(X86, {"fpu", "avx2", "fma"}), (ARM, {"fp", "asimd", "bf16"})])
def test_linux_lists_the_instructions(tmp_path: Path, text: str, flags: set[str]) -> None:
    """As `flags` on x86, as `Features` on Arm."""
    (tmp_path / "cpuinfo").write_text(text)
    assert machine.cpu_flags(tmp_path / "cpuinfo") == frozenset(flags)


def test_other_systems_list_none(tmp_path: Path) -> None:
    """Without the file, or without the list in it, the instructions are unknown."""
    (tmp_path / "cpuinfo").write_text("processor: 0\n")
    assert machine.cpu_flags(tmp_path / "cpuinfo") is None
    assert machine.cpu_flags(tmp_path / "none") is None


def test_versions_are_those_of_the_packages() -> None:
    """None for a package that is not installed."""
    found = machine.installed_versions(["numpy>=2.1", "no-such-package"])
    assert found == {"numpy": np.__version__, "no-such-package": None}


def test_the_cuda_of_torch_is_read_without_importing_torch() -> None:
    """The file agrees with torch itself."""
    assert machine.torch_cuda() == torch.version.cuda


def test_nvidia_smi_names_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each; a tool that fails names none, but shows that there is a driver."""
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    tool.write_text("#!/bin/sh\necho 'Card A'\necho 'Card B'\n")
    tool.chmod(0o755)
    assert machine.detect_gpus()[:2] == (("Card A", "Card B"), True)
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert machine.detect_gpus()[:2] == ((), True)


def test_a_folder_is_probed_by_writing_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays behind; if the write fails, the reason is kept."""
    monkeypatch.chdir(tmp_path)
    found = machine.probe_current_folder()
    assert (found.path, found.write_error, os.listdir(tmp_path)) == (str(tmp_path), None, [])  # noqa: PTH208
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: (tmp_path / "no" / "where").open())
    assert machine.probe_current_folder().write_error == "No such file or directory"


def test_this_machine_has_a_processor_and_memory() -> None:
    """The numbers are those of the system."""
    assert machine.detect_processor().cpus == len(os.sched_getaffinity(0))
    assert machine.memory_bytes() > 1 << 28
    assert machine.shared_memory_bytes() == pytest.approx(shutil.disk_usage("/dev/shm").free, rel=0.2)  # noqa: S108


def test_pillows_wheel_decodes_all_photos() -> None:
    """Every format that is decoded has a codec, and all codecs are there."""
    from pipeline.images.decode import DECODERS

    assert DECODERS.keys() - {"HEIF"} == machine.detect_codecs().keys()  # pi-heif decodes HEIF
    assert all(machine.detect_codecs().values())
