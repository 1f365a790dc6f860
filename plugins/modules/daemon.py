#!/usr/bin/python
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a list of programs running."""

from __future__ import annotations

DOCUMENTATION = r"""
module: daemon
short_description: Keep a list of programs running
version_added: "0.1.0"
description:
  - Starts programs and has them started again when they end, by systemd where it is PID 1 and by a
    supervisord of our own elsewhere.
  - A program is restarted when its command, its environment or the content of a file in O(services[].restart_on)
    differs from what the running process was started with.
  - Programs are started in the order of the list; one with O(services[].ready) is waited for before the next.
  - Use the role P(golden_goose.compliance.daemon#role), which prepares the manager, unless that has been done.
author:
  - Golden Goose founders (@golden-goose)
attributes:
  check_mode:
    description: Can run in check mode and say what would change.
    support: full
  diff_mode:
    description: Returns no differences; a unit may hold a secret in its environment.
    support: none
  idempotent:
    description: A second run changes nothing while the processes run.
    support: full
options:
  instance:
    description: Prefix of the unit names; two instances on one machine need two.
    type: str
    default: golden-goose
  state:
    description: Whether the programs are to run, or to be stopped and forgotten.
    type: str
    choices: [started, absent]
    default: started
  supervisord:
    description: Path of the program supervisord; used where systemd is not PID 1.
    type: path
    default: /opt/golden-goose/supervisor/bin/supervisord
  config_dir:
    description: Folder of supervisord's configuration.
    type: path
    default: /etc/golden-goose/supervisor
  log_dir:
    description: Folder of the programs' logs where systemd is not PID 1.
    type: path
    default: /var/log/golden-goose
  run_dir:
    description: Folder of supervisord's socket.
    type: path
    default: /run/golden-goose
  services:
    description: The programs, in the order in which they are started.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the program; the unit is called C(<instance>-<name>).
        type: str
        required: true
      command:
        description: Program and arguments. Needed unless O(state=absent).
        type: list
        elements: str
      environment:
        description: Environment variables.
        type: dict
      user:
        description: User that the program runs as.
        type: str
        default: root
      restart_on:
        description: Files whose content the program reads at its start.
        type: list
        elements: path
      prepare:
        description: Commands to run before each start.
        type: list
        elements: list
      ready:
        description: How to see that the program works.
        type: dict
        suboptions:
          http:
            description: URL that answers with one of O(services[].ready.status).
            type: str
          tcp:
            description: Address, as C(host:port), that accepts a connection.
            type: str
          unix:
            description: Socket that accepts a connection.
            type: path
          ca:
            description: PEM file of the authority that O(services[].ready.http) is trusted by.
            type: path
          cert:
            description: PEM file of a client certificate.
            type: path
          key:
            description: PEM file of the key of O(services[].ready.cert).
            type: path
          status:
            description: HTTP statuses that mean ready; 200 when not given.
            type: list
            elements: int
          timeout:
            description: Seconds to wait.
            type: float
            default: 60
      stop_timeout:
        description: Seconds between SIGTERM and SIGKILL.
        type: int
        default: 20
      kill_mode:
        description: V(process) ends the program alone and leaves its children running.
        type: str
        choices: [mixed, process]
        default: mixed
"""

EXAMPLES = r"""
- name: Keep Prometheus running
  golden_goose.compliance.daemon:
    services:
      - name: prometheus
        command: [/usr/bin/prometheus, --config.file=/etc/golden-goose/prometheus/prometheus.yml]
        user: prometheus
        restart_on: [/etc/golden-goose/prometheus/prometheus.yml]
        ready: {http: "http://127.0.0.1:9090/-/ready"}
"""

RETURN = r"""
manager:
  description: What keeps the programs running, V(systemd) or V(supervisor).
  type: str
  returned: success
services:
  description: For each program its O(services[].name), C(state) and C(ready_after) in seconds.
  type: list
  elements: dict
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons import engine
from ansible_collections.golden_goose.compliance.plugins.module_utils.daemons.model import daemons_from
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError

READY = {
    "http": {"type": "str"},
    "tcp": {"type": "str"},
    "unix": {"type": "path"},
    "ca": {"type": "path"},
    "cert": {"type": "path"},
    "key": {"type": "path", "no_log": False},
    "status": {"type": "list", "elements": "int"},
    "timeout": {"type": "float", "default": 60},
}

SERVICE = {
    "name": {"type": "str", "required": True},
    "command": {"type": "list", "elements": "str"},
    "environment": {"type": "dict"},
    "user": {"type": "str", "default": "root"},
    "restart_on": {"type": "list", "elements": "path"},
    "prepare": {"type": "list", "elements": "list"},
    "ready": {
        "type": "dict",
        "options": READY,
        "mutually_exclusive": [("http", "tcp", "unix")],
        "required_one_of": [("http", "tcp", "unix")],
    },
    "stop_timeout": {"type": "int", "default": 20},
    "kill_mode": {"type": "str", "choices": ["mixed", "process"], "default": "mixed"},
}

ARGUMENTS = {
    "instance": {"type": "str", "default": "golden-goose"},
    "state": {"type": "str", "choices": ["started", "absent"], "default": "started"},
    "supervisord": {"type": "path", "default": "/opt/golden-goose/supervisor/bin/supervisord"},
    "config_dir": {"type": "path", "default": "/etc/golden-goose/supervisor"},
    "log_dir": {"type": "path", "default": "/var/log/golden-goose"},
    "run_dir": {"type": "path", "default": "/run/golden-goose"},
    "services": {"type": "list", "elements": "dict", "required": True, "options": SERVICE},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    folders = engine.Folders(
        config=Path(given["config_dir"]),
        log=Path(given["log_dir"]),
        run=Path(given["run_dir"]),
        supervisord=Path(given["supervisord"]),
    )
    try:
        manager = engine.manager_for(given["instance"], folders)
        daemons = daemons_from(given["instance"], given["services"])
        act = engine.apply if given["state"] == "started" else engine.remove
        result = act(manager, daemons, check=module.check_mode)
    except GoldenGooseError as error:
        module.fail_json(msg=str(error), **error.facts)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
