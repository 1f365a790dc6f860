# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real images: buildah and mmdebstrap make them, a containerd of our own runs them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.base import Mirrors
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.build import (
    Built,
    build_image,
    context_request,
    service_request,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.containerd import (
    Containerd,
    ensure_loaded,
    ensure_removed,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.services import Service, find_service

REPOSITORY = Path(__file__).resolve().parents[2]
PAUSE = REPOSITORY / "roles" / "kubernetes" / "files" / "images" / "pause" / "Containerfile"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="buildah and containerd need root for their mounts"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def service() -> Service:
    return find_service(REPOSITORY / "services", "service-a")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def built(service: Service, cache: Path) -> Built:
    built, changed = build_image(service_request(service), cache, Mirrors())
    assert changed
    return built


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    folder = tmp_path_factory.mktemp("containerd")
    # A path of a Unix socket may have 107 characters.
    address = Path(f"/tmp/golden-goose-test-{os.getpid()}.sock")
    (folder / "config.toml").write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{address}"\n'
        f'[plugins."io.containerd.internal.v1.opt"]\npath = "{folder}/opt"\n'
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["containerd", "--config", str(folder / "config.toml")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while not address.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert address.exists(), (folder / "log").read_text()
        yield Containerd(address)
    finally:
        process.terminate()
        process.wait(timeout=30)
        for name in (address, Path(f"{address}.ttrpc")):
            name.unlink(missing_ok=True)


def test_the_same_source_gives_the_same_digest_in_another_cache(service: Service, built: Built, tmp_path: Path) -> None:
    again, changed = build_image(service_request(service), tmp_path, Mirrors())
    assert changed
    assert again.archive != built.archive
    assert again.base is not None
    assert built.base is not None
    assert again.base.sha256 == built.base.sha256
    assert again.digest == built.digest


def test_nothing_is_left_beside_the_cache(built: Built, cache: Path) -> None:
    assert {p.name for p in (cache / "images").iterdir()} == {"lock", "base", "wheels", "service-a"}
    assert str(cache) not in Path("/proc/mounts").read_text()


def test_packages_of_the_base_are_recorded(built: Built) -> None:
    assert built.base is not None
    versions = {package["name"]: package["version"] for package in built.base.packages}
    assert {"libc6", "python3.11-minimal", "libpython3.11-stdlib", "base-files"} <= set(versions)
    assert all(versions.values())


def test_the_image_says_who_it_is_and_has_no_shell(service: Service, built: Built) -> None:
    with tarfile.open(built.archive) as archive:

        def read(digest: str) -> bytes:
            stream = archive.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
            assert stream is not None
            return stream.read()

        manifest = json.loads(read(built.digest))
        config = json.loads(read(manifest["config"]["digest"]))
        layer = archive.extractfile(f"blobs/sha256/{manifest['layers'][0]['digest'].removeprefix('sha256:')}")
        with tarfile.open(fileobj=layer) as tree:
            names = {name.removeprefix("./") for name in tree.getnames()}
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Labels"]["golden-goose.local/source-sha256"] == built.source_sha256
    assert config["created"] == "2025-01-01T00:00:00Z"
    assert "app/src/converter/server.py" in names
    assert names.isdisjoint({"bin/sh", "bin/bash", "usr/bin/dpkg", "usr/bin/apt", "usr/bin/perl"})


def test_it_runs_read_only_and_ends_on_sigterm(built: Built, containerd: Containerd) -> None:
    digest, changed = ensure_loaded(containerd, built.image, built.archive, None, built.digest, check=False)
    assert changed
    assert ensure_loaded(containerd, built.image, built.archive, None, None, check=False) == (digest, False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    name = f"test-{os.getpid()}"
    ctr = ["ctr", "--address", str(containerd.socket), "--namespace", containerd.namespace]
    environment = [f"--env=PORT={port}", "--env=ADDRESS=127.0.0.1", "--env=DRAIN_SECONDS=0", "--env=STAGE=test"]
    container = subprocess.Popen(
        [*ctr, "run", "--rm", "--read-only", "--net-host", *environment, f"{built.image}@{digest}", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert _version(port, container) == {
            "name": "service-a",
            "version": "1.0.0",
            "source_sha256": built.source_sha256,
            "stage": "test",
        }
        subprocess.run([*ctr, "task", "kill", "--signal", "SIGTERM", name], check=True)
        assert container.wait(timeout=20) == 0
    finally:
        container.kill()
        container.wait()
    assert ensure_removed(containerd, built.image, check=False) != []
    assert ensure_removed(containerd, built.image, check=False) == []


def _version(port: int, container: subprocess.Popen[str]) -> dict[str, str]:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=5) as answer:
                return dict(json.load(answer))
        except OSError:
            assert container.poll() is None, container.communicate()[0]
            assert time.monotonic() < deadline, "the container does not answer within 30 s"
            time.sleep(0.05)


def test_the_pause_image_is_one_static_file(cache: Path, tmp_path: Path, containerd: Containerd) -> None:
    shutil.copy(PAUSE, tmp_path)
    (tmp_path / "image.yml").write_text("host_files: {catatonit: /usr/bin/catatonit}\n")
    built, _changed = build_image(context_request("golden-goose.local/pause", tmp_path), cache, Mirrors())
    assert built.archive.stat().st_size < 2_000_000
    ensure_loaded(containerd, built.image, built.archive, "1", built.digest, check=False)
    assert containerd.has("golden-goose.local/pause:1", built.digest)


def test_a_containerfile_that_fails_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "Containerfile").write_text("FROM scratch\nCOPY nothing /\n")
    with pytest.raises(GoldenGooseError, match=r"Building the image local\.test/x failed with status") as error:
        build_image(context_request("local.test/x", tmp_path / "recipe"), tmp_path / "cache", Mirrors())
    assert "nothing" in str(error.value)
    assert "\n" not in str(error.value)
    assert [p.name for p in (tmp_path / "cache" / "images").iterdir()] == ["lock"]


def test_a_package_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "Containerfile").write_text("FROM scratch\nADD base.tar /\n")
    (tmp_path / "recipe" / "image.yml").write_text("base: {suite: bookworm, packages: [no-such-package]}\n")
    with pytest.raises(GoldenGooseError, match="Making the bookworm base system failed") as error:
        build_image(context_request("local.test/x", tmp_path / "recipe"), tmp_path / "cache", Mirrors())
    assert "no-such-package" in str(error.value)
