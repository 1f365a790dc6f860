# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Objects are stored once, under the hash of their bytes, and read back only if they still have it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import Ledger, LedgerBroken, LedgerError
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.objects import references

DATA = b'{"results": []}'
SHA = hashlib.sha256(DATA).hexdigest()


def test_bytes_and_files_get_the_same_reference(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(DATA)
    expected = {"sha256": SHA, "size": len(DATA), "media_type": "application/json"}
    assert ledger.objects.put_bytes(DATA, "application/json") == expected
    assert ledger.objects.put_file(tmp_path / "report.json") == expected
    assert ledger.objects.path(SHA) == ledger.path / "objects" / "sha256" / SHA[:2] / SHA
    assert ledger.objects.read(SHA) == DATA
    assert len([path for path in ledger.objects.root.rglob("*") if path.is_file()]) == 1


def test_an_altered_or_missing_object_is_not_read(ledger: Ledger) -> None:
    ledger.objects.put_bytes(DATA)
    ledger.objects.path(SHA).write_bytes(DATA + b" ")
    with pytest.raises(LedgerBroken, match="altered"):
        ledger.objects.read(SHA)
    with pytest.raises(LedgerBroken, match="cannot be read"):
        ledger.objects.read("0" * 64)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_only_hashes_name_objects(ledger: Ledger, name: str) -> None:
    with pytest.raises(LedgerError, match="not a SHA-256"):
        ledger.objects.path(name)


def test_a_file_that_is_not_there_is_one_sentence(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"Cannot read .*nowhere"):
        ledger.objects.put_file(tmp_path / "nowhere")


def test_references_are_found_at_any_depth() -> None:
    reference = {"sha256": SHA, "size": 1, "media_type": "text/plain"}
    found = list(references({"a": [{"b": reference}], "object": reference, "c": {"sha256": SHA}}))
    assert found == [reference, reference]
