"""The environment: closed or full streams, Ctrl-C at once, system errors."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import films
import pytest

from pano_sound.media import probe as probing

CLI = Path(__file__).parents[2] / "cli.py"
POSIX = pytest.mark.skipif(os.name == "nt", reason="as shells of POSIX do it")


def in_shell(folder, redirected, *words):
    line = f'"$0" "$@" {redirected}'
    words = [sys.executable, str(CLI), *map(str, words)]
    return subprocess.run(["sh", "-c", line, *words], cwd=folder, capture_output=True, text=True, check=False)


@POSIX
@pytest.mark.parametrize("redirected", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_closed_streams_do_no_harm(tmp_path, redirected):
    films.make_film(tmp_path / "a.mp4")
    (tmp_path / "a.path.json").write_text(
        '{"format": "pano-sound.path/2", "view": {"width": 64, "height": 64},'
        ' "source": {"end": 9}, "samples": [{"t": 0, "yaw": 0, "pitch": 0, "roll": 0, "hfov": 90}]}'
    )
    done = in_shell(tmp_path, redirected, "render", "a.mp4", "a.path.json", "-o", "b.mp4")
    assert (done.returncode, done.stdout) == (0, "")
    assert ("was made for a film" in done.stderr) == ("2>" not in redirected)
    assert len(list(probing_pictures(tmp_path / "b.mp4"))) == 12


def probing_pictures(path):
    from pano_sound.media.probe import probe
    from pano_sound.media.reader import VideoReader

    return VideoReader(probe(path)).pictures()


@POSIX
@pytest.mark.parametrize(("redirected", "code"), [("2>&-", 3), ("2>/dev/full", 3), (">&-", 3)])
def test_closed_streams_do_not_change_the_exit_code(tmp_path, redirected, code):
    done = in_shell(tmp_path, redirected, "probe", "none.mp4")
    assert (done.returncode, done.stdout) == (code, "")


@POSIX
def test_a_full_standard_output_is_an_error(tmp_path):
    films.make_film(tmp_path / "a.mp4")
    done = in_shell(tmp_path, ">/dev/full", "probe", "a.mp4")
    said = "pano-sound: error: standard output: there is no room left on the disk (nothing was written)\n"
    assert (done.returncode, done.stderr) == (5, said)


INTERRUPTED = """
import os, signal, sys
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Hook())
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["pano-sound", "probe", "none.mp4"]
from pano_sound.__main__ import main
main()
"""


@POSIX
@pytest.mark.parametrize("name", ["pano_sound.commands", "click", "pano_sound.errors", "pano_sound.commands.stopping"])
def test_ctrl_c_at_once_is_one_line(name):
    code = INTERRUPTED.format(name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "pano-sound: interrupted\n")


def test_nothing_is_imported_before_ctrl_c_is_one_line():
    """But what Python itself and the command's own script import."""
    code = "import re, sys; before = set(sys.modules); import pano_sound.__main__; print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert eval(done.stdout) <= {"pano_sound", "pano_sound.__main__", "__future__", "signal", "_signal", "os", "types"}


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.EMFILE, "Too many open files"), 1, "too many open files (-vv shows where)"),
        (OSError("only words"), 1, "only words (-vv shows where)"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            5,
            "there is no room left on the disk (nothing was written)",
        ),
        (OSError(errno.EACCES, "Permission denied", "x.mp4"), 5, "x.mp4: cannot be written: permission denied"),
    ],
)
def test_system_errors_are_reported_in_one_line(run, monkeypatch, error, code, said):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(probing, "probe", fail)
    done = run("probe", "a.mp4")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"pano-sound: error: {said}\n")
