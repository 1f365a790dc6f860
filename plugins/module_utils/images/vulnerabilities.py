# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Known vulnerabilities from OSV records on disk: which of them concern the packages of an image.

Format: https://ossf.github.io/osv-schema/. Versions of Debian compare as deb-version(7) says, those of PyPI as PEP 440.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cmp_to_key
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..imports import require
from .packages import Package


@dataclass(frozen=True, order=True)
class Finding:
    """A vulnerability (its OSV id) of one package."""

    id: str
    package: Package


def records_in(place: Path) -> list[Mapping[str, Any]]:
    """Return the OSV records in a file (one record, or a list), or in the ``*.json`` files of a folder.

    :raises GoldenGooseError: there is none, or a file is not such a thing. What is not read would find nothing.
    """
    files = sorted(place.rglob("*.json")) if place.is_dir() else [place]
    records: list[Mapping[str, Any]] = []
    for file in files:
        try:
            content = json.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise GoldenGooseError(f"The vulnerability records in {file} cannot be read: {error}.") from error
        found = content if isinstance(content, list) else [content]
        if not all(isinstance(record, Mapping) and "id" in record for record in found):
            raise GoldenGooseError(f"{file} holds something that is not an OSV record; expected an id in each.")
        records += found
    if not records:
        raise GoldenGooseError(f"{place} holds no OSV record; download some, or leave the database out.")
    return records


def findings(packages: Iterable[Package], records: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Return which records concern which packages, sorted. Withdrawn records do not count."""
    by_name: dict[tuple[str, str], list[Package]] = {}
    for package in packages:
        by_name.setdefault((package.ecosystem, package.source), []).append(package)
    found = set()
    for record in records:
        if record.get("withdrawn"):
            continue
        for affected in record.get("affected", []):
            named = affected.get("package", {})
            ecosystem = str(named.get("ecosystem", "")).partition(":")[0]
            name = str(named.get("name", ""))
            name = re.sub(r"[-_.]+", "-", name).lower() if ecosystem == "PyPI" else name
            for package in by_name.get((ecosystem, name), []):
                if _concerns(affected, package):
                    found.add(Finding(str(record["id"]), package))
    return sorted(found)


def _concerns(affected: Mapping[str, Any], package: Package) -> bool:
    if package.version in affected.get("versions", []):
        return True
    return any(
        _in_range(item.get("events", []), package)
        for item in affected.get("ranges", [])
        if item.get("type") in ("ECOSYSTEM", "SEMVER")
    )


def _in_range(events: Iterable[Mapping[str, str]], package: Package) -> bool:
    """Walk the events in the order of their versions, as the schema's evaluation algorithm does."""

    def compare(one: str, other: str) -> int:
        if "0" in (one, other):
            return (one != "0") - (other != "0")
        return compare_versions(package.ecosystem, one, other)

    steps = [(version, kind) for event in events for kind, version in event.items()]
    steps.sort(key=lambda step: (cmp_to_key(compare)(step[0]), step[1] != "introduced"))
    inside = False
    for version, kind in steps:
        order = compare(package.version, version)
        if kind == "introduced" and order >= 0:
            inside = True
        elif (kind == "fixed" and order >= 0) or (kind == "last_affected" and order > 0):
            inside = False
    return inside


def compare_versions(ecosystem: str, one: str, other: str) -> int:
    """Return a number below, at or above 0 as ``one`` is older than, the same as or newer than ``other``."""
    if ecosystem == "Debian":
        return _compare_debian(one, other)
    version = require("packaging.version", "packaging")
    try:
        left, right = version.Version(one), version.Version(other)
    except version.InvalidVersion:
        return (one > other) - (one < other)
    return int(left > right) - int(left < right)


def _compare_debian(one: str, other: str) -> int:
    left, right = _parts(one), _parts(other)
    if left[0] != right[0]:
        return left[0] - right[0]
    return _compare_part(left[1], right[1]) or _compare_part(left[2], right[2])


def _parts(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdigit():
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return int(epoch), upstream if dash else rest, revision if dash else "0"


def _compare_part(one: str, other: str) -> int:
    """Compare by turns the text and the number that both begin with."""
    while one or other:
        for pattern in (r"\D*", r"\d*"):
            left, right = re.match(pattern, one), re.match(pattern, other)
            a, b = left.group() if left else "", right.group() if right else ""
            one, other = one[len(a) :], other[len(b) :]
            if pattern == r"\d*":
                order = int(a or 0) - int(b or 0)
            else:
                keys = [[_weight(c) for c in text] + [0] for text in (a, b)]
                order = (keys[0] > keys[1]) - (keys[0] < keys[1])
            if order:
                return order
    return 0


def _weight(character: str) -> int:
    """A tilde sorts before the end of the text (0), letters before all else."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
