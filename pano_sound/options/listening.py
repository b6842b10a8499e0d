"""How sources are found."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from .base import Option, Options


@dataclass(frozen=True, kw_only=True)
class ListeningOptions(Options):
    """How sources are found."""

    heading: ClassVar[str] = "Listening"

    model: Annotated[
        str | os.PathLike[str],
        Option(
            "Weights of the network: a name from `pano-sound models`, or a .safetensors file.",
            metavar="NAME|FILE",
            reads=True,
        ),
    ] = "base"
    proxy: Annotated[
        str | os.PathLike[str] | None,
        Option(
            "A low-resolution copy of the film, to speed up analysis. By default a file beside the film with the "
            "film's name and .LRV, .LRF or _proxy, if it is at least 1920 pixels wide. 'none': analyse the film "
            "itself.",
            metavar="FILE|none",
            reads=True,
        ),
    ] = None
    every: Annotated[
        float,
        Option(
            "How often to locate sources, in seconds. 0: at every frame, in panoramas of 960x480, as in the paper.",
            advanced=True,
            minimum=0.0,
            maximum=10.0,
        ),
    ] = 0.5
    window: Annotated[
        float,
        Option(
            "Seconds of sound to compare with each picture, centred on it. The paper uses 20, too long to follow "
            "sources that take turns.",
            advanced=True,
            minimum=0.5,
            maximum=60.0,
        ),
    ] = 3.0
    listen: Annotated[
        Literal["auto", "mono", "spatial"],
        Option(
            "How to find sources: 'auto' (by what looks like the sound, what moves with it, the direction recorded in "
            "an ambisonic track, and left and right of a stereo track where the picture agrees), 'mono' (by looks and "
            "movement alone) or 'spatial' (by an ambisonic track's direction alone)."
        ),
    ] = "auto"
    attention: Annotated[
        Literal[1, 2] | None,
        Option(
            "Use the network alone, with the paper's attention mechanism 1 (softmax) or 2 (ReLU, then softmax).",
            advanced=True,
        ),
    ] = None
    device: Annotated[Literal["cpu", "cuda"], Option("Where the networks run: 'cpu' or 'cuda' (an NVIDIA GPU).")] = (
        "cpu"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention is not None and self.listen == "spatial":
            raise ValueError("`attention` and `listen='spatial'` cannot be used together")
