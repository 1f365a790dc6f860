# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon, and texts that have to reach a program as they are."""

from __future__ import annotations

from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.model import Daemon

# Each has a character that a unit file, supervisor's configuration or a shell takes for its own.
AWKWARD = (
    "plain",
    "",
    "two words",
    "a ; b",
    "a # b",
    ";",
    "#x",
    "50% %n %(here)s",
    "$HOME ${HOME}",
    'say "hi"',
    "it's",
    'it\'s ; "so"',
    "back\\slash\\n",
    "a,b=c",
    "tab\there",
    "ü",
)


def daemon(**more: object) -> Daemon:
    """Return a small daemon; ``more`` are other fields."""
    fields: dict[str, object] = {"instance": "gg", "name": "web", "command": ("/bin/sleep", "60"), **more}
    return Daemon(**fields)  # type: ignore[arg-type]
