"""A pytest plugin that gives torch a device "second", built from second_device.cpp into the folder $SECOND_DEVICE.

It is a process's own for good, so the tests that need it run in a process of theirs (`test_second_device.py`).
"""

from __future__ import annotations

import contextlib
import os
import types
from pathlib import Path

import torch
from torch.utils import cpp_extension

_built = cpp_extension.load(
    "second_device",
    [str(Path(__file__).with_name("second_device.cpp"))],
    build_directory=os.environ["SECOND_DEVICE"],
    extra_cflags=["-O0"],  # most of the time goes into reading torch
)
GENERATOR = _built.default_generator()
refuse_doubles = _built.refuse_doubles


def _module() -> types.ModuleType:
    """`torch.second`, as `torch.cuda` is: of one device that is always ready."""
    module = types.ModuleType("torch.second")
    functions = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_is_in_bad_fork": lambda: False,
        "_lazy_init": lambda: None,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "synchronize": lambda device=None: None,
        "device": lambda device: contextlib.nullcontext(),
        "manual_seed": GENERATOR.manual_seed,
        "manual_seed_all": GENERATOR.manual_seed,
        "get_rng_state": lambda device=0: GENERATOR.get_state(),
        "set_rng_state": lambda state, device=0: GENERATOR.set_state(state),
        "get_amp_supported_dtype": lambda: [torch.float16, torch.bfloat16],
        "default_generators": (GENERATOR,),
    }
    for name, value in functions.items():
        setattr(module, name, value)
    return module


torch.utils.rename_privateuse1_backend("second")
torch._register_device_module("second", _module())
torch.utils.generate_methods_for_privateuse1_backend(for_storage=True)
