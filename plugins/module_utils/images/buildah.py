# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Run buildah so that it leaves nothing behind: its storage, caches and temporary files lie in one scratch folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ..commands import run
from ..errors import GoldenGooseError
from .base import EPOCH

# Where containers/image keeps a cache that no option of buildah moves; in a mount namespace of our own
# it is the scratch folder.
_SHARED = Path("/var/lib/containers")
_ENTER = 'mount --bind "$0" "$1" && shift && exec "$@"'
_SECONDS = 900.0


def build_archive(image: str, context: Path, containerfile: Path, *, labels: Mapping[str, str], scratch: Path) -> Path:
    """Return the OCI archive (a new file in ``scratch``) of ``containerfile`` built on ``context``.

    All dates are EPOCH, the storage driver is vfs and nothing is pulled: the same context gives the same digest.

    :raises GoldenGooseError: buildah is missing or fails.
    """
    if os.geteuid() != 0:
        raise GoldenGooseError(f"Building {image} needs root, for the mounts of buildah; run it with become.")
    if shutil.which("buildah") is None:
        raise GoldenGooseError(f"Building {image} needs the program buildah, which is not installed.")
    archive = scratch / "image.tar"
    store = scratch / "store"
    store.mkdir()
    policy = scratch / "policy.json"
    # Nothing is pulled, so there is no signature to check; buildah insists on a policy file.
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}), encoding="utf-8")
    local = "localhost/build:latest"
    options = [f"--signature-policy={policy}"]
    build = [
        *("build", "--isolation=chroot", "--format=oci", "--pull-never", "--no-cache", "--quiet"),
        *("--timestamp", str(EPOCH), "--tag", local, "--file", str(containerfile), *options),
        *(f"--label={name}={value}" for name, value in sorted(labels.items())),
        str(context),
    ]
    with _private_storage(store) as prefix:
        what = f"Building the image {image}"
        environment = {**os.environ, "TMPDIR": str(scratch), "LC_ALL": "C.UTF-8"}
        run([*prefix, *build], what, timeout=_SECONDS, environment=environment)
        push = ["push", "--quiet", *options, local, f"oci-archive:{archive}"]
        run([*prefix, *push], f"Writing the archive of {image}", timeout=_SECONDS, environment=environment)
    return archive


@contextmanager
def _private_storage(store: Path) -> Iterator[list[str]]:
    """Give the start of a command line that runs buildah with ``store`` in place of the shared storage."""
    existed = _SHARED.is_dir()
    _SHARED.mkdir(parents=True, exist_ok=True)
    try:
        yield [
            *("unshare", "--mount", "--propagation", "private", "--"),
            *("/bin/sh", "-c", _ENTER, str(store), str(_SHARED), "buildah"),
            *("--root", str(store / "storage"), "--runroot", str(store / "run"), "--storage-driver", "vfs"),
        ]
    finally:
        if not existed:
            # Someone else may have begun to use it in the meantime.
            with suppress(OSError):
                _SHARED.rmdir()
