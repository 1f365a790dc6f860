# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger is anchored in a real OpenBao with the promoter's own policy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    AnchorBroken,
    HeadMoved,
    Ledger,
    anchor,
    freeze,
    heads,
    verify,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault import VaultDown
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault_bootstrap import bootstrap
from ansible_collections.golden_goose.compliance.plugins.module_utils.vault_heads import VaultHeads

from .programs import REPOSITORY
from .test_vault import Server, new_server

METADATA = {"sprint": "1", "provisional": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = new_server(tmp_path_factory.mktemp("vault"))
    with server.run():
        assert bootstrap(server.wanted).changes
        yield server


@pytest.fixture
def ledger(tmp_path: Path, request: pytest.FixtureRequest) -> Ledger:
    """A ledger of its own origin, so that each test has a head of its own."""
    ledger = Ledger.create(tmp_path / "ledger", f"golden-goose.test/{request.node.name}")
    fill(ledger, 3)
    return ledger


def fill(ledger: Ledger, count: int) -> None:
    for number in range(count):
        ledger.append(type="validation", event="sast", data={"number": number}, metadata=METADATA)


def run(ledger: Ledger, name: str = "evidence_checkpoint", **options: Any) -> dict[str, Any]:
    """Run the module as Ansible does, and return what it answers."""
    arguments = {"ledger": str(ledger.root), "metadata": METADATA, **options}
    if name == "evidence_checkpoint":
        arguments.setdefault("vault_approle", "")
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible"),
            "localhost",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-e",
            f"ansible_python_interpreter={sys.executable}",
            "-m",
            f"golden_goose.compliance.{name}",
            "-a",
            json.dumps(arguments),
        ],
        cwd=REPOSITORY,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": "/root",
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    _status, separator, text = done.stdout.partition(" => ")
    assert separator, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(text)
    return answer


def test_the_module_signs_and_a_second_run_changes_nothing(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    options = {"vault_approle": str(server.approle_file), "copy": str(tmp_path / "copy")}
    first = run(ledger, **options)
    assert (first["changed"], first["size"], first["unanchored"]) == (True, 4, 0), first
    assert run(ledger, **options)["changed"] is False
    assert verify(tmp_path / "copy").signed == 4
    version, _public = server.promoter().public_key()
    assert version == 1 and first["checkpoint"]["key"] == str(heads.keys(ledger.path)[0])
    assert run(ledger, "evidence_verify", vault_approle=str(server.approle_file))["report"]["unanchored"] == 0


def test_cut_and_restored_ledgers_are_refused_by_name(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    second = VaultHeads(server.promoter())
    anchor(ledger, second, METADATA)
    shutil.copytree(ledger.path, tmp_path / "old")
    fill(ledger, 2)
    anchor(ledger, second, METADATA)
    old = Ledger.open(tmp_path / "old")
    answer = run(old, vault_approle=str(server.approle_file))
    assert (answer["kind"], answer["sequence"]) == ("restored", 4) and "older copy" in answer["msg"]
    answer = run(old, "evidence_verify", vault_approle=str(server.approle_file))
    assert [(p["sequence"], p["kind"]) for p in answer["report"]["problems"]] == [(4, "restored")]
    lines = ledger.entries_path.read_bytes().splitlines(keepends=True)
    ledger.entries_path.write_bytes(b"".join(lines[:5]))
    answer = run(ledger, vault_approle=str(server.approle_file))
    assert (answer["kind"], answer["sequence"]) == ("cut", 5)


def test_the_head_only_moves_from_what_was_read(server: Server, ledger: Ledger) -> None:
    second = VaultHeads(server.promoter())
    anchor(ledger, second, METADATA)
    version, document = second.read(ledger.origin)
    assert version == 1 and document is not None
    second.write(ledger.origin, document, 1)
    with pytest.raises(HeadMoved, match="at the same time"):
        second.write(ledger.origin, document, 1)


def test_a_rotated_key_signs_beside_the_old_one(server: Server, ledger: Ledger) -> None:
    second = VaultHeads(server.promoter())
    anchor(ledger, second, METADATA)
    server.root().secrets.transit.rotate_key("evidence")
    fill(ledger, 1)
    anchor(ledger, second, METADATA)
    known = heads.keys(ledger.path)
    assert len(known) >= 2
    for key in known[-2:]:
        assert heads.latest(ledger.path, [key])
    assert verify(ledger.path).state == "intact"


def test_a_vault_that_is_down_leaves_entries_durable(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    document = json.loads(server.approle_file.read_text())
    away = tmp_path / "approle.json"
    away.write_text(json.dumps({**document, "address": "http://127.0.0.1:9"}))
    assert "does not answer" in run(ledger, vault_approle=str(away))["msg"]
    answer = run(ledger, vault_approle=str(away), vault_required=False)
    assert (answer["changed"], answer["unanchored"]) == (False, 3)
    assert verify(ledger.path).state == "intact"


def test_a_vault_that_was_made_again_is_no_first_start(ledger: Ledger, tmp_path: Path) -> None:
    first, again = new_server(tmp_path / "first"), new_server(tmp_path / "again")
    with first.run() as process:
        bootstrap(first.wanted)
        anchor(ledger, VaultHeads(first.promoter()), METADATA)
        process.kill()
    fill(ledger, 1)
    with pytest.raises(VaultDown):
        anchor(ledger, VaultHeads(first.promoter()), METADATA)
    with again.run():
        bootstrap(again.wanted)
        second = VaultHeads(again.promoter())
        with pytest.raises(AnchorBroken, match="made again") as caught:
            anchor(ledger, second, METADATA)
        assert caught.value.kind == "vault_lost"
        assert anchor(ledger, second, METADATA, accept_replaced=True).size == 7
    assert verify(ledger.path).state == "intact"


def test_a_head_that_was_deleted_is_no_first_start(server: Server, ledger: Ledger) -> None:
    second = VaultHeads(server.promoter())
    anchor(ledger, second, METADATA)
    path = next(
        p
        for p in server.root().secrets.kv.v2.list_secrets("ledger", mount_point="golden-goose")["data"]["keys"]
        if server.root().secrets.kv.v2.read_secret_version(
            f"ledger/{p}", mount_point="golden-goose", raise_on_deleted_version=False
        )["data"]["data"]["origin"]
        == ledger.origin
    )
    server.root().secrets.kv.v2.delete_latest_version_of_secret(f"ledger/{path}", mount_point="golden-goose")
    assert second.read(ledger.origin) == (1, None)
    with pytest.raises(AnchorBroken):
        anchor(ledger, second, METADATA)
    assert anchor(ledger, second, METADATA, accept_replaced=True).size == 5


def test_a_loss_moves_the_head_in_vault_and_stays_to_be_seen(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    options = {"vault_approle": str(server.approle_file), "copy": str(tmp_path / "copy")}
    assert run(ledger, **options)["size"] == 4
    fill(ledger, 3)
    lost = run(ledger, vault_approle=str(server.approle_file))["checkpoint"]
    assert lost["size"] == 7
    lines = ledger.entries_path.read_bytes().splitlines(keepends=True)
    ledger.entries_path.write_bytes(b"".join(lines[:5]))
    shutil.rmtree(ledger.path / "tile")
    refused = run(ledger, "evidence_repair", **options)
    assert "Entries 5 to 6" in refused["msg"] and refused["plan"]["kept"] == 5, refused
    done = run(ledger, "evidence_repair", accept_loss=True, **options)
    assert (done["changed"], done["repair"]["lost"], done["repair"]["sequence"]) == (True, 2, 5), done
    assert run(ledger, "evidence_repair", accept_loss=True, **options)["changed"] is False
    second = VaultHeads(server.promoter())
    version, document = second.read(ledger.origin)
    assert document is not None
    assert (version, document["size"], document["lost"]) == (3, 6, [[7, lost["root"]]])
    # Whoever has the lost checkpoint finds it in the entry; the ledger goes on.
    assert list(ledger.entries())[5].data["lost"]["heads"] == [[7, lost["root"]]]
    answer = run(ledger, "evidence_verify", **options)
    assert answer["report"]["state"] == "intact" and answer["report"]["unanchored"] == 0, answer
    fill(Ledger.open(ledger.path), 1)
    assert run(ledger, **options)["size"] == 7


def test_a_frozen_ledger_goes_on_in_a_new_segment(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    options = {"vault_approle": str(server.approle_file), "copy": str(tmp_path / "copy"), "segment": 2}
    first = run(ledger, "evidence_freeze", **options)
    assert (first["changed"], first["segment"], first["origin"]) == (True, 2, f"{ledger.origin}/segment/2"), first
    assert (first["frozen"]["size"], first["checkpoint"]["size"]) == (5, 2)
    assert run(ledger, "evidence_freeze", **options)["changed"] is False
    second = VaultHeads(server.promoter())
    _version, document = second.read(ledger.origin)
    assert document is not None and (document["size"], document["successor"]) == (5, f"{ledger.origin}/segment/2")
    assert "cannot be in segment 4" in run(ledger, "evidence_freeze", **{**options, "segment": 4})["msg"]
    fill(ledger, 2)
    assert ledger.number == 2
    assert run(ledger, vault_approle=str(server.approle_file), copy=str(tmp_path / "copy"))["size"] == 4
    answer = run(ledger, "evidence_verify", vault_approle=str(server.approle_file), copy=str(tmp_path / "copy"))
    assert (answer["report"]["state"], answer["report"]["segments"], answer["report"]["size"]) == ("intact", 2, 9)
    assert verify(tmp_path / "copy").state == "intact"


def test_segments_that_were_cut_or_exchanged_are_refused_by_name(
    server: Server, ledger: Ledger, tmp_path: Path
) -> None:
    second, root = VaultHeads(server.promoter()), ledger.path
    shutil.copytree(root, tmp_path / "other")
    freeze(ledger, second, METADATA, 2)
    other = Ledger.open(tmp_path / "other")
    fill(other, 1)
    with pytest.raises(AnchorBroken, match="but 5 were signed and kept"):
        freeze(other, second, METADATA, 2)
    (root / "segments").rename(tmp_path / "segments")
    cut = Ledger.open(root)
    answer = run(cut, vault_approle=str(server.approle_file))
    assert answer["kind"] == "segment_missing" and "segment 2 was cut off" in answer["msg"]
    answer = run(cut, "evidence_verify", vault_approle=str(server.approle_file))
    assert [p["kind"] for p in answer["report"]["problems"]] == ["not_continued", "segment_missing"]
    (tmp_path / "segments").rename(root / "segments")
    old = root / "entries.jsonl"
    old.write_bytes((tmp_path / "other/entries.jsonl").read_bytes())
    answer = run(Ledger.open(root, edge=False), vault_approle=str(server.approle_file))
    assert answer["kind"] == "predecessor", answer


def test_a_frozen_segment_is_repaired_and_vault_shows_what_is_lost(
    server: Server, ledger: Ledger, tmp_path: Path
) -> None:
    options = {"vault_approle": str(server.approle_file), "copy": str(tmp_path / "copy")}
    assert run(ledger, "evidence_freeze", segment=2, **options)["changed"]
    path, second = ledger.root / "entries.jsonl", VaultHeads(server.promoter())
    whole, lines = path.read_bytes(), path.read_bytes().splitlines(keepends=True)
    root = Ledger(ledger.root, ledger.earlier[0].origin if ledger.earlier else ledger.origin)
    path.write_bytes(b"".join([lines[0], lines[2]]))
    assert run(root, "evidence_repair", **options)["repair"]["lost"] == 0
    assert path.read_bytes() == whole
    # Nobody has it any more.
    for place in (ledger.root, tmp_path / "copy"):
        shutil.rmtree(place / "tile")
        (place / "entries.jsonl").write_bytes(lines[0])
    refused = run(root, "evidence_repair", **options)
    assert "Entries 1 to 4 of" in refused["msg"] and refused["plan"]["segments"][0]["segment"] == 1, refused
    done = run(root, "evidence_repair", accept_loss=True, **options)
    assert (done["changed"], done["repair"]["lost"]) == (True, 4), done
    assert run(root, "evidence_repair", accept_loss=True, **options)["changed"] is False
    _version, document = second.read(root.origin)
    assert document is not None and (document["size"], [size for size, _root in document["lost"]]) == (5, [5])
    report = run(root, "evidence_verify", vault_approle=str(server.approle_file))["report"]
    assert (report["state"], report["lost"], report["unanchored"]) == ("intact", 4, 0), report
    assert run(Ledger.open(ledger.root), vault_approle=str(server.approle_file))["size"] > 2


def test_without_vault_nothing_is_frozen(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    document = json.loads(server.approle_file.read_text())
    away = tmp_path / "approle.json"
    away.write_text(json.dumps({**document, "address": "http://127.0.0.1:9"}))
    before = ledger.entries_path.read_bytes()
    assert "does not answer" in run(ledger, "evidence_freeze", vault_approle=str(away), segment=2)["msg"]
    assert ledger.entries_path.read_bytes() == before and not (ledger.path / "segments").exists()
