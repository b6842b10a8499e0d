"""The mean of several networks that began from the same weights, number by number:

    python -m pano_sound.research.train.mean OUT.safetensors FILE...

It is often better than each of them, most of all on what none was trained on (Wortsman et al., "Model soups", ICML
2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

from ...errors import ModelError
from .combining import command

if TYPE_CHECKING:
    from ...localize.nets.localizer import Localizer

_ADDED = "surroundings."
_LAST_ADDED = "surroundings.expand."


def mean(networks: Sequence[Localizer]) -> Localizer:
    """A network whose weights are the means of theirs.

    Some may lack the surroundings. They count as if theirs added nothing.

    Raises:
        ModelError: they are of different architectures, or differ in their attention, panorama or tags.
    """
    states = [network.state_dict() for network in networks]
    out = deepcopy(max(networks, key=lambda network: network.surroundings is not None))
    whole = out.state_dict()
    for state in states:
        missing = {key for key in whole if key not in state}
        wrong = any(key not in whole or value.shape != whole[key].shape for key, value in state.items())
        if wrong or any(not key.startswith(_ADDED) for key in missing):
            raise ModelError("the networks are of different architectures")
    for name in ("mechanism", "panorama", "tags", "surroundings"):
        said = [network.config[name] for network in networks if name in network.config]
        if any(value != said[0] for value in said):
            raise ModelError(f"the networks differ in {name}")
    total = {}
    for key, value in whole.items():
        found = [state[key] for state in states if key in state]
        if value.is_floating_point():
            # Nothing is added by a last layer of zeros, whatever the layers before it are.
            total[key] = sum(found, value * 0) / (len(states) if key.startswith(_LAST_ADDED) else len(found))
    steepness, middle = zip(*(network.presence for network in networks), strict=True)
    out.load_state_dict(total, strict=False)
    out.set_presence(sum(steepness) / len(networks), sum(middle) / len(networks))
    return out


main = command(mean, "Write the mean of the networks in FILES to OUTPUT.")

if __name__ == "__main__":
    main()
