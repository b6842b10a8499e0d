"""Does the model look where the sound comes from? On real 360° scenes whose ambisonics tell the direction.

The model hears only the W channel, which has no direction. Each scene is turned by random yaws, so that looking to the
front scores as chance. Baselines are the sound of a scene of another place, and no sound (the mean response to many).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ...camera.glimpses import refine
from ...errors import DataFileError
from ...localize.nets.localizer import Localizer
from ...localize.nets.torch_network import TorchNetwork
from ...localize.windows import SoundFeatures
from ...media.probe import probe
from ...media.reader import VideoReader
from ...media.sound import SoundReader
from ...pipeline.passes import Schedule
from ...sphere.convention import angles, directions
from ...sphere.geometry import angle_between, cell_areas, cell_directions, vector_mean
from ..datasets.examples import read_sound
from ..datasets.labelled import Item, place_of, read_directions, read_items
from .embed import embed

NEAR = 25.0  # degrees
READ_OUTS = ("mean", "peak", "glimpse")
GLIMPSE = 65.5 / 2  # degrees: a round view as wide as AUTOCAM's


@dataclass(frozen=True)
class Reading:
    """How maps become directions.

    Args:
        window: seconds of sound that are pooled around each picture.
        smooth: seconds over which response maps are averaged.
    """

    window: float = 5.0
    smooth: float = 3.0


@dataclass
class SampledScene:
    """One scene: pictures and true directions.

    `times` (n,) s, `pictures` uint8 (n, 3, *model.panorama), `truth` unit vectors (n, 3). `place`: as of `place_of`.
    """

    name: str
    tier: str
    times: NDArray[np.float64]
    pictures: torch.Tensor
    truth: NDArray[np.float64]
    sound: SoundFeatures
    place: str


def read_scenes(model: Localizer, data: Path, every: float = 1.0) -> list[SampledScene]:
    """The scenes of DATA/pano/directions.csv, a picture each `every` seconds.

    Raises:
        DataFileError: the table cannot be read, lacks a column, or has no scenes of two places.
        InputError: a film cannot be read.
    """
    rows, table_at = read_directions(data), data / "pano" / "directions.csv"
    if len(rows) < 2:
        raise DataFileError(
            "there are no two scenes", table_at, "each scene is also measured with the sound of another"
        )
    places = {name: place_of(known[0]) for name, known in rows.items()}
    if len(set(places.values())) < 2:
        hint = "each scene is also measured with the sound of another place; the column place names it"
        raise DataFileError(f"all scenes are of one place, {next(iter(places.values()))}", table_at, hint)
    height, width = model.panorama
    scenes = []
    for name, known in rows.items():
        sound = SoundFeatures(TorchNetwork(model))
        film = probe(data / "pano" / name)
        for block in SoundReader(film, model.sound_rate).blocks(10.0):
            sound.add(block)
        sound.finish()
        with VideoReader(film) as video:
            start = Fraction(video.info.start).limit_denominator(10**9)
            schedule = Schedule(every, start)
            taken = [(p.t - start, p.rgb(width, height)) for p in video.stored() if schedule.due(p.t)]
        times = np.array([float(t) for t, _ in taken])
        at = np.array([float(row["t_s"]) for row in known])
        nearest = np.abs(at - times[:, None]).argmin(axis=1)
        angles = np.array([[float(row["yaw_deg"]), float(row["pitch_deg"])] for row in known])
        truth = directions(angles[nearest, 0], angles[nearest, 1])
        pictures = torch.from_numpy(np.stack([p for _, p in taken])).permute(0, 3, 1, 2)
        scenes.append(SampledScene(name, known[0]["tier"], times, pictures, truth, sound, places[name]))
    return scenes


def maps(model: Localizer, pictures: torch.Tensor, batch: int = 4) -> torch.Tensor:
    """Visual embeddings of panoramas (n, 3, height, width) -> float32 (n, D, rows, columns)."""
    with torch.inference_mode():
        return torch.cat([model.visual(part, wrap=True) for part in pictures.split(batch)])


def read_out(raw: NDArray[np.float32], scene: SampledScene, reading: Reading, temperature: float) -> dict[str, NDArray]:
    """Raw responses (n, rows, columns) -> unit vectors (n, 3).

    The attention's spherical mean, its peak up to 65° of latitude, and, as the camera does, the middle of what the
    best round view (GLIMPSE wide) shows.
    """
    near = np.abs(scene.times[:, None] - scene.times) <= reading.smooth / 2
    smooth = np.stack([raw[row].mean(axis=0) for row in near])
    rows, columns = raw.shape[1:]
    cells, areas = cell_directions(rows, columns).reshape(-1, 3), cell_areas(rows, columns).ravel()
    flat = smooth.reshape(len(raw), -1) / temperature
    attention = np.exp(flat - flat.max(axis=1, keepdims=True))
    weights = attention * areas
    high = np.where(areas > areas.max() * np.cos(np.radians(65)), flat, -np.inf)
    views = (cells @ cells.T >= np.cos(np.radians(GLIMPSE))).astype(np.float32)
    best = views[(weights @ views).argmax(axis=1)]
    return {
        "mean": vector_mean(cells, weights)[0],
        "peak": cells[high.argmax(axis=1)],
        "glimpse": refine(attention.reshape(-1, rows, columns).astype(np.float32), best, cells)[0],
    }


def evaluate(
    model: Localizer, scenes: list[SampledScene], bank: torch.Tensor, reading: Reading, turns: int = 3, seed: int = 0
) -> list[dict[str, float | str]]:
    """Angles between read-out and truth.

    Args:
        bank: (m, D) embeddings of many sounds, whose mean is "no sound".
        turns: random yaws per scene.

    Returns:
        One record for each picture, turn, hearing ('own', 'another', 'none') and read-out: file, tier, hearing,
        read_out, error (degrees of great circle), yaw_error (degrees), response (the highest).
    """
    rng = np.random.default_rng(seed)
    records: list[dict[str, float | str]] = []
    width = model.panorama[1]
    for k, scene in enumerate(scenes):
        others = [one for one in scenes[k + 1 :] + scenes[:k] if one.place != scene.place]
        other = others[int(rng.integers(len(others)))]
        pooled = scene.sound.pooled(scene.times, reading.window)
        with torch.inference_mode():
            heard = {
                "own": model.sound_embedding(torch.from_numpy(pooled)),
                "another": model.sound_embedding(torch.from_numpy(other.sound.pooled(scene.times, reading.window))),
                "none": bank.mean(dim=0, keepdim=True).expand(len(pooled), -1),
            }
        for _ in range(turns):
            shift = int(rng.integers(width))
            v = maps(model, scene.pictures.roll(shift, dims=3))
            angle = np.radians(360.0 * shift / width)  # to the right: clockwise from above
            turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
            truth = scene.truth @ turn.T
            for hearing, h in heard.items():
                raw = model.respond(v, h).numpy()
                for name, found in read_out(raw, scene, reading, model.temperature).items():
                    aside = np.abs((angles(found)[0] - angles(truth)[0] + 180) % 360 - 180)
                    for i, error in enumerate(angle_between(found, truth)):
                        records.append(
                            {
                                "file": scene.name,
                                "tier": scene.tier,
                                "hearing": hearing,
                                "read_out": name,
                                "error": float(error),
                                "yaw_error": float(aside[i]),
                                "response": float(raw[i].max()),
                            }
                        )
    return records


def sound_bank(model: Localizer, data: Path, each: int = 2) -> torch.Tensor:
    """Embeddings of a few `val` sounds of every label, (m, D). Raises DataFileError if there are none."""
    counts: dict[str, int] = defaultdict(int)
    chosen: list[Item] = []
    for item in read_items(data, "sounds"):
        if item.split == "val" and counts[item.label] < each:
            counts[item.label] += 1
            chosen.append(item)
    if not chosen:
        raise DataFileError("there are no sounds of the split val", data / "sounds.csv", "their mean is 'no sound'")
    return embed(model, [partial(read_sound, item.path) for item in chosen])


def table(records: list[dict[str, float | str]], by: str = "tier") -> str:
    """By tier or file, for each hearing and read-out: share within 25°, median error, share within 25° in yaw alone."""
    lines = [f"{by:<28}{'read-out':<10}" + "".join(f"{h:>24}" for h in ("own", "another", "none"))]
    for group in sorted({str(r[by]) for r in records}):
        for read in READ_OUTS:
            line = f"{group:<28}{read:<10}"
            for hearing in ("own", "another", "none"):
                chosen = [r for r in records if (r[by], r["read_out"], r["hearing"]) == (group, read, hearing)]
                errors, aside = (np.array([r[name] for r in chosen]) for name in ("error", "yaw_error"))
                near, in_yaw = (100 * np.mean(e <= NEAR) for e in (errors, aside))
                line += f"{near:>9.0f} % {np.median(errors):>4.0f}° {in_yaw:>4.0f} %"
            lines.append(line)
    return "\n".join(lines)
