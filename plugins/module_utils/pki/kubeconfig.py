# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Kubeconfig files with everything in them, so that one file is all a user has to copy."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from ..files import make_dirs, write_atomic


def kubeconfig(server: str, authority: bytes, certificate: bytes, key: bytes, user: str) -> bytes:
    """Return a kubeconfig (client.authentication v1 ``Config``) as JSON, which is YAML as well.

    :param authority: PEM of the authority that the server's certificate was issued by.
    :param certificate: PEM of the client's certificate, and ``key`` of its key.
    """

    def encode(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    cluster = {"server": server, "certificate-authority-data": encode(authority)}
    credentials = {"client-certificate-data": encode(certificate), "client-key-data": encode(key)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "golden-goose", "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": user, "context": {"cluster": "golden-goose", "user": user}}],
        "current-context": user,
    }
    return (json.dumps(config, indent=1) + "\n").encode()


def write_kubeconfig(path: Path, content: bytes) -> bool:
    """Write ``content`` for its owner alone; return whether it changed."""
    make_dirs(path.parent)
    return write_atomic(path, content, 0o600)
