"""Ctrl-C and disks that fail: nothing is left behind, and the exit code says what happened."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import films
import numpy as np
import pytest
from waiting import PATIENCE, wait_until

import pano_sound
from pano_sound import commands
from pano_sound.atomic_file import new_partial, remove_partials, written_whole
from pano_sound.camera_path import CameraPath
from pano_sound.commands import stopping
from pano_sound.errors import OutputError
from pano_sound.options.steps import RenderOptions
from pano_sound.pipeline import ahead

CLI = Path(__file__).parents[2] / "cli.py"
TERMINAL = """
import signal
import sys
from pano_sound import __main__ as program
signal.signal(signal.SIGINT, program.leave_at_once)  # As its first step does.
print("begun", flush=True)
program.main()
"""


def start(folder, *words, program=(str(CLI),), **more):
    """As from a terminal: what runs in the background of a script is made to ignore Ctrl-C, and with nohup more."""
    words = [sys.executable, *program, *map(str, words)]
    before = {number: signal.signal(number, signal.SIG_DFL) for number in stopping.SIGNALS}
    try:
        return subprocess.Popen(words, cwd=folder, text=True, **{"stderr": subprocess.PIPE, **more})
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    fast = {"preset": "ultrafast"}
    return films.make_film(path, films.steady(900, 30), size=(128, 64), sound=films.tone(30.0), encoder=fast)


@pytest.fixture
def long_film(long, tmp_path):
    """A film and a path in `tmp_path` that take seconds to render."""
    shutil.copy(long, tmp_path)
    CameraPath(1280, 720, np.array([[0.0, 0, 0, 0, 90]])).save(tmp_path / "a.path.json")
    return tmp_path


def wait_for_partial(work, folder):
    # Its name is taken first, then FFmpeg opens it and writes a header.
    wait_until(lambda: any(p.stat().st_size for p in folder.iterdir() if "partial" in p.name), work)


@pytest.mark.parametrize(
    ("number", "times"),
    [
        (signal.SIGINT, 3),
        pytest.param(signal.SIGTERM, 1, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 1, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 1, marks=pytest.mark.slow),
    ],
)
def test_stopped_in_the_middle_nothing_is_left(long_film, number, times):
    work = start(long_film, "render", "long.mp4", "a.path.json", "-o", "out.mp4")
    wait_for_partial(work, long_film)
    for _ in range(times):
        work.send_signal(number)
        time.sleep(0.02)
    _, said = work.communicate(timeout=PATIENCE)
    assert work.returncode == 128 + number
    assert said == ("pano-sound: interrupted\n" if number == signal.SIGINT else "")
    assert names(long_film) == ["a.path.json", "long.mp4"]


def test_on_a_terminal_one_line_goes_over_its_own_sign(long_film):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    words = "render", "long.mp4", "a.path.json", "-o", "out.mp4", "-q"
    work = start(long_film, *words, stdin=theirs, stderr=theirs, preexec_fn=os.setsid)
    os.close(theirs)
    wait_for_partial(work, long_film)
    work.send_signal(signal.SIGINT)
    work.wait(PATIENCE)
    assert work.returncode == 130
    assert os.read(ours, 1000) == b"\rpano-sound: interrupted\r\n"
    os.close(ours)


@pytest.mark.slow
def test_stopped_at_any_moment(film, tiny, tmp_path):
    """At random moments from the program's first step on; before that, Python itself is interrupted."""
    words = ["pan", film, "-o", "out.mp4", "--model", tiny, "-q"]
    rng = random.Random(0)
    stopped, longest = 0, PATIENCE
    for turn in range(15):
        work = start(tmp_path, *words, program=("-c", TERMINAL), stdout=subprocess.PIPE)
        assert work.stdout.readline() == "begun\n"
        began = time.monotonic()
        if turn:
            time.sleep(rng.uniform(0, longest))
        else:
            work.wait(longest)
        work.send_signal(signal.SIGINT)
        _, said = work.communicate(timeout=PATIENCE)
        assert "Traceback" not in said
        assert (work.returncode, names(tmp_path)) in ((130, []), (0, ["out.mp4"]), (130, ["out.mp4"]))
        stopped += work.returncode == 130
        if work.returncode == 0:  # The first one reads the libraries from a cold disk: later ones are faster.
            longest = min(longest, time.monotonic() - began)
        (tmp_path / "out.mp4").unlink(missing_ok=True)
    assert stopped >= 3


@contextlib.contextmanager
def stopped_by(raised):
    """Expect a stop, and ignore those that follow it: on a slow machine they would end pytest."""
    with pytest.raises(raised):  # noqa: PT012
        try:
            yield
        except raised:
            for number in stopping.SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            raise


@pytest.fixture
def heeded(monkeypatch):
    # As from a terminal, see `start`.
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(atexit, "_run_exitfuncs", lambda: None)
    monkeypatch.setattr(os, "_exit", sys.exit)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in stopping.SIGNALS}
    stopping.heed_signals()
    yield
    # Timers may still be running; what they send would end pytest.
    stopping.ignore_signals()
    for timer in threading.enumerate():
        if isinstance(timer, threading.Timer):
            timer.cancel()
            timer.join()
    for number, handler in before.items():
        signal.signal(number, handler)
    stopping.requested.clear()


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_an_import_is_not_interrupted(tmp_path, monkeypatch, heeded, number, raised):
    """PyTorch aborts the process if its import is interrupted."""
    (tmp_path / "stopped_import.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\nwhole = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "stopped_import", raising=False)
    with stopped_by(raised):
        importlib.import_module("stopped_import")
        time.sleep(30)
    assert sys.modules["stopped_import"].whole


def test_a_stop_swallowed_by_a_library_is_repeated(heeded):
    """PyAV's filter graphs sometimes swallow one."""
    swallowed = False
    with stopped_by(KeyboardInterrupt):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)
        except KeyboardInterrupt:
            swallowed = True
        time.sleep(30)
    assert swallowed


def test_cleaning_up_is_not_interrupted(heeded):
    tidied = False
    with stopped_by(KeyboardInterrupt):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)
            tidied = True
    assert tidied


class StoppedInDel:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)


def in_a_finalizer():
    """Garbage collection runs finalizers at any moment."""
    StoppedInDel()


def in_a_weak_reference_callback():
    """As in `_weakrefset`, when an abstract class goes."""
    one = set()
    gone = weakref.ref(StoppedInDel, lambda _: None)  # noqa: F841
    thing = type("Thing", (), {})()
    one.add(weakref.ref(thing, lambda _: StoppedInDel.__del__(None)))
    del thing


def in_a_callback_of_c():
    """FFmpeg calls such callbacks."""
    ctypes.CFUNCTYPE(None)(lambda: StoppedInDel.__del__(None))()


@pytest.mark.parametrize("where", [in_a_finalizer, in_a_weak_reference_callback, in_a_callback_of_c])
@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_a_stop_where_nothing_can_be_raised_is_not_printed(heeded, capsys, monkeypatch, where, raised):
    monkeypatch.setattr(stopping, "stop_error", lambda number: raised())
    with stopped_by(raised):
        where()
        time.sleep(30)
    assert capsys.readouterr().err == ""


def test_other_errors_that_cannot_be_raised_are_printed(heeded, capsys):
    class Broken:
        def __del__(self):
            raise ValueError("broken")

    Broken()
    assert "ValueError: broken" in capsys.readouterr().err


def test_stopped_at_any_step_of_the_end(heeded, capsys, monkeypatch):
    """From the command's last step to the process's last one, no stop prints a traceback."""
    codes = []
    left = None

    def trace(frame, event, arg):
        nonlocal left
        if frame.f_code is stopping.stop.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and left is not None:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGINT)
        return trace

    def begin(**_):
        nonlocal left
        left = len(codes) + 1

    monkeypatch.setattr(commands, "cli", begin)
    monkeypatch.setattr(stopping, "REPEAT_EVERY", 3600.0)  # Else one turn's stop would come again in the next.
    while left is None or left <= 0:
        left = None
        stopping.requested.clear()
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            with pytest.raises(SystemExit) as ended:
                commands.main()
        finally:
            sys.settrace(before)
        codes.append(ended.value.code)
    assert codes[0] == 130
    assert codes[-1] == 0
    assert set(codes) == {0, 130}
    assert capsys.readouterr().err == "pano-sound: interrupted\n" * codes.count(130)


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_a_thread_that_cannot_be_stopped_does_not_abort_the_process(monkeypatch, heeded, stop, code):
    """C++ libraries abort if Python ends their thread."""
    answer, ended = threading.Event(), []

    def hanging():
        yield answer.wait()

    def command(**_):
        with ahead.Ahead(hanging()):
            raise stop

    monkeypatch.setattr(commands, "cli", command)
    monkeypatch.setattr(ahead, "PATIENCE", 0.0)
    monkeypatch.setattr(os, "_exit", ended.append)
    with pytest.raises(SystemExit, match=str(code)):
        commands.main()
    assert ended == [code]
    answer.set()
    for thread in ahead.given_up:
        thread.join()
    monkeypatch.setattr(commands, "cli", lambda **_: 0)
    with pytest.raises(SystemExit, match="0"):
        commands.main()
    assert ended == [code]


def test_an_error_that_a_library_raises_after_a_stop_is_not_reported(monkeypatch, heeded, capsys):
    def command(**_):
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)
        raise TypeError("could not determine the shape")

    monkeypatch.setattr(commands, "cli", command)
    with pytest.raises(SystemExit, match="130"):
        commands.main()
    assert capsys.readouterr().err == "pano-sound: interrupted\n"


def test_partial_files_left_by_an_interruption_are_removed(tmp_path):
    new_partial(tmp_path / "a.mp4").write_bytes(b"half")
    remove_partials()
    assert names(tmp_path) == []


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
def test_a_folder_that_vanishes_meanwhile_is_an_error(film, tmp_path, container):
    folder = tmp_path / "disk"
    folder.mkdir()
    path = CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]]))

    def vanish(stage, done, total):
        shutil.rmtree(folder, ignore_errors=True)

    with pytest.raises(OutputError, match="its folder has vanished"):
        pano_sound.render(film, path, folder / f"out.{container}", progress=vanish)
    assert names(tmp_path) == []
    folder.mkdir()
    with pytest.raises(OutputError, match="its folder has vanished"), written_whole(folder / "a.json", "w"):
        shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path):
    """Mounts an empty disk of 200 kB, where that is allowed."""
    at = tmp_path / "disk"
    at.mkdir()
    mount = shutil.which("mount")
    if (
        not mount
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(at)], stderr=subprocess.DEVNULL
        ).returncode
    ):
        pytest.skip("mounting needs rights that are not there")
    yield at
    subprocess.run(["umount", "-l", str(at)], check=True)


@pytest.mark.parametrize("container", ["mp4", pytest.param("mkv", marks=pytest.mark.slow)])
def test_a_disk_that_becomes_full(long_film, small_disk, container):
    (small_disk / "mine").write_bytes(bytes(150_000))
    large = ("--crf", "0", "--encoder-preset", "ultrafast")
    work = start(long_film, "render", "long.mp4", "a.path.json", "-o", small_disk / f"out.{container}", *large)
    _, said = work.communicate(timeout=PATIENCE)
    assert work.returncode == 5
    assert said.count("\n") == 1
    assert "there is no room left on the disk" in said
    assert names(small_disk) == ["mine"]


def test_a_disk_that_is_full_from_the_start(film, small_disk, run, tiny):
    (small_disk / "mine").write_bytes(bytes(200 * 1024))
    for words in (["pan", film, "-o", small_disk / "a.mp4"], ["analyse", film, "-o", small_disk / "a.soundmap.npz"]):
        done = run(*words, "-q", model=True)
        assert done.returncode == 5
        assert "there is no room left on the disk" in done.stderr
    assert names(small_disk) == ["mine"]


def test_a_disk_that_is_read_only(film, small_disk, run):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = run("pan", film, "-o", small_disk / "a.mp4", model=True)
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1
    assert "cannot be written to" in done.stderr


@pytest.mark.slow
def test_a_disk_that_is_unplugged(long_film, small_disk):
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    work = start(long_film, "render", "long.mp4", "a.path.json", "-o", small_disk / "out.mp4", "--end", "2")
    wait_for_partial(work, small_disk)
    work.send_signal(signal.SIGSTOP)  # It must not end before.
    subprocess.run(["umount", "-l", str(small_disk)], check=True)
    work.send_signal(signal.SIGCONT)
    _, said = work.communicate(timeout=PATIENCE)
    assert work.returncode == 5
    assert "its folder has vanished" in said
    assert names(small_disk) == []
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(small_disk)], check=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
def test_output_that_cannot_be_printed_is_an_error(film):
    with open("/dev/full", "w") as full:
        work = start(film.parent, "probe", film, "--json", stdout=full)
        _, said = work.communicate(timeout=PATIENCE)
    assert work.returncode == 5
    assert said == "pano-sound: error: standard output: there is no room left on the disk (nothing was written)\n"


def test_system_errors_are_put_into_words(tmp_path):
    for number, word in ((28, "no room"), (27, "FAT32"), (30, "read-only"), (2, "vanished"), (13, "permission denied")):
        with pytest.raises(OutputError, match=word), written_whole(tmp_path / "a"):
            raise OSError(number, os.strerror(number))
    assert json.dumps(names(tmp_path)) == "[]"


def test_the_disk_has_all_of_a_file_before_it_gets_its_name(film, tmp_path, monkeypatch):
    """In this order, for films and for data: a power cut between them leaves the old file, or the new one."""
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: done.append(os.fstat(number).st_ino) or fsync(number))
    monkeypatch.setattr(os, "replace", lambda a, b: done.append((os.stat(a).st_ino, str(b))) or replace(a, b))
    path = CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]]))
    path.save(tmp_path / "a.path.json")
    pano_sound.render(film, path, tmp_path / "a.mp4", RenderOptions(encoder_preset="ultrafast"), overwrite=True)
    for name in ("a.path.json", "a.mp4"):
        number = (tmp_path / name).stat().st_ino
        assert done.index(number) < done.index((number, str(tmp_path / name)))


def test_a_disk_that_fails_at_the_last_moment(film, tmp_path, monkeypatch):
    def fail(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="no room left"):
        pano_sound.render(film, CameraPath(64, 64, np.array([[0.0, 0, 0, 0, 90]])), tmp_path / "a.mp4")
    assert names(tmp_path) == []
