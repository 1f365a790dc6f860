# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stranger checks the package with sha256sum, hashlib, rfc8785 and cryptography, and none of our code."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import rfc8785
import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .instance import Instance

EVIDENCE = [
    "audit_chain.json",
    "metadata.json",
    "promotion_request.json",
    "promotion_validation.json",
    "sast_scan_results.json",
    "test_coverage_report.json",
]


@pytest.fixture
def package(promoted: Instance) -> Path:
    return promoted.packages / "service-a" / promoted.entries("completed")[0]["hash"]


@pytest.fixture
def chain(package: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _evidence(package, "audit_chain")["lines"]]


def test_the_package_has_exactly_the_files_of_the_requirements(package: Path) -> None:
    assert sorted(path.name for path in (package / "evidence").iterdir()) == EVIDENCE
    assert sorted(path.name for path in package.iterdir()) == [
        "SHA256SUMS",
        "distribution.yml",
        "evidence",
        "golden-goose-verify",
        "image",
        "manifests",
        "proof",
    ]
    assert _evidence(package, "metadata") == {"phase": "sprint1_poc", "compliance_mode": "provisional"}


def test_the_link_latest_leads_to_a_package(promoted: Instance) -> None:
    latest = promoted.packages / "service-a" / "latest"
    assert latest.is_symlink()
    assert (latest / "SHA256SUMS").is_file()


def test_sha256sum_agrees(package: Path) -> None:
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=package, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    listed = {line.split("  ", 1)[1] for line in (package / "SHA256SUMS").read_text().splitlines()}
    there = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    assert listed == there - {"SHA256SUMS"}


def test_the_hash_chain_can_be_recomputed(package: Path) -> None:
    document = _evidence(package, "audit_chain")
    previous = hashlib.sha256(f"{document['format']}\n{document['origin']}".encode()).hexdigest()
    for number, line in enumerate(document["lines"]):
        entry = json.loads(line)
        assert rfc8785.dumps(entry) == line.encode(), f"line {number} is not canonical"
        unsealed = {key: value for key, value in entry.items() if key != "hash"}
        assert hashlib.sha256(rfc8785.dumps(unsealed)).hexdigest() == entry["hash"], f"line {number}"
        assert entry["previous_hash"] == previous, f"line {number}"
        assert entry["sequence"] == number
        previous = entry["hash"]
    assert previous == document["hash_chain_id"] == package.name


def test_the_reports_are_the_ones_that_the_chain_names(package: Path, chain: list[dict[str, Any]]) -> None:
    for gate, file in (("sast", "sast_scan_results"), ("coverage", "test_coverage_report")):
        verdict = next(entry["data"] for entry in chain if entry["data"]["event"] == gate)
        report = _evidence(package, file)
        assert hashlib.sha256(report["raw"].encode()).hexdigest() == verdict["object"]["sha256"], gate
        assert report["report"], gate
    assert _evidence(package, "test_coverage_report")["report"]["totals"]["percent_covered"] >= 90


def test_the_signature_is_that_of_the_key_in_vault(promoted: Instance, chain: list[dict[str, Any]]) -> None:
    started = next(entry["data"] for entry in chain if entry["data"]["event"] == "started")
    signed = rfc8785.dumps({key: started[key] for key in ("promotion_id", "service", "digest", "verdicts")})
    assert hashlib.sha256(signed).hexdigest() == started["verdicts_sha256"]
    assert started["public_key"] == promoted.public_key(started["key_version"])
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(started["public_key"]))
    signature = base64.b64decode(started["signature"])
    public.verify(signature, signed)
    with pytest.raises(InvalidSignature):
        public.verify(signature, signed + b" ")
    hashes = {entry["id"]: entry["hash"] for entry in chain}
    assert all(hashes[verdict["entry"]] == verdict["hash"] for verdict in started["verdicts"])


def test_the_program_in_the_package_verifies_it(promoted: Instance, package: Path) -> None:
    key = (promoted.ledger / "keys").read_text().splitlines()[0]
    program = [sys.executable, "-I", str(package / "golden-goose-verify")]
    assert os.access(package / "golden-goose-verify", os.X_OK)
    said = subprocess.run([*program, str(package), "--key", key], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout.splitlines()[-1]) == (0, "intact"), said.stdout + said.stderr
    proof = package / "proof"
    one = ["--entry", str(proof / "completed.json"), "--proof", str(proof / "completed.tlog-proof"), "--key", key]
    assert subprocess.run([*program, *one], capture_output=True, check=False).returncode == 0
    ledger = [str(promoted.ledger), "--key", key, "--objects"]
    said = subprocess.run([*program, *ledger], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_key_is_the_one_in_vault_and_everything_is_anchored(promoted: Instance) -> None:
    encoded = (promoted.ledger / "keys").read_text().splitlines()[-1].split("+", 2)[2]
    assert base64.b64decode(encoded)[1:] == base64.b64decode(promoted.public_key(1))
    size = int((promoted.ledger / "checkpoint").read_text().splitlines()[1])
    assert size >= promoted.entries("package")[0]["sequence"] + 1
    assert (promoted.backup / "checkpoint").read_bytes() == (promoted.ledger / "checkpoint").read_bytes()


def test_the_image_in_the_package_is_the_promoted_one(package: Path) -> None:
    distribution = yaml.safe_load((package / "distribution.yml").read_text())
    with tarfile.open(package / distribution["image"]) as archive:
        index = archive.extractfile("index.json")
        assert index is not None
        assert [item["digest"] for item in json.load(index)["manifests"]] == [distribution["digest"]]


def test_the_distribution_states_what_it_meets(package: Path) -> None:
    content = yaml.safe_load((package / "distribution.yml").read_text())
    assert content["distribution"]["mode"] == "single_service_poc"
    assert content["distribution"]["metadata"] == {"poc_phase": True, "full_compliance": "pending"}
    wanted = {"service_promotion_validated", "evidence_chain_complete", "audit_metadata_tagged"}
    assert set(content["distribution"]["requirements"]) == wanted
    assert {name: item["met"] for name, item in content["requirements_met"].items()} == dict.fromkeys(wanted, True)
    kinds = {yaml.safe_load((package / name).read_text())["kind"] for name in content["manifests"]}
    assert {"Deployment", "Service"} <= kinds


def test_a_damaged_package_is_noticed_and_built_again(promoted: Instance, package: Path) -> None:
    file = package / "evidence" / "promotion_request.json"
    original = file.read_bytes()
    file.write_bytes(original.replace(b"service-a", b"service-x", 1))
    facts = promoted.play("package", service="service-a").record.artifacts["golden_goose_packages"]["service-a"]
    assert facts["changed"] is True
    assert file.read_bytes() == original


def _evidence(package: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((package / "evidence" / f"{name}.json").read_text())
    return content
