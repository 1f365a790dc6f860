# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The status table has the addendum's columns, and says what is to be done."""

from __future__ import annotations

from ansible_collections.golden_goose.compliance.plugins.module_utils.evidence.status import Row, status
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Entry

from .conftest import SERVICE, World

PROMOTED = "sandbox\N{RIGHTWARDS ARROW}compliant"


def _row(world: World) -> Row:
    (row,) = status(world.ledger, SERVICE).rows
    return row


def test_a_compliant_service(world: World, completed: Entry) -> None:
    found = status(world.ledger)
    (row,) = found.rows
    assert (row.service, row.stage, row.evidence) == (SERVICE, PROMOTED, completed.hash)
    assert row.next_steps == ["package evidence", "sprint 2: mesh enforcement, WORM migration, full compliance"]
    assert found.chain == "intact"
    lines = found.markdown().splitlines()
    assert lines[0] == "| Date | Service | Stage | Evidence | Next Steps |"
    assert lines[1].replace("-", "") == "||||||"
    assert lines[2].startswith(f"| {completed.timestamp[:10]} | service-a | {PROMOTED} | {completed.hash} | package")


def test_a_packaged_service(world: World, completed: Entry) -> None:
    world.say("validation", "package", hash_chain_id=completed.hash)
    assert _row(world).next_steps == ["sprint 2: mesh enforcement, WORM migration, full compliance"]


def test_a_service_in_sandbox(world: World) -> None:
    digest = world.deploy()
    row = _row(world)
    assert (row.stage, row.evidence) == ("sandbox", "-")
    assert row.next_steps == [f"promote {digest[:19]}\N{HORIZONTAL ELLIPSIS} from sandbox"]


def test_a_newer_build_in_sandbox(world: World, completed: Entry) -> None:
    digest = world.deploy(b"newer")
    row = _row(world)
    assert row.stage == PROMOTED
    assert row.next_steps[0] == f"promote {digest[:19]}\N{HORIZONTAL ELLIPSIS} from sandbox"


def test_a_denied_gate(world: World) -> None:
    digest = world.deploy()
    promotion = world.request(digest)
    world.gate(promotion, digest, "coverage", "deny", "observed 71.0, required 80")
    world.step(promotion, digest, "refused", reason="gate coverage")
    assert _row(world).next_steps == ["fix gate coverage: observed 71.0, required 80"]


def test_a_promotion_that_was_interrupted(world: World) -> None:
    world.request(world.deploy())
    assert _row(world).next_steps[0].startswith("finish the promotion of sha256:")


def test_a_rollback(world: World, completed: Entry) -> None:
    world.step(completed.data["promotion_id"], "", "rolled_back", reason="slow answers", automatic=False)
    row = _row(world)
    assert (row.stage, row.evidence) == ("sandbox", "-")
    assert row.next_steps == ["promote again after the rollback: slow answers"]


def test_a_broken_ledger_comes_first(world: World, completed: Entry) -> None:
    content = world.ledger.entries_path.read_bytes()
    world.ledger.entries_path.write_bytes(content.replace(b'"stage":"sandbox"', b'"stage":"sandbax"'))
    found = status(world.ledger)
    assert found.chain == "broken"
    assert found.rows[0].next_steps[0].startswith("verify the ledger: The evidence is broken. Entry 1")


def test_a_table_without_services(world: World) -> None:
    found = status(world.ledger)
    assert (found.rows, len(found.markdown().splitlines())) == ([], 2)


def test_a_name_that_was_only_refused_is_no_service(world: World) -> None:
    world.say("promotion", "refused", service="servcie-a", reason="There is no such service.")
    assert status(world.ledger).rows == []


def test_cells_cannot_break_the_table(world: World) -> None:
    digest = world.deploy()
    promotion = world.request(digest)
    world.gate(promotion, digest, "sast", "deny", "a | b\nc")
    world.step(promotion, digest, "refused", reason="gate sast")
    assert status(world.ledger).markdown().splitlines()[-1].endswith("| fix gate sast: a \\| b c |")
