"""Runs ``python -m MODULE WORDS`` in CPU processes that accelerate takes for those of GPUs, so that FSDP shards.

By itself accelerate only replicates over CPU processes; torch's ``fully_shard`` works over gloo.
"""

import runpy
import sys

from accelerate.state import PartialState
from accelerate.utils import DistributedType

begin = PartialState.__init__


def as_gpus(self, *args, **kwargs):
    begin(self, *args, **kwargs)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


PartialState.__init__ = as_gpus
sys.argv = sys.argv[2:] if sys.argv[1] == "-m" else sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
