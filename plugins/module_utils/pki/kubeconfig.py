# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Kubeconfig files with everything in them, so that one file is all a user has to copy."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..files import make_dirs, write_atomic
from ..imports import require

_PRIVATE = 0o600


def kubeconfig(server: str, authority: bytes, certificate: bytes, key: bytes, user: str) -> bytes:
    """Return a kubeconfig (client.authentication v1 ``Config``) as JSON, which is YAML as well.

    :param authority: PEM of the authority that the server's certificate was issued by.
    :param certificate: PEM of the client's certificate, and ``key`` of its key.
    """

    def encode(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    cluster = {"server": server, "certificate-authority-data": encode(authority)}
    return _config(cluster, user, {"client-certificate-data": encode(certificate), "client-key-data": encode(key)})


def _config(cluster: Mapping[str, Any], user: str, credentials: Mapping[str, str]) -> bytes:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "golden-goose", "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": user, "context": {"cluster": "golden-goose", "user": user}}],
        "current-context": user,
    }
    return (json.dumps(config, indent=1) + "\n").encode()


def write_credentials(path: Path, token: str, like: Path | None, user: str, *, check: bool) -> bool:
    """Write ``token``, or a kubeconfig with it for the cluster of the kubeconfig ``like``; return whether it changed.

    :raises GoldenGooseError: ``like`` cannot be read, or ``path`` cannot be written.
    """
    content = token.encode() if like is None else _config(_cluster_of(like), user, {"token": token})
    return write_kubeconfig(path, content, check=check)


def write_public(path: Path, content: bytes, *, check: bool) -> bool:
    """Write ``content`` for everybody to read; return whether it changed."""
    if check:
        return not path.exists() or path.read_bytes() != content
    make_dirs(path.parent)
    return write_atomic(path, content)


def _cluster_of(path: Path) -> dict[str, Any]:
    """Return the cluster of the current context, its authority embedded."""
    yaml = require("yaml", "pyyaml")
    try:
        config = yaml.safe_load(path.read_text())
        contexts = {item["name"]: item["context"] for item in config["contexts"]}
        clusters = {item["name"]: item["cluster"] for item in config["clusters"]}
        cluster = dict(clusters[contexts[config["current-context"]]["cluster"]])
        if "certificate-authority" in cluster:
            pem = (path.parent / cluster.pop("certificate-authority")).read_bytes()
            cluster["certificate-authority-data"] = base64.b64encode(pem).decode()
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise GoldenGooseError(f"Cannot take the cluster's address from the kubeconfig {path}: {error}.") from error
    return cluster


def write_kubeconfig(path: Path, content: bytes, *, check: bool) -> bool:
    """Write ``content`` for its owner alone; return whether it changed, or in check mode would change.

    :raises GoldenGooseError: the file cannot be written.
    """
    if check:
        return not path.exists() or path.read_bytes() != content or path.stat().st_mode & 0o7777 != _PRIVATE
    make_dirs(path.parent)
    return write_atomic(path, content, _PRIVATE)
