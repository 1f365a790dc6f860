# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Gate sbom: what the image is made of is listed, and nothing in it has a known vulnerability, where a list is given.

The list is CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json/), made from what the image itself says: its Debian
packages and Python distributions.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from ...errors import GoldenGooseError
from ...images.packages import Package, packages_of
from ...images.vulnerabilities import findings, records_in
from ..model import Verdict
from .context import GateContext

_NAMESPACE = uuid.UUID("0f4c2b9a-7a34-5d0d-8b4e-3a1c52e5f0a7")
_SHOWN = 5


def sbom(context: GateContext) -> Verdict:
    """Read the image's archive, keep the list as a ledger object, and compare it with known vulnerabilities."""
    most = context.service.gates.max_vulnerabilities
    required: dict[str, Any] = {"min_packages": 1, "max_vulnerabilities": most}
    folder = context.scanners.images_dir
    if folder is None:
        reason = "there is no folder of image archives (required: one; set images_dir)"
        return Verdict("sbom", "deny", reason, {"images_dir": None}, required)
    archive = folder / context.service.name / f"{context.digest.removeprefix('sha256:')}.tar"
    try:
        packages = packages_of(archive)
        database = context.scanners.vulnerabilities
        found = findings(packages, records_in(database)) if database else None
    except GoldenGooseError as error:
        observed: dict[str, Any] = {"failed": str(error)}
        return Verdict("sbom", "deny", f"{str(error).rstrip('.')} (required: a list)", observed, required)
    document = cyclonedx(context.service.name, context.digest, packages)
    kept = context.evidence.store(json.dumps(document, sort_keys=True).encode(), "application/vnd.cyclonedx+json")
    observed = {
        "packages": len(packages),
        "vulnerabilities": None if found is None else len(found),
        "found": [f"{item.id} {item.package.name} {item.package.version}" for item in found or []][:100],
    }
    problems = []
    if not packages:
        problems.append("the image names no package (required: at least 1)")
    if found and len(found) > most:
        listed = ", ".join(observed["found"][:_SHOWN]) + (" …" if len(found) > _SHOWN else "")
        problems.append(f"{len(found)} known vulnerabilities: {listed} (required: at most {most})")
    known = "none was looked for, as no database is given" if found is None else f"{len(found)} known vulnerabilities"
    reason = "; ".join(problems) or f"{len(packages)} packages, {known} (required: at most {most})"
    return Verdict("sbom", "deny" if problems else "allow", reason, observed, required, dict(kept))


def cyclonedx(name: str, digest: str, packages: Sequence[Package]) -> dict[str, Any]:
    """Return the bill of materials; the same image gives the same one, so it has no time in it."""
    image = {"type": "container", "name": name, "version": digest, "bom-ref": digest}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest)}",
        "version": 1,
        "metadata": {"component": image},
        "components": [
            {
                "type": "library",
                "name": package.name,
                "version": package.version,
                "purl": package.purl,
                "bom-ref": package.purl,
            }
            for package in packages
        ],
        "dependencies": [{"ref": digest, "dependsOn": sorted({package.purl for package in packages})}],
    }
