# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that check our ledgers and that we did not write, built from the Go module registry."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "checkers"
# What is built there is used again by the next run, and by the playbooks' own builds.
CACHE = Path(os.environ.get("GOLDEN_GOOSE_CACHE", "/var/cache/golden-goose"))
# On some damage fsck tries for ever; a sound ledger of these tests takes it a tenth of a second.
LIMIT_SECONDS = 8
# What `go build` is given: our own main package, or one of a module that ours only fixes the version of.
PACKAGES = {"sumdb": ".", "torchwood": ".", "fsck": "github.com/transparency-dev/tessera/cmd/fsck"}


@dataclass(frozen=True)
class Checker:
    """One program; ``go`` is what it was built with."""

    name: str
    program: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it, for at most ``LIMIT_SECONDS``."""
        return subprocess.run(
            [str(self.program), *arguments], capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS
        )


def build(name: str, folder: Path) -> Checker:
    """Build the checker ``name`` in ``folder``; with a warm cache that is a second."""
    # The last is the one that a build of Kubernetes brought along where there was none.
    places = (shutil.which("go"), "/usr/local/go/bin/go", str(CACHE / "go/bin/go"))
    go = next((place for place in places if place and Path(place).exists()), "go")
    work = folder / name
    shutil.copytree(SOURCES / name, work)
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
        "GOCACHE": str(CACHE / "go-build"),
        "GOMODCACHE": str(CACHE / "go-mod"),
    }
    program = work / "program"
    subprocess.run(
        [go, "build", "-o", str(program), PACKAGES[name]], cwd=work, env=environment, check=True, timeout=900
    )
    return Checker(name, program)


def fsck_says(checker: Checker, ledger: Path, key: str) -> bool:
    """Return whether Tessera's fsck found the ledger to be sound: by its words, since its status says little."""
    file = checker.program.parent / "key"
    file.write_text(key)
    said = checker.run(
        "--storage_url", f"file://{ledger}/", "--public_key", str(file), "--ui=false", "-v=2", "-logtostderr"
    )
    return "Successfully fsck'd" in said.stderr and "fsck failed" not in said.stderr
