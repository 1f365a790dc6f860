# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What people can do next about a plan, as sentences with the commands and the whole hash to run them with."""

from __future__ import annotations

from typing import Any

from .plan import Plan
from .standing import Standing


def what_next(plan: Plan | None, denied: list[dict[str, Any]]) -> str:
    """Return what people can do about a promotion that waits, to be put after the sentence that says why; or nothing.

    :param denied: the shortfalls, as ``standing.findings`` returns them.
    """
    if plan is None:
        return ""
    gates, approve = {item["gate"] for item in denied}, _command("approve", plan)
    steps = {
        "freeze": f"to override the freeze, two people each run {approve} -e override=true -e reason='<why>'",
        "approvals": f"to approve it, someone other than {plan.requester.name} runs {approve}",
    }
    said = [step for gate, step in steps.items() if gate in gates]
    return f" Next: {'; '.join(said)}; after that, {_command('promote', plan)} goes on." if said else ""


def briefing(plan: Plan, standing: Standing) -> dict[str, Any]:
    """Return {requested_by, approved_by, missing_approvals, next} of a plan, as modules return it.

    :param standing: signatures that nobody checked count here; the choke point has Vault check them.
    """
    counting = [{str(one.data["by"]["name"]) for one in standing.approvers(plan, name)} for name in plan.services]
    names = sorted(set.intersection(*counting))
    missing = max(0, int(plan.policy["quorum"]) - len(names))
    asked, promote = plan.requester.name, _command("promote", plan)
    if missing:
        people = "person" if missing == 1 else "people"
        said = (
            f"{missing} more {people}, other than {asked}, to approve it with {_command('approve', plan)}; "
            f"after that, {promote}"
        )
    else:
        approved = f"approved by {', '.join(names)}" if names else "nobody has to approve it"
        said = f"{approved}; promote it with {promote}"
    return {"requested_by": asked, "approved_by": names, "missing_approvals": missing, "next": said}


def _command(playbook: str, plan: Plan) -> str:
    return f"ansible-playbook playbooks/{playbook}.yml -e plan={plan.sha256}"
