"""Keys, names and derived seeds; Philox against Random123's known answers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from initlab.errors import InputError
from initlab.sampling import STREAM_VERSION, canonical_name, derive_seed
from initlab.sampling.philox import element_words, philox4x32, range_words
from initlab.sampling.streams import stream_key

# Random123 1.14, tests/kat_vectors, lines "philox4x32 10": counter, key, expected.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def _hex(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_known_answers(counter: str, key: str, expected: str) -> None:
    c0, c1, c2, c3 = _hex(counter)
    k0, k1 = _hex(key)
    assert tuple(int(word) for word in philox4x32((c0, c1, c2, c3), (k0, k1))) == _hex(expected)


def test_ranges_and_single_elements_find_the_same_words() -> None:
    key = stream_key(1, "w", (5000,), "normal")
    words = range_words(key, 0, 0, 5000).reshape(-1)
    index = np.array([0, 63, 64, 255, 256, 1000, 4999])
    four, own = element_words(key, 0, index)
    assert np.array_equal(four[np.arange(index.size), own], words[index])


def test_elements_beyond_two_to_the_32_have_words_of_their_own() -> None:
    key = stream_key(1, "w", (2**40,), "normal")
    low, high = (element_words(key, 0, np.array([7 + at]))[0] for at in (0, 2**40))
    assert not np.array_equal(low, high)


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("fc.weight", "fc.weight"),
        ("module.fc.weight", "fc.weight"),
        ("_orig_mod.module.fc.weight", "fc.weight"),
        ("module._orig_mod.fc.weight", "fc.weight"),
        ("blocks.0._checkpoint_wrapped_module.fc.weight", "blocks.0.fc.weight"),
        ("_fsdp_wrapped_module.blocks._fsdp_wrapped_module.0.w", "blocks.0.w"),
        ("encoder.module.weight", "encoder.module.weight"),
        ("module", "module"),
        ("cafe\u0301.weight", "caf\u00e9.weight"),
    ],
)
def test_canonical_names(raw: str, canonical: str) -> None:
    assert canonical_name(raw) == canonical


FIELDS: list[tuple[Any, ...]] = list(
    itertools.product(
        (0, 1, 2**64 - 1), ("a.b", "a", "b", "a.bc", "A", ""), ((2, 3), (3, 2), (6,), ()), ("normal", "uniform")
    )
)
# Bytes that are the same once joined, were it not for their lengths.
JOINED: list[tuple[Any, ...]] = [
    (0, "w", (), "xnormal"),
    (0, "wx", (), "normal"),
    (0, "w", (ord("x"),), "normal"),
    (0, "wx\0\0\0\0\0\0\0", (), "normal"),
]


def test_no_two_field_sets_share_a_key() -> None:
    """Nor one of the key's four words: a pair agrees in a word of 32 random bits once in 4 billion."""
    keys = [stream_key(*fields) for fields in FIELDS + JOINED]
    assert [len(set(words)) for words in zip(*keys, strict=True)] == [len(keys)] * 4


@pytest.mark.parametrize("word", range(4))
@pytest.mark.parametrize("bit", [0, 31])
def test_every_bit_of_the_key_is_used(word: int, bit: int) -> None:
    key = list(stream_key(0, "w", (512,), "normal"))
    words = range_words(tuple(key), 0, 0, 512)
    key[word] ^= 1 << bit
    assert (range_words(tuple(key), 0, 0, 512) != words).mean() > 0.99


FROZEN_KEY = (3630898687, 3750285233, 3405883172, 1072103807)


def test_the_key_is_frozen() -> None:
    assert STREAM_VERSION == "1"
    assert stream_key(0, "fc.weight", (2, 3), "normal") == FROZEN_KEY


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "7", True, None])
def test_bad_seeds_are_refused_by_name(seed: Any) -> None:
    for call in (lambda: stream_key(seed, "w", (2,), "normal"), lambda: derive_seed(seed, "x")):
        with pytest.raises(InputError, match=r"seed must be an integer in \[0, 2\^64\)"):
            call()


def test_derived_seeds_differ_by_root_parts_and_types() -> None:
    parts: list[tuple[Any, ...]] = [
        ("a", "b"),
        ("ab",),
        ("a", ("b",)),
        ("asb",),
        (1,),
        ("1",),
        (1.0,),
        (True,),
        (None,),
        (),
    ]
    seeds = {derive_seed(root, *part) for root in (0, 1) for part in parts}
    assert len(seeds) == 2 * len(parts)
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(InputError, match="derived seed must be"):
        derive_seed(0, object())


@pytest.mark.parametrize("name", [None, 3, b"w"])
def test_a_name_must_be_a_string(name: Any) -> None:
    with pytest.raises(InputError, match="name must be a string"):
        canonical_name(name)
