"""The options of each step: `analyse`, `render`, `overlay` and `pan`. Those of `plan` are in camera.py.

Options of `pan` are also options of each of its steps and can be passed to them unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

from .base import Options
from .batch import BatchOptions
from .camera import PlanOptions
from .input import InputOptions
from .listening import ListeningOptions
from .video import FlatVideoOptions, VideoOptions


@dataclass(frozen=True, kw_only=True)
class AnalyseOptions(InputOptions, ListeningOptions):
    """What to read, and how to find the sources in it."""


@dataclass(frozen=True, kw_only=True)
class RenderOptions(InputOptions, FlatVideoOptions):
    """What to read, and how to encode the result."""


@dataclass(frozen=True, kw_only=True)
class OverlayOptions(AnalyseOptions, VideoOptions):
    """What to read, how to find the sources in it, and how to encode the result."""


@dataclass(frozen=True, kw_only=True)
class PanOptions(AnalyseOptions, PlanOptions, RenderOptions):
    """All options of a panned film."""


CLASSES: tuple[type[Options], ...] = (BatchOptions, PanOptions)
"""Together they hold every option."""
