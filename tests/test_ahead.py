import threading
from itertools import count

import films
import numpy as np
import pytest
from threads import Stopped

from pano_sound.camera_path import CameraPath
from pano_sound.errors import InputError, OutputError
from pano_sound.media.reader import VideoReader
from pano_sound.media.writer import VideoWriter
from pano_sound.pipeline import ahead as ahead_module
from pano_sound.pipeline import render
from pano_sound.pipeline.ahead import Ahead
from pano_sound.sphere.view import render_planes

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def failing_after(number, error):
    yield from range(number)
    raise error


def test_items_come_in_order_and_the_end_is_final():
    with Ahead(range(100)) as items:
        assert list(items) == list(range(100))
        assert list(items) == []


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError(), Stopped()], ids=repr)
def test_an_error_comes_after_the_items_before_it_and_comes_again(error):
    seen = []
    with Ahead(failing_after(3, error)) as items:
        with pytest.raises(type(error)) as raised:
            seen.extend(iter(lambda: seen.append(next(items)), "never"))
        assert raised.value is error
        with pytest.raises(type(error)):
            next(items)
    assert [s for s in seen if s is not None] == [0, 1, 2]


def test_at_most_three_items_are_computed_ahead():
    made = []
    with Ahead(made.append(n) or n for n in count()) as items:
        for n in range(20):
            assert next(items) == n
            assert len(made) <= n + 4


@pytest.mark.parametrize("taken", [0, 1, 5])
@pytest.mark.parametrize("error", [None, ValueError, Stopped])
def test_leaving_early_ends_threads_that_feed_one_another(taken, error):
    def body():
        with Ahead(count()) as first, Ahead(2 * n for n in first) as second:
            for n in range(taken):
                assert next(second) == 2 * n
            if error:
                raise error

    if error:
        with pytest.raises(error):
            body()
    else:
        body()


def test_a_thread_that_hangs_is_abandoned(monkeypatch):
    monkeypatch.setattr(ahead_module, "PATIENCE", 0.1)
    answer = threading.Event()

    def hanging():
        yield 1
        answer.wait()

    with Ahead(hanging()) as items:
        assert next(items) == 1
    assert ahead_module.is_any_left()
    answer.set()
    for thread in ahead_module.given_up:
        thread.join()
    assert not ahead_module.is_any_left()


@pytest.mark.parametrize("error", [InputError("damaged"), OutputError("full"), MemoryError(), Stopped()], ids=repr)
@pytest.mark.parametrize("where", ["decode", "draw", "encode", "progress"])
def test_an_error_in_any_thread_ends_them_all_and_leaves_nothing(tmp_path, monkeypatch, where, error):
    film = films.make_film(tmp_path / "a.mp4", films.steady(40))
    folder = tmp_path / "out"
    folder.mkdir()

    def failing(original=None, number=9):
        calls = count()

        def call(*args, **kwargs):
            if next(calls) == number:
                raise error
            return original(*args, **kwargs) if original else None

        return call

    if where == "decode":
        monkeypatch.setattr(VideoReader, "to_picture", failing(VideoReader.to_picture))
    elif where == "draw":
        monkeypatch.setitem(render.__globals__, "render_planes", failing(render_planes))
    elif where == "encode":
        monkeypatch.setattr(VideoWriter, "write", failing(VideoWriter.write))
    path = CameraPath(64, 64, np.array([[0.0, 0.0, 0.0, 0.0, 90.0]]))
    progress = failing() if where == "progress" else None
    with pytest.raises(type(error)) as raised:
        render(film, path, folder / "b.mp4", progress=progress)
    assert raised.value is error
    assert not list(folder.iterdir())
