"""The head has more outputs than the targets have classes."""

from __future__ import annotations

import torch

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings.kind import Kind, advised
from initlab.inspection.results import Finding

PER_CLASS = 8.0  # samples of each class seen, from which a class that never comes is none


def find(e: Evidence) -> Finding | None:
    answer, labels = e.compared, e.compared.class_targets
    if not answer.classes or labels is None or labels.ndim != 1 or answer.output.ndim != 2:
        return None
    units = int(answer.output.shape[1])
    seen = torch.unique(labels)
    if seen.numel() < 2 or labels.numel() < PER_CLASS * seen.numel() or seen.numel() == units:
        return None
    if int(seen.max()) - int(seen.min()) + 1 != seen.numel():
        return None  # gaps in between: classes that this batch does not hold
    evidence = f"the head has {units} outputs, the targets are the {seen.numel()} classes "
    evidence += f"{int(seen.min())} to {int(seen.max())}"
    advice = f"Give the head {seen.numel()} outputs" + (" and count classes from 0" if int(seen.min()) else "")
    return Finding("label count", "info", _head(e), evidence, advice)


def _head(e: Evidence) -> str:
    return e.layers[e.readout.index].name if e.readout is not None else "output"


FINDING = Kind(find, leads=True, remedy=advised)
