"""Freed memory is kept until it is to be returned, and systems without glibc are left alone."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from pano_sound.localize.memory import keep_freed_memory, return_freed_memory

FAULTS = """
import ctypes, resource, sys
from pano_sound.localize.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
size = 64 << 20  # More than glibc ever keeps by itself.

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(size)))
    libc.memset(block, 1, ctypes.c_size_t(size))
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min([faults() for _ in range(3)]))
"""


KEPT = """
import ctypes
from pathlib import Path
from pano_sound.localize.memory import keep_freed_memory, return_freed_memory

keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

before = resident()
blocks = [ctypes.c_void_p(libc.malloc(ctypes.c_size_t(1 << 20))) for _ in range(64)]
for block in blocks:
    libc.memset(block, 1, ctypes.c_size_t(1 << 20))
for block in blocks[:-1]:  # The last one lies above them.
    libc.free(block)
kept = resident() - before
return_freed_memory()
print(kept, resident() - before)
"""

ONLY_GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")


@ONLY_GLIBC
def test_freed_memory_is_returned() -> None:
    done = subprocess.run([sys.executable, "-c", KEPT], check=True, capture_output=True, text=True)
    kept, left = map(int, done.stdout.split())
    assert kept >= 60
    assert left <= 8


@ONLY_GLIBC
def test_freed_memory_is_reused() -> None:
    def faults(how: str) -> int:
        command = [sys.executable, "-c", FAULTS, how]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert faults("keep") < 0.2 * faults("leave")


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_systems_without_glibc_are_left_alone(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", nothing)
    keep_freed_memory()
    return_freed_memory()
