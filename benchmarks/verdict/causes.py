"""Whether the cause that `inspect` names first is the one that was planted, and whether `fix()` cures it, by training.

    INITLAB_DATA=... python -m benchmarks.verdict.causes [--seconds 280]   # one line a cell in causes.jsonl; resumes

Each network of `plants` is trained as built, with the fault, and with what `fix()` changes; AdamW at its two middle
rates unless the fault is an optimizer or a rate. r is the share of the loss that training removes, of what it removes
of the network as built in 100 steps. A fault counts where r is under 0.7 with it after 100 steps; what `fix()` changes
is a cure where r reaches 0.7 in 100 steps or, as a rate that is given may be slower than the best, in 400.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

import initlab
from benchmarks._lines import Lines
from benchmarks.verdict.plants import PLANTS, Problem, base, cells

KEPT = Path(__file__).with_name("causes.jsonl")
SEEN, BATCH, STEPS, LONG, TAIL, WELL = 128, 32, 100, 400, 10, 0.7
RATES = (1e-3, 1e-2)


def trained(p: Problem, steps: int = STEPS) -> float:
    """Mean loss of the last steps over that of a constant answer, at the better of the rates; infinite if none is."""
    given = p.lr is not None or isinstance(p.optimizer, torch.optim.Optimizer)
    return min(_run(copy.deepcopy(p), None if given else rate, steps) for rate in ((RATES[0],) if given else RATES))


def _run(p: Problem, rate: float | None, steps: int) -> float:
    optimizer = _optimizer(p, rate)
    generator = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(steps):
        batch = torch.randint(0, len(p.x), (BATCH,), generator=generator)
        value = p.loss(p.model(p.x[batch]), p.y[batch])
        losses.append(float(value.detach()))
        if not math.isfinite(losses[-1]):
            return math.inf
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return sum(losses[-TAIL:]) / TAIL / constant(p)


def _optimizer(p: Problem, rate: float | None) -> torch.optim.Optimizer:
    if isinstance(p.optimizer, torch.optim.Optimizer):
        held = {id(q) for group in p.optimizer.param_groups for q in group["params"]}
        assert held <= {id(q) for q in p.model.parameters()}
        return p.optimizer
    lr = p.lr if p.lr is not None else rate
    assert lr is not None
    kind = torch.optim.SGD if p.optimizer == "sgd" else torch.optim.AdamW
    return kind(p.model.parameters(), lr=lr)


def constant(p: Problem) -> float:
    """The loss of the best constant answer."""
    if not p.y.is_floating_point():
        share = torch.bincount(p.y.flatten()).double() / p.y.numel()
        return float(torch.special.entr(share).sum())
    if p.loss is F.binary_cross_entropy_with_logits:
        share = p.y.double().mean(0)
        return float((torch.special.entr(share) + torch.special.entr(1 - share)).mean())
    return float(p.y.double().var(0, correction=0).mean())


def judged(name: str, fault: str) -> dict[str, Any]:
    plant, line = PLANTS[fault], {"network": name, "fault": fault}
    built = trained(base(name))
    problem = plant.make(base(name))
    report = initlab.inspect(problem.model, problem.x[:SEEN], problem.y[:SEEN], problem.loss,
                             optimizer=problem.optimizer, lr=problem.lr)  # fmt: skip
    fix = report.fix()
    line |= {"verdict": report.verdict, "findings": [f"{f.kind} at {f.where}" for f in report.findings][:4],
             "what": list(fix.what), "cured": fix.cured}  # fmt: skip
    line |= {"built": _short(built), "planted": _short(trained(problem))}
    if fix.cured and fix.what:
        fixed = mended(problem, fix.code)
        share = trained(fixed)
        line["fixed"] = _short(share if removed(share, built) >= WELL else trained(fixed, LONG))
    return line


def mended(p: Problem, code: str) -> Problem:
    """The problem after the fix's own code has run on it, as pasted."""
    names = {"model": p.model, "inputs": p.x, "targets": p.y, "loss": p.loss, "lr": p.lr, "optimizer": p.optimizer}
    exec(code, names)
    return Problem(*(names[key] for key in ("model", "inputs", "targets", "loss", "optimizer", "lr")))  # type: ignore[arg-type]


def _short(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def removed(share: float | None, built: float) -> float:
    """The share of the loss that training removes, of what it removes of the network as built."""
    return -math.inf if share is None else (1 - share) / (1 - built)


def named_by(finding: str) -> str:
    """The kind of a finding; of a first loss also whether it names a weight."""
    kind, _, where = finding.partition(" at ")
    return f"{kind} at weight" if kind == "first loss" and where.endswith("weight") else kind


def counts(lines: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """{what: (cells of which it holds, among how many)}."""
    harmed, named, claimed, cured = _parted(lines)
    return {
        "the fault harms training": (len(harmed), len(lines)),
        "of those, the finding named first is the planted one": (len(named), len(harmed)),
        "of those that `fix()` says it cures, its code makes them train": (len(cured), len(claimed)),
    }


def _parted(lines: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], ...]:
    """(cells that the fault harms; of them those named first, those said to be cured; of the latter those that are)."""
    harmed = [e for e in lines if removed(e["planted"], e["built"]) < WELL]
    named = [e for e in harmed if e["findings"] and named_by(e["findings"][0]) in PLANTS[e["fault"]].kinds]
    claimed = [e for e in harmed if "fixed" in e]
    return harmed, named, claimed, [e for e in claimed if removed(e["fixed"], e["built"]) >= WELL]


def scored(lines: list[dict[str, Any]]) -> str:
    harmed, named, claimed, cured = _parted(lines)
    wrong = [f"  {e['network']} | {e['fault']} | {e['verdict']} | {e['findings']}" for e in harmed if e not in named]
    failed = [f"  {e['network']} | {e['fault']} | {e['what']} | built {e['built']} planted {e['planted']} fixed "
              f"{e['fixed']}" for e in claimed if e not in cured]  # fmt: skip
    shares = [f"{what}: {n} of {among} ({n / max(1, among):.3f})" for what, (n, among) in counts(lines).items()]
    return "\n".join([*shares, "not named first:", *wrong, "not cured:", *failed])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--out", type=Path, default=KEPT)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    warnings.filterwarnings("ignore", message="Using a target size")
    lines, began = Lines(asked.out, "network", "fault"), time.perf_counter()
    for name, fault in cells():
        if time.perf_counter() - began > asked.seconds:
            break
        if not lines.has(name, fault):
            lines.add(judged(name, fault))
    print(scored(lines.kept))


if __name__ == "__main__":
    main()
