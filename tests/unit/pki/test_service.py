# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All credentials of a cluster in one pass, and kubeconfigs as the library kubernetes reads them."""

from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.pki import service
from ansible_collections.golden_goose.compliance.plugins.module_utils.pki.kubeconfig import write_credentials
from kubernetes import client
from kubernetes.config import load_kube_config

SERVER = "https://127.0.0.1:6443"


@pytest.fixture
def wanted(tmp_path: Path) -> dict[str, Any]:
    def certificate(name: str, issuer: str) -> dict[str, Any]:
        fields = {"organization": None, "dns": [], "ip": [], "usages": ["client"], "days": 365}
        return {"name": name, "issuer": issuer, "common_name": f"user:{name}", **fields}

    return {
        "folder": tmp_path / "pki",
        "authorities": [{"name": name, "common_name": name, "days": 3650} for name in ("ca", "etcd-ca")],
        "certificates": [certificate("admin", "ca"), certificate("etcd", "etcd-ca")],
        "key_pairs": ["service-account"],
        "kubeconfigs": [
            {
                "path": str(tmp_path / "admin.kubeconfig"),
                "server": SERVER,
                "authority": "ca",
                "certificate": "admin",
            }
        ],
    }


def ensure(wanted: dict[str, Any], *, check: bool = False) -> list[str]:
    return service.ensure(**wanted, check=check)


def test_four_times(wanted: dict[str, Any], tmp_path: Path) -> None:
    """Check, real, check again, real again."""
    everything = ["ca", "etcd-ca", "admin", "etcd", "service-account", str(tmp_path / "admin.kubeconfig")]
    assert ensure(wanted, check=True) == everything
    assert list(tmp_path.iterdir()) == []
    assert ensure(wanted) == everything
    assert ensure(wanted, check=True) == ensure(wanted) == []


def lose_authority(wanted: dict[str, Any]) -> None:
    (wanted["folder"] / "ca.crt").unlink()


def lose_kubeconfig(wanted: dict[str, Any]) -> None:
    Path(wanted["kubeconfigs"][0]["path"]).unlink()


def open_kubeconfig(wanted: dict[str, Any]) -> None:
    Path(wanted["kubeconfigs"][0]["path"]).chmod(0o644)


def move_server(wanted: dict[str, Any]) -> None:
    wanted["kubeconfigs"][0]["server"] = "https://127.0.0.1:7443"


@pytest.mark.parametrize(
    ("change", "issued"),
    [
        (lose_authority, ["ca", "admin", "kubeconfig"]),
        (lose_kubeconfig, ["kubeconfig"]),
        (open_kubeconfig, ["kubeconfig"]),
        (move_server, ["kubeconfig"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_follows_from_a_change(wanted: dict[str, Any], change: Any, issued: list[str]) -> None:
    ensure(wanted)
    change(wanted)
    path = wanted["kubeconfigs"][0]["path"]
    expected = [path if name == "kubeconfig" else name for name in issued]
    assert ensure(wanted, check=True) == expected
    assert ensure(wanted) == expected
    assert ensure(wanted, check=True) == ensure(wanted) == []
    assert Path(path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("key", ["authority", "certificate"])
def test_a_kubeconfig_of_something_unknown_is_refused_before_anything_is_issued(
    wanted: dict[str, Any], key: str
) -> None:
    unknown = copy.deepcopy(wanted)
    unknown["kubeconfigs"][0][key] = "nobody"
    for check in (True, False):
        with pytest.raises(GoldenGooseError, match=f"admin.kubeconfig names the {key} nobody, which is not among"):
            ensure(unknown, check=check)
    assert not wanted["folder"].exists()


def test_kubernetes_loads_the_kubeconfig(wanted: dict[str, Any]) -> None:
    ensure(wanted)
    settings = client.Configuration()
    load_kube_config(wanted["kubeconfigs"][0]["path"], client_configuration=settings, persist_config=False)
    assert settings.host == SERVER
    assert Path(settings.ssl_ca_cert).read_bytes() == (wanted["folder"] / "ca.crt").read_bytes()
    assert Path(settings.cert_file).read_bytes() == (wanted["folder"] / "admin.crt").read_bytes()
    assert Path(settings.key_file).read_bytes() == (wanted["folder"] / "admin.key").read_bytes()


def test_a_token_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.token"
    results = [write_credentials(path, "secret", None, "x", check=check) for check in (True, False, True, False)]
    assert results == [True, True, False, False]
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("secret", 0o600)
    assert write_credentials(path, "another", None, "x", check=True)


def test_a_kubeconfig_with_a_token_for_the_same_cluster(wanted: dict[str, Any], tmp_path: Path) -> None:
    ensure(wanted)
    like, path = Path(wanted["kubeconfigs"][0]["path"]), tmp_path / "promoter.kubeconfig"
    assert write_credentials(path, "secret", like, "promoter", check=False)
    assert not write_credentials(path, "secret", like, "promoter", check=False)
    settings = client.Configuration()
    load_kube_config(str(path), client_configuration=settings, persist_config=False)
    assert (settings.host, settings.api_key) == (SERVER, {"BearerToken": "Bearer secret"})
    assert Path(settings.ssl_ca_cert).read_bytes() == (wanted["folder"] / "ca.crt").read_bytes()
    assert settings.cert_file is None
    assert "client-key-data" not in path.read_text()


def test_an_authority_beside_the_kubeconfig_is_taken_in(tmp_path: Path) -> None:
    """As an existing cluster's kubeconfig may name it."""
    (tmp_path / "ca.crt").write_text("PEM")
    like = tmp_path / "theirs.kubeconfig"
    cluster = {"server": SERVER, "certificate-authority": "ca.crt"}
    config = {
        "clusters": [{"name": "other", "cluster": {}}, {"name": "theirs", "cluster": cluster}],
        "contexts": [{"name": "me", "context": {"cluster": "theirs", "user": "u"}}],
        "current-context": "me",
    }
    like.write_text(yaml.safe_dump(config))
    write_credentials(tmp_path / "x", "secret", like, "promoter", check=False)
    written = yaml.safe_load((tmp_path / "x").read_text())["clusters"][0]["cluster"]
    assert written == {"server": SERVER, "certificate-authority-data": base64.b64encode(b"PEM").decode()}


@pytest.mark.parametrize("content", [None, "", "[1]", "{", "contexts: []\nclusters: []\ncurrent-context: me\n"])
def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path, content: str | None) -> None:
    like = tmp_path / "theirs.kubeconfig"
    if content is not None:
        like.write_text(content)
    with pytest.raises(GoldenGooseError, match=f"Cannot take the cluster's address from the kubeconfig {like}"):
        write_credentials(tmp_path / "x", "secret", like, "promoter", check=False)
    assert not (tmp_path / "x").exists()
