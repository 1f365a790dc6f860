# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""service.yml: what it gives, and one sentence for everything that is wrong in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.services import (
    Gates,
    Health,
    find_service,
    find_tests,
    load_service,
)


def test_the_template_loads_whole(services_dir: Path) -> None:
    service = find_service(services_dir, "service-a")
    folder = services_dir / "service-a"
    assert (service.name, service.port, service.replicas) == ("service-a", 8080, 1)
    assert service.image == "golden-goose.local/service-a"
    assert service.pinned_image("sha256:ab") == "golden-goose.local/service-a@sha256:ab"
    assert (service.source, service.tests) == (folder / "src", folder / "tests")
    assert (service.manifests, service.recipe) == (folder / "deploy", folder / "image")
    assert service.health == Health("/healthz", "/readyz", "/version")
    assert service.gates == Gates(max_high=0, max_medium=0, min_percent=90, min_ready=1)
    assert [path.name for path in find_tests(service)] == sorted(p.name for p in (folder / "tests").glob("test_*"))


def test_name_image_and_port_are_enough(services_dir: Path) -> None:
    file = services_dir / "service-a" / "service.yml"
    file.write_text("{name: service-a, image: local.test/x, port: 9000}")
    service = load_service(services_dir / "service-a")
    assert (service.version, service.replicas, service.dependencies) == ("0.1.0", 1, ())
    assert service.gates.min_percent == 80
    assert service.health.ready == "/readyz"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("name", None, "name is missing; expected 1 to 63 of a-z"),
        ("name", "Service_A", "name is 'Service_A'; expected 1 to 63 of a-z"),
        ("name", "a" * 64, "expected 1 to 63 of a-z"),
        ("name", "a-", "ending with a letter or digit"),
        ("name", 7, "name is 7; expected"),
        ("version", 1.0, 'version is 1.0; expected a version in quotes such as "1.0.0"'),
        ("image", "golden-goose.local/service-a:latest", "expected <host with a dot>/<path> without tag or digest"),
        ("image", "service-a", "expected <host with a dot>/<path>"),
        ("port", "8080", "port is '8080'; expected a whole number from 1024 to 65535"),
        ("port", 80, "port is 80; expected a whole number from 1024"),
        ("port", True, "port is True; expected a whole number"),
        ("port", None, "port is missing"),
        ("replicas", 0, "replicas is 0; expected a whole number from 1"),
        ("dependencies", "service-b", "dependencies is 'service-b'; expected a list of names"),
        ("dependencies", ["Service B"], "expected a list of names"),
        ("paths", "src", "paths is 'src'; expected a mapping"),
        ("paths.tests", "nowhere", "paths.tests is 'nowhere', but there is no folder"),
        ("paths.source", "../..", "paths.source is '../..'; expected a folder inside"),
        ("paths.source", "/etc", "paths.source is '/etc'; expected a folder inside the service"),
        ("health.path", "healthz", "health.path is 'healthz'; expected a URL path such as /healthz"),
        ("gates.coverage.min_percent", 101, "gates.coverage.min_percent is 101; expected a number from 0 to 100"),
        ("gates.coverage.min_percent", float("nan"), "expected a number from 0 to 100"),
        ("gates.sast.max_high", -1, "gates.sast.max_high is -1; expected a whole number from 0"),
        ("gates.health.min_ready", 2, "expected at most replicas, which is 1"),
        (
            "gates.luck",
            {},
            "gates.luck is not a known key; expected one of gates.coverage, gates.health, gates.sast, gates.sbom",
        ),
        ("porrt", 1, "porrt is not a known key; expected one of dependencies, gates"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_expected(
    change: Callable[[str, Any], Path], key: str, value: Any, said: str
) -> None:
    file = change(key, value)
    with pytest.raises(GoldenGooseError) as error:
        load_service(file.parent)
    assert said in str(error.value)
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "line 1: this is not YAML"),
        ("just text", "expected a mapping"),
        ("", "expected a mapping"),
        ("a: &x [*x]\nname: !!python/object:os.system {}", "this is not YAML"),
    ],
)
def test_a_file_that_is_no_mapping(services_dir: Path, text: str, said: str) -> None:
    (services_dir / "service-a" / "service.yml").write_text(text)
    with pytest.raises(GoldenGooseError, match=said):
        load_service(services_dir / "service-a")


@pytest.mark.parametrize("name", ["service-b", "../service-a", "", ".", "service-a/"])
def test_an_unknown_service_is_told_the_known_ones(services_dir: Path, name: str) -> None:
    with pytest.raises(GoldenGooseError) as error:
        find_service(services_dir, name)
    assert str(error.value) == f"There is no service '{name}' in {services_dir}; known are: service-a."


def test_no_services_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(GoldenGooseError, match="known are: none"):
        find_service(tmp_path / "nothing", "service-a")


def test_name_and_folder_must_agree(services_dir: Path) -> None:
    shutil.move(services_dir / "service-a", services_dir / "service-x")
    with pytest.raises(GoldenGooseError, match="name is 'service-a', but the folder is called 'service-x'"):
        find_service(services_dir, "service-x")


def test_a_service_without_tests_is_refused(services_dir: Path) -> None:
    for path in (services_dir / "service-a" / "tests").glob("test_*"):
        path.unlink()
    with pytest.raises(GoldenGooseError, match=r"Service service-a has no tests: .*/tests holds no test_\*\.py"):
        find_tests(find_service(services_dir, "service-a"))


def test_the_model_is_plain_for_ansible(services_dir: Path) -> None:
    plain = find_service(services_dir, "service-a").as_dict()
    assert yaml.safe_load(yaml.safe_dump(plain)) == plain
    assert plain["dependencies"] == []
