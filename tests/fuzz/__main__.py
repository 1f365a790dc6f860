# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Fuzz one target with atheris: `python tests/fuzz <parser|shapes|verifier|segments> [libFuzzer options]`.

It begins with tests/fuzz/corpus/<target> and what earlier runs found; new finds, and what it breaks on, go to
.cache/fuzz/<target>; copy from there what is to be kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import sys
import tempfile
import types
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import atheris
import rfc8785

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

# The package of the Ansible community would hide ours, and Ansible's importer would hide it from atheris.
_collections = types.ModuleType("ansible_collections")
_collections.__path__ = [str(REPOSITORY / "collections" / "ansible_collections")]
sys.modules["ansible_collections"] = _collections
sys.path.insert(0, str(REPOSITORY))

with atheris.instrument_imports():
    from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
        Ledger,
        LossNotAccepted,
        anchor,
        backup,
        batch,
        canonical,
        entry,
        freeze,
        repair,
        verify,
    )
    from ansible_collections.golden_goose.compliance.plugins.module_utils.verifier import (
        golden_goose_verify as stranger,
    )

from tests.unit.ledger.second_place import Memory  # noqa: E402

ORIGIN = "example.test/fuzz"
GENESIS = entry.genesis_hash(ORIGIN)
TIME_AND_TYPE = b'"timestamp":"2025-09-25T10:15:30.123Z","type":"validation"'


def _outcome(read: Callable[[bytes], object], line: bytes) -> str:
    try:
        return repr(read(line))
    except canonical.NotCanonical as error:
        return f"refused: {error}"


def _sealed(parts: list[bytes]) -> list[bytes]:
    """A forger's lines: correct hashes and links around any data and metadata."""
    lines, previous = [], GENESIS
    for number in range(0, len(parts) - 1, 2):
        about = b'"id":"00000000-0000-4000-8000-%012d","metadata":%b,"previous_hash":"%b","sequence":%d,%b}' % (
            number,
            parts[number + 1],
            previous.encode(),
            len(lines),
            TIME_AND_TYPE,
        )
        begin = b'{"data":' + parts[number] + b","
        previous = hashlib.sha256(begin + about).hexdigest()
        lines.append(begin + b'"hash":"' + previous.encode() + b'",' + about)
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


def _at_once(lines: list[bytes], memory: batch.Memory | None = None) -> bool:
    try:
        batch.check(lines, 0, GENESIS, memory or batch.Memory())
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


MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
IDS = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002")
METADATA = {"sprint": "1", "provisional": True}
TEMPLATES: tuple[dict[str, Any], ...] = (
    {"event": "sast", "number": 7, "share": 87.5, "text": "fine", "none": None, "yes": True},
    {"event": "coverage", "list": [1, "two", {"three": -3.25}], "object": {"sha256": "ab", "size": 1}},
    {"event": "e", "": "", "é": 0, '"': [[], {}]},
)


def changed_at(sound: bytes, kind: int, place: int, rest: bytes) -> bytes:
    """Return ``sound`` replaced, overwritten, with something inserted, or with a part left out, by ``kind``."""
    place %= len(sound)
    if kind == 0:
        return rest
    if kind == 1:
        return sound[:place] + rest + sound[place + len(rest) :]
    return sound[:place] + (rest + sound[place:] if kind == 2 else sound[place + len(rest) :])


def shapes(data: bytes) -> None:
    """Data that is nearly of a shape that was learned: the fast way takes nothing that the exact one refuses."""
    if len(data) < 3:
        return
    template = TEMPLATES[data[0] // 4 % len(TEMPLATES)]
    memory = batch.Memory()
    memory.shapes.learn(template)
    sound = canonical.encode(template)
    first, _feed, more = data[2:].partition(b"\n")
    parts = [changed_at(sound, data[0] % 4, data[1], first), *more.split(b"\n")]
    assert memory.shapes.unknown([sound], sound) == [] or not sound.isascii() or b"\\" in sound
    parts = [part for part in parts if part]
    unknown = memory.shapes.unknown(parts, b",".join(parts))
    for place in set(range(len(parts))) - set(unknown):
        value = canonical.decode_strict(parts[place])
        assert value["event"] == template["event"] and canonical.encode_exact(value) == parts[place], parts[place]
    metadata = canonical.encode(METADATA)
    lines = _sealed([item for part in (sound, *parts, sound) for item in (part, metadata)])
    assert _at_once(lines, memory) == _one_by_one(lines), lines


class Verifier:
    """A sound ledger whose files are overwritten: `intact` is only what is sound up to the end of a line."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger.create(folder, ORIGIN)
        reference = self.ledger.objects.put_bytes(b"findings", "text/plain")
        for data in ({"number": 1}, {"object": reference}, {"share": 87.5}, {"text": "ü"}):
            self.ledger.append(type="validation", event="sast", data=data, metadata=METADATA)
        self.sound = self.ledger.entries_path.read_bytes()

    def __call__(self, data: bytes) -> None:
        if len(data) < 3:
            return
        changed = changed_at(self.sound, data[0] % 4, int.from_bytes(data[1:3], "big"), data[3:])
        self.ledger.entries_path.write_bytes(changed)
        state = verify(self.ledger.path, ORIGIN).state
        unharmed = self.sound.startswith(changed) and changed.endswith(b"\n")
        assert (state == "intact") == unharmed, (state, changed)


class Segments:
    """Two signed segments, one of whose files is overwritten.

    Two verifiers agree; of entries only what was signed is intact; a frozen segment is whole again after a repair.
    """

    FILES = (
        "entries.jsonl",
        "segments/2/entries.jsonl",
        "checkpoint",
        "segments/2/checkpoint",
        "segments/2/ledger.json",
        "keys",
        "segments/2/tile/0/000.p/3",
    )

    def __init__(self, folder: Path) -> None:
        self.original, self.folder, self.copy = (folder.with_name(name) for name in ("original", "used", "copy"))
        Ledger.create(self.original, ORIGIN)
        # Always the same bytes, so that what was found stays of use.
        ledger, second = Ledger(self.original, ORIGIN, now=lambda: MOMENT), Memory()
        ledger.append(type="validation", event="sast", data={"number": 1}, metadata=METADATA, id=IDS[0])
        freeze(ledger, second, METADATA, 2)
        ledger.append(type="validation", event="sast", data={"text": "ü"}, metadata=METADATA, id=IDS[1])
        anchor(ledger, second, METADATA)
        backup(ledger, self.copy)
        self.sound = {name: (self.original / name).read_bytes() for name in self.FILES}
        self._renew()

    def __call__(self, data: bytes) -> None:
        if len(data) < 4:
            return
        name = self.FILES[data[1] % len(self.FILES)]
        changed = changed_at(self.sound[name], data[0] % 4, int.from_bytes(data[2:4], "big"), data[4:])
        (self.folder / name).write_bytes(changed)
        state = verify(self.folder, ORIGIN).state
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            other = stranger.main([str(self.folder)])
        assert (state == "intact") == (other == stranger.INTACT), (state, other, name, changed)
        if name.endswith("entries.jsonl"):
            assert (state == "intact") == (changed == self.sound[name]), (state, name, changed)
        if data[0] & 0x80:
            self._repair(name, changed)
        else:
            (self.folder / name).write_bytes(self.sound[name])

    def _repair(self, name: str, changed: bytes) -> None:
        with contextlib.suppress(LossNotAccepted):  # Bytes in the last segment may have been entries.
            done = repair(self.folder, self.copy, METADATA)
            assert not done.lost, (name, changed)
            assert verify(self.folder).state != "broken", (name, changed)
            if name == "entries.jsonl":
                assert (self.folder / name).read_bytes() == self.sound[name], changed
            assert not repair(self.folder, self.copy, METADATA).changed, (name, changed)
        self._renew()

    def _renew(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.original, self.folder)


def main() -> None:
    target = sys.argv.pop(1)
    findings = REPOSITORY / ".cache" / "fuzz" / target
    corpora = [findings / "corpus", HERE / "corpus" / target]
    corpora[0].mkdir(parents=True, exist_ok=True)
    options = [*sys.argv[1:], f"-artifact_prefix={findings}/", "-timeout=20", "-rss_limit_mb=1024"]
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where, prefix="golden-goose-fuzz-") as folder:
        place = Path(folder) / "ledger"
        run = {
            "parser": lambda: parser,
            "shapes": lambda: shapes,
            "verifier": lambda: Verifier(place),
            "segments": lambda: Segments(place),
        }[target]()
        atheris.Setup([sys.argv[0], *options, *map(str, corpora)], run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
