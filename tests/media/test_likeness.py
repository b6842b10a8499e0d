"""Whether two films show the same. The films are made here, of places that are smooth noise."""

import functools
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pano_sound.media.likeness import show_the_same
from pano_sound.media.probe import probe

SAMPLES = Path(__file__).parents[2] / "samples"
FPS, SECONDS = 16, 3
WIDTH, HEIGHT = 192, 96


@functools.cache
def place(seed: int) -> np.ndarray:
    """RGB (height, width, 3), bright above and dark below as nearly all places are."""
    noise = np.random.default_rng(seed).uniform(0, 1, (5, 10, 3)).astype(np.float32)
    noise[:, -1] = noise[:, 0]
    light = np.linspace(0.6, 0, HEIGHT)[:, None, None]
    return (255 * (0.4 * cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(0, 1) + light)).clip(
        0, 255
    )


def still(seed: int):
    return lambda t: place(seed)


def turning(seed: int, speed: float, ahead: float = 0.0):
    """The camera turns by `speed` degrees a second, from `ahead` degrees on."""
    return lambda t: np.roll(place(seed), round((t * speed + ahead) * WIDTH / 360), axis=1)


def take(seed: int, walk: int):
    """The same place, where somebody walks."""

    def picture(t):
        rgb = place(seed).copy()
        at = int(np.random.default_rng([walk, int(t * 2)]).integers(0, WIDTH - 40))
        rgb[20:80, at : at + 40] = 0
        return rgb

    return picture


def fading(seed: int):
    return lambda t: place(seed) * min(1.0, t / 2)


def dark(seed: int):
    return lambda t: place(seed) * 0.03


def black(t):
    return np.zeros((HEIGHT, WIDTH, 3))


def write(path, picture, fps=FPS, size=(WIDTH, HEIGHT), codec="libx264", graded=False, **options):
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=fps, options={k: str(v) for k, v in options.items()})
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for n in range(SECONDS * fps):
            rgb = cv2.resize(picture(n / fps), size, interpolation=cv2.INTER_AREA)
            if graded:  # Paler, lighter and of other colours.
                rgb = 60 + 180 * (rgb[..., ::-1] / 255) ** 0.6
            frame = av.VideoFrame.from_ndarray(rgb.clip(0, 255).astype(np.uint8), format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = n, Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return probe(path)


FILMS = {
    "still": still(1),
    "turning": turning(1, 40),
    "turning fast": turning(1, -200),
    "a walk": take(1, 1),
    "fading in": fading(1),
    "dark": dark(1),
    "black": black,
}
COPIES = {
    "strongly compressed": {"crf": 48, "preset": "ultrafast"},
    "half the rate": {"fps": FPS // 2, "g": 7},
    "thirty a second": {"fps": 30, "codec": "mpeg4", "qmax": 31, "qmin": 25},
    "graded": {"codec": "mjpeg", "graded": True, "qmin": 15},
}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    return {name: write(folder / f"{name}.mp4", picture, g=16) for name, picture in FILMS.items()}


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("name", FILMS)
def test_a_copy_shows_the_same(films, tmp_path, name, kind):
    assert show_the_same(films[name], write(tmp_path / "copy.mov", FILMS[name], size=(64, 32), **COPIES[kind]))


OTHERS = {
    "still": {"another place": still(2), "black": black, "turned": turning(1, 0, 120)},
    "turning": {"another place": turning(2, 40), "to the left": turning(1, -40), "later": turning(1, 40, 80)},
    "a walk": {"another walk": take(1, 2), "nobody": still(1)},
    "fading in": {"another place": fading(2)},
    "black": {"a place": still(1)},
}


@pytest.mark.parametrize(("name", "other"), [(name, other) for name, others in OTHERS.items() for other in others])
def test_what_differs_does_not(films, tmp_path, name, other):
    assert not show_the_same(films[name], write(tmp_path / "other.mp4", OTHERS[name][other], size=(64, 32)))


def test_two_samples_differ():
    room, meadow = (probe(SAMPLES / f"{name}.mp4") for name in ("room", "meadow"))
    assert not show_the_same(room, meadow)


def test_what_cannot_be_read_tells_nothing(films, tmp_path):
    write(tmp_path / "a.mp4", still(2), g=16)
    info = probe(tmp_path / "a.mp4")
    (tmp_path / "a.mp4").write_bytes(b"\0" * 100)
    assert show_the_same(films["still"], info)
