# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From the options of the promotion modules to the engine; documented in doc_fragments/promotion.py."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..arguments import audit_metadata, open_ledger
from ..cluster import KubernetesCluster
from ..errors import GoldenGooseError
from .engine import Promoter
from .evidence import Evidence
from .gates import GATES, Scanners
from .identity import Identity, Sign, logged_in
from .leases import Leases
from .people import Voice
from .plan import Requester
from .policy import read_policy
from .ports import Signer
from .runs import Runs, play_owner

ENGINE_OPTIONS: dict[str, dict[str, Any]] = {
    "kubeconfig": {"type": "path", "required": True},
    "run_dir": {"type": "path", "default": "/run/golden-goose/promotion"},
    "backup": {"type": "path"},
    "wait": {"type": "int", "default": 0},
}
PROMOTION_OPTIONS: dict[str, dict[str, Any]] = {"service": {"type": "str", "required": True}, **ENGINE_OPTIONS}
SAYING_OPTIONS: dict[str, dict[str, Any]] = {"reason": {"type": "str", "default": ""}, "backup": {"type": "path"}}
POLICY_OPTION: dict[str, dict[str, Any]] = {"policy": {"type": "dict"}}
VAULT_OPTION: dict[str, dict[str, Any]] = {
    "vault": {
        "type": "dict",
        "options": {
            "address": {"type": "str", "default": "http://127.0.0.1:8200"},
            "ca_cert": {"type": "path"},
            "token": {"type": "str", "no_log": True},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "role_id": {"type": "str"},
            "secret_id": {"type": "str", "no_log": True},
            "mount": {"type": "str"},
            "transit_mount": {"type": "str", "default": "transit"},
        },
    }
}
GATE_OPTIONS: dict[str, dict[str, Any]] = {
    "prometheus": {"type": "str"},
    "said": {"type": "dict", "default": {}},
    "images_dir": {"type": "path"},
    "vulnerabilities": {"type": "path"},
    "semgrep_rules": {"type": "path", "default": "/etc/golden-goose/promotion/semgrep"},
    "timeout": {"type": "int", "default": 300},
}
SERVICES_OPTION: dict[str, dict[str, Any]] = {"services_dir": {"type": "path", "required": True}}


def promoter(params: Mapping[str, Any], *, dry_run: bool, keeping: bool = False) -> Promoter:
    """Return the engine that a module's options describe; it connects to nothing yet.

    :param keeping: whether it brings the copy up to date when a promotion is completed.
    :raises LedgerError: there is no such ledger, or the metadata is incomplete.
    """
    cluster = KubernetesCluster(params["kubeconfig"])
    owner, wait = play_owner(), float(params.get("wait") or 0)
    evidence = evidence_of(params, dry_run=dry_run)
    approle, backup = params.get("vault_approle"), params.get("backup")
    return Promoter(
        evidence=evidence,
        cluster=cluster,
        runs=Runs(Path(params["run_dir"]), owner, wait),
        lease=Leases(cluster, owner, wait_seconds=wait).hold,
        # A rollback does without the source.
        services_dir=Path(params.get("services_dir") or "."),
        signer=lambda: _signer(approle),
        anchor=(lambda: _anchor(evidence, approle)) if approle else None,
        keep=(lambda: _keep(evidence, approle, backup, dry_run)) if keeping and approle else None,
        rollout_timeout=float(params.get("rollout_timeout") or 120),
        dry_run=dry_run,
        policy=read_policy(params.get("policy"), tuple(GATES)),
    )


def _anchor(evidence: Evidence, approle: str) -> None:
    # As with the signer: only a promotion needs Vault and its library.
    from ..evidence.anchoring import vault_heads
    from ..ledger import anchor

    second = vault_heads(approle)
    with second.vault.lasting():
        anchor(evidence.ledger, second, evidence.metadata)


def _keep(evidence: Evidence, approle: str, backup: str | None, dry_run: bool) -> bool:
    from ..evidence.anchoring import copy_and_anchor, vault_heads

    second = vault_heads(approle)
    with second.vault.lasting():
        return copy_and_anchor(evidence.ledger, second, evidence.metadata, backup, dry_run=dry_run)


def scanners_of(params: Mapping[str, Any]) -> Scanners:
    """Return what the gates may use, as a module's options say."""
    return Scanners(
        Path(params["semgrep_rules"]),
        float(params["timeout"]),
        prometheus=params["prometheus"],
        images_dir=Path(params["images_dir"]) if params["images_dir"] else None,
        vulnerabilities=Path(params["vulnerabilities"]) if params["vulnerabilities"] else None,
        said=params["said"],
    )


def evidence_of(params: Mapping[str, Any], *, dry_run: bool) -> Evidence:
    """Return the ledger that a module's options describe, with the copy it must not fall behind.

    :raises LedgerError: there is no such ledger, or the metadata is incomplete.
    """
    backup = params.get("backup")
    # The engine verifies all of it before it does anything.
    ledger = open_ledger(params, edge=False)
    return Evidence(ledger, audit_metadata(params), Path(backup) if backup else None, read_only=dry_run)


@contextmanager
def voice(params: Mapping[str, Any]) -> Iterator[Voice]:
    """Yield who the option ``vault`` proves to speak; without it, the login that the module runs as.

    :raises VaultError: Vault does not answer, or does not know these credentials.
    """
    if not params.get("vault"):
        yield Voice(Identity(pwd.getpwuid(os.getuid()).pw_name))
        return
    with logged_in(params["vault"]) as person:
        yield Voice(person.identity, person.sign, person.has_signed)


def requester_of(params: Mapping[str, Any]) -> Requester:
    """Return who asks for a promotion: the option ``requested_by``, else whom ``voice`` finds.

    :raises VaultError: as ``voice`` does.
    """
    if params.get("requested_by"):
        return Requester(str(params["requested_by"]))
    with voice(params) as speaker:
        return Requester(speaker.identity.name, speaker.identity.entity)


def requester_sign(params: Mapping[str, Any]) -> Sign | None:
    """Return how who asks signs what they ask for, by logging in once more; None for a mere login."""
    if not params.get("vault"):
        return None

    def sign(event: str, data: Mapping[str, Any], id: str) -> dict[str, Any]:
        with logged_in(params["vault"]) as person:
            return person.sign(event, data, id)

    return sign


def _signer(approle: str | None) -> Signer:
    if not approle:
        raise GoldenGooseError(
            "Nothing is promoted without a signature: set vault_approle to the file with the promoter's "
            "Vault credentials, which playbooks/vault.yml writes."
        )
    # Only a promotion needs Vault; gates and rollbacks work without its library.
    from ..vault import PromoterVault

    return PromoterVault.from_approle_file(approle)
