"""Checkpoints, from which training resumes exactly. Written atomically."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...atomic_file import written_whole
from ...errors import DataFileError

log = logging.getLogger("pano_sound")

_MAY_CHANGE = {"steps", "checkpoint_every"}
"""Fields of a recipe that may change between runs, because they do not change the batches."""


class Checkpoint:
    """The latest state of one training, in `folder/checkpoint.pt`.

    Args:
        recipe: the hyperparameters; a checkpoint of another recipe is refused.
        data: the hash of the set (`batches.identity`); a checkpoint of another set is refused.
        nets: the hash of trunk and sound net at the start (`batches.digest`), most of which no checkpoint holds; a
            checkpoint of others is refused.
    """

    def __init__(self, folder: Path, recipe: dict[str, Any], data: str, nets: str) -> None:
        self.path, self.recipe = folder / "checkpoint.pt", {**recipe, "data": data, "nets": nets}

    def save(self, step: int, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Save the state after `step` steps, replacing the one before."""
        learnt = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
        moving = {name for name, _ in module.named_buffers()}
        state = {name: value for name, value in module.state_dict().items() if name in learnt | moving}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(self.path) as file:
            torch.save(
                {"step": step, "recipe": self.recipe, "module": state, "optimiser": optimiser.state_dict()}, file
            )

    def steps(self) -> int:
        """The number of completed steps, 0 without a checkpoint. Raises DataFileError as `restore`."""
        return int(self._read()["step"]) if self.path.exists() else 0

    def restore(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> int:
        """Restore module and optimiser. Returns the number of completed steps, 0 without a checkpoint.

        Raises:
            DataFileError: the checkpoint is damaged, of another recipe, set or nets, of more steps, or of an
                earlier version.
        """
        if not self.path.exists():
            return 0
        kept = self._read()
        module.load_state_dict(kept["module"], strict=False)
        optimiser.load_state_dict(kept["optimiser"])
        log.info("going on from step %d", kept["step"])
        return int(kept["step"])

    def _read(self) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            other = {k for k in self.recipe if self.recipe[k] != kept["recipe"].get(k)} - _MAY_CHANGE
            kept = {name: kept[name] for name in ("step", "recipe", "module", "optimiser")}
        except Exception as error:
            raise DataFileError("the checkpoint is damaged", self.path, "remove it to start again") from error
        hint = "use another folder, or remove the checkpoint to start again"
        if fields := other - {"data", "nets"}:
            raise DataFileError(f"the checkpoint is of another recipe: {', '.join(sorted(fields))}", self.path, hint)
        if other:
            what = "of another set" if "data" in other else "of a training that began with other nets"
            what = what if "nets" in kept["recipe"] else "of an earlier version"
            raise DataFileError(f"the checkpoint is {what}", self.path, hint)
        if kept["step"] > self.recipe["steps"]:
            what = f"of {kept['step']} steps, more than steps={self.recipe['steps']}"
            raise DataFileError(f"the checkpoint is {what}", self.path, hint)
        return kept


class StageState:
    """The latest state of one stage of the recipe `base`, in its own file."""

    def __init__(self, at: Path, name: str, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        self._at, self._name, self._module, self._optimiser = at, name, module, optimiser

    def restore(self) -> int:
        """Restore module and optimiser. Returns the number of completed steps, 0 without a file. Raises DataFileError
        if the file is damaged."""
        if not self._at.exists():
            return 0
        try:
            kept = torch.load(self._at, map_location="cpu", weights_only=True)
            self._module.load_state_dict(kept[self._name])
            self._optimiser.load_state_dict(kept["optimiser"])
        except Exception as error:
            raise DataFileError("the checkpoint is damaged", self._at, "remove it to start again") from error
        return int(kept["step"])

    def save(self, steps: int) -> None:
        """Save the state after this many steps."""
        state = {self._name: self._module.state_dict(), "optimiser": self._optimiser.state_dict(), "step": steps}
        with written_whole(self._at) as file:
            torch.save(state, file)
