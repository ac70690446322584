"""`python on_cpus.py ARGUMENTS`: `training.run` with processes on CPUs that accelerate takes for GPUs.

accelerate shards on accelerators alone: to it a group of CPU processes is MULTI_CPU, whatever its configuration says.
The sharding itself, that of torch or DeepSpeed, works on CPUs with gloo.
"""

import sys

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from shared.cli import run_command
from training.run import main


def _set_device(self):
    self.device = torch.device("cpu")


if __name__ == "__main__":
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)
    PartialState.set_device = _set_device
    run_command(lambda: main(sys.argv[1:]))
