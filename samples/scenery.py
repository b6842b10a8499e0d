"""What make.py builds scenes from: things standing in a panorama, sounds around it, and the file they go into.

Things are photographs with a transparent background. Each is a flat picture that faces the camera, so it is
drawn through the plane that touches the sphere at its middle: straight lines stay straight in any view of it.
"""

from __future__ import annotations

import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pano_sound.media.ambisonics import FIRST_ORDER
from pano_sound.media.output_file import VideoFormat
from pano_sound.media.probe import probe
from pano_sound.media.reader import Colour, Picture
from pano_sound.media.sound import SoundReader
from pano_sound.media.soundtrack import SoundPlan
from pano_sound.media.writer import VideoWriter
from pano_sound.options.video import VideoOptions
from pano_sound.sphere.convention import directions, pixel_to_angles, rotation, wrap_degrees

Floats = NDArray[np.floating]
Place = tuple[float, float, float]
"""Where a thing is: (yaw, pitch of its middle, width), degrees."""

WIDTH, HEIGHT = 1920, 960
RATE = 48_000
MEDIA = Path(__file__).parent / "media"
BT709 = Colour(range=1, space=1, primaries=1, transfer=1)
_YUV = np.array(  # from blue, green, red in 0..255 to studio-range Y, Cb, Cr
    [[0.0722, 0.7152, 0.2126, 0], [0.5, -0.3854, -0.1146, 0], [-0.0458, -0.4542, 0.5, 0]], dtype=np.float32
) * np.array([[219 / 255], [224 / 255], [224 / 255]], dtype=np.float32) + np.array(
    [[0, 0, 0, 16], [0, 0, 0, 128], [0, 0, 0, 128]], dtype=np.float32
)


def panorama(name: str) -> Floats:
    """The background of that name as (HEIGHT, WIDTH, 3), blue-green-red 0..255, a little sharpened."""
    small = np.asarray(cv2.imread(str(MEDIA / name)))
    wrapped = cv2.copyMakeBorder(small, 0, 0, 8, 8, cv2.BORDER_WRAP)
    scale = WIDTH / small.shape[1]
    margin = round(8 * scale)
    size = (WIDTH + 2 * margin, HEIGHT)
    large = cv2.resize(wrapped, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    large += 0.4 * (large - cv2.GaussianBlur(large, (0, 0), 2.0))
    return np.ascontiguousarray(large[:, margin:-margin].clip(0, 255))


@dataclass
class Patch:
    """A part of the sphere's picture: its rows, its columns (they may run over the seam), its directions."""

    rows: slice
    columns: NDArray[np.intp]
    directions: NDArray[np.floating]

    @classmethod
    def around(cls, yaw: float, pitch: float, radius: float) -> Patch:
        """All pixels within `radius` degrees of a direction, and some more."""
        top = max(0, int((0.5 - (pitch + radius) / 180) * HEIGHT))
        bottom = min(HEIGHT, int((0.5 - (pitch - radius) / 180) * HEIGHT) + 2)
        reach = radius / max(0.2, np.cos(np.radians(min(85.0, abs(pitch) + radius))))
        first = (yaw - min(reach, 179)) / 360 + 0.5
        columns = int(first * WIDTH) + np.arange(int(min(reach, 179) / 180 * WIDTH))
        angles = pixel_to_angles(columns[None, :], np.arange(top, bottom)[:, None], WIDTH, HEIGHT)
        return cls(slice(top, bottom), columns % WIDTH, directions(*angles))

    def read(self, frame: Floats) -> Floats:
        return frame[self.rows][:, self.columns]

    def write(self, frame: Floats, values: Floats) -> None:
        frame[self.rows][:, self.columns] = values


@dataclass
class Thing:
    """Something that may sound.

    Attributes:
        label: what it is.
        place: where it is at a time in seconds.
        picture: file with the photograph; None: it is in the panorama already, and only breathes there.
        gain: how much blue, green and red to keep, to match the light of the place.
        feather: part of its height, from its feet up, that fades into the ground (grass).
        shadow: darkness of its shadow, 0..1; where the light comes from (yaw), and how far that throws it, in
            widths of the thing.
        sway: how much it leans (degrees), how often (per second). It does so whether it sounds or not, so that
            motion does not tell who sounds.
    """

    label: str
    place: Callable[[float], Place]
    picture: str | None = None
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    feather: float = 0.0
    shadow: float = 0.5
    light: tuple[float, float] = (0.0, 0.0)
    sway: tuple[float, float] = (1.0, 0.4)
    _image: Floats | None = field(default=None, repr=False)

    def draw(self, frame: Floats, t: float) -> None:
        """Put it, as it is at time `t`, into `frame` (HEIGHT, WIDTH, 3)."""
        if self.picture is None:
            self._breathe(frame, t)
            return
        image = self._load(max(self.place(x)[2] for x in np.arange(0, 12, 0.5)))
        yaw, pitch, width = self.place(t)
        half = np.tan(np.radians(width / 2))
        tall = half * image.shape[0] / image.shape[1]
        patch = Patch.around(yaw, pitch, float(np.degrees(np.arctan(np.hypot(half, tall)))) + 2)
        self._cast_shadow(frame, yaw, float(np.degrees(np.arctan(tall))), pitch, width)
        x, y, z = np.moveaxis(patch.directions @ rotation(yaw, pitch), -1, 0)
        right, up = -y / x, z / x + tall  # on the touching plane, from the middle of its feet
        lean = np.radians(self.sway[0]) * np.sin(2 * np.pi * self.sway[1] * t)
        swell = 1 + 0.006 * np.sin(2 * np.pi * 0.31 * t + 1)
        right, up = right * np.cos(lean) - up * np.sin(lean), right * np.sin(lean) + up * np.cos(lean)
        column = ((right / half + 1) / 2 * image.shape[1] - 0.5).astype(np.float32)
        row = ((1 - up / swell / (2 * tall)) * image.shape[0] - 0.5).astype(np.float32)
        drawn = cv2.remap(image, column, row, cv2.INTER_LINEAR, borderValue=(0, 0, 0, 0))
        patch.write(frame, patch.read(frame) * (1 - drawn[..., 3:]) + drawn[..., :3])

    def _load(self, width: float) -> Floats:
        """The photograph, as large as needed, colours times alpha, matched to the light; alpha in 0..1."""
        if self._image is not None:
            return self._image
        photograph = cv2.imread(str(MEDIA / str(self.picture)), cv2.IMREAD_UNCHANGED)
        image: Floats = np.asarray(photograph, dtype=np.float32)
        image[..., 3:] /= 255
        image[..., :3] *= image[..., 3:] * np.array(self.gain, dtype=np.float32)
        scale = min(1.0, width / 360 * WIDTH * 1.3 / image.shape[1])
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        image = np.pad(image, ((2, 2), (2, 2), (0, 0)))
        if self.feather:
            height = (len(image) - np.arange(len(image))) / len(image) / self.feather
            image *= np.clip(height, 0, 1)[:, None, None].astype(np.float32)
        self._image = image
        return image

    def _cast_shadow(self, frame: Floats, yaw: float, tall: float, pitch: float, width: float) -> None:
        """Darken the ground (the plane one unit below the camera) under its feet."""
        feet = np.radians(min(-3.0, pitch - tall))
        distance = 1 / np.tan(-feet)
        size = 2 * np.hypot(distance, 1) * np.tan(np.radians(width / 2))
        here = directions(yaw, 0)[:2] * distance
        away = -directions(self.light[0], 0)[:2]
        middle = here * (1 + 0.14 * size / distance) + away * self.light[1] * size / 2
        patch = Patch.around(yaw, float(np.degrees(feet)), min(60.0, width * (1 + self.light[1])))
        down = patch.directions[..., 2]
        ground = patch.directions[..., :2] / np.minimum(down, -0.02)[..., None] * -1 - middle
        along = ground @ away / (size * (0.3 + self.light[1] / 2))
        across = ground @ np.array([-away[1], away[0]]) / (size * 0.3)
        dark = self.shadow * np.exp(-0.7 * (along**2 + across**2)) * (down < -0.02)
        patch.write(frame, (patch.read(frame) * (1 - dark[..., None])).astype(np.float32))

    def _breathe(self, frame: Floats, t: float) -> None:
        """Move the part of the panorama where it is by about a pixel, up and down and sideways."""
        yaw, pitch, width = self.place(t)
        patch = Patch.around(yaw, pitch, width)
        far = np.degrees(np.arccos(np.clip(patch.directions @ directions(yaw, pitch), -1, 1))) / width
        near = np.exp(-((far / 0.45) ** 4)).astype(np.float32)
        row, column = np.indices(near.shape, dtype=np.float32)
        row += near * np.float32(1.3 * np.sin(2 * np.pi * self.sway[1] * t))
        column += near * np.float32(self.sway[0] * np.sin(2 * np.pi * 0.27 * t + 1))
        patch.write(frame, np.asarray(cv2.remap(patch.read(frame), column, row, cv2.INTER_LINEAR)))


@dataclass(frozen=True)
class Event:
    """One sound: from second `t` on, by thing number `thing`, `gain` dB from the usual level, `speed` of play."""

    t: float
    thing: int
    sound: str
    gain: float = 0.0
    speed: float = 1.0
    start: float = 0.0
    length: float | None = None


@dataclass(frozen=True)
class Scene:
    """A clip: `channels` 1, 2 or 4 (ambisonics); `hum`: level of the ambient noise, dBFS, and its brightness."""

    name: str
    background: str
    seconds: float
    fps: Fraction
    things: tuple[Thing, ...]
    events: tuple[Event, ...]
    channels: int = 1
    hum: tuple[float, float] = (-52.0, 0.5)


def _event_sound(event: Event) -> Floats:
    """Its samples at RATE: loud parts at -17 dBFS before `gain`, faded in 20 ms and out in 100 ms."""
    blocks = list(SoundReader(probe(MEDIA / event.sound), RATE).blocks(1.0))
    samples = np.concatenate(blocks)[round(event.start * RATE) :]
    if event.length is not None:
        samples = samples[: round(event.length * RATE * event.speed)]
    count = round(len(samples) / event.speed)
    samples = np.interp(np.arange(count) * event.speed, np.arange(len(samples)), samples).astype(np.float32)
    power = samples**2
    loud = np.sqrt(power[power > np.quantile(power, 0.5)].mean())
    samples *= 10 ** ((-17 + event.gain) / 20) / loud
    n = np.arange(len(samples))
    samples *= np.minimum(1, n / (0.02 * RATE)) * np.minimum(1, n[::-1] / (0.1 * RATE))
    return samples.astype(np.float32)


def mix(scene: Scene) -> tuple[Floats, Floats]:
    """The scene's sound: (channels, samples) at RATE; and each thing's own, (things, samples)."""
    total = round(scene.seconds * RATE)
    alone = np.zeros((len(scene.things), total), dtype=np.float32)
    for event in scene.events:
        samples = _event_sound(event)
        begin = round(event.t * RATE)
        end = min(total, begin + len(samples))
        alone[event.thing, begin:end] += samples[: end - begin]
    field4 = np.zeros((4, total), dtype=np.float32)
    for thing, own in zip(scene.things, alone, strict=True):
        times = np.arange(0, total, RATE // 20)
        vectors = np.array([directions(*thing.place(n / RATE)[:2]) for n in times])
        x, y, z = (np.interp(np.arange(total), times, axis).astype(np.float32) for axis in vectors.T)
        field4 += own * np.stack([np.ones_like(y), y, z, x])
    field4[0] += _hum(total, *scene.hum)
    if scene.channels == 1:
        out: Floats = field4[:1]
    elif scene.channels == 2:  # two cardioids, looking left and right
        out = np.stack([field4[0] + field4[1], field4[0] - field4[1]]) / np.float32(1.4)
    else:
        out = field4
    return out * np.float32(min(1.0, 0.8 / np.abs(out).max())), alone


def _hum(total: int, level: float, brightness: float) -> Floats:
    """Steady noise whose spectrum falls (brightness 0: -12 dB an octave, 1: not at all), with slow gusts."""
    rng = np.random.default_rng(7)
    spectrum = np.fft.rfft(rng.standard_normal(total))
    frequency = np.maximum(np.fft.rfftfreq(total, 1 / RATE), 40)
    noise = np.fft.irfft(spectrum * frequency ** (-2 * (1 - brightness)), total)
    gusts = np.interp(np.arange(total), np.linspace(0, total, 9), rng.uniform(0.6, 1.0, 9))
    noise *= gusts * 10 ** (level / 20) / noise.std()
    return np.asarray(noise, dtype=np.float32)


def truth(scene: Scene, alone: Floats) -> list[str]:
    """Lines of the truth table: where each thing is every 0.1 s, and whether it sounds then (within 0.3 s)."""
    lines = ["t_s,label,yaw_deg,pitch_deg,width_deg,sounding"]
    for step in range(round(scene.seconds * 10)):
        t = step / 10
        for thing, own in zip(scene.things, alone, strict=True):
            near = own[max(0, round((t - 0.3) * RATE)) : round((t + 0.3) * RATE)]
            sounds = int(np.sqrt(np.mean(near**2)) > 0.01)
            yaw, pitch, width = thing.place(t)
            yaw = float(wrap_degrees(yaw))
            lines.append(f"{t:.1f},{thing.label},{yaw:.1f},{pitch:.1f},{width:.1f},{sounds}")
    return lines


def draw(scene: Scene, background: Floats, t: float) -> Floats:
    """The picture of the scene at time `t`: (HEIGHT, WIDTH, 3), blue-green-red 0..255."""
    frame = background.copy()
    for thing in scene.things:
        thing.draw(frame, t)
    return frame


def write(scene: Scene, folder: Path) -> Path:
    """Draw and mix the scene; write NAME.mp4 and NAME.truth.csv; return the film's path."""
    sound, alone = mix(scene)
    (folder / f"{scene.name}.truth.csv").write_text("\n".join(truth(scene, alone)) + "\n")
    path = folder / f"{scene.name}.mp4"
    with tempfile.TemporaryDirectory() as temporary:
        track = Path(temporary) / "sound.wav"
        with wave.open(str(track), "wb") as file:
            file.setnchannels(len(sound))
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((sound.T * 32767).round().astype("<i2").tobytes())
        source = probe(track)
        if scene.channels == 4 and source.audio is not None:
            source = replace(source, audio=replace(source.audio, ambisonic=FIRST_ORDER))
        pictures = VideoFormat(WIDTH, HEIGHT, 1 / scene.fps, scene.fps, colour=BT709, spherical=True)
        options = VideoOptions(crf=17, encoder_preset="slow")
        with VideoWriter(path, pictures, options, sound=SoundPlan.of(source), source=source, overwrite=True) as writer:
            background = panorama(scene.background)
            for n in range(round(scene.seconds * scene.fps)):
                frame = draw(scene, background, float(n / scene.fps))
                writer.write(_picture(frame, n, 1 / scene.fps))
    return path


def _picture(frame: Floats, pts: int, time_base: Fraction) -> Picture:
    y, u, v = cv2.split(cv2.transform(frame, _YUV))
    half = (WIDTH // 2, HEIGHT // 2)
    small = [cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (u, v)]
    y8, u8, v8 = (np.rint(plane.clip(0, 255)).astype(np.uint8) for plane in (y, *small))
    return Picture((y8, u8, v8), pts, time_base, 8, BT709)
