# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Run one short program and turn its failure into a sentence."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from .errors import GoldenGooseError

_LAST_LINES = 5


def run(
    command: Sequence[str],
    what: str,
    *,
    timeout: float = 120.0,
    environment: Mapping[str, str] | None = None,
    cwd: str | None = None,
    stdin: str | None = None,
) -> str:
    """Run ``command`` and return its standard output.

    :param what: what the command is for, as the start of the error's sentence ("Starting x").
    :param timeout: seconds after which the program is killed.
    :raises GoldenGooseError: it is not installed, fails or does not end in time.
    """
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            cwd=cwd,
            input=stdin,
            check=False,
        )
    except FileNotFoundError as error:
        raise GoldenGooseError(f"{what} needs the program {command[0]}, which is not installed.") from error
    except OSError as error:
        raise GoldenGooseError(f"{what} failed: {command[0]}: {error.strerror or error}.") from error
    except subprocess.TimeoutExpired as error:
        raise GoldenGooseError(f"{what} did not end within {timeout:.0f} s ({command[0]}).") from error
    if done.returncode != 0:
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[-_LAST_LINES:])
        raise GoldenGooseError(f"{what} failed with status {done.returncode}: {said or 'it said nothing'}")
    return done.stdout
