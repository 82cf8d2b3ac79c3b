"""MNIST: found on this machine, or downloaded once with checksums."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from initlab.data.download import Remote, fetch
from initlab.data.idx import read_idx
from initlab.data.split import Split, image_split
from initlab.data.untrusted import short
from initlab.errors import InputError, check_flags, shown

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# Size and SHA-256 of the unzipped content: mirrors that zipped it anew serve the same data.
FILES = {
    "train-images-idx3-ubyte.gz": Remote(
        47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": Remote(60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte.gz": Remote(7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte.gz": Remote(10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
_PARTS = (
    ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
)


def mnist(
    root: str | os.PathLike[str] | None = None,
    *,
    normalize: bool = True,
    flat: bool = True,
    mirrors: Sequence[str] = MIRRORS,
    files: Mapping[str, Remote] = FILES,
    progress: bool = True,
) -> Split:
    """MNIST's 60,000 training and 10,000 test images of 28 x 28 pixels.

    Looked for in `root`, else in `$INITLAB_DATA/mnist`, else in the user's cache (`~/.cache/initlab/mnist`); what is
    found nowhere is downloaded into the cache, or into `root`, from the first mirror that has it, and kept only if the
    SHA-256 of its content is right.

    Args:
        root: the folder that holds the four .gz files, or is to hold them.
        normalize: (x − mean) / std over all training pixels; else pixels lie in [0, 1].
        flat: X of shape (n, 784); else (n, 1, 28, 28).
        mirrors: addresses of folders, tried in order.
        files: name -> size and SHA-256 of the unzipped content of each file to download.
        progress: show a progress bar on a terminal while downloading.

    Returns:
        A `Split` of float32 inputs and int64 labels.

    Raises:
        InputError: a file is broken, images and labels disagree, or nothing could be downloaded (the message says how
            to place the files by hand).

    Source:
        LeCun, Bottou, Bengio & Haffner: Gradient-based learning applied to document recognition (1998).
    """
    check_flags(normalize=normalize, flat=flat, progress=progress)
    folder = locate(root)
    if not _complete(folder):
        fetch(files, folder, mirrors, progress=progress)
    (train_x, train_y), (test_x, test_y) = (_part(folder, *names) for names in _PARTS)
    if train_x.shape[1:] != test_x.shape[1:]:
        shapes = f"{train_x.shape[1:]} and {test_x.shape[1:]}"
        raise InputError(f"MNIST in {short(folder)!r}: train and test images have the shapes {shapes}; one is right")
    return image_split("mnist", (train_x, train_y), (test_x, test_y), top=255, normalize=normalize, flat=flat)


def locate(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder that MNIST is read from: the first that has all four files, else the one to download into."""
    if root is not None and not isinstance(root, str | os.PathLike):
        raise InputError(f"root must be a folder; got {shown(root)}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "initlab" / "mnist"
    if root is not None:
        places = [Path(root), Path(root) / "mnist"]
    else:
        shared = os.environ.get("INITLAB_DATA")
        places = [*([Path(shared) / "mnist"] if shared else []), cache]
    complete = [place for place in places if _complete(place)]
    return complete[0] if complete else places[0] if root is not None else cache


def _complete(folder: Path) -> bool:
    return all(os.path.exists(folder / name) for names in _PARTS for name in names)


def _part(folder: Path, images: str, labels: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = read_idx(folder / images, 3), read_idx(folder / labels, 1)
    if len(x) != len(y):
        raise InputError(f"{images} holds {len(x):,} images and {labels} {len(y):,} labels; they must agree")
    if y.max() > 9:
        raise InputError(f"{labels} holds the label {y.max()}; 0 to 9 are right")
    return x, y
