"""What the fork server of workers imports as it starts, before it forks: what is left out, each worker has anew."""

import gc
import os
from importlib import import_module

from initlab.training.forkserver import ONE_THREAD

# Before what reads them is loaded. Asked whether there is a GPU, torch must not begin CUDA: no fork could then use it.
os.environ.update(ONE_THREAD, PYTORCH_NVML_BASED_CUDA_CHECK="1")
# The first step of any of torch's optimizers imports `torch._dynamo`.
for name in ("initlab.training.engines", "initlab.planning", "torch._dynamo"):
    import_module(name)
# Kernels are loaded when they first draw (numba, one thread).
sampling = import_module("initlab.sampling")
sampling.sample(sampling.laws.Normal(1.0), (64, 64))

gc.collect()
gc.freeze()  # a collection in a worker would write to the pages of all objects, which then are shared no longer
