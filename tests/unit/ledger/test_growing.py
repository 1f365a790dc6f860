# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A tree that grows by many entries at once is the one of RFC 6962, with the tiles of the entries one by one."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.merkle import leaf_hash
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.tiles import Growing, bundle
from hypothesis import given
from hypothesis import strategies as st

LINES = [b"%d" % number for number in range(1200)]


def _root(lines: list[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1."""
    if len(lines) == 1:
        return leaf_hash(lines[0])
    left = 1 << ((len(lines) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + _root(lines[:left]) + _root(lines[left:])).digest()


@given(st.lists(st.integers(0, 600), max_size=6))
def test_groups_of_any_size(sizes: list[int]) -> None:
    many, single, start = Growing(), Growing(), 0
    for size in sizes:
        some = LINES[start : start + size]
        start += len(some)
        many.add(some)
        for line in some:
            single.add([line])
        assert many.root() == single.root()
        # In another order: a bundle is known to be full before the tile of its leaves is.
        assert sorted(many.take(), key=repr) == sorted(single.take(), key=repr)
        assert list(many.edge()) == list(single.edge())
    assert many.size == start
    if start:
        assert many.root() == _root(LINES[:start])


def test_more_than_a_tile_of_tiles() -> None:
    tree, leaf = Growing(), leaf_hash(b"")
    tree.add_leaves([leaf] * 65_537)
    full = {(tile.level, tile.index): data for tile, data in tree.take()}
    assert set(full) == {(0, index) for index in range(256)} | {(1, 0)}
    node = leaf
    for _level in range(16):
        node = hashlib.sha256(b"\x01" + node + node).digest()
    assert tree.root() == hashlib.sha256(b"\x01" + node + leaf).digest()
    assert [(tile.level, tile.index, tile.width) for tile, _data in tree.edge()] == [(0, 256, 1), (2, 0, 1)]


def test_a_bundle_states_the_length_of_each_entry() -> None:
    assert bundle([b"", b"a", b"b" * 65_535]) == b"\0\0" + b"\0\1a" + b"\xff\xff" + b"b" * 65_535
    with pytest.raises(OverflowError):
        bundle([b"b" * 65_536])
