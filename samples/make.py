"""Makes the sample clips: python samples/make.py [NAME ...] [--still SECONDS]

Everything they are made of lies in samples/media (see CREDITS.md). The clips and their truth tables are written
beside this file. With --still only one picture of each, NAME.png, for a look.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from scenery import Event, Place, Scene, Thing, draw, panorama, write

HERE = Path(__file__).parent


def standing(yaw: float, pitch: float, width: float) -> Callable[[float], Place]:
    """A place that does not change."""
    return lambda t: (yaw, pitch, width)


def driving_past(t: float) -> Place:
    """The car's way: straight on, 7.5 m behind the camera, from yaw -128 over the seam to yaw 128."""
    done = np.clip((t - 0.2) / 6.6, 0, 1)
    metres = -9.6 * np.cos(np.pi * done)  # past the seam; it starts and stops gently
    distance = np.hypot(7.5, metres)
    yaw = 180 - np.degrees(np.arctan2(metres, 7.5))
    return float(yaw), -float(np.degrees(np.arctan(1.5 / distance))), float(np.degrees(4.08 / distance))


MEADOW = Scene(
    name="meadow",
    background="meadow.jpg",
    seconds=12,
    fps=Fraction(30),
    things=(
        Thing("dog", standing(-100, -15, 34), "shepherd.png", (0.86, 0.92, 0.95), feather=0.07, shadow=0.45,
              light=(35, 0.5), sway=(0.8, 0.37)),
        Thing("rooster", standing(92, -27, 20), "rooster.png", (0.82, 0.9, 1.0), feather=0.06, shadow=0.45,
              light=(35, 0.5), sway=(1.6, 0.45)),
    ),
    events=(
        Event(0.3, 0, "dog.ogg"), Event(1.5, 0, "dog.ogg", 0, 0.95), Event(2.7, 0, "dog.ogg", -1, 1.03),
        Event(4.3, 1, "rooster.ogg"), Event(6.3, 1, "rooster.ogg", -1, 0.97),
        Event(8.5, 0, "dog.ogg", 0, 0.97), Event(9.6, 0, "dog.ogg"), Event(10.7, 0, "dog.ogg", -1, 1.04),
    ),
    hum=(-50, 0.55),
)  # fmt: skip

CARPARK = Scene(
    name="carpark",
    background="carpark.jpg",
    seconds=12,
    fps=Fraction(30000, 1001),
    things=(
        Thing("car", driving_past, "beetle.png", (0.95, 0.92, 0.9), shadow=0.7, sway=(0.25, 1.7)),
        Thing("dog", standing(15, -20, 24), "husky.png", (0.88, 0.85, 0.84), shadow=0.6, sway=(0.9, 0.4)),
    ),
    events=(
        Event(0.2, 0, "car.ogg", 0), Event(2.6, 0, "horn.ogg", -1), Event(3.3, 0, "horn.ogg", -1),
        Event(4.0, 0, "car.ogg", -1, 0.93),
        Event(7.2, 1, "dog.ogg", 0, 0.86), Event(8.3, 1, "dog.ogg", 0, 0.82),
        Event(9.9, 0, "horn.ogg"), Event(10.6, 0, "horn.ogg"), Event(11.2, 0, "horn.ogg"),
    ),
    channels=2,
    hum=(-46, 0.3),
)  # fmt: skip

ROOM = Scene(
    name="room",
    background="room.jpg",
    seconds=12,
    fps=Fraction(25),
    things=(
        Thing("guitar", standing(-149, -23, 18), "guitar.png", (0.8, 0.86, 0.92), shadow=0.5, sway=(0.5, 0.33)),
        Thing("drum", standing(28, -31, 47), "drumkit.png", (0.78, 0.84, 0.9), shadow=0.6, sway=(0.5, 0.4)),
    ),
    events=(
        Event(0.2, 0, "guitar.ogg", 0, 1.0, 0.0, 4.0),
        Event(4.4, 1, "drumkit.ogg", -1),
        Event(8.4, 0, "guitar.ogg", 0, 1.0, 3.6, 3.4),
    ),
    channels=2,
    hum=(-56, 0.4),
)  # fmt: skip

COURTYARD = Scene(
    name="courtyard",
    background="courtyard.jpg",
    seconds=10,
    fps=Fraction(30),
    things=(
        Thing("dog", standing(-151, -37, 30), sway=(0.8, 0.43)),
        Thing("rooster", standing(16, -31, 20), "rooster.png", (0.78, 0.84, 0.86), shadow=0.6, sway=(1.5, 0.41)),
    ),
    events=(
        Event(0.3, 1, "rooster.ogg"), Event(2.3, 1, "rooster.ogg", 0, 1.03),
        Event(4.6, 0, "dog.ogg", 0, 0.9), Event(5.8, 0, "dog.ogg", 0, 0.87), Event(7.0, 0, "dog.ogg", 0, 0.92),
        Event(8.2, 0, "dog.ogg", 0, 0.88),
    ),
    channels=4,
    hum=(-52, 0.5),
)  # fmt: skip

SCENES = {scene.name: scene for scene in (MEADOW, CARPARK, ROOM, COURTYARD)}


def main() -> None:
    """Read the command line, make what it asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCENES)}; default: all")
    parser.add_argument("--still", type=float, metavar="SECONDS", help="only NAME.png, as it is at that time")
    options = parser.parse_args()
    for name in options.names or SCENES:
        scene = SCENES[name]
        if options.still is not None:
            picture = draw(scene, panorama(scene.background), options.still)
            cv2.imwrite(str(HERE / f"{name}.png"), picture.clip(0, 255).astype(np.uint8))
            continue
        path = write(scene, HERE)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
