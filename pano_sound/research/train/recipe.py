"""The hyperparameters of the recipe `base`."""

from __future__ import annotations

from dataclasses import dataclass

from ...localize.architecture import LITE0_STAGES

BLOCKS = sum(repeats for *_, repeats in LITE0_STAGES)
"""Blocks of the trunk."""


@dataclass
class BaseRecipe:
    """All hyperparameters of the training.

    Attributes:
        start: weights of the same architecture to continue from; empty: begin with public weights and new heads.
        sound_steps: training steps of the sound encoder and the tags. With `start` it may be 0: both stay as they are.
        sound_batch: pieces of sound in a step.
        sound_rate, rate: learning rates of the sound encoder, and of the heads.
        steps: training steps of the heads. With `start` it may be 0: they stay as they are.
        sounds, pictures: at most this many per label.
        frames: pictures per film of `clips/`.
        scenes, real_scenes: numbers of made panoramas, and of real ones with a detector's boxes.
        names_per_step, scenes_per_step: labels and scenes in a batch for the heads.
        versions: distant versions of each sound, in addition to the original.
        trunk_rate: learning rate of the trunk's upper layers.
        blocks: that many of the trunk's last blocks learn, and its last convolution; caches keep what is below.
        visual: whether the visual net's heads and upper layers learn; otherwise only the sound's head does.
        live: alter sounds, pictures and scenes anew in each step instead of keeping a few versions of each. This needs
            a GPU, 24 GB of its memory, and other processors to make scenes.
    """

    seed: int = 0
    start: str = ""
    live: bool = False
    visual: bool = True
    sound_steps: int = 8000
    sound_batch: int = 192
    sound_rate: float = 2e-3
    sounds: int = 200
    pictures: int = 200
    frames: int = 6
    scenes: int = 3000
    real_scenes: int = 120
    steps: int = 5000
    rate: float = 1e-3
    trunk_rate: float = 1.5e-4
    blocks: int = 1
    names_per_step: int = 96
    scenes_per_step: int = 24
    mosaic: int = 6
    versions: int = 3
    weight_mosaic: float = 1.5
    weight_box: float = 1.0
    weight_extent: float = 4.0
    weight_scene: float = 1.0
    weight_presence: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError for impossible values."""
        may_be_none = 0 if self.start else 1
        least_of = {
            **dict.fromkeys(("sound_steps", "steps"), may_be_none),
            **dict.fromkeys(("sound_batch", "sounds", "pictures", "frames", "scenes"), 1),
            "mosaic": 2,
            "names_per_step": 6,
            "real_scenes": 0,
            "blocks": 0,
        }
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to {2**32 - 1}, not {self.seed}")
        if self.versions < 0:
            raise ValueError(f"versions must be at least 0, not {self.versions}")
        if self.blocks > BLOCKS:
            raise ValueError(f"blocks must be at most {BLOCKS}, not {self.blocks}")
        if self.live and not self.visual:
            raise ValueError("live=true trains the visual net, so it cannot be used with visual=false")
        if not 1 <= self.scenes_per_step <= self.scenes:
            raise ValueError(f"scenes_per_step must be from 1 to scenes={self.scenes}, not {self.scenes_per_step}")
        for name in ("rate", "trunk_rate", "sound_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")
