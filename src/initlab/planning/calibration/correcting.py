"""From a plan by rules to one that was measured: the passes, and what they change of each entry."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from initlab.errors import InputError, listed
from initlab.graph import run_under
from initlab.guest.modules import modules_of
from initlab.planning.calibration.calibrator import Calibrator
from initlab.planning.calibration.found import Found
from initlab.planning.calibration.measuring import NOTHING
from initlab.planning.plan import PlanEntry, owners
from initlab.planning.reason import Reason
from initlab.planning.sizes.magnitudes import with_magnitudes
from initlab.planning.sizes.targets import Targets
from initlab.planning.writing.spectral import Vectors
from initlab.reporting import format_number
from initlab.sampling import canonical_name
from initlab.sampling.laws import Constant
from initlab.schemes import Geometry, get_scheme

LARGEST = 2**32  # elements of all parameters beyond which a model is planned by its rules alone


def calibrated(
    model: nn.Module,
    entries: tuple[PlanEntry, ...],
    targets: Targets,
    example_inputs: Any,
    fixed: Iterable[str] = (),
    norms: Iterable[Vectors] = (),
) -> tuple[tuple[PlanEntry, ...], str]:
    """The entries with each std corrected where one pass shows that it misses, and a note where no pass was possible.

    A table that is also the head is corrected first, and what is added to its rows is then measured once more. So is
    all, where a loop applies a weight to what grows from step to step, as a state that begins at zero.

    Args:
        model: the model; it is left as it was.
        entries: the plan by its rules.
        targets: what each weight's output is to be like.
        example_inputs: as for `plan`.
        fixed: names whose laws were asked for, which are not changed.
        norms: the model's spectral norms.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    why = _impossible(parameters) or _scripted(model, entries)
    if why:
        return entries, why
    by_name = {entry.name: entry for entry in entries}
    owner = owners(entries)
    normed = {norm.name: norm for norm in norms}
    for _ in range(2):
        calibrator = Calibrator(by_name, targets, frozenset(fixed), normed)
        try:
            calibrator.finish(run_under(model, example_inputs, calibrator, partial(calibrator.know, owner)))
        except InputError as error:
            return entries, f"not measured: {error}"
        found = calibrator.found
        entries = with_magnitudes(tuple(corrected(entry, found, targets) for entry in by_name.values()))
        by_name = {entry.name: entry for entry in entries}
        held = (found.scores.keys() | found.products.keys()) - targets.tables
        reached = {
            name: 1 / (math.sqrt(found.measured.get(name, (1.0, 1.0))[0]) * found.factors[name]) for name in held
        }
        looping = found.uses.keys() & targets.looping - targets.bounded
        growth = {name: ratio for name in looping if (ratio := found.growth(name)) != 1.0}
        targets = replace(targets, inner={**targets.inner, **reached}, plain=targets.plain - held, growth=growth)
        if not found.products and not growth and all(found.factor(name) == 1.0 for name in targets.ties):
            break
    return entries, ""


def _impossible(parameters: Mapping[str, torch.Tensor]) -> str:
    if any(tensor.is_meta for tensor in parameters.values()):
        return "not measured: on the meta device there are no values: rules set sizes, and starts by hand are not seen"
    if sum(tensor.numel() for tensor in parameters.values()) > LARGEST:
        return "not measured: the model is too large for a pass on the side, so rules set sizes"
    return ""


def _scripted(model: nn.Module, entries: Iterable[PlanEntry]) -> str:
    """Compiled code of TorchScript reads its own parameters, for which no drawn tensor can stand in."""
    written = [name for entry in entries if entry.law is not None for name in (entry.name, *entry.tied_to)]
    for path, module in modules_of(model).values():
        within = f"{canonical_name(path)}." if path else ""
        if isinstance(module, torch.jit.ScriptModule) and any(name.startswith(within) for name in written):
            return f"not measured: {type(model).__name__ if not path else repr(path)} is scripted, and runs with the " \
                   "values that it holds"  # fmt: skip
    return ""


def corrected(entry: PlanEntry, found: Found, targets: Targets) -> PlanEntry:
    """An entry whose std is multiplied by what was found for it, and says so."""
    factor, seen = found.factor(entry.name), entry.measured or found.measured.get(entry.name)
    entry = entry if seen is entry.measured else entry.but(measured=seen)
    if factor == 1.0 or entry.recipe is None or entry.std is None:
        return entry
    reason = Reason(entry.code, f"{entry.reason}; {_words(entry.name, found, targets, factor)}")
    correction, recipe, gain = entry.correction * factor, entry.recipe, entry.gain
    if entry.name in targets.scales and isinstance(entry.law, Constant):
        recipe = get_scheme("constant", value=found.scale(entry.name, entry.law.value))
    elif gain is None:  # fixed numbers
        recipe = replace(recipe, arguments={**recipe.arguments, "std": recipe.arguments["std"] * factor})
    law = recipe.law(entry.geometry or Geometry.bare(entry.shape), None if gain is None else gain * correction)
    std = law.std_of(entry.shape)
    return entry.but(law=law, std=std, recipe=recipe, scheme=recipe.label, reason=reason, correction=correction)


def unreached(entries: Iterable[PlanEntry]) -> Iterator[str]:
    """What to say of weights whose std a pass could not tell, since next to nothing reached them."""
    names = []
    for entry in entries:
        second, target = entry.measured or (0.0, 0.0)
        if entry.role == "weight" and 0 < second * entry.correction**2 < NOTHING * target:
            names.append(entry.name)
    if names:
        yield (
            f"next to nothing reaches {listed(names)}, as behind a norm of what does not vary on these inputs, or "
            "behind scales that are kept and far too small: rules set the std"
        )


def _words(name: str, found: Found, targets: Targets, factor: float) -> str:
    change = f"std ×{format_number(factor)}"
    if others := targets.composed.get(name):
        change += f", which sizes the product with {listed(others)}"
    if name in found.grown:
        return f"read-out behind a constant that shrinks it: logits of unit variance, {change}"
    if name in targets.heads:
        return f"read-out: first loss within {targets.excess:.1%} of a uniform guess, {change}"
    if name in targets.positions:
        return f"a share of what it is added to, {change}"
    if name in targets.scales:
        change = f"scale ×{format_number(factor)}"
    if name in targets.ends or name in targets.scales:
        return f"one of {targets.branches[name]} that end residual branches, each a share of the stream, {change}"
    if name in found.products:
        sizes = " for ".join(format_number(number) for number in found.products[name])
        return f"scores that are products: second moment {sizes}, shared out among factors, {change}"
    if name in found.scores:
        return f"attention scores: second moment {format_number(found.scores[name])} for 1, {change}"
    for told, how in ((found.measured, "measured"), (found.derived, "derived")):
        if name in told:
            second, target = told[name]
            return f"{_reader(name, targets)}{how} {format_number(second)} for {format_number(target)}, {change}"
    return change


def _reader(name: str, targets: Targets) -> str:
    """What reads an output, where that says why its target is not one."""
    if name in targets.normed:
        return "norms alone read it and undo its size (van Laarhoven, 2017): "
    if name in targets.codes:
        return "a codebook, as large as what it is compared with (van den Oord et al., 2017): "
    if name in targets.quantized:
        return "compared with codes, small as the loss that holds it near them (van den Oord et al., 2017): "
    if name in targets.plain:
        return "small, to learn features (Chizat et al., 2019): "
    if name in targets.multiplied:
        return "multiplied with what other weights make, whose steps grow with its size (Poli et al., 2023): "
    if name in targets.read:
        return "rows that weights read, small since few steps move each (Müller et al., 2022): "
    if name in targets.learned:
        return "a function learned beside a fixed one, which begins near zero (Liu et al., 2024): "
    if name in targets.beside_identity:
        return "an identity is added, near which it begins (Qi et al., 2017): "
    if name in targets.couplings:
        return "moves or scales the data itself, which begins near the identity (Kingma & Dhariwal, 2018): "
    return ""
