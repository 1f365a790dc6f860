# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates beyond those of Sprint 1, gates of the user's own, their limits, and looking at what is compliant again."""

from __future__ import annotations

import http.server
import io
import json
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.packages import Package
from ansible_collections.golden_goose.compliance.plugins.module_utils.images.vulnerabilities import compare_versions
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import anchor
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion import evaluate as evaluation
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.engine import Denied, Waiting
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.gates import GATES, Scanners
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import (
    COMPLIANT,
    SANDBOX,
    Refused,
    Verdict,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.people import veto
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.policy import (
    OwnGate,
    Policy,
    read_policy,
)
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.recheck import recheck
from images.conftest import write_archive
from ledger.second_place import Memory

from .conftest import D1, D2, METADATA, Bench
from .test_gates import Lab
from .test_people import BOB

DPKG = "Package: libssl3\nStatus: install ok installed\nSource: openssl (3.0.11-1)\nVersion: 3.0.11-1~deb12u2\n\n"
GONE = "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
WHEEL = "Metadata-Version: 2.1\nName: Flask_Thing\nVersion: 2.0.1\n\nlong text\n"


def osv(identity: str, ecosystem: str, name: str, **affected: Any) -> dict[str, Any]:
    return {"id": identity, "affected": [{"package": {"ecosystem": ecosystem, "name": name}, **affected}]}


def events(**steps: str) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": [{key: value} for key, value in steps.items()]}]}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as stack:
        yield Lab(tmp_path, stack)


@pytest.fixture
def image(lab: Lab, tmp_path: Path) -> Lab:
    return lab_with_image(lab, tmp_path)


def lab_with_image(lab: Lab, tmp_path: Path, wheel: str = WHEEL) -> Lab:
    """Give the service an image with one Debian package and one wheel; ``lab.digest`` is its digest."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as layer:
        contents = {"var/lib/dpkg/status": DPKG + GONE, "app/lib/flask_thing-2.0.1.dist-info/METADATA": wheel}
        for name, text in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            layer.addfile(member, io.BytesIO(text.encode()))
    folder = tmp_path / "images" / "svc"
    folder.mkdir(parents=True)
    digest = write_archive(folder / "new.tar", raw.getvalue())
    (folder / "new.tar").rename(folder / f"{digest.removeprefix('sha256:')}.tar")
    lab.scanners = Scanners(Path("rules"), images_dir=tmp_path / "images", vulnerabilities=None)
    lab.digest = digest  # type: ignore[attr-defined]
    return lab


def known(image: Lab, tmp_path: Path, *records: dict[str, Any]) -> Verdict:
    database = tmp_path / "osv.json"
    database.write_text(json.dumps(list(records)))
    image.scanners = Scanners(Path("rules"), images_dir=image.scanners.images_dir, vulnerabilities=database)
    return image.decide("sbom", digest=image.digest)  # type: ignore[attr-defined]


def test_sbom_lists_what_the_image_names_as_cyclonedx(image: Lab) -> None:
    verdict = image.decide("sbom", digest=image.digest)  # type: ignore[attr-defined]
    assert verdict.verdict == "allow"
    assert verdict.observed["packages"] == 2
    assert "none was looked for, as no database is given" in verdict.reason
    assert verdict.object is not None
    document = json.loads(image.evidence.ledger.objects.read(verdict.object["sha256"]))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert [item["purl"] for item in document["components"]] == [
        "pkg:deb/debian/libssl3@3.0.11-1~deb12u2",
        "pkg:pypi/flask-thing@2.0.1",
    ]
    again = image.decide("sbom", digest=image.digest)  # type: ignore[attr-defined]
    assert again.object == verdict.object


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (osv("V-1", "PyPI", "Flask.Thing", versions=["2.0.1"]), True),
        (osv("V-2", "PyPI", "flask-thing", versions=["2.0.0"]), False),
        (osv("V-3", "PyPI", "flask-thing", **events(introduced="2.0", fixed="2.0.10")), True),
        (osv("V-4", "PyPI", "flask-thing", **events(introduced="0", fixed="2.0.1")), False),
        (osv("V-5", "PyPI", "flask-thing", **events(introduced="0", last_affected="2.0.1")), True),
        (osv("V-6", "Debian:12", "openssl", **events(introduced="0", fixed="3.0.11-1")), True),
        (osv("V-7", "Debian:12", "openssl", **events(introduced="0", fixed="3.0.11-1~deb12u1")), False),
        (osv("V-8", "Debian:12", "libssl3", **events(introduced="0")), False),
        (osv("V-9", "npm", "flask-thing", versions=["2.0.1"]), False),
        (osv("V-10", "PyPI", "flask-thing", versions=["2.0.1"]) | {"withdrawn": "2026-01-01T00:00:00Z"}, False),
    ],
)
def test_sbom_denies_what_is_known_to_be_vulnerable(
    image: Lab, tmp_path: Path, record: dict[str, Any], found: bool
) -> None:
    verdict = known(image, tmp_path, record)
    assert verdict.verdict == ("deny" if found else "allow")
    assert verdict.observed["vulnerabilities"] == int(found)
    assert (record["id"] in verdict.reason) == found


def test_sbom_denies_when_there_is_nothing_to_look_at(image: Lab, tmp_path: Path) -> None:
    verdict = image.decide("sbom", digest=D2)
    assert verdict.verdict == "deny"
    assert "There is no image archive" in verdict.reason
    (tmp_path / "osv.json").write_text("[]")
    assert known(image, tmp_path).verdict == "deny"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0-1"),
        ("1.9", "1.10"),
        ("1.0a", "1.0+b"),
        ("2.0", "1:1.0"),
        ("1.0-1", "1.0-1+deb12u1"),
        ("1.0-1~deb12u1", "1.0-1"),
    ],
)
def test_versions_of_debian_compare_as_dpkg_does(older: str, newer: str) -> None:
    assert compare_versions("Debian", older, newer) < 0 < compare_versions("Debian", newer, older)
    assert compare_versions("Debian", newer, newer) == 0
    assert Package("Debian", "a", "1:2+3", "a").purl == "pkg:deb/debian/a@1%3A2%2B3"


def gates(**health: Any) -> dict[str, str]:
    description = {"name": "svc", "image": "golden-goose.local/svc", "port": 8080, "gates": {"health": health}}
    return {"service.yml": json.dumps(description)}


def test_health_waits_for_the_soak_time_and_says_until_when(lab: Lab) -> None:
    assert "does not say since when" in lab.decide("health", gates(soak_seconds=60)).reason
    deployed = {"service": "svc", "digest": D1, "stage": SANDBOX}
    entry = lab.evidence.record("deployed", deployed, type="validation")
    verdict = lab.decide("health", gates(soak_seconds=60))
    assert (verdict.verdict, verdict.evidence) == ("defer", entry.id)
    assert verdict.next_check is not None and verdict.next_check > entry.timestamp
    time.sleep(1.1)
    lab.evidence.record("deployed", deployed, type="validation")
    assert lab.decide("health", gates(soak_seconds=1)).verdict == "allow"
    lab.evidence.record("deployed", deployed | {"digest": D2}, type="validation")
    lab.evidence.record("deployed", deployed, type="validation")
    assert lab.decide("health", gates(soak_seconds=1)).verdict == "defer"


@contextmanager
def prometheus(body: dict[str, Any], status: int = 200) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def vector(*values: str) -> dict[str, Any]:
    return {"data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, value]} for value in values]}}


@pytest.mark.parametrize(
    ("answer", "status", "verdict"),
    [
        (vector("0.5", "3"), 200, "allow"),
        ({"data": {"resultType": "scalar", "result": [1, "1"]}}, 200, "allow"),
        (vector(), 200, "deny"),
        (vector("1", "0"), 200, "deny"),
        (vector("NaN"), 200, "deny"),
        ({"error": "parse error"}, 400, "defer"),
        ({}, 200, "defer"),
    ],
)
def test_health_asks_prometheus(lab: Lab, answer: dict[str, Any], status: int, verdict: str) -> None:
    with prometheus(answer, status) as address:
        lab.scanners = Scanners(Path("rules"), prometheus=address)
        assert lab.decide("health", gates(query="up")).verdict == verdict


def test_health_cannot_tell_without_prometheus(lab: Lab) -> None:
    assert lab.decide("health", gates(query="up")).verdict == "defer"
    lab.scanners = Scanners(Path("rules"), prometheus="http://127.0.0.1:9")
    verdict = lab.decide("health", gates(query="up"))
    assert verdict.verdict == "defer"
    assert "Prometheus at http://127.0.0.1:9 does not answer" in verdict.reason


def own(script: str, timeout: float = 20) -> Policy:
    gate = OwnGate("mine", (sys.executable, "-c", script), timeout, 60)
    return Policy(gates=(*Policy().gates[:-1], "mine", "chain"), own_gates=(gate,))


ASK = "import json, sys; asked = json.load(open(sys.argv[1])); "


@pytest.mark.parametrize(
    ("script", "timeout", "verdict", "reason"),
    [
        (ASK + "print(json.dumps({'verdict': 'allow', 'reason': asked['digest']}))", 20, "allow", D1),
        ('print(\'{"verdict": "deny", "reason": "no ticket"}\')', 20, "deny", "no ticket"),
        ("print('yes')", 20, "deny", "printed no JSON; last seen: yes"),
        ('print(\'{"verdict": "sure"}\')', 20, "deny", "printed no verdict"),
        ("raise SystemExit(3)", 20, "deny", "ended with status 3"),
        ("import time; print('still here', flush=True); time.sleep(60)", 0.5, "deny", "last seen: still here"),
    ],
)
def test_a_gate_of_the_users_own(bench: Bench, script: str, timeout: float, verdict: str, reason: str) -> None:
    bench.policy = own(script, timeout)
    bench.promoter.request("svc", None, "tester")
    began = time.monotonic()
    entries = bench.promoter.evaluate("svc", bench.scanners, bench.policy.gates)[0]
    assert time.monotonic() - began < 15
    said = next(entry.data for entry in entries if entry.data["gate"] == "mine")
    assert (said["verdict"], said["policy"]) == (verdict, bench.policy.id)
    assert reason in said["reason"]
    assert [entry.data["gate"] for entry in entries][-2:] == ["mine", "chain"]


def of_file(file: Path, text: str, kind: str = "rego", timeout: float = 20) -> Policy:
    file.write_text(text)
    gate = {"name": "mine", kind: str(file), "timeout": timeout}
    return read_policy({"own_gates": [gate]}, tuple(GATES))


def said_by(bench: Bench, scanners: Scanners | None = None) -> dict[str, Any]:
    bench.promoter.request("svc", None, "tester")
    entries = bench.promoter.evaluate("svc", scanners or bench.scanners, bench.policy.gates)[0]
    return next(entry.data for entry in entries if entry.data["gate"] == "mine")


REGO = """package golden_goose.gate
default verdict := "deny"
verdict := "allow" if input.service == "%s"
reason := sprintf("%%v of the policy %%v", [input.digest, input.policy])
observed := {"service": input.service}
"""
ENDLESS = """package golden_goose.gate
n := numbers.range(1, 3000)
verdict := "allow" if count([1 | some a in n; some b in n; some c in n; a + b == c]) > 0
reason := "counted"
"""


@pytest.mark.parametrize(("service", "verdict"), [("svc", "allow"), ("another", "deny")])
def test_a_gate_in_rego_gets_what_a_command_gets(bench: Bench, tmp_path: Path, service: str, verdict: str) -> None:
    bench.policy = of_file(tmp_path / "gate.rego", REGO % service)
    data = said_by(bench)
    assert (data["verdict"], data["observed"]) == (verdict, {"service": "svc"})
    assert data["reason"] == f"{D1} of the policy {bench.policy.id}"


@pytest.mark.parametrize(
    ("text", "timeout", "reason"),
    [
        ("package golden_goose.gate\n verdict :=", 20, "it is no policy in Rego"),
        ("package other\nverdict := 1", 20, "it has no package golden_goose.gate with a verdict"),
        ("package golden_goose.gate\nverdict := 1", 20, "printed no verdict"),
        (ENDLESS, 0.5, "did not end within 0 s"),
    ],
)
def test_a_gate_in_rego_that_says_nothing_denies(
    bench: Bench, tmp_path: Path, text: str, timeout: float, reason: str
) -> None:
    bench.policy = of_file(tmp_path / "gate.rego", text, timeout=timeout)
    data = said_by(bench)
    assert data["verdict"] == "deny"
    assert reason in data["reason"]


def test_a_gate_in_rego_without_the_library_denies(bench: Bench, tmp_path: Path) -> None:
    bench.policy = of_file(tmp_path / "gate.rego", REGO % "svc")
    bare = tmp_path / "python"
    # Without its site-packages the interpreter has no regopy.
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o700)
    data = said_by(bench, replace(bench.scanners, python=str(bare)))
    assert data["verdict"] == "deny"
    assert "the Python library regopy is missing" in data["reason"]


def test_a_policy_is_bound_to_the_content_of_its_files(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "gate.rego"
    bench.policy = of_file(file, REGO % "svc")
    assert of_file(file, REGO % "other").id != bench.policy.id
    assert "has changed since the policy was read" in said_by(bench)["reason"]


def test_what_tasks_of_the_play_said_counts_for_its_digest_alone(bench: Bench, tmp_path: Path) -> None:
    bench.policy = of_file(tmp_path / "gate.yml", "[]", kind="tasks")
    nothing = said_by(bench)
    assert nothing["verdict"] == "deny"
    assert "gave no verdict; it has to set golden_goose_verdicts.mine" in nothing["reason"]
    with pytest.raises(Denied):
        bench.promoter.promote("svc")
    verdict = {"verdict": "allow", "reason": "ticket 7", "digest": D2}
    other = said_by(bench, replace(bench.scanners, said={"mine": verdict}))
    assert f"is of {D2} and not of {D1}" in other["reason"]
    with pytest.raises(Denied):
        bench.promoter.promote("svc")
    ours = said_by(bench, replace(bench.scanners, said={"mine": verdict | {"digest": D1}}))
    assert (ours["verdict"], ours["reason"]) == ("allow", "ticket 7")
    assert bench.promoter.promote("svc").outcome == "compliant"
    # Nobody ran the tasks again: that is no reason to revoke.
    assert recheck(bench.promoter, "svc", bench.scanners)[2] is None


def test_an_own_gate_is_required_once_the_policy_has_it(bench: Bench) -> None:
    bench.policy = own('print(\'{"verdict": "deny", "reason": "no ticket"}\')')
    with pytest.raises(Denied, match="gate mine denies: no ticket"):
        bench.play()
    bench.policy = own(ASK + "print(json.dumps({'verdict': 'allow', 'reason': 'ticket 7'}))")
    assert bench.play().outcome == "compliant"
    started = next(data for data in bench.entries() if data["event"] == "started")
    assert "mine" in [verdict["gate"] for verdict in started["verdicts"]]


def test_a_gate_that_hangs_is_a_deny_and_the_others_are_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hangs(context: Any) -> Verdict:
        released.wait(30)
        raise AssertionError

    monkeypatch.setitem(evaluation.GATES, "sast", hangs)
    monkeypatch.setattr(evaluation, "_GRACE_SECONDS", 0.2)
    bench.promoter.request("svc", None, "tester")
    entries = bench.promoter.evaluate("svc", Scanners(Path("rules"), timeout=0.2), bench.policy.gates)[0]
    released.set()
    verdicts = {entry.data["gate"]: entry.data for entry in entries}
    assert verdicts["sast"]["verdict"] == "deny"
    assert "gave no verdict within 0 s" in verdicts["sast"]["reason"]
    assert verdicts["coverage"]["verdict"] == "allow"


def test_a_gate_that_could_not_tell_is_asked_again_and_no_news_is_not_written_twice(
    bench: Bench, gate_verdicts: dict[str, str]
) -> None:
    bench.promoter.request("svc", None, "tester")
    gate_verdicts["health"] = "defer"
    for changes in (True, False, False):
        assert bench.promoter.evaluate("svc", bench.scanners, bench.policy.gates)[1] is changes
    assert bench.events().count("health") == 1
    gate_verdicts["health"] = "allow"
    assert bench.promoter.evaluate("svc", bench.scanners, bench.policy.gates)[1]
    assert [data.get("attempt") for data in bench.entries() if data["event"] == "health"] == [None, 2]
    assert bench.promoter.promote("svc").outcome == "compliant"


def test_dependencies_have_to_be_compliant_and_healthy(bench: Bench) -> None:
    bench.add("base", D2, [])
    bench.add("top", D1, ["base"])
    bench.policy = Policy(gates=(*Policy().gates[:-1], "dependencies", "chain"))

    def go(name: str) -> Any:
        bench.promoter.request(name, None, "tester")
        bench.promoter.evaluate(name, bench.scanners, bench.policy.gates)
        return bench.promoter.promote(name)

    with pytest.raises(Waiting, match="gate dependencies cannot tell: base is not compliant"):
        go("top")
    said = bench.entries()[-1]
    assert (said["event"], said["final"]) == ("refused", False)
    (item,) = said["denied"]
    assert (item["gate"], item["verdict"], item["observed"]) == ("dependencies", "defer", {"base": None})
    assert item["next_check"]
    go("base")
    bench.cluster.objects.pop((COMPLIANT, "Deployment", "base"))
    with pytest.raises(Waiting, match="base is not healthy in compliant"):
        go("top")
    go("base")
    veto(bench.evidence, BOB, D2, "it is wrong")
    with pytest.raises(Waiting, match="the compliant base was vetoed"):
        go("top")


def test_a_failed_check_of_what_is_compliant_revokes_it(bench: Bench) -> None:
    bench.policy = Policy(gates=(*Policy().gates[:-1], "veto", "chain"))
    bench.promoted(D1)
    entries, changed, revoked = recheck(bench.promoter, "svc", bench.scanners)
    assert changed
    assert [entry.data["gate"] for entry in entries] == ["veto", "chain"]
    assert revoked is None
    veto(bench.evidence, BOB, D1, "it loses orders")
    revoked = recheck(bench.promoter, "svc", bench.scanners)[2]
    assert revoked is not None and "no longer passes: gate veto denies" in revoked
    assert bench.events()[-1] == "revoked"
    assert bench.compliant_digest() == D1
    recheck(bench.promoter, "svc", bench.scanners)
    assert bench.events().count("revoked") == 1
    # It does not silently pass as what is compliant already.
    with pytest.raises(Denied, match="gate veto denies"):
        bench.play()


def test_anchored_wants_the_build_in_a_signed_checkpoint(lab: Lab) -> None:
    assert "has no build" in lab.decide("anchored").reason
    lab.built(D1, "0" * 64)
    verdict = lab.decide("anchored")
    assert (verdict.verdict, verdict.evidence is not None) == ("defer", True)
    assert verdict.next_check is not None
    anchor(lab.evidence.ledger, Memory(), METADATA)
    verdict = lab.decide("anchored")
    assert verdict.verdict == "allow"
    assert "entry 0, its build, is in the checkpoint of " in verdict.reason
    for note in (lab.evidence.ledger.path / "checkpoints").rglob("*"):
        if note.is_file():
            note.write_text(note.read_text().replace("test\n", "other\n", 1))
    assert lab.decide("anchored").verdict == "deny"


def test_there_has_to_be_something_to_check_again(bench: Bench) -> None:
    with pytest.raises(Refused, match="Nothing of svc is compliant"):
        recheck(bench.promoter, "svc", bench.scanners)


def test_every_gate_has_a_file_of_its_own() -> None:
    folder = Path(sys.modules[GATES["sast"].__module__].__file__ or "").parent
    assert {name for name in GATES if not (folder / f"{name}.py").is_file()} == set()
