"""The localizer: a visual trunk, a sound net, and the cosine between them in a common space.

The paper's shape (its Fig. 2): the sound net takes any length and is pooled over a window, the visual net is fully
convolutional, and the attention is the inner product of both (equations 1 to 3, in `attention.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attended, mechanism1, mechanism2, response
from .joint_encoder import JointEncoder
from .sound_encoder import MelEncoder, SoundEncoder
from .soundnet import SoundNet
from .surroundings import Surroundings
from .trunks import Conv, EfficientNetLite0, TinyTrunk, Trunk
from .vgg import VGG16

BASE: dict[str, Any] = {
    "trunk": {"name": "lite0"},
    "sound_encoder": {
        "name": "joint",
        "parts": [
            {
                "name": "mel",
                "widths": [24, 48, 96, 96, 192, 192, 384, 384, 384, 512, 512],
                "strides": [2, 2, 1, 2, 1, 1, 1, 1, 2, 1],
            },
            {"name": "wave", "widths": [16, 32, 64, 128, 256]},
            {"name": "wave", "widths": [16, 32, 64, 128, 256], "level": False},
        ],
    },
    "hidden": 1024,
    "embedding": 512,
    "panorama": [960, 1920],
    "surroundings": {"channels": 128, "widths": [5, 9]},
}
"""The architecture that the recipe `base` trains. The shipped model is an ensemble of such: its sound head is wider."""

TINY: dict[str, Any] = {
    "trunk": {"name": "tiny", "stride": 16},
    "sound_encoder": {"widths": [4, 8, 8, 8, 16], "strides": [2, 2, 2, 2]},
    "hidden": 16,
    "embedding": 16,
}
"""An architecture of a few thousand parameters, for tests."""


TRUNKS: dict[str, type[Trunk]] = {"lite0": EfficientNetLite0, "vgg16": VGG16, "tiny": TinyTrunk}
SOUND_ENCODERS: dict[str, type[SoundEncoder]] = {"joint": JointEncoder, "mel": MelEncoder, "soundnet": SoundNet}


def make_trunk(name: str, **options: Any) -> Trunk:
    """Make a visual trunk by name. Raises ValueError for an unknown name, or options that do not fit."""
    return _make(TRUNKS, "trunk", name)(**options)


def make_sound_encoder(name: str = "mel", **options: Any) -> SoundEncoder:
    """Make a sound net by name. Raises ValueError for an unknown name, or options that do not fit."""
    return _make(SOUND_ENCODERS, "sound encoder", name)(**options)


class Localizer(nn.Module):
    """Finds where in a picture a sound comes from. This is the `base` model; `PaperLocalizer` shares all but the heads.

    Args:
        trunk: options of `make_trunk`: name, stride and others.
        sound_encoder: options of `make_sound_encoder`: name ('mel' if none is given) and others.
        hidden: width of the layer between pooled sound features and embedding.
        embedding: D, the number of dimensions of the common space.
        presence: steepness and middle of the logistic curve over a map's highest response (see `presence.py`); by
            default those of `base`.
        mechanism: the attention that it was trained with, 1 or 2 (equations 2 and 3), which z (equation 4) uses, too.
        panorama: rows and columns of the equirectangular pictures that it is made for; 480 and 960 in the paper.
        tags: names of the kinds of sound for `tag_scores`; none by default.
        surroundings: options of `Surroundings`, channels and widths; None: each cell is judged by itself.

    Attributes:
        config: the arguments, as JSON values; `Localizer(**config)` builds the same architecture.
        sound_rate: sample rate of the sound net in Hz.
        grid_stride: pixels from one cell of the response map to the next.
        panorama: (rows, columns) of pixels to which equirectangular pictures are scaled.
        tags: names of the tags, in the order of `tag_scores`.
        precision: of the trunk: float32, or bfloat16 if the processor has it (see `weights.load`).
    """

    def __init__(
        self,
        trunk: Mapping[str, Any],
        sound_encoder: Mapping[str, Any],
        hidden: int = 1024,
        embedding: int = 512,
        presence: Sequence[float] = (11.86, 0.256),
        mechanism: int = 1,
        panorama: Sequence[int] = (480, 960),
        tags: Sequence[str] = (),
        surroundings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if mechanism not in (1, 2):
            raise ValueError(f"mechanism must be 1 or 2, not {mechanism}")
        self.config: dict[str, Any] = {
            "trunk": dict(trunk),
            "sound_encoder": dict(sound_encoder),
            "hidden": hidden,
            "embedding": embedding,
            "mechanism": mechanism,
            "panorama": list(panorama),
            "tags": list(tags),
        }
        if surroundings:
            self.config["surroundings"] = dict(surroundings)
        self.set_presence(*presence)
        self.mechanism = mechanism
        self.panorama: tuple[int, int] = (int(panorama[0]), int(panorama[1]))
        self.trunk = make_trunk(**trunk)
        self.sound_encoder = make_sound_encoder(**sound_encoder)
        self.tags = list(tags)
        self.tag_head = nn.Linear(self.sound_encoder.features, len(tags)) if tags else None
        self.precision = torch.float32
        self._make_heads(hidden, embedding)
        self.surroundings = Surroundings(self.trunk.channels, embedding, **surroundings) if surroundings else None

    def _make_heads(self, hidden: int, embedding: int) -> None:
        """The layers between the two nets and the common space."""
        self.visual_head = Conv(self.trunk.channels, embedding, 1)
        self.audio_head = nn.Sequential(
            nn.BatchNorm1d(self.sound_encoder.features),
            nn.Linear(self.sound_encoder.features, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.3),
            nn.Linear(hidden, embedding),
            # No affine part: the mean of h over sounds is zero, and with it, nearly, the mean response of any place to
            # all sounds. So no place can attract attention by its looks alone.
            nn.BatchNorm1d(embedding, affine=False),
        )
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.07)))

    def set_presence(self, steepness: float, middle: float) -> None:
        """Store the learnt presence curve."""
        self.presence = (steepness, middle)
        self.config["presence"] = [steepness, middle]

    @property
    def sound_rate(self) -> int:
        return self.sound_encoder.rate

    @property
    def grid_stride(self) -> int:
        return self.trunk.stride

    @property
    def temperature(self) -> float:
        """The divisor of responses before the softmax in training."""
        return float(self.log_temperature.detach().exp())

    def embed_map(self, features: Tensor) -> Tensor:
        """Trunk map (n, channels, rows, columns) -> unit vectors (n, D, rows, columns)."""
        v = self.visual_head(features)
        if self.surroundings is not None:
            v = v + self.surroundings(features, self.trunk.wrap)
        return F.normalize(v.float(), dim=1)

    def visual(self, pictures: Tensor, wrap: bool) -> Tensor:
        """Visual embedding of every cell.

        Args:
            pictures: (n, 3, H, W) RGB 0..255, uint8 or float32, any size.
            wrap: whether the pictures are equirectangular spheres; W must then be a multiple of `grid_stride`.

        Returns:
            float32 (n, D, ceil(H / grid_stride), ceil(W / grid_stride)), of unit length over D. (In the paper's
            model floor, not ceil, and of any length.)

        Raises:
            ValueError: the width does not fit.
        """
        if wrap and pictures.shape[-1] % self.grid_stride:
            raise ValueError(f"width {pictures.shape[-1]} is not a multiple of {self.grid_stride}")
        self.trunk.set_wrap(wrap)
        x = pictures.contiguous(memory_format=torch.channels_last)
        if self.precision == torch.float32:  # or that of a surrounding autocast, as in training
            return self.embed_map(self.trunk(x))
        with torch.autocast(x.device.type, self.precision):
            return self.embed_map(self.trunk(x))

    def sound_features(self, wave: Tensor) -> Tensor:
        """Wave (samples,), float32 mono in [-1, 1] at `sound_rate` -> features (k, F), `sound_encoder.step` s apart."""
        return self.sound_encoder(wave)

    def sound_embedding(self, pooled: Tensor) -> Tensor:
        """Sound features pooled over a window, (n, F) -> h (n, D), unit length."""
        return F.normalize(self.audio_head(pooled), dim=1)

    def tag_scores(self, pooled: Tensor) -> Tensor:
        """Scores of tags: features pooled over a window, (n, F) -> (n, len(tags)) in [0, 1].

        Tags are scored independently, because several may sound at once. (n, 0) if the model has no tags."""
        if self.tag_head is None:
            return pooled.new_zeros(len(pooled), 0)
        return torch.sigmoid(self.tag_head(pooled))

    def respond(self, v: Tensor, h: Tensor) -> Tensor:
        """The raw response: cosine between v (n, D, rows, columns) and h (n, D) -> (n, rows, columns) in [-1, 1]."""
        return response(v, h)

    def attention(self, raw: Tensor) -> Tensor:
        """The attention of the trained mechanism: raw (n, rows, columns) -> attention, each map sums to 1."""
        return (mechanism1 if self.mechanism == 1 else mechanism2)(raw, self.temperature)

    def sound_code(self, pooled: Tensor) -> Tensor:
        """f_s, for comparing sounds with `visual_code` by cosine: pooled features (n, F) -> (n, C). In `base`: h."""
        return self.sound_embedding(pooled)

    def visual_code(self, v: Tensor, raw: Tensor) -> Tensor:
        """f_v, the visual features where the sound is (section 3.2): v (n, D, rows, columns), raw (n, rows, columns) of
        the same pairs -> (n, C). In `base`: z (equation 4), of unit length.
        """
        return F.normalize(attended(v, self.attention(raw)), dim=1)

    def forward(self, pictures: Tensor, waves: Tensor, wrap: bool = False) -> Tensor:
        """Pictures (n, 3, H, W) and waves (n, samples) at `sound_rate` -> raw responses (n, rows, columns)."""
        h = self.sound_embedding(self.sound_encoder.from_waves(waves).mean(dim=1))
        return self.respond(self.visual(pictures, wrap), h)


def _make(kinds: Mapping[str, Any], what: str, name: str) -> Any:
    if name not in kinds:
        raise ValueError(f"no {what} is called {name!r} (there are {', '.join(kinds)})")
    return kinds[name]
