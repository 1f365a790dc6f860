# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which of very many 64-bit numbers occur twice, in bounded memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import compress

# They are looked at in shares of about this power of two; one byte of each says to which share it belongs.
_SHARE_BITS = 18
_MOST_SHARES = 256


def repeated(numbers: array[int]) -> set[int]:
    """Return which of ``numbers`` occur more than once."""
    shares = min(_MOST_SHARES, 1 << (len(numbers) >> _SHARE_BITS).bit_length())
    some_byte = bytes(memoryview(numbers).cast("B")[:: numbers.itemsize])
    found: set[int] = set()
    for share in range(shares):
        chosen = some_byte.translate(bytes(byte % shares == share for byte in range(256)))
        unique = set(compress(numbers, chosen))
        if len(unique) != chosen.count(1):
            found |= _repeated(compress(numbers, chosen), unique)
    return found


def _repeated(numbers: Iterable[int], unique: set[int]) -> set[int]:
    """Return which of ``numbers`` occur more than once; ``unique`` has each of them and is used up."""
    found: set[int] = set()
    for number in numbers:
        if number in unique:
            unique.discard(number)
        else:
            found.add(number)
    return found
