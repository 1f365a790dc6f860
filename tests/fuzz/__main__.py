# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Fuzz one target with atheris: `python tests/fuzz <parser|verifier> [libFuzzer options]`.

It begins with tests/fuzz/corpus/<target> and what earlier runs found; new finds, and what it breaks on, go to
.cache/fuzz/<target>; copy from there what is to be kept.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path

import atheris
import rfc8785

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

# The package of the Ansible community would hide ours, and Ansible's importer would hide it from atheris.
_collections = types.ModuleType("ansible_collections")
_collections.__path__ = [str(REPOSITORY / "collections" / "ansible_collections")]
sys.modules["ansible_collections"] = _collections

with atheris.instrument_imports():
    from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
        Ledger,
        batch,
        canonical,
        entry,
        verify,
    )

ORIGIN = "example.test/fuzz"
GENESIS = entry.genesis_hash(ORIGIN)
TIME = "2025-09-25T10:15:30.123Z"


def _outcome(read: Callable[[bytes], object], line: bytes) -> str:
    try:
        return repr(read(line))
    except canonical.NotCanonical as error:
        return f"refused: {error}"


def _sealed(parts: list[bytes]) -> list[bytes]:
    """A forger's lines: correct hashes and links around any data and metadata."""
    lines, previous = [], GENESIS
    for number in range(0, len(parts) - 1, 2):
        id = f"00000000-0000-4000-8000-{number:012d}"
        line, previous = entry.write(
            len(lines), id, TIME, "validation", parts[number], parts[number + 1], previous_hash=previous
        )
        lines.append(line)
    return lines


def _one_by_one(lines: list[bytes]) -> bool:
    previous = GENESIS
    for number, line in enumerate(lines):
        try:
            found = entry.parse(line)
        except entry.BadLine:
            return False
        if (found.sequence, found.previous_hash) != (number, previous):
            return False
        previous = found.hash
    return True


def _at_once(lines: list[bytes]) -> bool:
    try:
        batch.check(lines, 0, GENESIS, batch.Memory())
    except batch.Unsure:
        return False
    return True


def parser(data: bytes) -> None:
    """Any bytes as a line, and as data and metadata of sealed lines: fast and exact readers agree, others too."""
    fast = _outcome(canonical.decode_strict, data)
    assert fast == _outcome(canonical._read_exact, data), (fast, data)
    if not fast.startswith("refused: "):
        value = canonical.decode_strict(data)
        assert canonical.encode(value) == canonical.encode_exact(value) == data
        try:
            assert rfc8785.dumps(value) == data
        except rfc8785.CanonicalizationError as error:
            raise AssertionError(f"{data!r} is canonical for us only") from error
    with contextlib.suppress(entry.BadLine):
        entry.parse(data)
    lines = _sealed(data.split(b"\n"))
    if lines:
        assert _at_once(lines) == _one_by_one(lines), lines


class Verifier:
    """A sound ledger whose files are overwritten: `intact` is only what is sound up to the end of a line."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger.create(folder, ORIGIN)
        metadata = {"sprint": "1", "provisional": True}
        reference = self.ledger.objects.put_bytes(b"findings", "text/plain")
        for data in ({"number": 1}, {"object": reference}, {"share": 87.5}, {"text": "ü"}):
            self.ledger.append(type="validation", event="sast", data=data, metadata=metadata)
        self.sound = self.ledger.entries_path.read_bytes()

    def __call__(self, data: bytes) -> None:
        if len(data) < 3:
            return
        place, rest = int.from_bytes(data[1:3], "big") % len(self.sound), data[3:]
        if data[0] % 4 == 0:
            changed = rest
        elif data[0] % 4 == 1:
            changed = self.sound[:place] + rest + self.sound[place + len(rest) :]
        elif data[0] % 4 == 2:
            changed = self.sound[:place] + rest + self.sound[place:]
        else:
            changed = self.sound[:place] + self.sound[place + len(rest) :]
        self.ledger.entries_path.write_bytes(changed)
        state = verify(self.ledger.path, ORIGIN).state
        unharmed = self.sound.startswith(changed) and changed.endswith(b"\n")
        assert (state == "intact") == unharmed, (state, changed)


def main() -> None:
    target = sys.argv.pop(1)
    findings = REPOSITORY / ".cache" / "fuzz" / target
    corpora = [findings / "corpus", HERE / "corpus" / target]
    corpora[0].mkdir(parents=True, exist_ok=True)
    options = [*sys.argv[1:], f"-artifact_prefix={findings}/", "-timeout=20", "-rss_limit_mb=1024"]
    with tempfile.TemporaryDirectory(prefix="golden-goose-fuzz-") as folder:
        run = {"parser": lambda: parser, "verifier": lambda: Verifier(Path(folder) / "ledger")}[target]()
        atheris.Setup([sys.argv[0], *options, *map(str, corpora)], run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
