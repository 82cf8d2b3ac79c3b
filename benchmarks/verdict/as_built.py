"""Models of timm, torchvision and transformers as their libraries build them: what `inspect` measures of each.

    INITLAB_DATA=... python -m benchmarks.verdict.as_built [PART ...]     # one line each in as_built.jsonl; resumes
    python -m benchmarks.verdict.as_built --findings [PART ...]           # findings of those that have none kept
    python -m benchmarks.verdict.as_built --score                         # what the shipped trees say of them

In the environment of `benchmarks.zoo`. Vision models see MNIST as three channels, models of tokens a chain with four
followers each; AdamW at its best rate and at 1e-3, SGD with momentum 0.9 at its best rate and at 1e-2.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks._lines import Lines
from benchmarks.verdict.library import chain, images
from benchmarks.verdict.measure import free, line_of_cell
from benchmarks.verdict.starts import Cell, optimizer_for
from benchmarks.verdict.tasks import Task, tokens_loss
from benchmarks.zoo.families import Family
from benchmarks.zoo.hugging_face import classifiers, language_models
from benchmarks.zoo.running import each
from benchmarks.zoo.vision import timm_models, torchvision_models
from initlab.inspection.evidence import Evidence
from initlab.inspection.findings import findings_of
from initlab.inspection.gathering import gathered
from initlab.inspection.trees import calibration
from initlab.inspection.verdict import aligned, judged, told_by

KEPT = Path(__file__).with_name("as_built.jsonl")
FINDINGS = Path(__file__).with_name("as_built_findings.jsonl")
USUAL = {"adamw": 1e-3, "momentum": 1e-2}
BATCH, SECONDS = 32, 90
SMALL, LARGE = 3e6, 2e7  # parameters: both optimizers up to the first, a quarter of the batch from the second


def families() -> Iterator[Family]:
    return itertools.chain(language_models(), classifiers(), torchvision_models(), timm_models())


def task_for(family: Family, count: int = BATCH) -> tuple[Any, Task]:
    """(the batch as the model takes it, the task)."""
    given = family.inputs()
    if isinstance(given, dict) and "input_ids" in given:
        task = chain(count)
        return dict.fromkeys(given, task.x), Task(task.x, task.y, _on_first, task.constant)
    size = (given["pixel_values"] if isinstance(given, dict) else given).shape[-1]
    task = images(count=count, size=size)
    task = Task(task.x, task.y, _on_first, task.constant)
    return {"pixel_values": task.x} if isinstance(given, dict) else task.x, task


def _on_first(output: Any, targets: torch.Tensor) -> torch.Tensor:
    while isinstance(output, tuple | list):
        output = output[0]
    return tokens_loss(output, targets)


def built(family: Family) -> torch.nn.Module:
    torch.manual_seed(0)
    return family.build()


def measured(family: Family, optimizers: tuple[str, ...] = tuple(USUAL)) -> dict[str, Any]:
    """The features about each optimizer, at its best rate and at its usual one."""
    try:
        model = built(family)
    except Exception as error:
        return {"name": family.name, "failed": f"{type(error).__name__}: {error}"[:200]}
    size = sum(p.numel() for p in model.parameters())
    inputs, task = task_for(family, BATCH if size < LARGE else BATCH // 4)
    line: dict[str, Any] = {"name": family.name, "parameters": size, "constant": round(task.constant, 5)}
    for optimizer in optimizers if size < SMALL else optimizers[:1]:
        began = time.perf_counter()
        step = free(optimizer_for(Cell("", "", "", optimizer, 0), model, 0.01), model)
        evidence = gathered(model, inputs, task.y, task.loss, step)
        line[optimizer] = line_of_cell(evidence, [USUAL[optimizer]])
        line[optimizer]["seconds"] = round(time.perf_counter() - began, 2)
        if optimizer == optimizers[0]:
            line["findings"] = found(evidence)
    return line


def found(evidence: Evidence) -> list[list[str]]:
    """[kind, severity, where] of each finding, as the report gives them."""
    return [[f.kind, f.severity, f.where] for f in aligned(findings_of(evidence), judged(evidence).verdict)]


def looked_at(family: Family) -> dict[str, Any]:
    """The findings alone, of half a batch."""
    model = built(family)
    inputs, task = task_for(family, BATCH // 2)
    step = free(optimizer_for(Cell("", "", "", "adamw", 0), model, 0.01), model)
    evidence = gathered(model, inputs, task.y, task.loss, step)
    return {"name": family.name, "findings": found(evidence)}


def words_of(lines: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """{optimizer and rate: {model: the word that the shipped trees say of it}}."""
    told = {}
    for optimizer, rate in USUAL.items():
        known = [line for line in lines if optimizer in line]
        for about, words in (("best", "its best rate"), ("given", f"{rate:g}")):
            told[f"{optimizer} at {words}"] = {line["name"]: _word(line[optimizer], about) for line in known}
    return told


def counts(lines: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    """{optimizer and rate: how many models are called what}."""
    return {name: Counter(words.values()) for name, words in words_of(lines).items()}


def scored(lines: list[dict[str, Any]]) -> str:
    """How many models are called what, by optimizer and rate; those called untrainable by name."""
    failed = sum("failed" in line for line in lines)
    raised = sum("raised" in line for line in lines)
    told = [f"{len(lines)} models: {failed} not built here, {raised} that do not run at these sizes"]
    for name, words in words_of(lines).items():
        told.append(f"{name}: {len(words)} models, {dict(Counter(words.values()).most_common())}")
        told += [f"  untrainable: {model}" for model, word in words.items() if word == "untrainable"]
    seen = [line for line in (*lines, *Lines(FINDINGS, "name").kept) if "findings" in line]
    faults = Counter(kind for line in seen for kind, severity, _ in line["findings"] if severity != "info")
    told.append(f"findings on {len(seen)} models: {dict(faults.most_common())}")
    told += [f"  {line['name']}: {kind} ({severity}) at {where}" for line in seen
             for kind, severity, where in line["findings"] if severity != "info"]  # fmt: skip
    return "\n".join(told)


def _word(measured_of: dict[str, Any], about: str) -> str:
    given = next(iter(measured_of["given"].values())) if about == "given" else {}
    numbers = {k: math.nan if v is None else v for k, v in {**measured_of["best"], **given}.items()}
    return told_by(numbers, calibration(), given=about == "given", line=True)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="beginnings of names, such as timm/")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--findings", action="store_true", help="the findings on models that have none kept yet")
    parser.add_argument("--score", action="store_true", help="only tell what is called what")
    asked = parser.parse_args()
    if asked.score:
        print(scored(Lines(KEPT, "name").kept))
        return
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    stop = time.monotonic() + asked.seconds
    lines = Lines(FINDINGS if asked.findings else KEPT, "name")
    told = {line["name"] for line in Lines(KEPT, "name").kept if "findings" in line or "adamw" not in line}
    within = itertools.takewhile(lambda _: time.monotonic() < stop, families())
    wanted = (family for family in within if not asked.findings or family.name not in told)
    each(wanted, lines, asked.parts, looked_at if asked.findings else measured, SECONDS)


if __name__ == "__main__":
    main()
