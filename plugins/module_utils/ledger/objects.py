# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Large files beside the ledger, stored once under the SHA-256 of their bytes."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

from ..files import make_dirs, sha256_file, sync_directory
from .errors import LedgerBroken, LedgerError

_BLOCK = 1 << 20
# Every canonical line that refers to an object has these bytes.
MARK = b'"sha256":'
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEFAULT_MEDIA_TYPE = "application/octet-stream"


class ObjectRef(TypedDict):
    """How an entry refers to an object; ``size`` in bytes, ``sha256`` in lower-case hexadecimal."""

    sha256: str
    size: int
    media_type: str


class Objects:
    """The folder ``objects/sha256`` of a ledger."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Return where the object is, whether or not it is there.

        :raises LedgerError: ``sha256`` is not 64 lower-case hexadecimal digits.
        """
        if not _SHA256.fullmatch(sha256):
            raise LedgerError(f"'{sha256}' is not a SHA-256; give 64 lower-case hexadecimal digits.")
        return self.root / sha256[:2] / sha256

    def put_bytes(self, data: bytes, media_type: str = _DEFAULT_MEDIA_TYPE) -> ObjectRef:
        """Store ``data`` and return its reference; a second time nothing is written.

        :raises LedgerError: it cannot be written; nothing is left behind.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        if not self._holds(sha256, len(data)):
            self._write(iter((data,)), f"{len(data)} bytes")
        return ObjectRef(sha256=sha256, size=len(data), media_type=media_type)

    def put_file(self, path: Path, media_type: str | None = None) -> ObjectRef:
        """Store the content of the file ``path`` and return its reference.

        :param media_type: by default what the file's suffix stands for.
        :raises LedgerError: it cannot be read or written; nothing is left behind.
        """
        try:
            size = path.stat().st_size
            sha256 = sha256_file(path)
        except OSError as error:
            raise LedgerError(f"Cannot read {path} to keep it as evidence: {error.strerror or error}.") from error
        if not self._holds(sha256, size):
            sha256, size = self._write(_blocks(path), str(path))
        kind = media_type or mimetypes.guess_type(path.name)[0] or _DEFAULT_MEDIA_TYPE
        return ObjectRef(sha256=sha256, size=size, media_type=kind)

    def read(self, sha256: str) -> bytes:
        """Return the object's bytes after checking them.

        :raises LedgerBroken: the object is missing or its bytes have another hash.
        """
        try:
            data = self.path(sha256).read_bytes()
        except OSError as error:
            raise LedgerBroken(
                f"The object {sha256} cannot be read from {self.root}: {error.strerror or error}; "
                "restore it from the backup.",
                sequence=None,
            ) from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise LedgerBroken(
                f"The object {self.path(sha256)} was altered; restore it from the backup.", sequence=None
            )
        return data

    def problem(self, reference: ObjectRef) -> tuple[str, str] | None:
        """Return (kind, message) when what is stored is not what ``reference`` says, else None."""
        path = self.path(reference["sha256"])
        try:
            if path.stat().st_size == reference["size"] and sha256_file(path) == reference["sha256"]:
                return None
        except OSError as error:
            return "object_missing", f"its object {path} cannot be read: {error.strerror or error}"
        return "object_altered", f"its object {path} holds other bytes than were recorded"

    def _holds(self, sha256: str, size: int) -> bool:
        path = self.path(sha256)
        if not (path.is_file() and path.stat().st_size == size and sha256_file(path) == sha256):
            return False
        # Retention leaves alone what was kept a moment ago, since an entry may be about to refer to it.
        with suppress(OSError):
            os.utime(path)
        return True

    def _write(self, blocks: Iterator[bytes], what: str) -> tuple[str, int]:
        for folder in (self.root.parent, self.root):
            make_dirs(folder, 0o750)
        digest, size = hashlib.sha256(), 0
        try:
            descriptor, name = tempfile.mkstemp(prefix=".new-", dir=self.root)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    for block in blocks:
                        digest.update(block)
                        size += len(block)
                        stream.write(block)
                    stream.flush()
                    os.fchmod(stream.fileno(), 0o640)
                    os.fsync(stream.fileno())
                target = self.path(digest.hexdigest())
                make_dirs(target.parent, 0o750)
                Path(name).replace(target)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            sync_directory(target.parent)
            sync_directory(self.root)
        except OSError as error:
            raise LedgerError(
                f"Cannot store {what} under {self.root}: {error.strerror or error}; nothing was recorded."
            ) from error
        return digest.hexdigest(), size


def references(value: Any) -> Iterator[ObjectRef]:
    """Yield every object reference within an entry's data: an object with exactly the keys of ObjectRef."""
    if isinstance(value, dict):
        if value.keys() == ObjectRef.__required_keys__:
            if isinstance(value["size"], int) and _SHA256.fullmatch(str(value["sha256"])):
                yield ObjectRef(sha256=value["sha256"], size=value["size"], media_type=str(value["media_type"]))
            return
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block
