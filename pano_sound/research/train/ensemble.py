"""An ensemble of sound heads as one network, from networks that differ in nothing else:

    python -m pano_sound.research.train.ensemble OUT.safetensors FILE...

Its head is as wide as theirs together and gives the mean of what they give. Heads that were trained apart fail for
different sounds, so their mean is often better than each of them. It costs next to nothing: a head runs once for each
window of sound. (`mean` is over weights, so the heads must have begun from the same ones; these need not.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from ...errors import ModelError
from .combining import command

if TYPE_CHECKING:
    from torch import Tensor

    from ...localize.nets.localizer import Localizer

_HEAD = "audio_head."


def ensemble(networks: Sequence[Localizer]) -> Localizer:
    """A network whose sound head gives the mean of what theirs give; all else is as in each of them.

    Raises:
        ModelError: they differ in more than their sound heads and presence curves, or are not of the kind of `base`.
    """
    from ...localize.nets.localizer import Localizer

    first = networks[0]
    if any(type(network) is not Localizer for network in networks):
        raise ModelError("only networks of the kind of base have such sound heads")
    states = [network.state_dict() for network in networks]
    rest = {key: value for key, value in states[0].items() if not key.startswith(_HEAD)}
    configs = [{**network.config, "hidden": 0, "presence": 0} for network in networks]
    for state, config in zip(states, configs, strict=True):
        if config != configs[0] or any(not torch.equal(value, state[key]) for key, value in rest.items()):
            raise ModelError("the networks differ in more than their sound heads")
    steepness, middle = (sum(values) / len(networks) for values in zip(*(n.presence for n in networks), strict=True))
    width = sum(network.config["hidden"] for network in networks)
    out = Localizer(**{**first.config, "hidden": width, "presence": [steepness, middle]}).eval()
    heads = [_without_norms(state) for state in states]
    into, its, onto, last = ([head[k] for head in heads] for k in range(4))
    mean, spread = _statistics(states[0], 0)
    head = {
        "0.running_mean": mean,
        "0.running_var": states[0][_HEAD + "0.running_var"],
        "1.weight": torch.cat(into) * spread,
        "1.bias": torch.cat(its) + torch.cat(into) @ mean,
        "4.weight": torch.cat(onto, dim=1) / len(heads),
        "4.bias": torch.stack(last).mean(dim=0),
    }
    out.load_state_dict({**out.state_dict(), **rest, **{_HEAD + key: value for key, value in head.items()}})
    return out


def _without_norms(state: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both linear layers of a sound head, weights and biases, as they would be without its BatchNorm layers."""
    mean, spread = _statistics(state, 0)
    into = state[_HEAD + "1.weight"] * (state[_HEAD + "0.weight"] / spread)
    its = state[_HEAD + "1.bias"] + state[_HEAD + "1.weight"] @ state[_HEAD + "0.bias"] - into @ mean
    mean, spread = _statistics(state, 5)
    return into, its, state[_HEAD + "4.weight"] / spread[:, None], (state[_HEAD + "4.bias"] - mean) / spread


def _statistics(state: dict[str, Tensor], layer: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation that a BatchNorm layer of a sound head divides by."""
    variance = state[f"{_HEAD}{layer}.running_var"] + nn.BatchNorm1d(1).eps
    return state[f"{_HEAD}{layer}.running_mean"], variance.sqrt()


main = command(ensemble, "Write a network with the sound heads of the networks in FILES to OUTPUT.")

if __name__ == "__main__":
    main()
