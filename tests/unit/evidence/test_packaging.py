# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Packages are whole, repeatable, checkable by a stranger, and refused when a requirement is not met."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence import packaging
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.packaging import (
    Package,
    build_distribution,
    build_evidence,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.requirements import RequirementUnmet
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Entry

from .conftest import METADATA, SERVICE, World

FIVE = [
    "audit_chain.json",
    "promotion_request.json",
    "promotion_validation.json",
    "sast_scan_results.json",
    "test_coverage_report.json",
]


def _build(world: World, dry_run: bool = False) -> Package:
    return build_distribution(world.ledger, SERVICE, world.packages, world.images, METADATA, dry_run=dry_run)


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_evidence_package_is_exactly_the_five_files_and_metadata(world: World, completed: Entry) -> None:
    package = build_evidence(world.ledger, SERVICE, world.packages)
    folder = world.packages / SERVICE / completed.hash / "evidence"
    assert package.path == folder.parent
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FIVE, "metadata.json"])
    metadata = json.loads((folder / "metadata.json").read_bytes())
    assert metadata == {"phase": "sprint1_poc", "compliance_mode": "provisional"}
    for name in FIVE:
        assert json.loads((folder / name).read_bytes())["hash_chain_id"] == completed.hash


def test_a_stranger_can_recompute_the_chain(world: World, completed: Entry) -> None:
    """With nothing of ours: the steps of how_to_check, by hand."""
    build_evidence(world.ledger, SERVICE, world.packages)
    chain = json.loads((world.packages / SERVICE / completed.hash / "evidence/audit_chain.json").read_bytes())
    previous = hashlib.sha256(f"{chain['format']}\n{chain['origin']}".encode()).hexdigest()
    for number, line in enumerate(chain["lines"]):
        entry = json.loads(line)
        assert rfc8785.dumps(entry) == line.encode()
        assert (entry["sequence"], entry["previous_hash"]) == (number, previous)
        previous = entry.pop("hash")
        assert hashlib.sha256(rfc8785.dumps(entry)).hexdigest() == previous
    assert previous == chain["hash_chain_id"] == completed.hash


@pytest.mark.parametrize("name", ["sast_scan_results.json", "test_coverage_report.json"])
def test_reports_are_the_very_bytes_that_were_judged(world: World, completed: Entry, name: str) -> None:
    build_evidence(world.ledger, SERVICE, world.packages)
    report = json.loads((world.packages / SERVICE / completed.hash / "evidence" / name).read_bytes())
    assert hashlib.sha256(report["raw"].encode()).hexdigest() == report["object"]["sha256"]
    assert json.loads(report["raw"]) == report["report"]
    assert report["verdict"] == "allow"


def test_the_distribution_is_whole_and_recorded(world: World, completed: Entry) -> None:
    package = _build(world)
    latest = world.packages / SERVICE / "latest"
    assert (package.changed, latest.readlink()) == (True, Path(completed.hash))
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=latest, check=True)
    names = set(_tree(package.path))
    digest = package.digest.partition(":")[2]
    assert {f"image/{digest}.oci.tar", "distribution.yml", "SHA256SUMS"} <= names
    assert names == {*package.files, "SHA256SUMS"}
    content = yaml.safe_load((latest / "distribution.yml").read_text())
    assert content["distribution"] == {
        "mode": "single_service_poc",
        "requirements": ["service_promotion_validated", "evidence_chain_complete", "audit_metadata_tagged"],
        "metadata": {"poc_phase": True, "full_compliance": "pending"},
    }
    assert [met["met"] for met in content["requirements_met"].values()] == [True, True, True]
    recorded = list(world.ledger.entries())[-1]
    assert (recorded.event, recorded.data["hash_chain_id"]) == ("package", completed.hash)
    assert recorded.data["sha256"] == hashlib.sha256((latest / "SHA256SUMS").read_bytes()).hexdigest()


def test_the_manifests_are_those_of_the_promotion(world: World, completed: Entry) -> None:
    package = _build(world)
    manifests = [yaml.safe_load(path.read_text()) for path in sorted((package.path / "manifests").iterdir())]
    assert manifests[-1]["kind"] == "Deployment"
    containers = manifests[-1]["spec"]["template"]["spec"]["containers"]
    assert containers[0]["image"].endswith(f"@{package.digest}")
    assert {item["metadata"]["namespace"] for item in manifests} == {"compliant"}
    started = next(entry for entry in world.ledger.entries() if entry.event == "started")
    assert manifests == json.loads(world.ledger.objects.read(started.data["manifests"]["sha256"]))


def test_a_second_time_nothing_changes(world: World, completed: Entry) -> None:
    build_evidence(world.ledger, SERVICE, world.packages)
    package = _build(world)
    before, size = _tree(package.path), world.ledger.head().size
    assert not build_evidence(world.ledger, SERVICE, world.packages).changed
    again = _build(world)
    assert (again.changed, again.sha256) == (False, package.sha256)
    assert (_tree(package.path), world.ledger.head().size) == (before, size)


def test_the_bytes_do_not_depend_on_when_it_is_built(world: World, completed: Entry) -> None:
    package = _build(world)
    before = _tree(package.path)
    world.say("validation", "backup", size=3)
    shutil.rmtree(world.packages)
    assert _tree(_build(world).path) == before
    assert [entry.event for entry in world.ledger.entries()].count("package") == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / "distribution.yml").write_text("mode: full"), "distribution.yml is altered"),
        (lambda path: (path / "evidence/audit_chain.json").unlink(), "audit_chain.json is missing"),
        (lambda path: (path / "manifests/99-extra.yaml").write_text("{}"), "99-extra.yaml is missing or was added"),
        (lambda path: (path / "SHA256SUMS").write_text("x"), "cannot be checked"),
    ],
)
def test_a_damaged_package_is_built_again(
    world: World, completed: Entry, damage: Callable[[Path], Any], said: str
) -> None:
    package = _build(world)
    before = _tree(package.path)
    damage(package.path)
    assert _build(world, dry_run=True).changed
    again = _build(world)
    assert again.changed and said in again.reason
    assert _tree(package.path) == before


def test_a_package_forged_with_its_sums_is_noticed(world: World, completed: Entry) -> None:
    package = _build(world)
    before = _tree(package.path)
    (package.path / "distribution.yml").write_text("mode: full\n")
    sums = subprocess.run(
        ["sha256sum", *package.files], cwd=package.path, check=True, capture_output=True, text=True
    ).stdout
    (package.path / "SHA256SUMS").write_text(sums)
    again = _build(world)
    assert "does not know its SHA256SUMS" in again.reason
    assert _tree(package.path) == before


@pytest.mark.parametrize("step", ["place_folder", "write_atomic", "sums", "link"])
def test_a_killed_build_leaves_no_package_and_is_finished_later(
    world: World, completed: Entry, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    owner: Any = packaging if step == "write_atomic" else packaging.folders
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, die)
        with pytest.raises(Killed):
            _build(world)
    assert not (world.packages / SERVICE / "latest").exists()
    package = _build(world)
    assert (world.packages / SERVICE / "latest").resolve() == package.path
    assert not [path.name for path in package.path.iterdir() if path.name.startswith(".")]
    assert [entry.event for entry in world.ledger.entries()].count("package") == 1


def test_check_mode_writes_nothing(world: World, completed: Entry) -> None:
    size = world.ledger.head().size
    assert build_evidence(world.ledger, SERVICE, world.packages, dry_run=True).changed
    assert _build(world, dry_run=True).changed
    assert (world.packages.exists(), world.ledger.head().size) == (False, size)


def _refused(world: World) -> RequirementUnmet:
    with pytest.raises(RequirementUnmet) as caught:
        _build(world)
    with pytest.raises(RequirementUnmet):
        build_evidence(world.ledger, SERVICE, world.packages)
    assert not world.packages.exists()
    return caught.value


def _unmet(error: RequirementUnmet) -> list[str]:
    return [item["name"] for item in error.facts["requirements"] if not item["met"]]


def test_a_service_that_was_never_promoted_is_refused(world: World) -> None:
    world.deploy()
    error = _refused(world)
    assert "service_promotion_validated: service-a has no completed promotion" in str(error)


def test_a_promotion_that_was_rolled_back_is_refused(world: World, completed: Entry) -> None:
    promotion = completed.data["promotion_id"]
    world.step(promotion, "", "rolled_back", reason="bad", automatic=False)
    assert "was rolled back" in str(_refused(world))


def test_a_missing_or_denied_gate_is_refused(world: World) -> None:
    digest = world.deploy()
    promotion = world.request(digest)
    for gate in ("provenance", "sast", "coverage"):
        world.gate(promotion, digest, gate, "deny" if gate == "coverage" else "allow")
    world.step(promotion, digest, "started")
    world.step(promotion, digest, "completed", stage="compliant")
    error = _refused(world)
    assert "coverage is deny, health is missing, chain is missing" in str(error)
    assert _unmet(error) == ["service_promotion_validated", "evidence_chain_complete"]


def test_a_broken_chain_is_refused(world: World, completed: Entry) -> None:
    content = world.ledger.entries_path.read_bytes()
    world.ledger.entries_path.write_bytes(content.replace(b'"stage":"sandbox"', b'"stage":"sandbax"'))
    error = _refused(world)
    assert "evidence_chain_complete: The evidence is broken. Entry 1" in str(error)


def test_a_lost_report_is_refused(world: World, completed: Entry) -> None:
    shutil.rmtree(world.ledger.objects.root)
    assert _unmet(_refused(world)) == ["evidence_chain_complete"]


def test_evidence_that_is_not_there_is_refused(world: World) -> None:
    world.promote(f"sha256:{'1' * 64}")
    error = _refused(world)
    assert _unmet(error) == ["evidence_chain_complete"]
    assert "there is no evidence of: build, deployed" in str(error)


def test_an_untagged_entry_is_refused(world: World) -> None:
    untagged = {**METADATA, "mesh_enforcement": "enforced", "tags": []}
    world.promote(world.deploy(), metadata=untagged)
    error = _refused(world)
    assert _unmet(error) == ["audit_metadata_tagged"]
    assert "mesh_enforcement=pending, tag sprint1_poc, tag pending_worm_migration" in str(error)


def test_an_image_that_was_not_promoted_is_refused(world: World, completed: Entry) -> None:
    archive = next((world.images / SERVICE).iterdir())
    other = world.deploy(b"other")
    (archive.parent / f"{other.partition(':')[2]}.tar").replace(archive)
    with pytest.raises(GoldenGooseError, match=r"holds the image .* was promoted"):
        _build(world)
    assert not (world.packages / SERVICE / "latest").exists()
