# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Verify evidence of Golden Goose offline, with this file, Python 3.9 or later and the library cryptography.

  golden-goose-verify PACKAGE                                       a package that was handed out
  golden-goose-verify LEDGER [--from CHECKPOINT] [--objects]        a whole ledger with all its segments, or what came
                                                                    after a checkpoint
  golden-goose-verify --entry FILE --proof FILE --key VKEY          one entry

Give the public key with --key as you were told it by another way; without it the one beside the evidence is taken,
which whoever made the evidence could have changed, and the last line says so. Exit status: 0 intact, 1 broken,
2 wrong use or unreadable, 3 incomplete (nothing that is there is wrong), 4 nothing to verify.

The format is described in docs/ledger-format.md of Golden Goose.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

Key = tuple[str, bytes, bytes]  # name, key id, 32 bytes
FORMAT = "golden-goose-ledger/1"
INTACT, BROKEN, UNUSABLE, INCOMPLETE, NOTHING = range(5)
STATES = {INTACT: "intact", BROKEN: "broken", INCOMPLETE: "incomplete", NOTHING: "nothing to verify"}
MAX_LINE = 65_535
MEMBERS = {"data", "hash", "id", "metadata", "previous_hash", "sequence", "timestamp", "type"}
FORMS = {
    "hash": r"[0-9a-f]{64}",
    "previous_hash": r"[0-9a-f]{64}",
    "id": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "timestamp": r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z",
    "type": r"promotion|validation",
}


class Broken(Exception):
    """Something is not what it was. ``sequence`` is the entry concerned, when it is one."""

    def __init__(self, message: str, sequence: int | None = None) -> None:
        super().__init__(message)
        self.sequence = sequence


class Incomplete(Exception):
    """Something that belongs here is not here."""


# --- canonical JSON (RFC 8785) ---


def canonical(value: Any, depth: int = 0) -> str:
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) > 2**53 - 1:
            raise Broken("an integer is beyond what a double holds exactly")
        return str(value)
    if isinstance(value, float):
        return number(value)
    if depth == 64:
        raise Broken("the line is nested deeper than 64 levels")
    if isinstance(value, list):
        return "[" + ",".join(canonical(item, depth + 1) for item in value) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    return "{" + ",".join(canonical(key) + ":" + canonical(value[key], depth + 1) for key in keys) + "}"


def number(value: float) -> str:
    """ECMAScript's Number::toString."""
    if not math.isfinite(value):
        raise Broken("a number is not finite")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _e, exponent = repr(abs(value)).partition("e")
    whole, _dot, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) - (len(whole + fraction) - len(digits)) + int(exponent or 0)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    rest = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Broken("an object repeats a key")
    return found


def integer(text: str) -> int | float:
    value = int(text) if len(text) <= 17 else 2**53
    return value if abs(value) <= 2**53 - 1 else float(text)


def constant(text: str) -> Any:
    raise Broken(f"{text} is no JSON")


# --- entries and their chain ---


def entry_of(line: bytes) -> dict[str, Any]:
    """Return the entry that a line without its line feed is."""
    if len(line) > MAX_LINE:
        raise Broken(f"the line has more than {MAX_LINE} bytes")
    try:
        value = json.loads(line.decode(), object_pairs_hook=unique, parse_int=integer, parse_constant=constant)
        if canonical(value).encode() != line:
            raise Broken("the line is not in canonical form")
    except (ValueError, RecursionError) as error:
        raise Broken(f"the line is not JSON ({error})") from None
    if not isinstance(value, dict) or set(value) != MEMBERS:
        raise Broken("the line has not just the members of an entry")
    for name, form in FORMS.items():
        if not isinstance(value[name], str) or not re.fullmatch(form, value[name], re.ASCII):
            raise Broken(f"{name} has not the form it must have")
    if isinstance(value["sequence"], bool) or not isinstance(value["sequence"], int) or value["sequence"] < 0:
        raise Broken("sequence is no whole number")
    if not isinstance(value["data"], dict) or not isinstance(value["metadata"], dict):
        raise Broken("data or metadata is no object")
    event = value["data"].get("event")
    if not isinstance(event, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", event):
        raise Broken("data.event is no name")
    unsealed = {name: item for name, item in value.items() if name != "hash"}
    if sha256(canonical(unsealed).encode()).hex() != value["hash"]:
        raise Broken("the content does not have the hash that the line states")
    return value


class Chain:
    """Follows the chain and grows the tree over the same bytes."""

    def __init__(
        self, origin: str, size: int = 0, edge: Sequence[bytes] = (), previous: str = "", timestamp: str = ""
    ) -> None:
        self.size = size
        self.edge = list(edge)
        self.previous = previous or sha256(f"{FORMAT}\n{origin}".encode()).hex()
        self.timestamp = timestamp
        # Ids of all segments.
        self.ids: set[str] = set()
        self.origin = origin
        self.first: dict[str, Any] = {}
        # The origin of the segment that goes on after the last entry froze this one.
        self.successor = ""
        # All leaves, when the chain is followed from its beginning.
        self.leaves: bytearray | None = None if size else bytearray()

    def add(self, line: bytes) -> dict[str, Any]:
        try:
            entry = entry_of(line)
            if self.successor:
                raise Broken("it follows the entry that froze the ledger")
            if entry["sequence"] != self.size:
                raise Broken(f"entry {entry['sequence']} stands in its place")
            if entry["previous_hash"] != self.previous:
                raise Broken("it does not follow the entry before it")
            if entry["timestamp"] < self.timestamp:
                raise Broken("its time is before that of the entry before it")
            if entry["id"] in self.ids:
                raise Broken("its id is that of an earlier entry")
        except Broken as error:
            raise Broken(str(error), self.size) from None
        self.ids.add(entry["id"])
        self.previous, self.timestamp = entry["hash"], entry["timestamp"]
        self.first = self.first or entry
        self.successor = successor_of(entry)
        carried, rest = leaf_hash(line), self.size
        if self.leaves is not None:
            self.leaves += carried
        while rest & 1:
            carried, rest = node_hash(self.edge.pop(), carried), rest >> 1
        self.edge.append(carried)
        self.size += 1
        return entry

    def root(self) -> bytes:
        return fold(self.edge)

    def following(self, origin: str) -> Chain:
        """Return the chain of the segment that continues this frozen one."""
        chain = Chain(origin, timestamp=self.timestamp)
        chain.ids = self.ids
        return chain

    def continues(self, before: Chain) -> bool:
        """Whether the first entry names origin, size, root and last hash of the segment before; raise if it cannot.

        A segment before that lacks its last entries may be excused by what a later entry says.
        """
        said = self.first.get("data", {})
        named = [said.get(name) for name in ("event", "origin", "size", "root", "hash")]
        if self.first and str(said.get("checkpoint")).split("\n")[:3] != [str(item) for item in named[1:4]]:
            raise Broken(f"'{self.origin}' names another head than the checkpoint in its first entry", 0)
        root = base64.b64encode(before.root()).decode()
        if named == ["continued", before.origin, before.size, root, before.previous]:
            return before.successor == self.origin
        if self.first and (named[:2] != ["continued", before.origin] or not before.size < named[2]):
            raise Broken(f"'{self.origin}' does not continue the '{before.origin}' that is here", 0)
        return not self.first and before.successor == self.origin


def successor_of(entry: dict[str, Any]) -> str:
    return str(entry["data"].get("successor", "")) if entry["data"]["event"] == "frozen" else ""


def segment_of(origin: str) -> tuple[str, int]:
    """Return the origin of the ledger, and which segment of it has ``origin``."""
    found = re.fullmatch(r"(.+)/segment/([2-9]|[1-9][0-9]{1,5})", origin)
    return (found[1], int(found[2])) if found else (origin, 1)


def references(value: Any) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        if set(value) == {"sha256", "size", "media_type"}:
            yield str(value["sha256"]), value["size"]
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


# --- tree (RFC 6962, 2.1) and proofs (RFC 9162, 2.1.3 and 2.1.4) ---


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def leaf_hash(line: bytes) -> bytes:
    return sha256(b"\x00" + line)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def fold(subtrees: Sequence[bytes]) -> bytes:
    """The root over neighbouring perfect subtrees, the largest first."""
    result = None
    for item in reversed(subtrees):
        result = item if result is None else node_hash(item, result)
    return sha256(b"") if result is None else result


def check_inclusion(leaf: bytes, index: int, size: int, hashes: list[bytes], root: bytes) -> None:
    if not 0 <= index < size:
        raise Broken(f"the proof is of entry {index} of {size}")
    first, last, result = index, size - 1, leaf
    for item in hashes:
        if last == 0:
            raise Broken("the proof is too long")
        if first & 1 or first == last:
            result = node_hash(item, result)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            result = node_hash(result, item)
        first, last = first >> 1, last >> 1
    if last or result != root:
        raise Broken("the proof does not lead from this entry to the signed root", index)


# --- signed notes and checkpoints (C2SP signed-note, tlog-checkpoint) ---


def decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Broken("a line is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Broken("a line is base64 in another than the one form")
    return data


def key_of(vkey: str) -> Key:
    name, _plus, rest = vkey.strip().partition("+")
    identity, _plus, encoded = rest.partition("+")
    data = decoded(encoded)
    if len(data) != 33 or data[:1] != b"\x01" or identity_of(name, data[1:]).hex() != identity:
        raise Broken(f"'{vkey.strip()[:60]}' is no ed25519 key of a signed note")
    return name, bytes.fromhex(identity), data[1:]


def identity_of(name: str, public: bytes) -> bytes:
    """The first four bytes of SHA-256 of name, line feed, type and key."""
    return sha256(name.encode() + b"\n\x01" + public)[:4]


def checkpoint_of(note: str, keys: Sequence[Key]) -> tuple[str, int, bytes]:
    """Return (origin, size, root) of a signed note, after checking a signature by one of ``keys``."""
    text, separator, block = note.rpartition("\n\n")
    lines = text.split("\n")
    if not separator or not block.endswith("\n") or len(lines) < 3 or not all(lines):
        raise Broken("the checkpoint has not the form of one")
    if any(character < " " and character != "\n" for character in note) or not re.fullmatch(
        r"(0|[1-9][0-9]{0,18})", lines[1], re.ASCII
    ):
        raise Broken("the checkpoint has not the form of one")
    # A key that may sign a ledger may sign all of its segments.
    mine = [public for name, _identity, public in keys if segment_of(name)[0] == segment_of(lines[0])[0]]
    known = {(lines[0], identity_of(lines[0], public)): public for public in mine}
    good = False
    for line in block[:-1].split("\n"):
        mark, _space, rest = line.partition(" ")
        name, _space, encoded = rest.partition(" ")
        data = decoded(encoded)
        if mark != "\u2014" or not name or len(data) < 5:
            raise Broken("a signature of the checkpoint has not the form of one")
        public = known.get((name, data[:4]))
        if public is not None:
            check_signature(public, data[4:], f"{text}\n".encode())
            good = True
    if not good:
        raise Broken(f"no known key signed the checkpoint of {lines[1]} entries of '{lines[0]}'")
    root = decoded(lines[2])
    if len(root) != 32:
        raise Broken("the checkpoint has no root")
    return lines[0], int(lines[1]), root


def check_signature(public: bytes, signature: bytes, data: bytes) -> None:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise OSError(
            "the Python library cryptography is missing; install it: python3 -m pip install cryptography"
        ) from None
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        raise Broken("the signature of the checkpoint is of other content") from None


def proof_of(text: str) -> tuple[int, list[bytes], str]:
    """Return (index, hashes, checkpoint) of a C2SP tlog-proof."""
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1" or not separator:
        raise Broken("the proof has not the form of one")
    lines = lines[2:] if len(lines) > 1 and lines[1].startswith("extra ") else lines[1:]
    found = re.fullmatch(r"index (0|[1-9][0-9]{0,18})", lines[0] if lines else "", re.ASCII)
    hashes = [decoded(line) for line in lines[1:]]
    if not found or len(hashes) > 63 or any(len(item) != 32 for item in hashes):
        raise Broken("the proof has not the form of one")
    return int(found[1]), hashes, note


# --- tiles (C2SP tlog-tiles) ---


def tile_path(level: int | str, index: int, width: int) -> str:
    number = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        number = f"x{index % 1000:03d}/{number}"
    return f"{level}/{number}" + ("" if width == 256 else f".p/{width}")


def node_of(tiles: Path, size: int, level: int, index: int) -> bytes:
    """Return the hash of a node that covers 2^level entries, from the tiles of a tree of ``size``."""
    tile_level, within = divmod(level, 8)
    first = index << within
    width = min(256, (size >> (8 * tile_level)) - first // 256 * 256)
    for candidate in (256, width):
        path = tiles / tile_path(tile_level, first // 256, candidate)
        if path.is_file():
            data = path.read_bytes()
            hashes = [data[n * 32 : n * 32 + 32] for n in range(first % 256, first % 256 + (1 << within))]
            if any(len(item) != 32 for item in hashes):
                raise Broken(f"the tile {path} is too short")
            return above(b"".join(hashes))
    raise Incomplete(f"the tile {tiles / tile_path(tile_level, first // 256, width)} is missing")


def above(hashes: bytes) -> bytes:
    """Return the node over a power of two of hashes."""
    level = [hashes[n : n + 32] for n in range(0, len(hashes), 32)]
    while len(level) > 1:
        level = [node_hash(level[n], level[n + 1]) for n in range(0, len(level), 2)]
    return level[0]


def subtrees(tiles: Path, size: int) -> list[bytes]:
    """Return the perfect subtrees of a tree of ``size`` entries, the largest first."""
    found: list[bytes] = []
    start = 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            found.append(node_of(tiles, size, level, start >> level))
            start += 1 << level
    return found


# --- what can be verified ---


class Loss(NamedTuple):
    """Of ``segment`` the first ``kept`` entries are left, and ``lost`` are gone, as an entry of ``said_in`` says."""

    said_in: int
    sequence: int
    segment: int
    kept: int
    head: str
    lost: int

    def sentence(self) -> str:
        of = f" of segment {self.said_in}" if self.said_in > 1 else ""
        which = f"of segment {self.segment}" if self.segment != self.said_in else "after it"
        return f"entry {self.sequence}{of} says that {self.lost} entries {which} were lost: a repair gave them up"


def loss_of(entry: dict[str, Any], number: int) -> Iterator[Loss]:
    data = entry["data"]
    if data["event"] == "repaired":
        lost, segment = data.get("lost"), data.get("segment", number)
        told: Any = lost.get("count") if isinstance(lost, dict) else 0
        kinds = [type(item) for item in (segment, data.get("kept"), told, data.get("head"))]
        if kinds == [int, int, int, str] and 0 < segment <= number:
            yield Loss(number, entry["sequence"], segment, data["kept"], data["head"], told)


class Finding:
    """What was found: what is wrong, what is missing, and what holds."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.gaps: list[str] = []
        self.facts: list[str] = []
        # Objects that are missing, each with the last entry that refers to it; those that an entry says were dropped.
        # By segment and sequence.
        self.missing: dict[str, tuple[int, int]] = {}
        self.dropped: dict[str, tuple[int, int]] = {}
        # What entries ``repaired`` say of losses; by segment, what is there of those that lack their end (size, hash),
        # and how many entries are signed.
        self.losses: list[Loss] = []
        self.short: dict[int, tuple[int, str]] = {}
        self.signed: dict[int, int] = {}
        self.latest: dict[int, int] = {}  # As the file checkpoint says.

    def status(self) -> int:
        return BROKEN if self.wrong else INCOMPLETE if self.gaps else INTACT


def keys_for(arguments: argparse.Namespace, beside: Path, finding: Finding) -> list[Key]:
    if arguments.key:
        return [key_of(vkey) for vkey in arguments.key]
    if not beside.is_file():
        return []
    advice = "the key was taken from beside the evidence; compare it with what you were told: --key"
    if advice not in finding.facts:
        finding.facts.append(advice)
    return [key_of(line) for line in beside.read_text().splitlines()]


def verify_entry(arguments: argparse.Namespace, finding: Finding) -> int:
    line = Path(arguments.entry).read_bytes()
    line = line[:-1] if line.endswith(b"\n") else line
    if not line:
        return NOTHING
    index, hashes, note = proof_of(Path(arguments.proof).read_bytes().decode())
    origin, size, root = checkpoint_of(note, [key_of(vkey) for vkey in arguments.key or ()])
    entry = entry_of(line)
    if entry["sequence"] != index:
        raise Broken(f"the proof is of entry {index}", entry["sequence"])
    check_inclusion(leaf_hash(line), index, size, hashes, root)
    finding.facts.append(f"entry {index} is among the {size} signed entries of '{origin}'")
    return finding.status()


def verify_ledger(arguments: argparse.Namespace, folder: Path, finding: Finding) -> int:
    if not (folder / "ledger.json").is_file():
        finding.facts.append(f"there is no ledger at {folder}")
        return NOTHING
    described = json.loads((folder / "ledger.json").read_bytes())
    if described.get("format") != FORMAT:
        raise Broken(f"ledger.json is not of the format {FORMAT}")
    names = [path.name for path in (folder / "segments").glob("*")]
    numbers = [1, *sorted(int(name) for name in names if re.fullmatch(r"[2-9]|[1-9][0-9]{1,5}", name))]
    if numbers != list(range(1, len(numbers) + 1)):
        missing = next(n for n in range(1, numbers[-1]) if n not in numbers)
        raise Broken(f"segment {missing} is missing although segment {numbers[-1]} is there")
    begin = 1
    if arguments.trusted:
        begin = segment_of(Path(arguments.trusted).read_bytes().decode().partition("\n")[0])[1]
        if begin > len(numbers):
            raise Broken(f"segment {begin}, which the trusted checkpoint is of, is missing")
    before: Chain | None = None
    total = 0
    for number in numbers[begin - 1 :]:
        try:
            chain = verify_segment(arguments, folder, number, described["origin"], before, finding)
        except Broken as error:
            where = "" if error.sequence is None or number == 1 else f"segment {number}: "
            raise Broken(where + str(error), error.sequence) from None
        before, total = chain, total + chain.size
    judge_losses(finding)
    judge_missing(finding)
    if before is None or not total:
        return NOTHING
    if before.successor:
        finding.gaps.append(f"the ledger is frozen, and '{before.successor}', which continues it, is not here")
    return finding.status()


def verify_segment(
    arguments: argparse.Namespace, root: Path, number: int, base: str, before: Chain | None, finding: Finding
) -> Chain:
    folder = root if number == 1 else root / "segments" / str(number)
    origin = base if number == 1 else f"{base}/segment/{number}"
    missing = [name for name in ("ledger.json", "entries.jsonl") if number > 1 and not (folder / name).is_file()]
    if missing:
        raise Broken(f"segment {number} has no {missing[0]}")
    described = json.loads((folder / "ledger.json").read_bytes())
    if described != {"format": FORMAT, "origin": origin}:
        raise Broken(f"{folder / 'ledger.json'} does not describe '{origin}'")
    keys = keys_for(arguments, folder / "keys", finding)
    signed = signed_roots(folder, keys, origin, finding)
    finding.signed[number] = max(signed, default=0)
    if (folder / "checkpoint").is_file():
        finding.latest[number] = int((folder / "checkpoint").read_text().split("\n")[1])
    path = folder / "entries.jsonl"
    chain, offset = before.following(origin) if before else Chain(origin), 0
    if arguments.trusted and before is None:
        chain, offset = resume(Path(arguments.trusted), keys, folder, origin, path)
        finding.facts.append(f"the first {chain.size} entries are those of the trusted checkpoint")
    begin = chain.size
    with path.open("rb") as stream:
        stream.seek(offset)
        while line := stream.readline(MAX_LINE + 2):
            if not line.endswith(b"\n"):
                if len(line) > MAX_LINE:
                    raise Broken("the line is longer than any entry", chain.size)
                finding.gaps.append("the last line is unfinished; the next append sets it aside")
                break
            entry = chain.add(line[:-1])
            finding.losses += loss_of(entry, number)
            if arguments.objects:
                check_objects(root, number, entry, finding)
            if chain.size in signed and chain.root() != signed.pop(chain.size):
                raise Broken(f"the first {chain.size} entries are not those that were signed", chain.size - 1)
    for size in sorted(signed):
        if size > chain.size:
            raise Broken(f"{size} entries were signed, but there are {chain.size}: the tail was cut off", chain.size)
    check_tiles(folder, chain, finding)
    join(before, chain, number, finding)
    of = f" of segment {number}" if number > 1 else ""
    if chain.size:
        finding.facts.append(f"{chain.size - begin} entries{of} verified, head {chain.size} {chain.previous}")
    return chain


def join(before: Chain | None, chain: Chain, number: int, finding: Finding) -> None:
    """Note which of two segments that meet lacks its end: only an entry may excuse it."""
    if before is not None and not chain.continues(before):
        finding.short[number - 1] = before.size, before.previous
    elif before is not None and finding.latest.get(number - 1, before.size) != before.size:
        raise Broken(f"the checkpoint of '{before.origin}' is not the last one of it", before.size - 1)
    if number > 1 and not chain.size:
        finding.short[number] = 0, chain.previous


def judge_losses(finding: Finding) -> None:
    """Of a frozen segment that lacks its end an entry of a later one, the last that speaks of it, has to say so."""
    last = {loss.segment: loss for loss in finding.losses if loss.segment != loss.said_in}
    own = [one for one in finding.losses if one.segment == one.said_in]
    finding.facts += [one.sentence() for one in sorted((*own, *last.values())) if one.lost]
    for number, there in sorted(finding.short.items()):
        loss = last.get(number)
        if loss is None or not loss.lost or (loss.kept, loss.head) != there:
            raise Broken(
                f"segment {number} is not the one that the next was begun after, and no entry says why", there[0]
            )
        if loss.sequence >= finding.signed.get(loss.said_in, 0):
            where = f"entry {loss.sequence} of segment {loss.said_in}"
            finding.gaps.append(f"{where} gives up entries of a frozen segment, and is not signed yet")
    for number in sorted(set(finding.signed) - set(finding.short)):
        if not finding.signed[number]:
            finding.gaps.append("nothing is signed: a cut tail would not be noticed")


def signed_roots(folder: Path, keys: Sequence[Key], origin: str, finding: Finding) -> dict[int, bytes]:
    """Return size -> root of every checkpoint that is kept."""
    paths = [*(folder / "checkpoints").glob("*"), folder / "checkpoint"]
    found: dict[int, bytes] = {}
    for path in paths:
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            of, latest, root = checkpoint_of(path.read_bytes().decode(), keys)
        except (Broken, UnicodeDecodeError) as error:
            raise Broken(f"{path.name}: {error}") from None
        if of != origin or found.setdefault(latest, root) != root:
            raise Broken(f"{path} contradicts the ledger: it is of {latest} entries of '{of}'")
    if found:
        finding.facts.append(f"{max(found)} entries are signed")
    return found


def resume(trusted: Path, keys: Sequence[Key], folder: Path, origin: str, path: Path) -> tuple[Chain, int]:
    """Return the chain at the trusted checkpoint, and where in the file it goes on."""
    of, size, root = checkpoint_of(trusted.read_bytes().decode(), keys)
    edge = subtrees(folder / "tile", size)
    if of != origin or fold(edge) != root:
        raise Broken("the tiles are not those of the trusted checkpoint")
    low, high = 0, path.stat().st_size
    with path.open("rb") as stream:
        while low < high:
            stream.seek(start_of_line(stream, (low + high) // 2))
            start = stream.tell()
            line = stream.readline(MAX_LINE + 2).rstrip(b"\n")
            found = re.search(rb'"sequence":([0-9]+),"timestamp":"[^"]*","type":"[a-z]+"}$', line)
            if not found:
                raise Broken("a line is no entry")
            if int(found[1]) == size - 1:
                if leaf_hash(line) != node_of(folder / "tile", size, 0, size - 1):
                    raise Broken("it is not the entry that was signed", size - 1)
                entry = entry_of(line)
                chain = Chain(origin, size, edge, entry["hash"], entry["timestamp"])
                chain.successor = successor_of(entry)
                return chain, start + len(line) + 1
            if int(found[1]) < size - 1:
                low = start + len(line) + 1
            else:
                high = start
    raise Broken("the last entry of the trusted checkpoint is gone", size - 1)


def start_of_line(stream: BinaryIO, position: int) -> int:
    while position > 0:
        low = max(0, position - 4096)
        stream.seek(low)
        found = stream.read(position - low).rfind(b"\n")
        if found >= 0:
            return low + found + 1
        position = low
    return 0


def judge_missing(finding: Finding) -> None:
    """What an entry after the last reference lists as dropped is not missing."""
    dropped = [digest for digest, last in finding.missing.items() if finding.dropped.get(digest, (0, 0)) > last]
    for digest in sorted(set(finding.missing) - set(dropped)):
        segment, sequence = finding.missing[digest]
        of = f" of segment {segment}" if segment > 1 else ""
        finding.gaps.append(f"an object of entry {sequence}{of} is missing: {digest}")
    if dropped:
        finding.facts.append(f"{len(dropped)} objects were dropped by retention, as entries say")


def check_objects(folder: Path, segment: int, entry: dict[str, Any], finding: Finding) -> None:
    if entry["data"]["event"] == "objects_dropped":
        for one in entry["data"].get("objects", ()):
            finding.dropped[one["sha256"]] = segment, entry["sequence"]
    for digest, size in references(entry["data"]):
        path = folder / "objects" / "sha256" / digest[:2] / digest
        if not re.fullmatch(r"[0-9a-f]{64}", digest) or not path.is_file():
            finding.missing[digest] = segment, entry["sequence"]
        elif path.stat().st_size != size or sha256(path.read_bytes()).hex() != digest:
            finding.gaps.append(f"an object of entry {entry['sequence']} was altered: {digest}")


def check_tiles(folder: Path, chain: Chain, finding: Finding) -> None:
    """The tiles that the latest checkpoint needs have to be there; after a full pass each one is compared."""
    latest = folder / "checkpoint"
    if not latest.is_file():
        return
    size = int(latest.read_text().split("\n")[1])
    try:
        if fold(subtrees(folder / "tile", size)) != base64.b64decode(latest.read_text().split("\n")[2]):
            raise Broken("the tiles are not those of the checkpoint")
        level, hashes = 0, bytes((chain.leaves or b"")[: size * 32])
        while hashes and chain.leaves:
            for start in range(0, len(hashes), 256 * 32):
                index = start // (256 * 32)
                compare_tile(folder / "tile", level, index, hashes[start : start + 256 * 32])
                if level == 0:
                    compare_bundle(folder / "tile", index, hashes[start : start + 256 * 32])
            whole = range(0, len(hashes) - 256 * 32 + 1, 256 * 32)
            hashes = b"".join(above(hashes[start : start + 256 * 32]) for start in whole)
            level += 1
    except (Incomplete, Broken) as error:
        finding.gaps.append(str(error))


def compare_tile(tiles: Path, level: int, index: int, hashes: bytes) -> None:
    full, partial = (tiles / tile_path(level, index, width) for width in (256, len(hashes) // 32))
    path = full if full.is_file() else partial
    if not path.is_file():
        raise Incomplete(f"the tile {path} is missing")
    if path.read_bytes()[: len(hashes)] != hashes:
        raise Broken(f"the tile {path} is not what the entries give")


def compare_bundle(tiles: Path, index: int, hashes: bytes) -> None:
    full, partial = (tiles / tile_path("entries", index, width) for width in (256, len(hashes) // 32))
    path = full if full.is_file() else partial
    if not path.is_file():
        raise Incomplete(f"the bundle {path} is missing")
    data, found = path.read_bytes(), bytearray()
    while data and len(found) < len(hashes):
        length = int.from_bytes(data[:2], "big")
        found += leaf_hash(data[2 : 2 + length])
        data = data[2 + length :]
    if found != hashes or (data and path != full):
        raise Broken(f"the bundle {path} is not what the entries give")


def verify_package(arguments: argparse.Namespace, folder: Path, finding: Finding) -> int:
    check_sums(folder)
    document = json.loads((folder / "evidence" / "audit_chain.json").read_bytes())
    chain: Chain | None = None
    last, total = b"", 0
    for number, part in enumerate((*document.get("before", ()), document), start=1):
        base = segment_of(part["origin"])[0]
        before, chain = chain, Chain(base) if chain is None else chain.following(f"{base}/segment/{number}")
        if chain.origin != part["origin"] or (before and segment_of(before.origin)[0] != base):
            raise Broken(f"the lines of '{part['origin']}' do not follow those before them")
        for text in part["lines"]:
            last = text.encode()
            finding.losses += loss_of(chain.add(last), number)
        join(before, chain, number, finding)
        finding.signed[number] = chain.size  # The proof is of the last entry, whose hash fixes all before it.
        total += chain.size
    judge_losses(finding)
    if chain is None or not chain.size:
        return NOTHING
    if chain.previous != document["hash_chain_id"]:
        raise Broken("the chain does not end with the promotion that the package is of", chain.size - 1)
    proof = folder / "proof" / "completed.tlog-proof"
    if not proof.is_file():
        finding.gaps.append("the package has no proof: its evidence was not anchored when it was made")
        return finding.status()
    index, hashes, note = proof_of(proof.read_bytes().decode())
    origin, size, root = checkpoint_of(note, keys_for(arguments, folder / "proof" / "keys", finding))
    if origin != document["origin"] or index != chain.size - 1:
        raise Broken(f"the proof is of entry {index} of '{origin}'")
    check_inclusion(leaf_hash(last), index, size, hashes, root)
    finding.facts.append(f"{total} entries verified; the last is among the {size} signed entries of '{origin}'")
    return finding.status()


def check_sums(folder: Path) -> None:
    """SHA256SUMS lists every file of the package, and each has the hash that it states."""
    listed = {}
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, _spaces, name = line.partition("  ")
        listed[name] = digest
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"SHA256SUMS"}
    for name in sorted(there ^ set(listed)):
        raise Broken(f"{name} is {'not listed' if name in there else 'missing'}")
    for name, digest in listed.items():
        state = hashlib.sha256()
        with (folder / name).open("rb") as stream:
            while block := stream.read(1 << 20):
                state.update(block)
        if state.hexdigest() != digest:
            raise Broken(f"{name} was altered")


def verify(arguments: argparse.Namespace, finding: Finding) -> int:
    if arguments.entry or arguments.proof:
        return verify_entry(arguments, finding)
    folder = Path(arguments.path)
    if (folder / "evidence" / "audit_chain.json").is_file():
        return verify_package(arguments, folder, finding)
    return verify_ledger(arguments, folder, finding)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="golden-goose-verify", formatter_class=argparse.RawTextHelpFormatter, description=__doc__
    )
    parser.add_argument("path", nargs="?", help="folder of a package or of a ledger")
    parser.add_argument("--key", action="append", help="a public key that is trusted: <origin>+<id>+<base64>")
    parser.add_argument("--from", dest="trusted", help="file with a checkpoint that was verified before")
    parser.add_argument("--objects", action="store_true", help="also check the files that entries refer to")
    parser.add_argument("--entry", help="file with one line of the ledger")
    parser.add_argument("--proof", help="its proof, a .tlog-proof file")
    parser.add_argument("--json", action="store_true", help="print the finding as JSON")
    arguments = parser.parse_args(argv)
    if bool(arguments.path) == bool(arguments.entry or arguments.proof):
        parser.error("give a folder, or --entry and --proof")
    if (arguments.entry or arguments.proof) and not (arguments.entry and arguments.proof and arguments.key):
        parser.error("one entry needs --entry, --proof and --key")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parsed(argv)
    finding = Finding()
    try:
        status = verify(arguments, finding)
    except Broken as error:
        where = "" if error.sequence is None else f"entry {error.sequence}: "
        finding.wrong.append(f"{where}{error}")
        status = BROKEN
    except Incomplete as error:
        finding.gaps.append(str(error))
        status = finding.status()
    except (OSError, KeyError, TypeError, ValueError) as error:
        sys.stderr.write(f"golden-goose-verify: cannot verify: {error}\n")
        return UNUSABLE
    if arguments.json:
        lines = [
            json.dumps({"state": STATES[status], "wrong": finding.wrong, "gaps": finding.gaps, "facts": finding.facts})
        ]
    else:
        lines = [*finding.wrong, *finding.gaps, *finding.facts, STATES[status]]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return status


if __name__ == "__main__":
    raise SystemExit(main())
