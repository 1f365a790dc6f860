# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A ledger with the evidence of promotions as the engine leaves it, and what packages are made of."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Entry, Ledger
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import REQUIRED_GATES, step_id
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.model import Service, load_service
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.render import render_manifests
from ansible_collections.golden_goose.compliance.plugins.module_utils.services.source import source_digest

REPOSITORY = Path(__file__).resolve().parents[3]
SERVICE = "service-a"
IMAGE = "golden-goose.local/service-a"
METADATA: dict[str, Any] = {
    "sprint": "1",
    "provisional": True,
    "label": "compliance flow POC",
    "tags": ["compliance flow POC", "sprint1_poc", "pending_worm_migration"],
    "mesh_enforcement": "pending",
    "audit": {
        "hash_chain": "required",
        "worm_storage": "optional",
        "storage_mode": "provisional",
        "migration_required": True,
    },
    "audit_metadata": {
        "sprint": "1",
        "mode": "poc",
        "provisional_flags": {"service_mesh": "pending", "worm_storage": "pending", "full_compliance": "sprint2"},
    },
}


def oci_archive(path: Path, content: bytes = b"layer") -> str:
    """Write an OCI archive with one layer of ``content``; return the digest of its manifest."""

    def described(data: bytes, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}

    config = b"{}"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": described(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [described(content, "application/vnd.oci.image.layer.v1.tar")],
        }
    ).encode()
    entry = described(manifest, "application/vnd.oci.image.manifest.v1+json")
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps({"manifests": [entry]}).encode()}
    files |= {f"blobs/sha256/{hashlib.sha256(data).hexdigest()}": data for data in (config, content, manifest)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(entry["digest"])


@dataclass
class World:
    """A ledger and the service and images that it speaks of."""

    ledger: Ledger
    service: Service
    images: Path
    packages: Path

    def say(self, type: str, event: str, id: str | None = None, **data: Any) -> Entry:
        metadata = data.pop("metadata", METADATA)
        data.setdefault("service", SERVICE)
        return self.ledger.append(type=type, event=event, data=data, metadata=metadata, id=id).entry

    def deploy(self, content: bytes = b"layer") -> str:
        """Build an image of ``content`` and deploy it to sandbox; return its digest."""
        draft = self.images / "draft.tar"
        digest = oci_archive(draft, content)
        target = self.images / SERVICE / f"{digest.partition(':')[2]}.tar"
        target.parent.mkdir(exist_ok=True)
        draft.replace(target)
        built_from = source_digest(self.service)
        self.say("validation", "build", digest=digest, source_sha256=built_from)
        self.say("validation", "deployed", digest=digest, stage="sandbox")
        return digest

    def request(self, digest: str) -> str:
        entry = self.say("promotion", "requested", digest=digest, gates=list(REQUIRED_GATES), image=f"{IMAGE}@{digest}")
        return entry.id

    def gate(self, promotion: str, digest: str, gate: str, verdict: str = "allow", reason: str = "fine") -> None:
        data: dict[str, Any] = {"gate": gate, "verdict": verdict, "reason": reason, "digest": digest}
        data |= {"observed": {}, "required": {}, "promotion_id": promotion}
        if gate in ("sast", "coverage"):
            report = json.dumps({"gate": gate, "results": []}).encode()
            data["object"] = dict(self.ledger.objects.put_bytes(report, "application/json"))
        self.say("validation", gate, step_id(promotion, f"gate:{gate}"), **data)

    def step(self, promotion: str, digest: str, event: str, **data: Any) -> Entry:
        return self.say("promotion", event, step_id(promotion, event), promotion_id=promotion, digest=digest, **data)

    def promote(self, digest: str, **metadata: Any) -> Entry:
        """Leave the evidence of a promotion that went well; return its completed entry."""
        promotion = self.request(digest)
        for gate in REQUIRED_GATES:
            self.gate(promotion, digest, gate)
        objects = json.dumps(render_manifests(self.service, "compliant", digest), sort_keys=True).encode()
        manifests = dict(self.ledger.objects.put_bytes(objects, "application/json"))
        self.step(promotion, digest, "started", previous_digest=None, manifests=manifests, **metadata)
        return self.step(promotion, digest, "completed", previous_digest=None, stage="compliant")


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "images").mkdir()
    ledger = Ledger.create(tmp_path / "ledger", "example.test/sandbox")
    return World(ledger, load_service(REPOSITORY / "services" / SERVICE), tmp_path / "images", tmp_path / "packages")


@pytest.fixture
def completed(world: World) -> Entry:
    """The world's service is compliant."""
    return world.promote(world.deploy())
