"""Several processes that share one training (`torchrun --nproc-per-node N -m pano_sound train …`), or just one."""

from __future__ import annotations

import os
from datetime import timedelta
from types import TracebackType

import torch
import torch.distributed as distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel


class Processes:
    """This process among those started by torchrun. A context manager.

    Attributes:
        rank, count: its number, and the number of processes; (0, 1) without torchrun.
        device: its GPU if there is one, else the CPU.
    """

    def __init__(self) -> None:
        self.rank, self.count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        gpu = torch.cuda.is_available()
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if gpu else torch.device("cpu")

    def __enter__(self) -> Processes:
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.count > 1:
            # The others wait while the first one computes the features of a set, which may take hours.
            backend = "nccl" if self.device.type == "cuda" else "gloo"
            distributed.init_process_group(backend, timeout=timedelta(days=2))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self.count > 1:
            distributed.destroy_process_group()

    @property
    def part(self) -> tuple[int, int]:
        """(rank, count), for dividing work."""
        return self.rank, self.count

    @property
    def first(self) -> bool:
        """Whether this process writes logs, checkpoints and weights."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        if self.count > 1:
            distributed.barrier()

    def shared(self, module: nn.Module, idle: bool = False) -> nn.Module:
        """The module with its gradients averaged over all processes; `idle`: its loss does not reach every layer."""
        if self.count == 1:
            return module
        if self.device.type == "cuda":
            module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return DistributedDataParallel(module, find_unused_parameters=idle)
