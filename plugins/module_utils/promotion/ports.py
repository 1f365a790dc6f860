# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the engine needs from a cluster and from a signer; tests put others in their place."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class DeploymentView:
    """A Deployment as the API server shows it; counts are pods."""

    image: str
    desired: int
    ready: int
    updated: int
    total: int
    settled: bool

    @property
    def digest(self) -> str | None:
        """The digest that the first container is pinned to, ``sha256:…``; None when it is not pinned."""
        return self.image.partition("@")[2] or None

    @property
    def healthy(self) -> bool:
        """Whether exactly the wanted pods of the newest revision are there, and all of them are ready."""
        return self.settled and 0 < self.desired == self.ready == self.updated == self.total


@dataclass(frozen=True)
class Answer:
    """What a service answered over HTTP; ``body`` is at most the first 64 KiB."""

    status: int
    body: bytes


class Cluster(Protocol):
    """The part of a cluster that promotion looks at and acts on (see ``cluster.py`` for the errors)."""

    def deployment(self, namespace: str, name: str) -> DeploymentView | None:
        """Return the Deployment, or None when there is none."""

    def apply(self, objects: list[dict[str, Any]], dry_run: bool = False) -> None:
        """Make the objects so, in order; with ``dry_run`` only have them checked."""

    def admit(self, images: Set[str]) -> None:
        """Put pinned images on the list of what may run in ``compliant``."""

    def dismiss(self, images: Set[str]) -> None:
        """Take pinned images that nothing runs any more off that list."""

    def delete(self, objects: list[dict[str, Any]]) -> None:
        """Remove the objects, in reverse order; what is not there is fine."""

    def wait_rollout(self, namespace: str, name: str, digest: str, timeout: float) -> DeploymentView:
        """Wait until the Deployment runs ``digest`` and is healthy; ``timeout`` in seconds."""

    def get(self, namespace: str, service: str, path: str) -> Answer:
        """GET ``path`` from the Service through the API server, once."""

    def wait_answer(self, namespace: str, service: str, path: str, timeout: float) -> Answer:
        """GET ``path`` until the answer is 200; ``timeout`` in seconds."""


class Signed(Protocol):
    """A signature as Vault's transit engine gives it."""

    @property
    def signature(self) -> str:
        """Base64 of the signature."""

    @property
    def key(self) -> str:
        """The key's name."""

    @property
    def key_version(self) -> int:
        """The key's version, from 1."""

    @property
    def public_key(self) -> str:
        """Base64 of the 32 bytes of that version's public key (RFC 8032)."""


class Signer(Protocol):
    """Signs with a key that the engine cannot see."""

    def sign(self, data: bytes) -> Signed:
        """Sign ``data``; an error is a GoldenGooseError."""

    def verify(self, data: bytes, signature: Any) -> bool:
        """Return whether ``signature`` (of whichever key it names) is over ``data``."""
