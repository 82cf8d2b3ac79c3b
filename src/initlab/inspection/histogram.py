"""Histograms of many activations, counted on the device, those of one size together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from initlab.guest.doubles import doubled
from initlab.inspection.fetching import at_hand

Tensor = torch.Tensor
Array = npt.NDArray[Any]
BINS = 40
HISTOGRAM_SAMPLE = 16_384
OF_ZEROS = (-0.5, 0.5)  # the range that a sample of zeros is given


def subsample(flat: Tensor) -> Tensor:
    """At most `HISTOGRAM_SAMPLE` elements, by a fixed odd stride, so that no axis is favoured."""
    stride = max(1, -(-flat.numel() // HISTOGRAM_SAMPLE)) | 1 if flat.numel() > HISTOGRAM_SAMPLE else 1
    return flat[::stride].clone()


def counts_of(samples: Sequence[Tensor]) -> list[Tensor]:
    """Of each sample its range, then how many of its elements fall into each of `BINS` equal bins over the range.

    Elements that are not finite are left out. On a GPU samples of one length are counted together, which saves
    launches; on the CPU each alone, whose numbers then stay in the cache.
    """
    found: dict[int, Tensor] = {}
    alike: dict[tuple[Any, ...], list[int]] = {}
    for place, sample in enumerate(samples):
        if at_hand(sample):
            found[place] = torch.from_numpy(_counted_here(sample.numpy()))
        else:
            alike.setdefault((sample.numel(), sample.device, sample.dtype), []).append(place)
    for places in alike.values():
        found |= zip(places, _counted(doubled(torch.stack([samples[place] for place in places]))), strict=True)
    return [found[place] for place in range(len(samples))]


def _counted_here(sample: Array) -> Array:
    """What `_counted` gives of one row, by NumPy, which takes a quarter of the time on a CPU."""
    low, high = float(sample.min()), float(sample.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        sample = sample[np.isfinite(sample)]
        low, high = (float(sample.min()), float(sample.max())) if len(sample) else (math.inf, -math.inf)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    with np.errstate(all="ignore"):
        places = np.subtract(sample, low, dtype=np.float64)
        places *= BINS
        places /= high - low
        bins = places.astype(np.int64)
    return np.concatenate([[low, high], np.bincount(np.clip(bins, 0, BINS - 1, out=bins), minlength=BINS)])


def _counted(rows: Tensor) -> Tensor:
    finite = torch.isfinite(rows)
    low = torch.where(finite, rows, math.inf).amin(1, keepdim=True)
    high = torch.where(finite, rows, -math.inf).amax(1, keepdim=True)
    flat = high <= low
    low, high = torch.where(flat, low - 0.5, low), torch.where(flat, high + 0.5, high)
    bins = ((rows - low) * BINS / (high - low)).long().clamp_(0, BINS - 1)
    bins += BINS * torch.arange(len(rows), device=rows.device).unsqueeze(1)
    counts = torch.zeros(len(rows) * BINS, dtype=rows.dtype, device=rows.device)
    counts.scatter_add_(0, bins.reshape(-1), finite.reshape(-1).to(rows.dtype))
    return torch.cat([low, high, counts.reshape(-1, BINS)], dim=1)
