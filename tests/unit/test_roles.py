# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every role and module has to keep to, so that none drifts from what it documents."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (REPOSITORY / "roles").iterdir() if path.is_dir())
MODULES = sorted((REPOSITORY / "plugins/modules").glob("*.py"))
MODULE_UTILS = sorted((REPOSITORY / "plugins/module_utils").rglob("*.py"))
OTHER_PLUGINS = sorted(
    path for path in (REPOSITORY / "plugins").rglob("*.py") if path not in MODULES and path not in MODULE_UTILS
)
GPL = """\
# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
BSD = """\
# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""

role = pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
module = pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) or {}


def spec(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = load(role / "meta/argument_specs.yml")["argument_specs"]
    return found


@role
def test_a_role_has_its_parts(role: Path) -> None:
    for name in ("README.md", "meta/main.yml", "tasks/main.yml", "tasks/uninstall.yml"):
        assert (role / name).is_file(), name
    for entry in ("main", "uninstall"):
        assert spec(role)[entry]["short_description"]
    assert f"golden_goose.compliance.{role.name}" in (role / "README.md").read_text()


@role
def test_options_are_documented_and_carry_the_roles_prefix(role: Path) -> None:
    defaults, options = load(role / "defaults/main.yml"), spec(role)["main"]["options"]
    required = {name for name, option in options.items() if option.get("required")}
    assert set(options) - required == set(defaults)
    assert not required & set(defaults)
    for entry in spec(role).values():
        for name, option in entry.get("options", {}).items():
            assert name.startswith(f"{role.name}_"), name
            assert option.get("description") and option.get("type"), name
            # What says the default is defaults/main.yml.
            assert "default" not in option, name


@role
def test_internal_variables_carry_the_roles_prefix(role: Path) -> None:
    path = role / "vars/main.yml"
    for name in load(path) if path.exists() else ():
        assert name.startswith(f"_{role.name}_"), name


@role
def test_options_have_the_type_of_their_default(role: Path) -> None:
    types: dict[str, tuple[type, ...]] = {
        "bool": (bool,),
        "int": (int,),
        "float": (int, float),
        "list": (list,),
        "dict": (dict,),
        "str": (str, int, float),
        "path": (str,),
    }
    options = spec(role)["main"]["options"]
    for name, value in load(role / "defaults/main.yml").items():
        if isinstance(value, str) and "{{" in value:
            continue
        assert isinstance(value, types[options[name]["type"]]), name
        if "choices" in options[name]:
            assert value in options[name]["choices"], name


@role
def test_no_failure_is_waved_through(role: Path) -> None:
    for path in [*role.glob("tasks/*.yml"), *role.glob("handlers/*.yml")]:
        text = path.read_text()
        assert "ignore_errors" not in text and "failed_when: false" not in text and "|| true" not in text, path


def constants(path: Path) -> dict[str, str]:
    """Return the texts that a file assigns to names, without running it."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            found |= {target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)}
    return found


@module
def test_a_module_is_documented(module: Path) -> None:
    texts = constants(module)
    documentation = yaml.safe_load(texts["DOCUMENTATION"])
    assert documentation["module"] == module.stem
    assert documentation["short_description"] and documentation["description"] and documentation["version_added"]
    assert set(documentation["attributes"]) == {"check_mode", "diff_mode", "idempotent"}
    examples = yaml.safe_load(texts["EXAMPLES"])
    assert any(f"golden_goose.compliance.{module.stem}" in task for task in examples)
    assert yaml.safe_load(texts["RETURN"])


def documented_options(module: Path) -> set[str]:
    """Return the names of a module's options, those of our own documentation fragments included."""
    documentation = yaml.safe_load(constants(module)["DOCUMENTATION"])
    fragments = documentation.get("extends_documentation_fragment", [])
    names = set(documentation.get("options", {}))
    for fragment in [fragments] if isinstance(fragments, str) else fragments:
        file, _dot, part = fragment.removeprefix("golden_goose.compliance.").partition(".")
        path = REPOSITORY / "plugins/doc_fragments" / f"{file}.py"
        names |= set(yaml.safe_load(constants(path)[part.upper() or "DOCUMENTATION"])["options"])
    return names


@module
def test_examples_use_documented_options(module: Path) -> None:
    for task in yaml.safe_load(constants(module)["EXAMPLES"]):
        given = set(task.get(f"golden_goose.compliance.{module.stem}") or ())
        assert given <= documented_options(module)


@module
def test_a_module_catches_our_errors_alone(module: Path) -> None:
    text = module.read_text()
    handlers = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ExceptHandler)]
    assert [ast.unparse(handler.type) for handler in handlers if handler.type] in ([], ["GoldenGooseError"])
    assert "supports_check_mode=True" in text


@module
def test_a_module_carries_its_licence(module: Path) -> None:
    assert module.read_text().startswith(f"#!/usr/bin/python\n{GPL}")


@pytest.mark.parametrize("path", OTHER_PLUGINS, ids=lambda path: path.stem)
def test_other_plugins_carry_their_licence(path: Path) -> None:
    assert path.read_text().startswith(GPL)


@pytest.mark.parametrize("path", MODULE_UTILS, ids=lambda path: str(path.relative_to(MODULE_UTILS[0].parent)))
def test_a_shared_file_carries_its_licence_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    if not text and path.name == "__init__.py":
        return
    assert text.startswith(BSD)
    assert ast.get_docstring(ast.parse(text)), "a module docstring"
    # What strangers get is one file on purpose.
    assert text.count("\n") < (850 if path.name == "golden_goose_verify.py" else 400)


def test_nothing_is_found_by_accident() -> None:
    """An empty list would let every test above pass."""
    assert len(ROLES) >= 10 and len(MODULES) >= 20 and len(MODULE_UTILS) >= 80 and OTHER_PLUGINS
