"""Sound fields with known directions: plane waves, rooms and talkers, (4, samples) W, Y, Z, X in SN3D at 16 kHz."""

import numpy as np

from pano_sound.sphere.convention import directions

RATE = 16000


def noise(seconds, seed=0, level=0.1):
    return np.random.default_rng(seed).normal(size=round(seconds * RATE)) * level


def plane_wave(sound, yaw, pitch=0.0):
    x, y, z = directions(yaw, pitch)
    return (np.array([1, y, z, x])[:, None] * sound).astype(np.float32)


def diffuse(seconds, seed=0, level=0.1):
    field = np.random.default_rng(seed).normal(size=(4, round(seconds * RATE))) * level
    field[1:] /= np.sqrt(3)
    return field.astype(np.float32)


def talker(seconds, seed):
    """Voiced syllables of changing pitch with pauses between them; a third of them hiss."""
    rng = np.random.default_rng(seed)
    sound, at = np.zeros(round(seconds * RATE)), 0
    while at < len(sound):
        t = np.arange(round(rng.uniform(0.1, 0.25) * RATE)) / RATE
        hz, formants = rng.uniform(110, 220), rng.uniform((300, 900, 2200), (800, 2000, 3200))
        phase = 2 * np.pi * hz * (1 + 0.1 * rng.normal() * t) * t
        overtones = np.arange(1, int(5000 / hz))[:, None]
        gains = (1 / (1 + ((overtones * hz - formants) / 150) ** 2)).sum(axis=1)
        syllable = gains @ np.sin(overtones * phase) + 0.4 * rng.normal(size=len(t)) * (rng.random() < 0.3)
        syllable *= np.sin(np.pi * t / t[-1]) * rng.uniform(0.5, 1)
        part = sound[at : at + len(t)]
        part += syllable[: len(part)]
        at += round(len(t) * rng.uniform(0.8, 1.5))
    return sound / np.abs(sound).max() * 0.3


def in_room(sound, yaw, pitch, distance=1.5, room=(6.0, 5.0, 3.0), microphone=(2.6, 2.8, 1.5), rt60=0.5, seconds=0.3):
    """The sound of a source in a shoebox room, by its mirror images (Allen and Berkley, JASA 1979)."""
    size, here = np.array(room), np.array(microphone)
    source = here + directions(yaw, pitch) * distance
    surface = 2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2])
    reflected = np.exp(-0.5 * 0.161 * size.prod() / (surface * rt60))
    reach, axes, bounces = 343 * seconds, [], []
    for length, mine, other in zip(size, here, source, strict=True):
        n = np.arange(-int(reach / length / 2) - 1, int(reach / length / 2) + 2)
        axes.append(np.concatenate([2 * n * length + other, 2 * n * length - other]) - mine)
        bounces.append(np.concatenate([np.abs(2 * n), np.abs(2 * n - 1)]))
    x, y, z = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    count = sum(np.meshgrid(*bounces, indexing="ij")).ravel()
    far = np.sqrt(x**2 + y**2 + z**2)
    near = far < reach
    gain, delay = (reflected**count / far)[near], np.round(far[near] / 343 * RATE).astype(int)
    echoes = np.stack([np.bincount(delay, gain * part) for part in (1, *((c / far)[near] for c in (y, z, x)))])
    count = 1 << (len(sound) + echoes.shape[1]).bit_length()
    return np.fft.irfft(np.fft.rfft(sound, count) * np.fft.rfft(echoes, count), count)[:, : len(sound)].astype(
        np.float32
    )
