"""The user's model as a guest: is it usable, what goes into it, running it, and leaving it exactly as it was."""

from initlab.guest.batch import Batch, batch_of
from initlab.guest.check import check_built, check_materialised, check_module, module_of
from initlab.guest.inputs import call_arguments, mapped, named_tensors, tensors_in
from initlab.guest.run import Follower, run
from initlab.guest.untouched import modes_kept, untouched

__all__ = [
    "Batch",
    "Follower",
    "batch_of",
    "call_arguments",
    "check_built",
    "check_materialised",
    "check_module",
    "mapped",
    "modes_kept",
    "module_of",
    "named_tensors",
    "run",
    "tensors_in",
    "untouched",
]
