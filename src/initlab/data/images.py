"""Folders of images: one folder a class, decoded by Pillow to bytes of one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from initlab.data.untrusted import gigabytes, memory_limit, open_ordinary, reason, short
from initlab.errors import InputError

FORMATS = {
    ".bmp": "BMP", ".gif": "GIF", ".jpeg": "JPEG", ".jpg": "JPEG", ".pgm": "PPM", ".png": "PNG", ".ppm": "PPM",
    ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP",
}  # fmt: skip
_GREY = ("1", "L", "LA")
_DEEP = ("I", "F")  # more than a byte a pixel


@dataclass(frozen=True, eq=False)
class Images:
    """Decoded images.

    Attributes:
        pixels: bytes of shape (n, channels, height, width).
        labels: class numbers of shape (n,).
        classes: the names of the folders, in alphabetical order.
    """

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]


def load_images(folder: Path, shape: Sequence[int] | None = None) -> Images:
    """Every image in the folders of `folder`, each a class.

    Args:
        folder: holds one folder for each class, with its images at any depth; names that begin with a dot are passed
            over.
        shape: (channels, height, width) or (height, width) to bring them to, with 1 or 3 channels. The default is
            their own, which must then be one; channels are 1 where every image is grey, else 3.

    Raises:
        InputError: no Pillow, no class, no image, a file that is none, other sizes, more than memory holds.
    """
    files = _files(folder)
    channels, size = _wanted(shape)
    limit, used = memory_limit(), 0
    decoded: list[Any] = []
    for path, _ in files:
        image = _decoded(path, size)
        used += 4 * image.size[0] * image.size[1] * (channels or 3)  # as float32, which they become
        if used * len(files) // (len(decoded) + 1) > limit:
            total = gigabytes(used * len(files) // (len(decoded) + 1))
            raise InputError(f"{short(folder)} takes about {total} in memory and {gigabytes(limit)} are to be had")
        decoded.append(image)
    if channels is None:
        channels = 1 if all(image.mode in _GREY for image in decoded) else 3
    _one_size(decoded, files)
    pixels = np.stack([np.asarray(image.convert("L" if channels == 1 else "RGB")) for image in decoded])
    pixels = pixels[:, None] if channels == 1 else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    numbers = {name: number for number, name in enumerate(sorted({name for _, name in files}))}
    return Images(pixels, np.array([numbers[name] for _, name in files], dtype=np.int64), tuple(numbers))


def _files(folder: Path) -> list[tuple[Path, str]]:
    found = [
        (path, child.name)
        for child in sorted(folder.iterdir())
        if child.is_dir() and not child.name.startswith(".")
        for path in sorted(child.rglob("*"))
        if path.suffix.lower() in FORMATS and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise InputError(
            f"{short(folder)} has no images; a folder for each class, such as {short(folder)}/cat/1.png, is right "
            f"({', '.join(sorted(FORMATS))})"
        )
    return found


def _wanted(shape: Sequence[int] | None) -> tuple[int | None, tuple[int, int] | None]:
    """(channels, (width, height)), each None where the images' own will do."""
    if shape is None:
        return None, None
    channels, size = (shape[0] if len(shape) == 3 else None), tuple(shape[-2:])
    if len(shape) not in (2, 3) or channels not in (None, 1, 3):
        shown = "x".join(map(str, shape))
        raise InputError(f"images come as CHANNELSxHEIGHTxWIDTH with 1 or 3 channels, such as 3x32x32; got {shown}")
    return channels, (size[1], size[0])


def _decoded(path: Path, size: tuple[int, int] | None) -> Any:
    try:
        # lazy: Pillow is the extra `images`, which few need
        from PIL import Image, ImageOps
    except ImportError:
        raise InputError("images are read by Pillow, which is not installed: pip install 'initlab[images]'") from None
    stream, _ = open_ordinary(path, "image")
    with stream:
        try:
            image: Any = Image.open(stream, formats=sorted(set(FORMATS.values())))
            image = ImageOps.exif_transpose(image)
            if image.mode.split(";")[0] in _DEEP:
                raise InputError(f"image {short(path)!r} has more than 8 bits a pixel; save it with 8")
            if image.mode not in _GREY:
                image = image.convert("RGB")
            if size is not None and image.size != size:
                image = image.resize(size, Image.Resampling.BILINEAR)
            image.load()
        except InputError:
            raise
        except (OSError, ValueError, SyntaxError, EOFError, OverflowError, Image.DecompressionBombError) as error:
            raise InputError(f"image {short(path)!r} is cut, broken or none: {reason(error)}") from None
    return image


def _one_size(images: Sequence[Any], files: Sequence[tuple[Path, str]]) -> None:
    first = images[0].size
    for image, (path, _) in zip(images, files, strict=True):
        if image.size != first:
            one, other = ("x".join(map(str, reversed(size))) for size in (first, image.size))
            raise InputError(
                f"images differ in size: {short(files[0][0])!r} is {one} and {short(path)!r} {other}; one shape for "
                f"all, such as --input 3x{one}, brings them to it"
            )
