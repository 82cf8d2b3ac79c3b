"""The handwritten digits that scikit-learn carries: real data with no network."""

from __future__ import annotations

import numpy as np

from initlab.data.split import Split, image_split
from initlab.errors import check_flags


def digits(*, normalize: bool = True, flat: bool = True) -> Split:
    """1,797 handwritten digits of 8 x 8 pixels in 17 grey levels, split 80 : 20 within each class.

    Of each class every fifth sample, in the file's order, is a test sample: the split is fixed and needs no seed.

    Args:
        normalize: (x − mean) / std over all training pixels, so that the second moment of the input is 1; else pixels
            lie in [0, 1].
        flat: X of shape (n, 64); else (n, 1, 8, 8).

    Returns:
        A `Split` of float32 inputs and int64 labels.

    Source:
        Alpaydin & Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998).

    >>> digits()
    Split(digits: 1,442 train, 355 test, one sample (64,))
    """
    check_flags(normalize=normalize, flat=flat)
    # lazy: scikit-learn takes a second, and only the digits need it
    from sklearn.datasets import load_digits

    bunch = load_digits()
    held_out = np.zeros(len(bunch.target), dtype=bool)
    for label in range(10):
        held_out[np.flatnonzero(bunch.target == label)[4::5]] = True
    images = bunch.images.astype(np.uint8)
    train = images[~held_out], bunch.target[~held_out]
    test = images[held_out], bunch.target[held_out]
    return image_split("digits", train, test, top=16, normalize=normalize, flat=flat)
