# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules, run as Ansible runs them: arguments in, JSON out, one sentence for bad input."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Entry, freeze

from tests.unit.ledger.second_place import Memory

from .conftest import METADATA, SERVICE, World

MODULES = "ansible_collections.golden_goose.compliance.plugins.modules"
Run = Callable[..., dict[str, Any]]
ID = "8a1f6a0e-6c1a-4f3a-8f0e-0c6f2a9f8b11"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(name: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        module = importlib.import_module(f"{MODULES}.{name}")
        given = {key: str(value) if isinstance(value, Path) else value for key, value in arguments.items()}
        with patch_module_args({**given, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return _run


def test_append_four_times(run: Run, world: World) -> None:
    """Check, real, check again, real again."""
    said = {"ledger": world.ledger.path, "metadata": METADATA, "type": "validation", "event": "review", "id": ID}
    results = [run("evidence_append", check=check, **said) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert ["entry" in result for result in results] == [False, True, True, True]
    assert world.ledger.head().size == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metadata": None}, "The option metadata is not given"),
        ({"metadata": {"sprint": "1"}}, "'provisional'"),
        ({"origin": "example.test/other"}, "is of the origin"),
        ({"ledger": "/nonexistent/ledger"}, "There is no ledger at /nonexistent/ledger"),
        ({"event": "Not a name"}, "data.event"),
        ({"data": {"token": "x"}}, "data.token"),
    ],
)
def test_append_refuses(run: Run, world: World, changes: dict[str, Any], sentence: str) -> None:
    said = {"ledger": world.ledger.path, "metadata": METADATA, "type": "validation", "event": "review", **changes}
    for check in (True, False):
        result = run("evidence_append", check=check, **said)
        assert result["failed"] and sentence in result["msg"]
        assert result["msg"].count(". ") == 0
    assert world.ledger.head().size == 0


def test_info_filters(run: Run, world: World, completed: Entry) -> None:
    def read(**filters: Any) -> dict[str, Any]:
        return run("evidence_info", ledger=world.ledger.path, **filters)

    assert read()["size"] == len(read()["entries"]) == 10
    assert [entry["data"]["event"] for entry in read(events=["sast", "completed"])["entries"]] == ["sast", "completed"]
    assert len(read(type="promotion")["entries"]) == 3
    assert len(read(promotion_id=completed.data["promotion_id"])["entries"]) == 8
    assert [entry["sequence"] for entry in read(limit=2)["entries"]] == [8, 9]
    assert read(limit=0)["entries"] == read(service="service-b")["entries"] == []
    assert read(limit=-1)["failed"]


def test_verify_fails_unless_intact(run: Run, world: World) -> None:
    assert "nothing to verify" in run("evidence_verify", ledger=world.ledger.path)["msg"]
    world.deploy()
    found = run("evidence_verify", ledger=world.ledger.path, origin="example.test/sandbox")
    assert (found["changed"], found["report"]["state"], found["report"]["size"]) == (False, "intact", 2)
    content = world.ledger.entries_path.read_bytes()
    world.ledger.entries_path.write_bytes(content.replace(b'"stage":"sandbox"', b'"stage":"sandbax"'))
    broken = run("evidence_verify", ledger=world.ledger.path)
    assert broken["failed"] and broken["report"]["problems"][0]["sequence"] == 1
    assert run("evidence_verify", ledger=world.ledger.path, required_state="any")["report"]["state"] == "broken"


def test_backup_four_times(run: Run, world: World, completed: Entry, tmp_path: Path) -> None:
    said = {"ledger": world.ledger.path, "metadata": METADATA, "target": tmp_path / "copy"}
    results = [run("evidence_backup", check=check, **said) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    world.ledger.entries_path.write_bytes(world.ledger.entries_path.read_bytes().splitlines(keepends=True)[0])
    assert "cut off" in run("evidence_backup", **said)["msg"]


def test_package_four_times(run: Run, world: World, completed: Entry) -> None:
    said = {"ledger": world.ledger.path, "packages": world.packages, "service": SERVICE}
    results = [run("evidence_package", check=check, **said) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    said |= {"metadata": METADATA, "images": world.images}
    results = [run("distribution_package", check=check, **said) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert results[1]["package"]["hash_chain_id"] == completed.hash
    assert len(results[1]["package"]["provisional"]) == 3


def test_package_refuses_and_names_the_requirement(run: Run, world: World) -> None:
    result = run("evidence_package", ledger=world.ledger.path, packages=world.packages, service="nobody")
    assert "service_promotion_validated: nobody has no completed promotion" in result["msg"]
    assert [requirement["met"] for requirement in result["requirements"]] == [False, False, False]


def test_status_rows(run: Run, world: World, completed: Entry) -> None:
    result = run("status_info", ledger=world.ledger.path)
    assert [row["evidence"] for row in result["rows"]] == [completed.hash]
    assert run("status_info", ledger=world.ledger.path, service="service-b")["rows"] == []


def test_store_four_times(run: Run, tmp_path: Path) -> None:
    said = {"ledger": tmp_path / "deep" / "ledger", "origin": "example.test/sandbox"}
    results = [run("evidence_store", check=check, **said) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert (tmp_path / "deep" / "ledger").stat().st_mode & 0o777 == 0o750
    assert "is of the origin" in run("evidence_store", **{**said, "origin": "example.test/other"})["msg"]


def test_store_append_only_and_absent_four_times(run: Run, tmp_path: Path) -> None:
    said = {"ledger": tmp_path / "ledger", "origin": "example.test/sandbox"}
    run("evidence_store", **said)
    results = [run("evidence_store", check=check, append_only="auto", **said) for check in (True, False, True, False)]
    if not any("is not append-only" in str(warning) for warning in results[1].get("warnings", ())):
        assert [result["changed"] for result in results] == [True, True, False, False]
        with pytest.raises(PermissionError):
            (tmp_path / "ledger" / "entries.jsonl").unlink()
    results = [run("evidence_store", check=check, state="absent", **said) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert not (tmp_path / "ledger").exists()


def test_repair_four_times(run: Run, world: World, completed: Entry, tmp_path: Path) -> None:
    said = {"ledger": world.ledger.path, "metadata": METADATA, "copy": tmp_path / "copy"}
    run("evidence_backup", ledger=world.ledger.path, target=tmp_path / "copy")
    assert not run("evidence_repair", **said)["changed"]
    lines = world.ledger.entries_path.read_bytes().splitlines(keepends=True)
    world.ledger.entries_path.write_bytes(b"".join([*lines[:3], b"x", *lines[4:]]))
    results = [run("evidence_repair", check=check, **said) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert results[0]["repair"]["state"] == "broken" and results[1]["repair"]["state"] == "intact"
    summary = "10 entries are kept, 2 of them from the copy; nothing is lost."
    assert results[0]["summary"] == results[1]["summary"] == summary
    assert run("evidence_verify", ledger=world.ledger.path, copy=tmp_path / "copy")["report"]["size"] == 11


def test_repair_of_a_frozen_segment_four_times(run: Run, world: World, completed: Entry, tmp_path: Path) -> None:
    freeze(world.ledger, Memory(), METADATA, 2)
    said = {"ledger": world.ledger.root, "metadata": METADATA, "copy": tmp_path / "copy"}
    run("evidence_backup", ledger=world.ledger.root, target=tmp_path / "copy")
    shutil.rmtree(world.ledger.root / "tile")
    path = world.ledger.root / "entries.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"x", *lines[4:]]))
    results = [run("evidence_repair", check=check, **said) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert [part["segment"] for part in results[0]["repair"]["segments"]] == [1]
    assert results[0]["repair"]["state"] == "broken" and results[1]["repair"]["state"] == "intact"
    assert results[0]["summary"] == results[1]["summary"]
    assert "2 of them from the copy; nothing is lost; damaged: segment 1." in results[1]["summary"]
    path.write_bytes(b"".join(lines[:3]))
    said["copy"] = None
    shutil.rmtree(world.ledger.root / "tile")
    result = run("evidence_repair", **said)
    assert result["failed"] and result["plan"]["segments"][0]["lost"] == len(lines) - 3
    run("evidence_repair", accept_loss=True, **said)
    # The test has no Vault, so the entry that states the loss is not signed.
    found = run("evidence_verify", ledger=world.ledger.root, required_state="any")["report"]
    assert (found["state"], found["lost"], found["problems"][0]["kind"]) == ("incomplete", len(lines) - 3, "unsigned")


def test_repair_refuses_a_loss(run: Run, world: World, completed: Entry, tmp_path: Path) -> None:
    lines = world.ledger.entries_path.read_bytes().splitlines(keepends=True)
    world.ledger.entries_path.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    said = {"ledger": world.ledger.path, "metadata": METADATA}
    assert run("evidence_repair", check=True, **said)["repair"]["lost"] == 7
    result = run("evidence_repair", **said)
    assert result["failed"] and result["plan"]["lost"] == 7 and "run this again with accept_loss" in result["msg"]
    done = run("evidence_repair", accept_loss=True, **said)
    assert done["repair"]["sequence"] == 3 and done["repair"]["set_aside"].startswith("damaged/")
    for arguments, sentence in (
        ({**said, "metadata": None}, "The option metadata is not given"),
        ({**said, "copy": "/nonexistent"}, "There is no copy of a ledger at /nonexistent"),
        ({**said, "keys": ["x"]}, "'x' is not an ed25519 key"),
    ):
        result = run("evidence_repair", **arguments)
        assert result["failed"] and sentence in result["msg"], result
    found = run("evidence_repair", vault_approle="/nonexistent", **said)
    assert not found["changed"] and "no credentials at /nonexistent" in str(found["warnings"])


def test_retention_four_times(run: Run, world: World, tmp_path: Path) -> None:
    world.ledger._now = lambda: datetime(2025, 9, 25, tzinfo=UTC)
    reference = dict(world.ledger.objects.put_bytes(b"report"))
    world.say("validation", "review", object=reference)
    os.utime(world.ledger.objects.path(str(reference["sha256"])), (0, 0))
    said = {"ledger": world.ledger.path, "metadata": METADATA, "copy": tmp_path / "copy", "before": "2025-10-01"}
    results = [run("evidence_retention", check=check, **said) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert results[1]["retention"] == {
        "before": "2025-10-01T00:00:00.000Z",
        "objects": [{"sha256": reference["sha256"], "size": 6}],
        "bytes": 6,
        "removed_files": 1,
        "kept": 0,
    }
    assert run("evidence_verify", ledger=world.ledger.path)["report"]["dropped"] == 1
    for arguments, sentence in (
        ({**said, "keep_days": 3}, "mutually exclusive"),
        ({key: said[key] for key in said if key != "before"}, "one of the following is required"),
        ({**said, "before": "2999-01-01"}, "is in the future"),
        ({**said, "metadata": None}, "The option metadata is not given"),
    ):
        result = run("evidence_retention", **arguments)
        assert result["failed"] and sentence in result["msg"], result
