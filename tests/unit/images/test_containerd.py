# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of ctr, with a ctr that only remembers. A real containerd is in tests/integration."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.containerd import (
    Containerd,
    ensure_loaded,
    ensure_removed,
)

NAME = "local.test/x"
# Prints tables as ctr 1.6 does; images are kept in a JSON file beside it.
_CTR = """#!{python}
import json, pathlib, sys, tarfile
store = pathlib.Path(__file__).with_name("images.json")
images = json.loads(store.read_text()) if store.exists() else {{}}
assert sys.argv[1] == "--address" and sys.argv[3:6] == ["--namespace", "k8s.io", "images"], sys.argv
action, rest = sys.argv[6], sys.argv[7:]
if action == "check":
    print("REF TYPE DIGEST STATUS SIZE UNPACKED")
    for ref, (digest, state) in images.items():
        if rest == [f'name=="{{ref}}"']:
            print(ref, "application/vnd.oci", digest, state, "(2/2) 1.0 MiB/1.0 MiB", "true")
elif action == "list":
    print("REF TYPE DIGEST SIZE PLATFORMS LABELS")
    for ref, (digest, state) in images.items():
        print(ref, "application/vnd.oci", digest, "1.0 MiB linux/amd64 -")
elif action == "import":
    digest = json.load(tarfile.open(rest[-1]).extractfile("index.json"))["manifests"][0]["digest"]
    assert rest[:3] == ["--digests", "--base-name", "local.test/x"], rest
    images[f"local.test/x@{{digest}}"] = images["sha256:cf"] = (digest, "complete")
elif action == "tag":
    images[rest[2]] = images[rest[1]]
elif action == "remove":
    del images[rest[0]]
store.write_text(json.dumps(images))
"""


@pytest.fixture
def containerd(tmp_path: Path) -> Iterator[Containerd]:
    ctr = tmp_path / "ctr"
    ctr.write_text(_CTR.format(python=sys.executable))
    ctr.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "c.sock"))
        yield Containerd(tmp_path / "c.sock", ctr=str(ctr))


def _images(containerd: Containerd) -> dict[str, list[str]]:
    store = Path(containerd.ctr).with_name("images.json")
    return json.loads(store.read_text()) if store.exists() else {}


def test_an_image_is_loaded_once_under_its_digest_and_tag(containerd: Containerd, make_archive: Callable) -> None:
    archive, digest = make_archive()
    assert ensure_loaded(containerd, NAME, archive, "1", digest, check=True) == (digest, True)
    assert _images(containerd) == {}
    assert ensure_loaded(containerd, NAME, archive, "1", digest, check=False) == (digest, True)
    assert {f"{NAME}@{digest}", f"{NAME}:1"} <= set(_images(containerd))
    assert ensure_loaded(containerd, NAME, archive, "1", digest, check=False) == (digest, False)


@pytest.mark.parametrize("state", ["incomplete", "unavailable"])
def test_an_image_that_is_not_whole_is_loaded_again(containerd: Containerd, make_archive: Callable, state: str) -> None:
    archive, digest = make_archive()
    Path(containerd.ctr).with_name("images.json").write_text(json.dumps({f"{NAME}@{digest}": [digest, state]}))
    assert ensure_loaded(containerd, NAME, archive, None, None, check=False) == (digest, True)


def test_another_digest_than_expected_is_refused(containerd: Containerd, make_archive: Callable) -> None:
    archive, digest = make_archive()
    with pytest.raises(GoldenGooseError, match=f"holds the image {digest}; expected sha256:0"):
        ensure_loaded(containerd, NAME, archive, None, "sha256:0", check=False)
    assert _images(containerd) == {}


def test_no_containerd_is_one_sentence_but_not_in_check_mode(tmp_path: Path, make_archive: Callable) -> None:
    archive, digest = make_archive()
    nobody = Containerd(tmp_path / "none.sock")
    assert ensure_loaded(nobody, NAME, archive, None, None, check=True) == (digest, True)
    assert ensure_removed(nobody, NAME, check=False) == []
    with pytest.raises(GoldenGooseError, match=r"There is no containerd at .*; start it with playbooks/sandbox.yml"):
        ensure_loaded(nobody, NAME, archive, None, None, check=False)


def test_removing_takes_every_name_of_it_and_no_other(containerd: Containerd, make_archive: Callable) -> None:
    archive, digest = make_archive()
    ensure_loaded(containerd, NAME, archive, "1", digest, check=False)
    store = Path(containerd.ctr).with_name("images.json")
    store.write_text(json.dumps({**_images(containerd), f"{NAME}y@{digest}": [digest, "complete"]}))
    wanted = [f"{NAME}:1", f"{NAME}@{digest}", "sha256:cf"]
    assert ensure_removed(containerd, NAME, check=True) == wanted
    assert ensure_removed(containerd, NAME, check=False) == wanted
    assert set(_images(containerd)) == {f"{NAME}y@{digest}"}
    assert ensure_removed(containerd, NAME, check=False) == []
