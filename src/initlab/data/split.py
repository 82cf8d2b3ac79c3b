"""A data set in its two parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """Train and test data, each (X, Y).

    Attributes:
        train: X of shape (n, features) or (n, channels, height, width); Y of shape (n,), classes from 0 in int64, or
            numbers to predict.
        test: as train.
        name: what reports call it.
        image_shape: (height, width) of one sample.
        classes: what class 0, 1, … is called; empty where nothing says it.
    """

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    name: str
    image_shape: tuple[int, int]
    classes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        sizes = f"{len(self.train[1]):,} train, {len(self.test[1]):,} test"
        return f"Split({self.name}: {sizes}, one sample {tuple(self.train[0].shape[1:])})"


def image_split(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    top: int,
    normalize: bool,
    flat: bool,
    classes: tuple[str, ...] = (),
) -> Split:
    """A `Split` from whole-number images (n, height, width) or (n, channels, height, width) in [0, top], labels (n,).

    With `normalize` every pixel is (x − mean) / std, with one mean and std over all pixels of the training images, so
    that the second moment of the input is 1; else pixels lie in [0, 1].
    """
    levels = np.arange(top + 1) / top
    if normalize:
        share = np.bincount(train[0].reshape(-1), minlength=top + 1) / train[0].size
        mean = float(levels @ share)
        levels = (levels - mean) / (float(((levels - mean) ** 2) @ share) ** 0.5 or 1.0)
    values = levels.astype(np.float32)

    def tensors(images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        pixels = values[images]
        shaped = pixels.reshape(len(pixels), -1) if flat else pixels[:, None] if pixels.ndim == 3 else pixels
        return torch.from_numpy(shaped), torch.from_numpy(labels.astype(np.int64))

    height, width = train[0].shape[-2:]
    return Split(tensors(*train), tensors(*test), name, (height, width), classes)
