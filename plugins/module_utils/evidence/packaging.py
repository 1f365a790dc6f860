# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Build the evidence package and the Golden Goose distribution of a service that is compliant.

``<packages>/<service>/<hash_chain_id>/`` holds evidence/, image/, manifests/, proof/, distribution.yml, SHA256SUMS and
the program golden-goose-verify. Each part appears whole; SHA256SUMS is written last, and only then does the link
``latest`` lead there.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import verifier
from ..errors import GoldenGooseError
from ..files import make_dirs, write_atomic
from ..images.archive import archive_digest
from ..imports import require
from ..ledger import Ledger, dropping
from ..locks import hold
from . import folders
from .documents import METADATA, evidence_documents
from .proofs import inclusion_proof
from .query import select
from .requirements import Subject, require_all
from .tagging import provisional

MODE = "single_service_poc"
_STAGE = "compliant"
_LOCK_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Package:
    """A package: ``path`` of its folder, what it is about, whether this call changed it."""

    service: str
    digest: str
    hash_chain_id: str
    promotion_id: str
    path: Path
    changed: bool
    files: list[str]
    requirements: list[dict[str, Any]]
    provisional: list[str]
    reason: str
    sha256: str | None = None
    metadata: dict[str, str] = field(default_factory=lambda: dict(METADATA))

    def as_dict(self) -> dict[str, Any]:
        """Return it as modules return it."""
        return {
            "service": self.service,
            "digest": self.digest,
            "hash_chain_id": self.hash_chain_id,
            "promotion_id": self.promotion_id,
            "path": str(self.path),
            "files": self.files,
            "requirements": self.requirements,
            "provisional": self.provisional,
            "reason": self.reason,
            "sha256": self.sha256,
            "metadata": self.metadata,
        }


def build_evidence(ledger: Ledger, service: str, packages: Path, dry_run: bool = False) -> Package:
    """Make the folder evidence/ of the package of ``service``, exactly as the ledger gives it.

    :raises RequirementUnmet: a requirement of addendum 1.2 is not met; nothing is written.
    :raises GoldenGooseError: it cannot be written.
    """
    subject = require_all(ledger, service)
    documents = evidence_documents(ledger, subject)
    package = packages / service / subject.hash_chain_id
    with nullcontext() if dry_run else _locked(packages, service):
        changed = folders.place_folder(package / "evidence", documents, dry_run)
    reason = "built from the ledger" if changed else "already there, and what the ledger gives"
    return _package(subject, package, changed, sorted(documents), reason)


def build_distribution(
    ledger: Ledger,
    service: str,
    packages: Path,
    images: Path,
    metadata: Mapping[str, Any],
    dry_run: bool = False,
) -> Package:
    """Make the whole package of ``service`` and record it in the ledger.

    A package that is there and verifies against its SHA256SUMS, its evidence against the ledger, and its
    SHA256SUMS against its ``package`` entry, is left alone; one that does not is built again.

    :param images: folder of the image archives, ``<name>/<digest-hex>.tar``.
    :raises RequirementUnmet: a requirement of addendum 1.2 is not met; nothing is written.
    :raises GoldenGooseError: the archive does not hold the promoted image, or it cannot be written.
    """
    subject = require_all(ledger, service)
    package = packages / service / subject.hash_chain_id
    with _naming(package):
        wrong = _wrong(ledger, subject, package)
        changed = wrong is not None
        if not dry_run:
            with _locked(packages, service):
                if changed:
                    _build(ledger, subject, package, images)
                    _record(ledger, subject, package, metadata)
                changed |= folders.link(packages / service / "latest", subject.hash_chain_id)
        reason = wrong or "already there, verified against the ledger and its SHA256SUMS"
        return _package(subject, package, changed, folders.names(package), reason, _sha256(package))


@contextmanager
def _naming(package: Path) -> Iterator[None]:
    """Turn an error of the file system into a sentence that names the package."""
    try:
        yield
    except OSError as error:
        raise GoldenGooseError(
            f"Cannot build the package {package}: {error.filename or ''} {error.strerror or error}."
        ) from error


def _build(ledger: Ledger, subject: Subject, package: Path, images: Path) -> None:
    image = _image(subject, images)
    manifests = _manifests(ledger, subject)
    # While parts are replaced this is no package.
    (package / folders.SUMS).unlink(missing_ok=True)
    folders.place_folder(package / "evidence", evidence_documents(ledger, subject))
    folders.place_folder(package / "manifests", manifests)
    folders.place_folder(package / "image", {f"{_hex(subject)}.oci.tar": image})
    proof = _proof(ledger, subject)
    if proof:
        folders.place_folder(package / "proof", proof)
    folders.remove_others(package, {"evidence", "manifests", "image"} | ({"proof"} if proof else set()))
    write_atomic(package / verifier.NAME, verifier.program(), 0o755)
    write_atomic(package / "distribution.yml", _distribution(subject, sorted(manifests)))
    write_atomic(package / folders.SUMS, folders.sums(package))


def _proof(ledger: Ledger, subject: Subject) -> dict[str, folders.Content]:
    """Return the completed entry, the proof that it is in the ledger, and the key; nothing while it is not anchored."""
    exported = inclusion_proof(ledger, subject.completed.sequence)
    if exported is None:
        return {}
    return {
        "completed.json": exported.entry.line + b"\n",
        "completed.tlog-proof": exported.text.encode(),
        "keys": f"{exported.checkpoint.key}\n".encode(),
    }


def _image(subject: Subject, images: Path) -> Path:
    """Return the archive of the promoted image after checking all of its bytes."""
    name = str(subject.promotion.requested.data.get("image") or subject.promotion.service)
    name = name.partition("@")[0].rpartition("/")[2]
    archive = images / name / f"{_hex(subject)}.tar"
    found = archive_digest(archive)
    if found != subject.digest:
        raise GoldenGooseError(f"{archive} holds the image {found}, but {subject.digest} was promoted.")
    return archive


def _manifests(ledger: Ledger, subject: Subject) -> dict[str, folders.Content]:
    """Return the manifests that the promotion applied, from the object that its ``started`` entry refers to."""
    objects = json.loads(dropping.read(ledger, subject.started.data["manifests"]["sha256"]))
    yaml = require("yaml", "pyyaml")
    return {
        f"{number:02d}-{item['kind'].lower()}.yaml": yaml.safe_dump(item, sort_keys=False, width=110).encode()
        for number, item in enumerate(objects, start=1)
    }


def _distribution(subject: Subject, manifests: list[str]) -> bytes:
    content = {
        "distribution": {
            "mode": MODE,
            "requirements": [requirement.name for requirement in subject.requirements],
            "metadata": {"poc_phase": True, "full_compliance": "pending"},
        },
        "requirements_met": {
            requirement.name: {"met": requirement.met, "observed": requirement.observed}
            for requirement in subject.requirements
        },
        "service": subject.promotion.service,
        "stage": _STAGE,
        "digest": subject.digest,
        "hash_chain_id": subject.hash_chain_id,
        "promotion_id": subject.promotion.id,
        "promoted_at": subject.completed.timestamp,
        "image": f"image/{_hex(subject)}.oci.tar",
        "manifests": [f"manifests/{name}" for name in manifests],
        "evidence": "evidence",
        "provisional": _provisional(subject),
    }
    text: str = require("yaml", "pyyaml").safe_dump(content, sort_keys=False, width=110)
    return text.encode()


def _wrong(ledger: Ledger, subject: Subject, package: Path) -> str | None:
    """Return why the package has to be built, or None when it is there and verified."""
    if not (package / folders.SUMS).exists():
        return "built from the ledger"
    if altered := folders.altered(package):
        return f"built again: {altered}"
    if folders.place_folder(package / "evidence", evidence_documents(ledger, subject), dry_run=True):
        return "built again: its evidence is not what the ledger gives"
    proof = _proof(ledger, subject)
    if proof and folders.place_folder(package / "proof", proof, dry_run=True):
        return "built again: the ledger can prove it now"
    if _sha256(package) not in _recorded(ledger, subject):
        return "built again: the ledger does not know its SHA256SUMS"
    return None


def _recorded(ledger: Ledger, subject: Subject) -> set[str]:
    entries = select(ledger, events=("package",), service=subject.promotion.service)
    known = [entry.data for entry in entries if entry.data.get("hash_chain_id") == subject.hash_chain_id]
    return {str(data.get("sha256")) for data in known}


def _record(ledger: Ledger, subject: Subject, package: Path, metadata: Mapping[str, Any]) -> None:
    sha256 = _sha256(package)
    data = {
        "service": subject.promotion.service,
        "digest": subject.digest,
        "hash_chain_id": subject.hash_chain_id,
        "path": str(package),
        "sha256": sha256,
    }
    # The same package built again, after it was damaged, is already on record.
    if sha256 not in _recorded(ledger, subject):
        identity = str(uuid.uuid5(uuid.UUID(subject.promotion.id), f"package:{sha256}"))
        ledger.append(type="validation", event="package", data=data, metadata=metadata, id=identity)


def _package(
    subject: Subject, package: Path, changed: bool, files: list[str], reason: str, sha256: str | None = None
) -> Package:
    return Package(
        service=subject.promotion.service,
        digest=subject.digest,
        hash_chain_id=subject.hash_chain_id,
        promotion_id=subject.promotion.id,
        path=package,
        changed=changed,
        files=files,
        requirements=[requirement.as_dict() for requirement in subject.requirements],
        provisional=_provisional(subject),
        reason=reason,
        sha256=sha256,
    )


def _provisional(subject: Subject) -> list[str]:
    return list(provisional(subject.completed.metadata).values())


def _sha256(package: Path) -> str | None:
    file = package / folders.SUMS
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _hex(subject: Subject) -> str:
    return subject.digest.partition(":")[2]


@contextmanager
def _locked(packages: Path, service: str) -> Iterator[None]:
    make_dirs(packages / service)
    with hold(packages / service / ".lock", f"building the package of {service}", _LOCK_WAIT_SECONDS):
        yield
