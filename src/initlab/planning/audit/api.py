"""`audit`: what start a model has, parameter by parameter, and what is wrong with it."""

from __future__ import annotations

from typing import Any

from torch import nn

from initlab.errors import argued
from initlab.planning.audit.evidence import Evidence, gathered
from initlab.planning.audit.findings import findings_of
from initlab.planning.audit.reference import compared
from initlab.planning.audit.results import Audit, Departure
from initlab.reporting.finding import Finding
from initlab.reporting.status import rank


@argued
def audit(model: nn.Module, reference: Any = None, example_inputs: Any = None) -> Audit:
    """What start does this model have, and what is wrong with it? The model is left as it is.

    Each parameter's values are fitted by a constant, a uniform, a normal or a cut normal law, and by structure
    (orthogonal, identity, sparse); the law is named as a scheme where its std is the scheme's to within four standard
    errors. Findings are what models really got wrong: equal layers that are not tied, one seed for several parameters,
    shards that repeat each other, memory that nobody wrote, layers that the model's own start misses, norms that are
    not the identity, padding rows that are not zero, a residual scale on the wrong projection or from a wrong count.

    Args:
        model: any module.
        reference: what the start should be; its differences are listed. A policy, scheme, mapping or `Plan`; another
            model (the same laws); a state dict or weight file (the same values); a log of `initlab.streams` (what was
            called: overwritten, drawn twice, never touched).
        example_inputs: for one forward pass, from which roles and residual branches are read; without it, by layer
            types and names.

    Returns:
        An `Audit`: `.findings`, `.differences`, `audit["fc.weight"]`, `print`, `.save("audit.html")`.

    Raises:
        InputError: a bad argument, or a model whose forward pass does not run on `example_inputs`.

    >>> import torch, initlab
    >>> net = torch.nn.Linear(64, 64, bias=False)
    >>> with initlab.streams(net): _ = torch.nn.init.xavier_normal_(net.weight)
    >>> "xavier_normal" in (initlab.audit(net)["weight"].scheme, *initlab.audit(net)["weight"].also)
    True
    """
    evidence = gathered(model, example_inputs)
    found = findings_of(evidence)
    words, differences, more = "", list[Departure](), list[Finding]()
    if reference is not None:
        words, differences, more = compared(reference, evidence, example_inputs)
    if differences:
        more = [*more, _differs(words, [d.name for d in differences], str(differences[0]))]
    ordered = sorted([*found, *more], key=lambda finding: rank(finding.severity))
    return Audit(
        type(model).__name__,
        tuple(one.start for one in evidence.seen),
        tuple(ordered),
        tuple(differences),
        words,
        tuple(_notes(evidence)),
    )


def _differs(words: str, names: list[str], first: str) -> Finding:
    return Finding(
        "differs", "warning", names[0], f"{len(names)} parameters are not as the {words} says; {first}",
        "audit.differences lists them.",
    )  # fmt: skip


def _notes(evidence: Evidence) -> list[str]:
    unseen = [one.name for one in evidence.seen if one.tensor.is_meta]
    notes = [f"{len(unseen)} parameters have no values (meta device), {unseen[0]} first"] if unseen else []
    few = [one for one in evidence.seen if 0 < one.law.count < 64 and one.is_random]
    if few:
        have = "1 parameter has" if len(few) == 1 else f"{len(few)} parameters have"
        notes.append(f"{have} fewer than 64 values, too few to be sure of a law")
    return notes
