# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory may ask for, and where a refusal is written down."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.infrastructure import (
    check_and_record,
    check_infrastructure,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger

REPOSITORY = Path(__file__).resolve().parents[2]
INVENTORY = REPOSITORY / "inventories/sandbox/group_vars/all"
METADATA: dict[str, Any] = {"sprint": "1", "provisional": True, "tags": ["sprint1_poc"]}


@pytest.fixture
def given() -> dict[str, Any]:
    """What the sandbox inventory asks for."""
    found: dict[str, Any] = yaml.safe_load((INVENTORY / "infrastructure.yml").read_text())["infrastructure"]
    return found


def test_the_sandbox_inventory_can_be_built(given: dict[str, Any]) -> None:
    check_infrastructure(given)


def set_to(part: str, key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(given: dict[str, Any]) -> None:
        given[part][key] = value

    return change


def drop(part: str, key: str | None = None) -> Callable[[dict[str, Any]], None]:
    def change(given: dict[str, Any]) -> None:
        del (given[part] if key else given)[key or part]

    return change


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        (set_to("kubernetes", "nodes", 3), ["kubernetes.nodes is 3, it has to be 1 in sandbox mode"]),
        (set_to("kubernetes", "nodes", "1"), ["kubernetes.nodes is '1', it has to be 1 in sandbox mode"]),
        (set_to("kubernetes", "nodes", True), ["kubernetes.nodes is True, it has to be 1 in sandbox mode"]),
        (set_to("kubernetes", "mode", "ha"), ["kubernetes.mode is 'ha', it has to be 'sandbox'"]),
        (set_to("vault", "mode", None), ["vault.mode is None, it has to be 'dev'"]),
        (set_to("vault", "mode", ["dev"]), ["vault.mode is ['dev'], it has to be 'dev'"]),
        (set_to("storage", "worm", True), ["storage.worm is unknown"]),
        (drop("storage", "audit"), ["storage.audit is missing, set it to 'local-with-backup'"]),
        (
            drop("vault"),
            ["vault.instance is missing, set it to 'lightweight'", "vault.mode is missing, set it to 'dev'"],
        ),
    ],
)
def test_what_cannot_be_built_is_named(
    given: dict[str, Any], change: Callable[[dict[str, Any]], None], problems: list[str]
) -> None:
    change(given)
    with pytest.raises(GoldenGooseError) as caught:
        check_infrastructure(given)
    assert caught.value.facts == {"problems": problems}
    expected = f"The inventory's infrastructure cannot be built: {'; '.join(problems)}. Nothing was changed."
    assert str(caught.value) == expected


def test_all_problems_are_named_at_once(given: dict[str, Any]) -> None:
    given["kubernetes"]["nodes"], given["vault"]["mode"] = 3, "ha"
    with pytest.raises(GoldenGooseError) as caught:
        check_infrastructure(given)
    assert len(caught.value.facts["problems"]) == 2


@pytest.mark.parametrize("value", [None, "dev", [1]])
def test_a_part_that_is_no_mapping_is_named(given: dict[str, Any], value: Any) -> None:
    given["vault"] = value
    with pytest.raises(GoldenGooseError, match=r"infrastructure\.vault is .*; it has to be a mapping"):
        check_infrastructure(given)


def test_a_refusal_is_an_entry_where_there_is_a_ledger(given: dict[str, Any], tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "ledger", "example.test/sandbox")
    check_and_record(given, ledger.path, METADATA)
    assert ledger.head().size == 0
    refused = copy.deepcopy(given)
    refused["kubernetes"]["nodes"] = 3
    with pytest.raises(GoldenGooseError) as caught:
        check_and_record(refused, ledger.path, METADATA)
    (entry,) = ledger.entries()
    assert (entry.id, entry.type, entry.data["event"]) == (caught.value.facts["recorded"], "validation", "refused")
    assert entry.data["reason"] == str(caught.value) and entry.data["subject"] == "infrastructure"
    assert entry.metadata == METADATA


@pytest.mark.parametrize("path", [None, Path("/nonexistent/ledger")])
def test_a_refusal_without_a_ledger(given: dict[str, Any], path: Path | None) -> None:
    given["kubernetes"]["nodes"] = 3
    with pytest.raises(GoldenGooseError, match=r"kubernetes\.nodes is 3") as caught:
        check_and_record(given, path, METADATA)
    assert set(caught.value.facts) == {"problems"}


def break_ledger(ledger: Path) -> dict[str, Any]:
    Ledger.open(ledger).append(type="validation", event="x", data={}, metadata=METADATA)
    lines = (ledger / "entries.jsonl").read_bytes()
    (ledger / "entries.jsonl").write_bytes(lines.replace(b'"sequence":0', b'"sequence":7'))
    return METADATA


def forget_metadata(_ledger: Path) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("spoil", [break_ledger, forget_metadata])
def test_why_a_refusal_could_not_be_written_down(
    given: dict[str, Any], tmp_path: Path, spoil: Callable[[Path], dict[str, Any]]
) -> None:
    ledger = Ledger.create(tmp_path / "ledger", "example.test/sandbox")
    metadata = spoil(ledger.path)
    before = (ledger.path / "entries.jsonl").read_bytes()
    given["kubernetes"]["nodes"] = 3
    with pytest.raises(GoldenGooseError, match=r"kubernetes\.nodes is 3") as caught:
        check_and_record(given, ledger.path, metadata)
    assert "recorded" not in caught.value.facts
    assert caught.value.facts["not_recorded"]
    assert (ledger.path / "entries.jsonl").read_bytes() == before
