"""Philox4x32-10 in plain numpy, and where each element of a tensor finds its random word.

Elements come in groups of 256. Group g holds the 64 counters 64 g … 64 g + 63; element e = 256 g + 64 w + lane is word
w of counter 64 g + lane, so that both the counters and the values of a word lie side by side. The counter is
(block low, block high, key word 2, key word 3) under the key (key word 0, key word 1); the top byte of the block
number is a domain, so that one parameter has several independent sequences of words.

Source: Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from initlab.sampling.streams import Key

Words = np.ndarray[Any, np.dtype[np.uint32]]

LANES = 64
GROUP = 4 * LANES
ROUNDS = 10
MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85

# Domains: each element's own word; 32 more bits for float64; the keys that choose a sparse law's zeros; permutations.
VALUES, LOW_BITS, MASK, ORDER = 0, 1, 2, 3
DOMAIN_SHIFT = 56

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox4x32(counter: tuple[Any, Any, Any, Any], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Ten rounds of Philox4x32.

    Args:
        counter: four words, each a number or an array; they broadcast.
        key: two words.

    >>> [f"{int(word):08x}" for word in philox4x32((0, 0, 0, 0), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    x0, x1, x2, x3 = (np.asarray(word, dtype=np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(ROUNDS):
        product_0, product_1 = x0 * np.uint64(MULTIPLIER_0), x2 * np.uint64(MULTIPLIER_1)
        x0 = (product_1 >> _SHIFT) ^ x1 ^ np.uint64(k0)
        x2 = (product_0 >> _SHIFT) ^ x3 ^ np.uint64(k1)
        x1, x3 = product_1 & _LOW, product_0 & _LOW
        k0, k1 = (k0 + WEYL_0) & 0xFFFFFFFF, (k1 + WEYL_1) & 0xFFFFFFFF
    return x0.astype(np.uint32), x1.astype(np.uint32), x2.astype(np.uint32), x3.astype(np.uint32)


def counter_words(key: Key, domain: int, blocks: np.ndarray[Any, Any]) -> tuple[Words, Words, Words, Words]:
    """The four words of each block number."""
    numbers = blocks.astype(np.uint64) | np.uint64(domain << DOMAIN_SHIFT)
    return philox4x32((numbers & _LOW, numbers >> _SHIFT, key[2], key[3]), (key[0], key[1]))


def range_words(key: Key, domain: int, start: int, stop: int) -> Words:
    """The words of whole groups that cover elements start … stop - 1, as (groups, 4, 64)."""
    first, last = start // GROUP, -(-stop // GROUP)
    words = counter_words(key, domain, np.arange(first * LANES, last * LANES, dtype=np.uint64))
    return np.stack([word.reshape(-1, LANES) for word in words], axis=1)


def element_words(key: Key, domain: int, elements: np.ndarray[Any, Any]) -> tuple[Words, np.ndarray[Any, Any]]:
    """For any elements, all four words of their counters as (elements, 4), and which of the four is their own."""
    index = elements.astype(np.uint64)
    group, lane = index // np.uint64(GROUP), index % np.uint64(LANES)
    words = counter_words(key, domain, group * np.uint64(LANES) + lane)
    return np.stack(words, axis=-1), ((index // np.uint64(LANES)) % np.uint64(4)).astype(np.int64)
