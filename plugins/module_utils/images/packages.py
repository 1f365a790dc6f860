# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What is in an image: the Debian packages and Python distributions that its files name.

Debian: /var/lib/dpkg/status and status.d (deb-status in dpkg's manual). Python: METADATA of ``*.dist-info``
(https://packaging.python.org/en/latest/specifications/core-metadata/).
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import IO

from ..errors import GoldenGooseError
from .archive import _blob, _name, _only_image

_DPKG = re.compile(r"(?:\./)?var/lib/dpkg/(?:status|status\.d/[^/]+)")
_METADATA = re.compile(r"(?:\./)?(?:.*/)?[^/]+\.dist-info/METADATA")


@dataclass(frozen=True, order=True)
class Package:
    """One package; ``ecosystem`` is Debian or PyPI, ``source`` the Debian source package (else the name)."""

    ecosystem: str
    name: str
    version: str
    source: str

    @property
    def purl(self) -> str:
        """The package URL (https://github.com/package-url/purl-spec)."""
        version = self.version.replace("+", "%2B").replace(":", "%3A")
        return f"pkg:{'deb/debian' if self.ecosystem == 'Debian' else 'pypi'}/{self.name}@{version}"


def packages_of(archive: Path) -> list[Package]:
    """Return the packages in the one image of an OCI archive, sorted.

    Layers are read from the lowest; a file of a higher one counts beside that of a lower one.

    :raises GoldenGooseError: there is no such archive, or it is damaged.
    """
    try:
        with tarfile.open(archive) as file:
            manifest = json.loads(_blob(file, _only_image(file, archive)["digest"], archive))
            found: set[Package] = set()
            for layer in manifest["layers"]:
                stream = file.extractfile(_name(layer["digest"]))
                if stream is None:
                    raise ValueError(f"{layer['digest']} is not a file")
                found |= set(_of_layer(stream))
    except FileNotFoundError as error:
        raise GoldenGooseError(f"There is no image archive {archive}; build it with playbooks/deploy.yml.") from error
    except (tarfile.TarError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise GoldenGooseError(f"{archive} is not an intact OCI image archive: {error}.") from error
    return sorted(found)


def _of_layer(stream: IO[bytes]) -> Iterator[Package]:
    with tarfile.open(fileobj=stream) as layer:
        for member in layer:
            if not member.isfile():
                continue
            content = layer.extractfile(member)
            if content is None:
                continue
            if _DPKG.fullmatch(member.name):
                yield from _debian(content.read().decode(errors="replace"))
            elif _METADATA.fullmatch(member.name):
                yield from _python(content.read().decode(errors="replace"))


def _debian(text: str) -> Iterator[Package]:
    for paragraph in re.split(r"\n\s*\n", text):
        fields = HeaderParser().parsestr(paragraph)
        name, version = fields.get("Package"), fields.get("Version")
        if name and version and "installed" in str(fields.get("Status", "installed")):
            source = str(fields.get("Source") or name).split(" ", maxsplit=1)[0]
            yield Package("Debian", name, version, source)


def _python(text: str) -> Iterator[Package]:
    fields = HeaderParser().parsestr(text)
    if fields.get("Name") and fields.get("Version"):
        name = re.sub(r"[-_.]+", "-", str(fields["Name"])).lower()
        yield Package("PyPI", name, str(fields["Version"]), name)
