"""An inspection or a comparison written to TensorBoard or Weights & Biases: histograms by layer, verdict, tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from initlab.comparison import Comparison
from initlab.errors import InputError
from initlab.inspection import Inspection, LayerStats
from initlab.integrations.extras import needed


def to_tensorboard(result: Inspection | Comparison, writer: Any, *, step: int = 0, tag: str = "initlab") -> None:
    """Write a result to a TensorBoard log.

    Of an inspection: the verdict and findings as text, the three probabilities, the table of layers, and the histogram
    of every layer's output. Of a comparison: its table as text, and the mean training loss of each arm by step.

    Args:
        result: what `inspect` or `compare` returned.
        writer: a `torch.utils.tensorboard.SummaryWriter`, also that of a Lightning TensorBoardLogger (`.experiment`).
        step: the step under which an inspection stands.
        tag: what stands before every name.

    Raises:
        InputError: another result, or no SummaryWriter.
    """
    _checked(result)
    if not hasattr(writer, "add_histogram_raw"):
        raise InputError(f"writer must be a torch.utils.tensorboard.SummaryWriter; got {type(writer).__name__}")
    if isinstance(result, Comparison):
        writer.add_text(f"{tag}/comparison", _preformatted(str(result)), step)
        for arm, curve in _curves(result):
            for at, loss in curve:
                writer.add_scalar(f"{tag}/loss/{arm}", loss, at)
        return
    writer.add_text(f"{tag}/verdict", _preformatted(str(result)), step)
    writer.add_text(f"{tag}/layers", _markdown(result.to_frame()), step)
    put_scalars(writer, numbers_of(result, tag), step)
    for layer in _with_values(result):
        writer.add_histogram_raw(f"{tag}/layers/{layer.name}", **_moments(layer), global_step=step)


def to_wandb(
    result: Inspection | Comparison, run: Any = None, *, step: int | None = None, tag: str = "initlab"
) -> None:
    """Log a result to a Weights & Biases run, also an offline one.

    Of an inspection: the verdict (in the run's summary), the three probabilities, the tables of layers and findings,
    and the histogram of every layer's output. Of a comparison: its table of runs, the best arm (in the summary), and
    the mean training loss of each arm by step, as a table.

    Args:
        result: what `inspect` or `compare` returned.
        run: a `wandb.Run`; None takes the one that is running.
        step: the run's step; None takes its next.
        tag: what stands before every name.

    Raises:
        InputError: another result, or no run.
        MissingExtraError: wandb is not installed.
    """
    _checked(result)
    wandb = needed("wandb", "loggers", "initlab.callbacks.to_wandb")
    run = wandb.run if run is None else run
    if not hasattr(run, "log") or not hasattr(run, "summary"):
        raise InputError(f"run must be a wandb.Run (wandb.init() begins one); got {type(run).__name__}")
    if isinstance(result, Comparison):
        rows = [[arm, at, loss] for arm, curve in _curves(result) for at, loss in curve]
        run.log(
            {
                f"{tag}/comparison": wandb.Table(dataframe=_plain(result.to_frame())),
                f"{tag}/loss": wandb.Table(columns=["arm", "step", "loss"], data=rows),
            },
            step=step,
        )
        run.summary[f"{tag}/best"] = result.best
        return
    findings = [[f.severity, f.kind, f.where, f.evidence, f.advice] for f in result.findings]
    histograms = {
        f"{tag}/layers/{layer.name}": wandb.Histogram(np_histogram=(np.asarray(layer.counts), np.asarray(layer.edges)))
        for layer in _with_values(result)
    }
    tables = {
        f"{tag}/layers": wandb.Table(dataframe=_plain(result.to_frame())),
        f"{tag}/findings": wandb.Table(columns=["severity", "kind", "where", "evidence", "advice"], data=findings),
    }
    run.log({**numbers_of(result, tag), **histograms, **tables}, step=step)
    run.summary[f"{tag}/verdict"] = result.verdict


def put_scalars(writer: Any, values: Mapping[str, float], step: int) -> None:
    """Numbers by name, to a SummaryWriter or a Weights & Biases run.

    Raises:
        InputError: neither.
    """
    if hasattr(writer, "add_scalar"):
        for name, value in values.items():
            writer.add_scalar(name, value, step)
    elif hasattr(writer, "log"):
        writer.log(dict(values), step=step)
    else:
        raise InputError(f"writer must be a SummaryWriter or a wandb.Run; got {type(writer).__name__}")


def _checked(result: Any) -> None:
    if not isinstance(result, Inspection | Comparison):
        raise InputError(f"result must be what inspect or compare returned; got {type(result).__name__}")


def numbers_of(report: Inspection, tag: str = "initlab") -> dict[str, float]:
    """An inspection's probabilities and its best rate, by name."""
    found = {f"{tag}/probability/{word}": float(share) for word, share in report.probability.items()}
    rate = report.learning_rate
    best = {} if rate is None or rate.best is None else {f"{tag}/learning_rate": float(rate.best)}
    return {**found, **best}


def _with_values(report: Inspection) -> list[LayerStats]:
    return [layer for layer in report.layers if sum(layer.counts)]


def _moments(layer: LayerStats) -> dict[str, Any]:
    """A histogram as TensorBoard takes it: the upper limit of each bin, and sums that give mean and spread."""
    count = sum(layer.counts)
    return {
        "min": layer.edges[0],
        "max": layer.edges[-1],
        "num": count,
        "sum": layer.mean * count,
        "sum_squares": layer.second_moment * count,
        "bucket_limits": list(layer.edges[1:]),
        "bucket_counts": list(layer.counts),
    }


def _curves(result: Comparison) -> Iterator[tuple[str, list[tuple[int, float]]]]:
    """(arm, [(step, training loss, mean over the seeds that came so far)])."""
    for arm in result.arms:
        by_step: dict[int, list[float]] = {}
        for run in result.of(arm):
            for at, loss in run.curve.tolist():
                by_step.setdefault(int(at), []).append(loss)
        yield arm, [(at, float(np.mean(by_step[at]))) for at in sorted(by_step)]


def _plain(frame: Any) -> Any:
    """A frame whose cells are numbers or text; its index as a column."""
    frame = frame.reset_index()
    for column in frame.columns:
        if frame[column].dtype.kind not in "biuf":
            frame[column] = [str(value) for value in frame[column]]
    return frame


def _preformatted(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _markdown(frame: Any) -> str:
    frame = _plain(frame)
    head = [str(column) for column in frame.columns]
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
