"""A network from a weights file, computed by what is fastest here."""

from __future__ import annotations

import importlib.util
import os

from .nets.files import find, read_config
from .network import Network


def load_network(
    model: str | os.PathLike[str] = "base", device: str | None = None, largest: tuple[int, int] | None = None
) -> Network:
    """Read a network. OpenVINO computes it, if that is installed and knows the architecture, and no other device is
    asked for; else PyTorch does.

    Args:
        model: a name such as 'base', or a path to a .safetensors file.
        device: for PyTorch, such as 'cuda'; None is the CPU.
        largest: rows and columns of the largest panorama to look at. A network that is made for larger ones gets its
            panoramas in this size; the columns must be a multiple of its stride.

    Raises:
        ModelError: missing, damaged, or of another format; or PyTorch does not find the device.
    """
    path = find(model)
    config = read_config(path)
    if largest is not None and config.get("panorama", largest)[0] > largest[0]:
        config["panorama"] = largest
    if device in (None, "cpu") and importlib.util.find_spec("openvino"):
        from .compiled.network import CompiledNetwork, compiles

        if compiles(config):
            return CompiledNetwork(path, config)
    from .nets.torch_network import TorchNetwork

    network = TorchNetwork.load(path, device)
    rows, columns = config.get("panorama", network.panorama)
    network.panorama = int(rows), int(columns)
    return network
