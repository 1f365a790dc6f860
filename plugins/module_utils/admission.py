# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The list of images that may run in ``compliant``, which the cluster's admission policy reads.

It is a ConfigMap, in which a promoted image ``host/path@sha256:…`` is the value of a key that is made from it; the
policy (role promotion_policy) makes the key in the same way and compares the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NAMESPACE = "compliant"
CONFIG_MAP = "golden-goose-promoted"
POLICY = "golden-goose-promoted"
# The API server's own view of the list is a moment behind what was written; seconds to allow for that.
LAG_SECONDS = 10.0

COLLECTION = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
PATH = f"{COLLECTION}/{CONFIG_MAP}"


def key_of(image: str) -> str:
    """Return the key of a pinned image: only letters, digits, '-', '_' and '.' may stand in one."""
    return image.replace("/", "_").replace("@", "_").replace(":", ".")


def document(images: Iterable[str]) -> dict[str, Any]:
    """Return the ConfigMap that lists ``images``."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": NAMESPACE},
        "data": {key_of(image): image for image in images},
    }


def removal(images: Iterable[str]) -> dict[str, Any]:
    """Return the merge patch (RFC 7396) that takes ``images`` off the list."""
    return {"data": {key_of(image): None for image in images}}


def may_be_lag(status: int, answer: Mapping[str, Any]) -> bool:
    """Return whether an answer is a denial by our policy, which a list that is just being read could explain."""
    return status in (403, 422) and f"ValidatingAdmissionPolicy '{POLICY}" in str(answer.get("message"))
