"""A classifier's rows: held out by a seed, checked against its outputs, and its loss and error rate on them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from initlab.data.pairs import pair_of
from initlab.errors import InputError, argued, whole_number
from initlab.fitting.running import generator, measuring, run_model
from initlab.guest.inputs import taken_by
from initlab.guest.modules import in_mode
from initlab.guest.untouched import modes_kept
from initlab.sampling import derive_seed
from initlab.training.losses import check_class_numbers


def split(x: Tensor, y: Tensor, share: float, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The rows to train on, and a share of all that is held out, drawn by a seed.

    Raises:
        InputError: a share that leaves no rows on one side.
    """
    count = round(len(x) * share)
    if count < 1 or count >= len(x):
        raise InputError(f"valid_share must leave rows on both sides; {share:g} of {len(x)} rows gives {count}")
    rows = torch.randperm(len(x), generator=generator(derive_seed(seed, "fine-tuning", "split")), device="cpu")
    kept, held = rows[count:], rows[:count]
    return (x[kept], y[kept]), (x[held], y[held])


def check_classes(model: nn.Module, x: Tensor, y: Tensor, valid: tuple[Tensor, Tensor]) -> None:
    """Refuse what a classifier cannot learn: no classes, one class alone, classes that it has no output for.

    Raises:
        InputError: with what is there.
    """
    for name, classes in (("train", y), ("valid", valid[1])):
        if classes.is_floating_point() or classes.ndim != 1:
            got = f"{classes.dtype} of shape {tuple(classes.shape)}"
            raise InputError(f"{name} Y must be whole-number classes of shape (n,); got {got}")
    if int(y.min()) == int(y.max()):
        raise InputError(f"train Y must hold at least two classes; all {len(y):,} rows are class {int(y[0])}")
    with measuring(model, statistics=False), torch.no_grad():
        output = run_model(model, (x[:2],), argument="train")
    if not isinstance(output, Tensor) or output.ndim != 2:
        raise InputError("model must give logits of shape (n, classes), one tensor")
    for classes in (y, valid[1]):
        check_class_numbers(classes, output.shape[1], "Y", ignore=None)


@argued
def evaluate(model: nn.Module, data: tuple[Tensor, Tensor], batch_size: int = 1000) -> tuple[float, float]:
    """(mean cross-entropy, error rate) of a classifier in evaluation mode over (X, Y); its mode is put back.

    Raises:
        InputError: no rows.

    >>> evaluate(nn.Identity(), (torch.tensor([[9.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 1])))[1]
    0.5
    """
    x, y = pair_of(data, "data")
    size = whole_number("batch_size", batch_size)
    if not len(x):
        raise InputError("data must have rows to evaluate on; got none")
    loss, wrong = 0.0, 0
    with modes_kept(model), torch.no_grad():
        in_mode(model, False)
        for start in range(0, len(x), size):
            (rows,), _ = taken_by(model, (x[start : start + size],), {})
            logits = model(rows)
            classes = y[start : start + size].to(logits.device)
            loss += float(nn.functional.cross_entropy(logits, classes, reduction="sum"))
            wrong += int((logits.argmax(1) != classes).sum())
    return loss / len(x), wrong / len(x)
