"""Keeping freed memory: that it is kept, and that systems without the means are left alone."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from pano_sound.localize.memory import keep_freed_memory

FAULTS = """
import resource, sys
import torch
from pano_sound.localize.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
layers = torch.nn.Sequential(*(torch.nn.Conv2d(8, 8, 3, padding=1) for _ in range(6)))
picture = torch.zeros(1, 8, 1024, 1024)  # 32 MB

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with torch.inference_mode():
        layers(picture)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min([faults() for _ in range(5)]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_memory_of_one_picture_is_used_for_the_next() -> None:
    def faults(how: str) -> int:
        command = [sys.executable, "-c", FAULTS, how]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert faults("keep") < 0.2 * faults("leave")


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_systems_without_it_are_left_alone(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", nothing)
    keep_freed_memory()
