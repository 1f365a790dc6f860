# Copyright: Contributors to Golden Goose
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick look for secrets misses nothing that the careful one refuses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import EntryRefused, canonical
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger.guard import refuse_secrets, suspicious
from hypothesis import given, settings
from hypothesis import strategies as st

SECRETS: list[Any] = [
    {"password": "x"},
    {"a": [{"Secret_ID": "x"}]},
    {"client_token": "x"},
    {"authorization": "x"},
    {"to\u212aen": "x"},
    {"a": "hvs." + "A" * 24},
    {"a": ["s." + "b" * 24]},
    {"a": "b." + "b" * 30},
    {"a": "eyJ" + "a" * 12 + "." + "b" * 12 + "." + "c" * 12},
    {"a": "see -----BEGIN RSA PRIVATE KEY----- here"},
]
_TEXTS = st.text(max_size=5) | st.sampled_from(["token", "API_KEY", "hvb." + "0" * 24, "-----BEGIN PRIVATE KEY-----"])
_VALUES = st.recursive(
    _TEXTS | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=8,
)


def _refused(value: Any) -> bool:
    try:
        refuse_secrets(value)
    except EntryRefused:
        return True
    return False


@pytest.mark.parametrize("value", SECRETS)
def test_each_kind_of_secret_is_seen_at_a_glance(value: Any) -> None:
    assert _refused(value)
    assert suspicious(canonical.encode(value))


def test_usual_data_is_not_suspicious() -> None:
    assert not suspicious(canonical.encode({"event": "coverage", "digest": "sha256:" + "a" * 64, "text": "a token of"}))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_TEXTS, _VALUES, max_size=4))
def test_what_is_refused_was_suspicious(value: dict[str, Any]) -> None:
    assert suspicious(canonical.encode(value)) or not _refused(value)
