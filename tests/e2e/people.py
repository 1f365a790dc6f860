# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People of an instance's own OpenBao, enrolled as docs/operations.md says, who run playbooks as themselves."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .instance import REPOSITORY, Instance, Play, environment

ADDRESS = "http://127.0.0.1:8200"


@dataclass
class People:
    """Each has a userpass login and a home folder of their own; ``ways`` are other ways in, as variables."""

    instance: Instance
    passwords: dict[str, str] = field(default_factory=dict)
    ways: dict[str, dict[str, str]] = field(default_factory=dict)

    # Vault

    def bao(self, *arguments: str, token: str = "", home: Path | None = None, said: str = "") -> str:
        """Return what the program bao prints; ``said`` is what it reads from standard input."""
        program = self.instance.root / "opt/golden-goose/openbao/bin/bao"
        env = {"PATH": os.defpath, "VAULT_ADDR": ADDRESS, "HOME": str(home or "/nonexistent")}
        env |= {"VAULT_TOKEN": token} if token else {}
        done = subprocess.run([program, *arguments], env=env, input=said, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"bao {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    @property
    def root_token(self) -> str:
        document = json.loads((self.instance.config / "vault/root.json").read_text())
        return str(document["root_token"])

    def enrol(self, name: str, *policies: str) -> None:
        """Let a person in with userpass, as docs/operations.md says."""
        if "userpass/" not in json.loads(self.bao("auth", "list", "-format=json", token=self.root_token)):
            self.bao("auth", "enable", "userpass", token=self.root_token)
        self.passwords[name] = f"{name}-{secrets.token_hex(8)}"
        settings = ("password=-", f"token_policies={','.join(policies)}")
        user = f"auth/userpass/users/{name}"
        self.bao("write", user, *settings, token=self.root_token, said=self.passwords[name])
        home = self.home(name)
        self.bao("login", "-method=userpass", f"username={name}", "password=-", home=home, said=self.passwords[name])

    def leave(self, name: str) -> None:
        """Take a person's login, tokens and key away, as docs/operations.md says."""
        root, key = self.root_token, f"transit/keys/approver-{self.entity(name)}"
        self.bao("delete", f"auth/userpass/users/{name}", token=root)
        self.bao("lease", "revoke", "-prefix", f"auth/userpass/login/{name}", token=root)
        self.bao("write", f"{key}/config", "deletion_allowed=true", token=root)
        self.bao("delete", key, token=root)

    def home(self, name: str) -> Path:
        """Return the home folder, where bao leaves the token."""
        home = self.instance.folder / "homes" / name
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return home

    @property
    def nobody(self) -> dict[str, str]:
        """Return the environment of who has not logged in to Vault."""
        return {"HOME": str(self.home("nobody"))}

    def token(self, name: str) -> str:
        """Return the token that the person has."""
        return (self.home(name) / ".vault-token").read_text()

    def entity(self, name: str) -> str:
        """Return Vault's id of the person."""
        said = json.loads(self.bao("token", "lookup", "-format=json", token=self.token(name)))
        return str(said["data"]["entity_id"])

    def alias(self, way: str, name: str, *policies: str) -> None:
        """Give a person a second way in, an AppRole that is an alias of the same entity."""
        root, role = self.root_token, f"auth/approle/role/{way}"
        self.bao("write", role, f"token_policies={','.join(policies)}", token=root)
        role_id = self.bao("read", "-field=role_id", f"{role}/role-id", token=root)
        secret_id = self.bao("write", "-f", "-field=secret_id", f"{role}/secret-id", token=root)
        mounts = json.loads(self.bao("auth", "list", "-format=json", token=root))
        alias = (
            f"name={role_id}",
            f"canonical_id={self.entity(name)}",
            f"mount_accessor={mounts['approle/']['accessor']}",
        )
        self.bao("write", "identity/entity-alias", *alias, token=root)
        self.ways[way] = {"role_id": role_id, "secret_id": secret_id}

    # Playbooks

    def play(self, who: str, playbook: str, **more: Any) -> Play:
        """Run a playbook as who has logged in with bao; it has to succeed."""
        return self.instance.play(playbook, env={"HOME": self.home(who)}, **more)

    def refused(self, who: str, playbook: str, **more: Any) -> str:
        """Run a playbook as who has logged in with bao; it has to fail. Return its sentence."""
        return self.instance.refused(playbook, env={"HOME": self.home(who)}, **more)

    def refused_with(self, person: dict[str, str], playbook: str, **more: Any) -> str:
        """Run a playbook with a variables file that says who one is; it has to fail. Return its sentence."""
        self.instance.variables["golden_goose_person"] = person
        try:
            return self.instance.refused(playbook, **more)
        finally:
            del self.instance.variables["golden_goose_person"]

    def append(self, event: str, data: dict[str, Any], **more: Any) -> None:
        """Write an entry with the module evidence_append, past the modules for people; ``more`` may be its id."""
        metadata = self.instance.entries()[-1]["metadata"]
        arguments = {"ledger": str(self.instance.ledger), "metadata": metadata, "type": "promotion"}
        arguments |= {"event": event, "data": data, **more}
        program = Path(sys.executable).parent / "ansible"
        command = [
            program,
            "localhost",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-m",
            "golden_goose.compliance.evidence_append",
        ]
        command += ["-a", json.dumps(arguments), "-e", f"ansible_python_interpreter={sys.executable}"]
        env = {**os.environ, **environment()}
        done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
