"""What the user hands over for training, made a `Task`: data of one shape on a device, rehearsed with a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from initlab.comparison.arms import first_model
from initlab.data import Coding, Stream, in_memory_or_streamed, remarks
from initlab.errors import InputError, shown
from initlab.guest.doubles import has_doubles
from initlab.training.engines import Source, Streamed
from initlab.training.engines.machine import accelerator, here
from initlab.training.rehearsal import frozen, rehearse
from initlab.training.sources import Pair
from initlab.training.task import Task, check_dtype, first_samples


@dataclass(frozen=True)
class Readied:
    """What a study or a search goes on with: a model has taken a step of its task.

    Args:
        task: what its runs share; their models return one tensor where its loss is computed on one.
        model: a model to plan for and to know the study by; never trained.
        maximize: whether runs are scored by their accuracy.
        remarks: on the data and the model, for the reader.
    """

    task: Task
    model: nn.Module
    maximize: bool
    remarks: tuple[str, ...]


def readied(build: Any, train: Any, test: Any, valid: Any, **settings: Any) -> Readied:
    """The task, once a model has taken a step of it.

    Args:
        build: returns a new model.
        train, test, valid: the user's data; `valid` None where there is none.
        settings: of a `Task`, and the `executor` that has the workers, if any.

    Raises:
        InputError: model, data or settings that cannot be meant, or do not go together.
    """
    task, notes = make_task(build, train, test, valid, **settings)
    model = first_model(build, task.root_seed, here(task.device))
    rehearsal = rehearse(replace(task, device=here(task.device)), model)
    remarks = (*notes, *rehearsal.remarks, *frozen(model))
    return Readied(replace(task, build=rehearsal.build), model, rehearsal.maximize, remarks)


def make_task(build: Any, train: Any, test: Any, valid: Any, **settings: Any) -> tuple[Task, list[str]]:
    """The task, and remarks on its data.

    Raises:
        InputError: data or settings that cannot be meant.
    """
    coding = Coding()
    dtype = settings["dtype"]
    elsewhere = settings.pop("executor") is not None
    device = settings["device"] = device_name(settings["device"], elsewhere)
    check_dtype(dtype)
    if dtype == torch.float64 and not elsewhere and not has_doubles(torch.device(device)):
        raise InputError(f"device {device!r} has no double precision: dtype must be torch.float32")
    given = {"train": train, "test": test, **({} if valid is None else {"valid": valid})}
    held = {name: held_data(data, name, dtype, device, coding) for name, data in given.items()}
    shapes = {name: tuple(first_samples(data, 1)[0].shape[1:]) for name, data in held.items()}
    for name, shape in shapes.items():
        if shape != shapes["train"]:
            raise InputError(f"{name} samples must have the shape of train's, {shapes['train']}; got {shape}")
    task = Task(build, held["train"], held["test"], held.get("valid"), **settings)
    notes = [
        f"{name}: {len(data):,} samples are more than memory holds, so they are read anew for every batch"
        for name, data in held.items()
        if not isinstance(data, tuple)
    ]
    notes += [f"targets: {coding.words}"] if coding.words else []
    return task, notes + (remarks(*task.train, "train") if isinstance(task.train, tuple) else [])


def device_name(device: Any, elsewhere: bool = False) -> str:
    """The device as text, if it is here and runs can be trained on it.

    Args:
        device: as the user wrote it.
        elsewhere: whether runs are trained by an executor's workers, which may have a GPU where this process has none.

    Raises:
        InputError: no such device.
    """
    try:
        found = torch.device(device) if isinstance(device, str | torch.device) else None
    except RuntimeError:
        found = None
    if found is not None and found.type == "cpu":
        return "cpu"
    if found is not None and found.type != "meta" and elsewhere:
        return str(found)
    kind, count = accelerator()
    if found is None or found.type != kind or (found.index or 0) >= count:
        here = f"or one of {count} devices of this machine, such as '{kind}:0'" if count else "(no other is here)"
        raise InputError(f"device must be 'cpu' {here}; got {shown(device)}")
    return str(found)


def held_data(data: Any, name: str, dtype: torch.dtype, device: str, coding: Any = None) -> Pair | Source:
    """The user's data as tensors in memory, or as a source that streams what memory cannot hold.

    Raises:
        InputError: data that cannot be meant.
    """
    found = in_memory_or_streamed(data, name, coding=coding)
    return Streamed(found, dtype, device) if isinstance(found, Stream) else found
