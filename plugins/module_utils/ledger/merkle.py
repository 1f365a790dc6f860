# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The Merkle tree of RFC 6962, section 2.1, with SHA-256.

A node is named by (level, index): level 0 are the leaves, a node of level n covers 2^n of them. Only nodes that
cover their leaves completely have a name; the root of any tree is computed from those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

# Returns the hash of the named node (level, index).
NodeReader = Callable[[int, int], bytes]

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256 of 0x00 and its bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 of 0x01 and the hashes of its children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """Return :func:`leaf_hash` of each of ``leaves``."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + leaf).digest() for leaf in leaves]


def parents(hashes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes of the nodes above an even number of neighbours."""
    sha256, data = hashlib.sha256, b"".join(hashes)
    both = 2 * HASH_BYTES
    return [sha256(b"\x01" + data[place : place + both]).digest() for place in range(0, len(data), both)]


def perfect(low: int, high: int) -> list[tuple[int, int]]:
    """Return the named nodes that together cover the leaves from ``low`` (a multiple of their number) to ``high``."""
    nodes = []
    while low < high:
        level = (high - low).bit_length() - 1
        nodes.append((level, low >> level))
        low += 1 << level
    return nodes


def range_hash(low: int, high: int, read: NodeReader) -> bytes:
    """Return the hash over the leaves ``low`` to ``high`` (excluded), as RFC 6962 defines it for a list."""
    return fold(read(level, index) for level, index in perfect(low, high))


def root_hash(size: int, read: NodeReader) -> bytes:
    """Return the root of the tree of the first ``size`` leaves."""
    return range_hash(0, size, read) if size else EMPTY_ROOT


def fold(hashes: Iterable[bytes]) -> bytes:
    """Return the hash over neighbouring subtrees, the largest first."""
    result: bytes | None = None
    for item in reversed(list(hashes)):
        result = item if result is None else node_hash(item, result)
    return EMPTY_ROOT if result is None else result
