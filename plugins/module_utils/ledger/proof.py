# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Proofs that an entry is in a tree, and that one tree continues another.

Made as in RFC 6962, sections 2.1.1 and 2.1.2, checked as in RFC 9162, sections 2.1.3.2 and 2.1.4.2. An inclusion proof
is written as https://c2sp.org/tlog-proof, a consistency proof as the request of https://c2sp.org/tlog-witness.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from .errors import LedgerError
from .merkle import HASH_BYTES, NodeReader, node_hash, range_hash

HEADER = "c2sp.org/tlog-proof@v1"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
# A tree of 2^63 leaves has no longer proof.
_MAX_HASHES = 63


class BadProof(LedgerError):
    """The text is not a proof, or the proof does not lead to the root."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That the leaf ``index`` (from 0) is in the tree of ``checkpoint`` (a signed note, as text)."""

    index: int
    hashes: list[bytes]
    checkpoint: str

    def text(self) -> str:
        """Return it as C2SP tlog-proof."""
        lines = [HEADER, f"index {self.index}", *(base64.b64encode(item).decode() for item in self.hashes)]
        return "\n".join(lines) + "\n\n" + self.checkpoint


def inclusion(index: int, size: int, read: NodeReader) -> list[bytes]:
    """Return the audit path of the leaf ``index`` in the tree of ``size`` leaves, the sibling of the leaf first.

    :raises BadProof: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise BadProof(f"There is no entry {index} among the first {size}; give the sequence of one that is there.")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(range_hash(middle, high, read))
            high = middle
        else:
            path.append(range_hash(low, middle, read))
            low = middle
    return path[::-1]


def check_inclusion(leaf: bytes, index: int, size: int, hashes: list[bytes], root: bytes) -> None:
    """Check that ``hashes`` lead from the hash ``leaf`` of the leaf ``index`` to ``root``.

    :raises BadProof: they do not.
    """
    if not 0 <= index < size:
        raise BadProof(f"The proof is of entry {index}, but the tree has {size}.")
    first, last, result = index, size - 1, leaf
    for item in hashes:
        if last == 0:
            raise BadProof("The proof is too long.")
        if first & 1 or first == last:
            result = node_hash(item, result)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            result = node_hash(result, item)
        first, last = first >> 1, last >> 1
    if last != 0 or result != root:
        raise BadProof(f"The proof does not lead from this entry {index} to the root of the checkpoint.")


def consistency(old: int, size: int, read: NodeReader) -> list[bytes]:
    """Return the proof that the tree of ``size`` leaves begins with the tree of the first ``old``.

    :raises BadProof: ``old`` is not between 0 and ``size``.
    """
    if not 0 <= old <= size:
        raise BadProof(f"A tree of {size} entries cannot continue one of {old}.")
    if old in (0, size):
        return []
    path: list[bytes] = []
    low, high, whole = 0, size, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(range_hash(middle, high, read))
            high = middle
        else:
            path.append(range_hash(low, middle, read))
            low, whole = middle, False
    # The verifier knows the old root, which a subtree at the very left is.
    return path[::-1] if whole else [range_hash(low, high, read), *path[::-1]]


def check_consistency(old: int, old_root: bytes, size: int, root: bytes, hashes: list[bytes]) -> None:
    """Check that the tree of ``size`` leaves with ``root`` begins with that of ``old`` leaves with ``old_root``.

    :raises BadProof: it does not, or the proof does not show it.
    """
    if old == size and old_root == root and not hashes:
        return
    if not 0 < old < size:
        raise BadProof(f"The checkpoint of {size} entries does not continue that of {old}.")
    path = hashes if old & (old - 1) else [old_root, *hashes]
    if not path:
        raise BadProof("The proof is too short.")
    first, last = old - 1, size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    before = after = path[0]
    for item in path[1:]:
        if last == 0:
            raise BadProof("The proof is too long.")
        if first & 1 or first == last:
            before, after = node_hash(item, before), node_hash(item, after)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            after = node_hash(after, item)
        first, last = first >> 1, last >> 1
    if last != 0 or before != old_root or after != root:
        raise BadProof(f"The tree of {size} entries does not begin with that of {old}.")


def parse(text: str) -> Proof:
    """Return the inclusion proof that ``text`` is; the optional ``extra`` line is skipped.

    :raises BadProof: it is not in the form of C2SP tlog-proof.
    """
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if lines[:1] != [HEADER] or not separator:
        raise BadProof(f"This is no proof: it does not begin with '{HEADER}'.")
    del lines[0]
    if lines and lines[0].startswith("extra "):
        _decoded(lines.pop(0).removeprefix("extra "))
    label, _blank, number = lines.pop(0).partition(" ") if lines else ("", "", "")
    if label != "index" or not _NUMBER.fullmatch(number):
        raise BadProof("This is no proof: it does not say of which index.")
    return Proof(int(number), _hashes(lines), note)


def consistency_text(old: int, hashes: list[bytes], checkpoint: str) -> str:
    """Return a consistency proof in the form of an add-checkpoint request of C2SP tlog-witness."""
    return "\n".join([f"old {old}", *(base64.b64encode(item).decode() for item in hashes)]) + "\n\n" + checkpoint


def parse_consistency(text: str) -> tuple[int, list[bytes], str]:
    """Return (old size, hashes, checkpoint) of what :func:`consistency_text` wrote.

    :raises BadProof: it is not in that form.
    """
    head, separator, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    label, _blank, number = first.partition(" ")
    if label != "old" or not _NUMBER.fullmatch(number) or not separator:
        raise BadProof("This is no consistency proof: it does not begin with 'old' and a size.")
    return int(number), _hashes(lines), note


def _split(count: int) -> int:
    """Return the largest power of two smaller than ``count``."""
    return 1 << ((count - 1).bit_length() - 1)


def _hashes(lines: list[str]) -> list[bytes]:
    if len(lines) > _MAX_HASHES:
        raise BadProof(f"This is no proof: it has more than {_MAX_HASHES} hashes.")
    found = [_decoded(line) for line in lines]
    if any(len(item) != HASH_BYTES for item in found):
        raise BadProof("This is no proof: a line is not a SHA-256 in base64.")
    return found


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadProof("This is no proof: a line is not base64.") from error
    if base64.b64encode(data).decode() != text:
        raise BadProof("This is no proof: a line is base64 in another than the one form.")
    return data
