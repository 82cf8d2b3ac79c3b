"""Parameters that no law can be written into, and those that are left alone unless a selector names them."""

from __future__ import annotations

from torch.nn.utils.parametrizations import _Orthogonal

from initlab.guest.check import dtype_name, is_strided, layout_name
from initlab.guest.whole import is_flattened
from initlab.planning.choice import Choice, keep
from initlab.planning.memory.tensors import DTYPES, PARTS
from initlab.planning.parameters.scene import Subject
from initlab.planning.reason import Reason
from initlab.planning.selection.claims import Claim
from initlab.planning.selection.loaded import is_marked_loaded


def unwritable(subject: Subject, claim: Claim | None, of_loaded: bool = False) -> Choice | None:
    """A parameter that no law can be written into, or that is frozen and not named; None for every other.

    Args:
        subject: the parameter.
        claim: the selector that names it.
        of_loaded: whether what it gets is made of its loaded values.
    """
    kept = claim is not None and claim.override.scheme is None and claim.override.policy is None
    tensor = subject.slot.tensor
    if kept:
        return None
    if tensor.dtype not in DTYPES and tensor.dtype not in PARTS:
        able = ", ".join(DTYPES.values())
        if (claim is None or claim.override.selector.broad) and not tensor.requires_grad:
            return keep("dtype", f"kept: frozen, and {dtype_name(tensor.dtype)} cannot be drawn (only {able})")
        return _refuse("dtype", f"{dtype_name(tensor.dtype)} cannot be drawn (only {able}); keep it")
    if not is_strided(tensor):
        if (claim is None or claim.override.selector.broad) and not tensor.requires_grad:
            return keep("layout", f"kept: frozen, and {layout_name(tensor)}: only strided tensors can be drawn")
        return _refuse("layout", f"it is {layout_name(tensor)}, and only strided tensors can be drawn; keep it")
    if is_flattened(tensor):
        why = (
            "FSDP1 holds it in a flat parameter, whose layers have no shapes: write before wrapping, or use fully_shard"
        )
        return _refuse("flat_parameter", why)
    if _made_orthogonal(subject):
        why = "its orthogonal parametrization keeps signs and reflections in it, from which it makes the weight"
        if claim is not None and claim.override.selector.exact:
            return _refuse("orthogonal_parametrization", f"{why}; keep it")
        return keep("orthogonal_parametrization", f"kept: {why}")
    if claim is None and not of_loaded and is_marked_loaded(tensor):
        return keep("loaded", "kept: loaded, as Hugging Face marks it, and not named in the policy")
    if (claim is None or claim.override.selector.broad) and 0 in subject.shape and len(subject.shape) > 1:
        return keep("empty", "kept: it has no elements")
    if claim is None and not of_loaded and not tensor.requires_grad:
        return keep("frozen", "kept: frozen (requires_grad is False) and not named in the policy")
    return None


def _refuse(code: str, words: str) -> Choice:
    return Choice(None, Reason(code, words), action="refuse")


def _made_orthogonal(subject: Subject) -> bool:
    """Whether torch.nn.utils.parametrizations.orthogonal holds it: random values there give a weight of zeros."""
    return subject.slot.plain_name != subject.name and any(
        isinstance(step, _Orthogonal) for step in subject.slot.owner.module.children()
    )
