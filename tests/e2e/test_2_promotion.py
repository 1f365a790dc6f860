# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the promotion of service-a has done, and that nothing is done twice."""

from __future__ import annotations

import json

from .conftest import run_demo
from .instance import Instance

GATES = ["provenance", "sast", "coverage", "health", "chain"]


def test_service_a_is_served_from_compliant_by_digest(promoted: Instance) -> None:
    built = promoted.entries("build")[-1]["data"]
    completed = promoted.entries("completed")[-1]["data"]
    assert completed["digest"] == built["digest"]
    assert promoted.images("compliant", "service-a") == {f"golden-goose.local/service-a@{built['digest']}"}
    version = promoted.ask("compliant", "service-a", "/version")
    assert version["stage"] == "compliant"
    assert version["source_sha256"] == built["source_sha256"]


def test_the_ledger_tells_the_whole_story_in_order(promoted: Instance) -> None:
    events = [entry["data"]["event"] for entry in promoted.entries()]
    story = ["build", "deployed", "requested", *GATES, "started", "signing_key", "completed", "backup"]
    story += ["package", "backup"]
    assert events[: len(story)] == story
    requested = promoted.entries("requested")[0]
    steps = [entry for entry in promoted.entries() if entry["data"].get("promotion_id") == requested["id"]]
    assert {entry["data"]["verdict"] for entry in steps if "gate" in entry["data"]} == {"allow"}
    assert len(steps) == len(GATES) + 2


def test_every_entry_says_that_it_is_provisional(promoted: Instance) -> None:
    for entry in promoted.entries():
        metadata = entry["metadata"]
        assert metadata["sprint"] == "1", entry
        assert metadata["provisional"] is True, entry
        assert metadata["mesh_enforcement"] == "pending", entry
        assert {"compliance flow POC", "sprint1_poc", "pending_worm_migration"} <= set(metadata["tags"]), entry
        assert metadata["audit"]["hash_chain"] == "required", entry
        assert metadata["audit_metadata"]["provisional_flags"]["full_compliance"] == "sprint2", entry


def test_the_copy_holds_every_entry_up_to_the_last_backup(promoted: Instance) -> None:
    copied = (promoted.backup / "entries.jsonl").read_bytes()
    ours = (promoted.ledger / "entries.jsonl").read_bytes()
    assert copied
    assert ours.startswith(copied)
    assert len(copied.splitlines()) >= promoted.entries("package")[0]["sequence"] + 1


def test_the_status_table_is_as_the_requirements_give_it(promoted: Instance) -> None:
    lines = (promoted.state / "status.md").read_text().splitlines()
    assert lines[0] == "| Date | Service | Stage | Evidence | Next Steps |"
    row = next(line for line in lines if "| service-a |" in line)
    assert "| sandbox→compliant |" in row
    assert promoted.entries("completed")[-1]["hash"] in row


def test_the_demo_again_changes_and_promotes_nothing(promoted: Instance) -> None:
    hosts = promoted.objects("compliant"), promoted.objects("sandbox")
    with promoted.appended() as added:
        again = run_demo(promoted)
    assert again.status == 0, again.output
    assert again.changed() == {"site": 0, "deploy": 0, "promote": 0, "package": 0, "status": 0, "together": 0}
    assert "promoted nothing new" in again.output
    assert "already there, verified" in again.output
    assert added == [], json.dumps(added)
    assert (promoted.objects("compliant"), promoted.objects("sandbox")) == hosts
