# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Images in a containerd: look, import from an archive, remove. Driven with ``ctr``, which comes with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..commands import run
from ..errors import GoldenGooseError
from .archive import archive_digest

_IMPORT_SECONDS = 600.0


@dataclass(frozen=True)
class Containerd:
    """One containerd by its socket; ``namespace`` is k8s.io for what the kubelet sees."""

    socket: Path
    namespace: str = "k8s.io"
    ctr: str = "ctr"

    def has(self, reference: str, digest: str) -> bool:
        """Return whether ``reference`` names the image ``digest``, whole and unpacked.

        :raises GoldenGooseError: containerd does not answer.
        """
        # The shell quotes of containerd's filter language: a reference holds ':' and '@'.
        listing = self._run("Asking containerd for an image", "check", f'name=="{reference}"')
        for line in listing.splitlines()[1:]:
            columns = line.split()
            if columns[:1] == [reference]:
                return digest in columns and "complete" in columns and columns[-1] == "true"
        return False

    def load(self, name: str, archive: Path, digest: str, tag: str | None = None) -> None:
        """Import ``archive`` as ``name@digest``, and as ``name:tag`` where a tag is given.

        :raises GoldenGooseError: containerd does not answer or refuses the archive.
        """
        self._run(f"Loading {archive} into containerd", "import", "--digests", "--base-name", name, str(archive))
        if not self.has(f"{name}@{digest}", digest):
            raise GoldenGooseError(
                f"containerd took {archive} but does not show {name}@{digest}; look at its log for the reason."
            )
        if tag is not None:
            self._run(f"Naming {name}:{tag}", "tag", "--force", f"{name}@{digest}", f"{name}:{tag}")

    def remove(self, reference: str) -> None:
        """Forget ``reference``; its content goes when nothing else refers to it.

        :raises GoldenGooseError: containerd does not answer.
        """
        self._run(f"Removing {reference} from containerd", "remove", reference)

    def digests(self) -> dict[str, str]:
        """Return the digest of every reference.

        :raises GoldenGooseError: containerd does not answer.
        """
        listing = self._run("Asking containerd for its images", "list").splitlines()[1:]
        return {columns[0]: columns[2] for columns in (line.split() for line in listing)}

    def _run(self, what: str, *arguments: str) -> str:
        if not self.socket.is_socket():
            raise GoldenGooseError(
                f"There is no containerd at {self.socket}; start it with playbooks/sandbox.yml, "
                "or set the socket to yours."
            )
        command = [self.ctr, "--address", str(self.socket), "--namespace", self.namespace, "images", *arguments]
        return run(command, what, timeout=_IMPORT_SECONDS)


def ensure_loaded(
    containerd: Containerd, name: str, archive: Path, tag: str | None, expected: str | None, check: bool
) -> tuple[str, bool]:
    """Return the digest of the image in ``archive`` and whether containerd had to take it (or would).

    :param expected: refuse an archive of another digest.
    :param check: change nothing; a containerd that is not there yet would have to take it.
    :raises GoldenGooseError: the archive is damaged or another image, or containerd does not take it.
    """
    digest = archive_digest(archive)
    if expected is not None and digest != expected:
        raise GoldenGooseError(f"{archive} holds the image {digest}; expected {expected}.")
    if check and not containerd.socket.is_socket():
        return digest, True
    wanted = [f"{name}@{digest}", *([f"{name}:{tag}"] if tag else [])]
    if all(containerd.has(reference, digest) for reference in wanted):
        return digest, False
    if not check:
        containerd.load(name, archive, digest, tag)
    return digest, True


def ensure_removed(containerd: Containerd, name: str, check: bool) -> list[str]:
    """Return the references to ``name``, any digest or tag, that were removed (or would be).

    A containerd that is not there has none.

    :raises GoldenGooseError: containerd does not answer.
    """
    if not containerd.socket.is_socket():
        return []
    known = containerd.digests()
    named = {r for r in known if r.startswith((f"{name}@", f"{name}:"))}
    # The kubelet's side names each image a second time, by the digest of its configuration.
    also = {r for r, digest in known.items() if r.startswith("sha256:") and digest in {known[n] for n in named}}
    found = [*sorted(named), *sorted(also)]
    if not check:
        for reference in found:
            containerd.remove(reference)
    return found
