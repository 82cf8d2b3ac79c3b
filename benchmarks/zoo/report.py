"""The zoo's results in short, a line a model in benchmarks/zoo/results.json, and their page, benchmarks/ZOO.md."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STORED, PAGE = HERE / "results.json", HERE.parent / "ZOO.md"
LIBRARIES = ("torch", "torchvision", "timm", "transformers", "diffusers", "x-transformers", "vit-pytorch",
             "segmentation-models-pytorch")  # fmt: skip
MOST = 8  # outliers of a model that are kept by name


def store(lines: Iterable[dict[str, Any]], note: str = "") -> None:
    """Puts the lines, in short, beside what is stored; a model that is there already is replaced.

    Args:
        lines: what was measured.
        note: what the page says of how it was measured, beyond the usual; default what it said before.
    """
    kept = json.loads(STORED.read_text()) if STORED.exists() else {"models": {}}
    kept["note"] = note or kept.get("note", "")
    kept["versions"] = {name: found for name in LIBRARIES if (found := _version(name))}
    kept["models"] |= {line["name"]: shortened(line) for line in lines}
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}"
                      for name, row in sorted(kept["models"].items()))  # fmt: skip
    head = f'"versions": {json.dumps(kept["versions"])},\n "note": {json.dumps(kept["note"])}'
    STORED.write_text(f'{{{head},\n "models": {{\n{rows}\n}}}}\n')


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def shortened(line: dict[str, Any]) -> dict[str, Any]:
    """What the page counts, and the layers that are out of range, by name."""
    if "failed" in line or "raised" in line:
        key = "failed" if "failed" in line else "raised"
        return {key: line[key].splitlines()[0][:120], "commit": line.get("commit", "")}
    seconds = line["layers"]
    predicted = [pair for pair in line["derived"].values() if isinstance(pair, list | tuple)]
    return {
        "commit": line.get("commit", ""), "parameters": line["parameters"],
        "own_loss": round(line["own_loss"], 4), "loss": round(line["loss"], 4),
        "pass": line["pass"], "plan": line["plan"], "undecided": line["undecided"], "norms": line["norms"],
        "layers": len(seconds), "in_2": _within(seconds.values(), 2), "in_4": _within(seconds.values(), 4),
        "out": dict([(name, value) for name, value in seconds.items() if not 0.5 <= value <= 2][:MOST]),
        "predicted": len(predicted), "predicted_20": sum(abs(seen / rule - 1) <= 0.2 for rule, seen in predicted),
        "planned": len(line["planned"]),
        "planned_20": sum(said > 0 and abs(seen / said - 1) <= 0.2 for said, seen in line["planned"].values()),
        "dt": line["dt"], "own_dt": line["own_dt"],
    }  # fmt: skip


def _within(values: Iterable[float], factor: float) -> int:
    return sum(1 / factor <= value <= factor for value in values)


def page() -> str:
    """The page of what is stored."""
    kept = json.loads(STORED.read_text())
    models: dict[str, dict[str, Any]] = kept["models"]
    built = {name: row for name, row in models.items() if "failed" not in row}
    planned = {name: row for name, row in built.items() if "raised" not in row}
    parts: dict[str, list[dict[str, Any]]] = {}
    for name, row in built.items():
        parts.setdefault(name.partition("/")[0], []).append(row)
    listed = [row for name, row in built.items() if not name.startswith("kept-out")]
    commits = sorted({row["commit"] or "before lines named it" for row in built.values()})
    versions = ", ".join(f"{name} {number}" for name, number in kept["versions"].items())
    lines = [
        "# The zoo: `auto` on models of other libraries", "",
        "`make zoo`;", f"{versions};", f"CPU, one thread, a busy machine. {len(models)} models tried, of which",
        f"{len(models) - len(built)} could not be built tiny, or run, here and {len(built)} count below. Written by",
        "the command from `benchmarks/zoo/results.json`, which has a line for each model, with its commit:",
        f"{', '.join(commits)}. {kept.get('note', '')}".strip(), "",
        "A layer counts where its output is read by an ordinary nonlinearity, a norm or a matrix: no head, gate,",
        "branch end, table or kept weight; one of a plain network counts as a share of its target, 1/3 or more.",
        "*Planned*: what the plan says of a layer's output, without its bias, against the written model's; *rules*:",
        "what rules alone say against what the pass measured; both within 20%. The first loss is that of even labels,",
        "within 5% of ln C. Time is the process's own: a plan in three passes and 2 s.", "",
        "| | models | raised | undecided | loss, own | loss, auto | [½, 2] | [¼, 4] | planned | rules | time |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(f"| {part} | {_cells(rows)} |" for part, rows in sorted(parts.items())),
        f"| **all** but what was kept out | {_cells(listed)} |", "",
        "What was kept out was drawn by a seed before any of it was tried (`kept_out.py`).", "",
        "## State-space steps", "", _steps(planned.values()), "",
        "## What misses", "",
        *(f"- `{name}` raises: {row['raised']}" for name, row in built.items() if "raised" in row),
        *(f"- `{name}`: first loss {row['loss']:.3f} of ln C (own start {row['own_loss']:.3f})"
          for name, row in planned.items() if abs(row["loss"] - 1) > 0.05),
        *(f"- `{name}`: {row['layers'] - row['in_2']} of {row['layers']} layers outside [½, 2],"
          f" `{next(iter(row['out']))}` at {next(iter(row['out'].values())):.3g} first"
          for name, row in planned.items() if row["layers"] - row["in_2"] > max(2, 0.1 * row["layers"])),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _cells(rows: list[dict[str, Any]]) -> str:
    good = [row for row in rows if "raised" not in row]
    cells = [
        str(len(rows)), str(len(rows) - len(good)), str(sum(bool(row["undecided"]) for row in good)),
        _share(sum(abs(row["own_loss"] - 1) <= 0.05 for row in good), len(good)),
        _share(sum(abs(row["loss"] - 1) <= 0.05 for row in good), len(good)),
        *(_share(sum(row[key] for row in good), sum(row[of] for row in good))
          for key, of in (("in_2", "layers"), ("in_4", "layers"), ("planned_20", "planned"),
                          ("predicted_20", "predicted"))),
        _share(sum(row["plan"] <= 3 * row["pass"] + 2 for row in good), len(good)),
    ]  # fmt: skip
    return " | ".join(cells)


def _share(found: int, of: int) -> str:
    return f"{found / of:.1%} of {of}" if of else "–"


def _steps(rows: Iterable[dict[str, Any]]) -> str:
    held = [row for row in rows if row["dt"]]
    same = sum(row["dt"] == row["own_dt"] for row in held)
    inside = sum(all(low >= 1e-3 and high <= 0.1001 for low, high in row["dt"].values()) for row in held)
    return (
        f"{len(held)} models have biases of time steps (softplus of them): kept as made in {same}; all of a model's\n"
        f"in [1e-3, 0.1] in {inside}. The rest are made elsewhere by their own library, and kept too."
    )
