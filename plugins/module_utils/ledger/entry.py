# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One line of evidence: how it is sealed, and how it is read back without trusting it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import canonical, fastjson
from .errors import EntryRefused

FORMAT = "golden-goose-ledger/1"
TYPES = ("promotion", "validation")
# Without the line feed: C2SP tlog-tiles states the size of an entry in 16 bits. Larger things are objects.
MAX_LINE_BYTES = 65_535

_FIELDS = frozenset({"data", "hash", "id", "metadata", "previous_hash", "sequence", "timestamp", "type"})
_HASH = re.compile(r"[0-9a-f]{64}")
_TIMESTAMP = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}")


class BadLine(ValueError):
    """A line is not an entry; ``kind`` is ``line`` (its form) or ``hash`` (its content)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Entry(NamedTuple):
    """One entry, exactly as its line holds it.

    ``data`` includes ``event``. ``line`` is the exact bytes without the final line feed; ``hash`` is the
    SHA-256 of the canonical entry without ``hash``, ``previous_hash`` that of the entry before. ``segment`` is the
    number of the ledger's segment that it was read from; the line does not state it.
    """

    sequence: int
    id: str
    timestamp: str
    type: str
    event: str
    data: dict[str, Any]
    metadata: dict[str, Any]
    hash: str
    previous_hash: str
    line: bytes
    segment: int = 1

    @property
    def place(self) -> tuple[int, int]:
        """Segment and sequence, which order the entries of a whole ledger."""
        return self.segment, self.sequence

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON object of the line."""
        return {
            "data": self.data,
            "hash": self.hash,
            "id": self.id,
            "metadata": self.metadata,
            "previous_hash": self.previous_hash,
            "sequence": self.sequence,
            "timestamp": self.timestamp,
            "type": self.type,
        }

    def content(self) -> bytes:
        """Return the bytes that two appends of the same ``id`` must share."""
        return content(self.type, self.data, self.metadata)


def content(type: str, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> bytes:
    """Return the canonical bytes of what a caller says, without what the ledger adds.

    :raises EntryRefused: it has no canonical form.
    """
    try:
        return canonical.encode({"type": type, "data": dict(data), "metadata": dict(metadata)})
    except canonical.NotCanonical as error:
        raise EntryRefused(f"The entry cannot be written as canonical JSON: {error}.") from error


def genesis_hash(origin: str) -> str:
    """Return ``previous_hash`` of entry 0: it ties every later hash to this ledger's origin."""
    return hashlib.sha256(f"{FORMAT}\n{origin}".encode()).hexdigest()


def seal(
    *,
    sequence: int,
    id: str,
    timestamp: str,
    type: str,
    data: Mapping[str, Any],
    metadata: Mapping[str, Any],
    previous_hash: str,
) -> Entry:
    """Return the entry with its hash and line.

    :raises EntryRefused: a field has a form that a reader would refuse.
    """
    try:
        encoded, about = canonical.encode(dict(data)), canonical.encode(dict(metadata))
    except canonical.NotCanonical as error:
        raise EntryRefused(f"The entry is refused: {error}.") from error
    return seal_encoded(sequence, id, timestamp, type, encoded, about, previous_hash)


def seal_encoded(
    sequence: int, id: str, timestamp: str, type: str, data: bytes, metadata: bytes, previous_hash: str
) -> Entry:
    """Return what :func:`seal` does, for ``data`` and ``metadata`` that are in canonical form already.

    :raises EntryRefused: a field has a form that a reader would refuse.
    """
    try:
        line, _hash = write(sequence, id, timestamp, type, data, metadata, previous_hash)
    except canonical.NotCanonical as error:
        raise EntryRefused(f"The entry is refused: {error}.") from error
    return accepted(line)


def accepted(line: bytes) -> Entry:
    """Return the entry of a ``line`` that is about to be written: writer and reader must never disagree.

    :raises EntryRefused: a reader would refuse it.
    """
    try:
        return parse(line)
    except BadLine as error:
        raise EntryRefused(f"The entry is refused: {error}.") from error


def write(
    sequence: int, id: str, timestamp: str, type: str, data: bytes, metadata: bytes, previous_hash: str
) -> tuple[bytes, str]:
    """Return (line, hash) for ``data`` and ``metadata`` in canonical form; what the line holds is not checked.

    :raises NotCanonical: ``id`` or ``type`` cannot be written.
    """
    return Writer(timestamp, type, metadata).write(sequence, id, data, previous_hash)


class Writer:
    """Writes lines that share time, type and (canonical) metadata; what they hold is not checked.

    The members stand in the order of RFC 8785, so the parts make a canonical whole.
    """

    def __init__(self, timestamp: str, type: str, metadata: bytes) -> None:
        self._before_link = f',"metadata":{metadata.decode()},"previous_hash":"'
        self._after_sequence = f',"timestamp":"{timestamp}","type":{_quoted(type)}}}'

    def write(self, sequence: int, id: str, data: bytes, previous_hash: str) -> tuple[bytes, str]:
        """Return (line, hash) of an entry with these (canonical) ``data``.

        :raises NotCanonical: ``id`` cannot be written.
        """
        before = b'{"data":' + data
        link = f'{self._before_link}{previous_hash}","sequence":{sequence}{self._after_sequence}'
        after = f',"id":{_quoted(id)}{link}'.encode()
        digest = hashlib.sha256(before + after).hexdigest()
        return b'%b,"hash":"%b"%b' % (before, digest.encode(), after), digest


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return canonical.encode(text).decode()


def parse(line: bytes) -> Entry:
    """Return the entry that ``line`` (without line feed) holds, after checking its form and its hash.

    :raises BadLine: the line is not canonical, a field is not as it must be, or the hash is of other content.
    """
    if len(line) > MAX_LINE_BYTES:
        raise BadLine("line", f"the line has more than {MAX_LINE_BYTES} bytes; put what is large into objects")
    try:
        value = canonical.decode_strict(line)
    except canonical.NotCanonical as error:
        raise BadLine("line", f"the line is {error}" if str(error).startswith("not") else str(error)) from error
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise BadLine("line", f"the line is not an object with exactly the fields {', '.join(sorted(_FIELDS))}")
    _check_fields(value)
    if hashlib.sha256(_without_hash(line, value)).hexdigest() != value["hash"]:
        raise BadLine("hash", "the content does not have the hash that the line states: it was edited")
    return Entry(event=value["data"]["event"], line=line, **value)


def sound(line: bytes) -> Entry:
    """Return the entry of a ``line`` that was found to be sound before."""
    value = fastjson.read(line)
    return Entry(event=value["data"]["event"], line=line, **value)


def _without_hash(line: bytes, value: dict[str, Any]) -> bytes:
    """Return the canonical form without the member ``hash``: the canonical ``line`` with that member cut out."""
    member = f',"hash":"{value["hash"]}","id":"{value["id"]}","metadata":'.encode()
    before, _member, after = line.partition(member)
    if member in after:  # It is also somewhere within data or metadata.
        return canonical.encode({key: item for key, item in value.items() if key != "hash"})
    return before + member[member.index(b',"id":"') :] + after


def _check_fields(value: dict[str, Any]) -> None:
    if not isinstance(value["sequence"], int) or isinstance(value["sequence"], bool) or value["sequence"] < 0:
        raise BadLine("line", "sequence is not a whole number from 0")
    if not _is_uuid(value["id"]):
        raise BadLine("line", "id is not a UUID in lower case")
    if value["type"] not in TYPES:
        raise BadLine("line", f"type is not one of {', '.join(TYPES)}")
    for key in ("hash", "previous_hash"):
        if not isinstance(value[key], str) or not _HASH.fullmatch(value[key]):
            raise BadLine("line", f"{key} is not a SHA-256 in lower-case hexadecimal")
    if not isinstance(value["timestamp"], str) or not _TIMESTAMP.fullmatch(value["timestamp"]):
        raise BadLine("line", "timestamp is not RFC 3339 in UTC with milliseconds")
    for key in ("data", "metadata"):
        if not isinstance(value[key], dict):
            raise BadLine("line", f"{key} is not an object")
    event = value["data"].get("event")
    if not isinstance(event, str) or not is_event(event):
        raise BadLine("line", "data.event is not a lower-case name")


def is_event(name: str) -> bool:
    """Whether ``name`` can be ``data.event``."""
    return _EVENT.fullmatch(name) is not None


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None
