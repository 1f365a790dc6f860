# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call the module program_build until the build is finished, and print how far it is."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_MODULE = "golden_goose.compliance.program_build"
# Lines on the screen are this many seconds apart.
_INTERVAL = 10.0

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """Watch one build; the arguments are the module's."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's last result; ``changed`` when any of the calls started the build."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        host = (task_vars or {}).get("inventory_hostname", "")
        timeout = float(arguments.get("timeout") or 3600)
        deadline = time.monotonic() + timeout
        spoken = time.monotonic()
        changed = False
        while True:
            result: dict[str, Any] = self._execute_module(
                module_name=_MODULE, module_args=arguments, task_vars=task_vars
            )
            changed = changed or bool(result.get("changed"))
            result["changed"] = changed
            if result.get("failed") or result.get("finished") or self._task.check_mode:
                return result
            now = time.monotonic()
            if now > deadline:
                result["failed"] = True
                result["msg"] = (
                    f"The build was not finished after {timeout:.0f} s; last seen: {result.get('progress')}. "
                    "It goes on in the background; run again to join it."
                )
                return result
            if now - spoken >= _INTERVAL:
                spoken = now
                display.display(f"  [{host}] {result.get('progress')}")
            # A failure that shows up now ends the task instead of starting the build anew.
            arguments["restart"] = False
