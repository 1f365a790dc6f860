# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The append-only attribute of ``entries.jsonl`` (`chattr +a`), where the filesystem has it.

The kernel then refuses to cut, rewrite, rename or unlink the file; it can only be written at its end. The file
``append-only`` beside it says that this is wanted: whatever has to lift the attribute for a moment and is killed
meanwhile leaves that file, and the next append sets the attribute again. The folder itself can be renamed.

FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_APPEND_FL are those of linux/fs.h; see ioctl_iflags(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..files import write_atomic
from .errors import LedgerError

MARK = "append-only"
MODES = ("auto", "always", "never")
_ENTRIES = "entries.jsonl"
_APPEND = 0x20
# _IOR('f', 1, long) and _IOW('f', 2, long) of the common encoding; where another one is used (MIPS, POWER, SPARC) the
# kernel answers ENOTTY, as a filesystem without attributes does.
_LONG = struct.calcsize("l")
_GET = 2 << 30 | _LONG << 16 | ord("f") << 8 | 1
_SET = 1 << 30 | _LONG << 16 | ord("f") << 8 | 2
_UNKNOWN = {errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_CAP_LINUX_IMMUTABLE = 9


def is_set(path: Path) -> bool:
    """Return whether the file ``path`` is append-only; false where the filesystem has no such attribute.

    :raises OSError: the file cannot be opened.
    """
    with _opened(path) as descriptor:
        return bool((_flags(descriptor) or 0) & _APPEND)


def protect(folder: Path, mode: str, dry_run: bool = False) -> tuple[bool, str]:
    """Make the entries of the ledger in ``folder`` append-only, or no longer so.

    Return whether anything changed, and why not when it is wanted and not possible.

    :param mode: ``always``, ``auto`` (where it is possible) or ``never``.
    :raises LedgerError: it is to be so always and cannot be, or the attribute cannot be taken off.
    """
    path, mark = folder / _ENTRIES, folder / MARK
    try:
        if not path.exists():  # A ledger that is not made yet, in check mode.
            return False, ""
        if mode == "never":
            changed = mark.exists() or is_set(path)
            if changed and not dry_run:
                mark.unlink(missing_ok=True)
                with _opened(path) as descriptor:
                    _put(descriptor, False, f"take the append-only attribute off {path}")
            return changed, ""
        if is_set(path) and mark.exists():
            return False, ""
        if why := _impossible(path):
            if mode == "always":
                raise LedgerError(f"{path} cannot be made append-only: {why}; set append_only to auto or never.")
            return False, why
        if not dry_run:
            write_atomic(mark, b"", 0o640)
            with _opened(path) as descriptor:
                _put(descriptor, True, f"make {path} append-only")
    except OSError as error:
        raise LedgerError(f"Cannot change the attributes of {path}: {error.strerror or error}.") from error
    return True, ""


def restore(folder: Path) -> None:
    """Set the attribute again when it is wanted: something that lifted it was killed, or the file is a new one.

    A writer who may not set it goes on without.
    """
    # access(2) of a text: this is asked before every append.
    if not os.access(f"{folder}/{MARK}", os.F_OK):
        return
    with suppress(OSError, LedgerError), _opened(folder / _ENTRIES) as descriptor:
        _put(descriptor, True, "set the append-only attribute")


@contextmanager
def lifted(descriptor: int, path: Path | str) -> Iterator[None]:
    """Lift the attribute of the open file ``descriptor`` for the block, which cuts it; ``path`` names it.

    :raises LedgerError: this process may not.
    """
    flags = _flags(descriptor)
    if flags is None or not flags & _APPEND:
        yield
        return
    _put(descriptor, False, f"cut {path}, which is append-only")
    try:
        yield
    finally:
        with suppress(OSError, LedgerError):  # The next append sets it again.
            _put(descriptor, True, "set the append-only attribute")


@contextmanager
def unprotected(folder: Path) -> Iterator[None]:
    """Lift the attribute of the entries in ``folder`` for the block, which replaces, renames or removes the file.

    Afterwards the file that then has the name gets it, when it is wanted. Where the folder was renamed meanwhile, call
    :func:`restore` for its new name.

    :raises LedgerError: this process may not.
    """
    path = folder / _ENTRIES
    with suppress(FileNotFoundError), _opened(path) as descriptor:
        if (_flags(descriptor) or 0) & _APPEND:
            _put(descriptor, False, f"replace {path}, which is append-only")
    try:
        yield
    finally:
        restore(folder)


def release(folder: Path) -> None:
    """Take the attribute off everything below ``folder``, so that it can be removed.

    :raises LedgerError: this process may not.
    """
    (folder / MARK).unlink(missing_ok=True)
    for path in folder.rglob("*.jsonl"):
        if not path.is_symlink():
            with _opened(path) as descriptor:
                _put(descriptor, False, f"remove {path}, which is append-only")


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _flags(descriptor: int) -> int | None:
    """Return the attributes of an open file; None where the filesystem has none."""
    buffer = bytearray(_LONG)
    try:
        fcntl.ioctl(descriptor, _GET, buffer)
    except OSError as error:
        if error.errno in _UNKNOWN:
            return None
        raise
    # The kernel reads and writes an int, whatever the request's size says.
    return int(struct.unpack_from("I", buffer)[0])


def _put(descriptor: int, on: bool, what: str) -> None:
    flags = _flags(descriptor)
    if flags is None or bool(flags & _APPEND) == on:
        return
    wanted = struct.pack("I", flags | _APPEND if on else flags & ~_APPEND).ljust(_LONG, b"\0")
    try:
        fcntl.ioctl(descriptor, _SET, wanted)
    except PermissionError as error:
        raise LedgerError(
            f"Cannot {what}: that needs the capability CAP_LINUX_IMMUTABLE; run this as root, outside of a container "
            "that drops it."
        ) from error


def _impossible(path: Path) -> str:
    """Return why the file cannot be made append-only; empty when it can, as far as can be told without trying."""
    with _opened(path) as descriptor:
        if _flags(descriptor) is None:
            return "its filesystem has no such attribute"
    return "" if _capable() else "that needs the capability CAP_LINUX_IMMUTABLE"


def _capable() -> bool:
    """Return whether this process has CAP_LINUX_IMMUTABLE; see proc_pid_status(5)."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_LINUX_IMMUTABLE & 1)
    return False
