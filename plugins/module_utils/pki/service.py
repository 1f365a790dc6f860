# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""All credentials of one cluster in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from .certificates import Authority, Request, requests_from
from .kubeconfig import kubeconfig, write_kubeconfig


def ensure(
    folder: Path,
    authorities: Sequence[Mapping[str, Any]],
    certificates: Sequence[Mapping[str, Any]],
    key_pairs: Sequence[str],
    kubeconfigs: Sequence[Mapping[str, Any]],
    *,
    check: bool,
) -> list[str]:
    """Issue what is missing; return the names and paths that were, or in check mode would be, written.

    :raises GoldenGooseError: the request is not possible, or a file cannot be read or written.
    """
    authority = Authority(folder, check=check)
    requests = requests_from(authorities, certificates)
    _require_known(requests, kubeconfigs)
    users = {request.name: request.common_name for request in requests}
    issued: list[str] = []
    for request in requests:
        # What an authority issued before it was itself issued anew is worthless.
        if authority.ensure(request) or request.issuer in issued:
            issued.append(request.name)
    issued += [name for name in key_pairs if authority.ensure_key_pair(name)]
    for item in kubeconfigs:
        path = Path(item["path"])
        if check and {item["certificate"], item["authority"]} & set(issued):
            issued.append(str(path))
            continue
        content = kubeconfig(
            item["server"],
            authority.certificate_pem(item["authority"]),
            authority.certificate_pem(item["certificate"]),
            authority.key_pem(item["certificate"]),
            users[item["certificate"]],
        )
        if write_kubeconfig(path, content, check=check):
            issued.append(str(path))
    return issued


def _require_known(requests: Sequence[Request], kubeconfigs: Sequence[Mapping[str, Any]]) -> None:
    known = {request.name for request in requests}
    for item in kubeconfigs:
        for key in ("authority", "certificate"):
            if item[key] not in known:
                raise GoldenGooseError(
                    f"The kubeconfig {item['path']} names the {key} {item[key]}, which is not among those "
                    f"asked for: {', '.join(sorted(known))}."
                )
