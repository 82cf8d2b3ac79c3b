"""A data set in its two parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """Train and test data, each (X, Y).

    Attributes:
        train: X float32 of shape (n, features) or (n, 1, height, width); Y int64 of shape (n,), classes from 0.
        test: as train.
        name: what reports call it.
        image_shape: (height, width) of one sample.
    """

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    name: str
    image_shape: tuple[int, int]

    def __repr__(self) -> str:
        sizes = f"{len(self.train[1]):,} train, {len(self.test[1]):,} test"
        return f"Split({self.name}: {sizes}, one sample {tuple(self.train[0].shape[1:])})"


def image_split(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    top: float,
    normalize: bool,
    flat: bool,
) -> Split:
    """A `Split` from integer images (n, height, width) in [0, top] and labels (n,).

    With `normalize` every pixel is (x − mean) / std, with one mean and std over all pixels of the training images, so
    that the second moment of the input is 1; else pixels lie in [0, 1].
    """
    import numpy as np
    import torch

    scaled = train[0] / top
    mean, std = (float(scaled.mean()), float(scaled.std()) or 1.0) if normalize else (0.0, 1.0)

    def tensors(images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        pixels = ((images / top - mean) / std).astype(np.float32)
        shaped = pixels.reshape(len(pixels), -1) if flat else pixels[:, None]
        return torch.from_numpy(shaped), torch.from_numpy(labels.astype(np.int64))

    height, width = train[0].shape[1:]
    return Split(tensors(*train), tensors(*test), name, (height, width))
