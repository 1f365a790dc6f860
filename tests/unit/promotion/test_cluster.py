# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster client against an API server of a few lines: what it sends, and what it makes of each answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import (
    ClusterDenied,
    ClusterError,
    ClusterUnavailable,
    KubernetesCluster,
    RolloutUnhealthy,
)

DIGEST = f"sha256:{'1' * 64}"
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "svc", "namespace": "compliant"},
}
Reply = tuple[int, Any]


class Played:
    """An HTTP server that answers as ``reply`` says and remembers what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, str, str, str]] = []
        self.reply: Callable[[str, str], Reply] = lambda method, path: (404, {})
        played = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                kind = self.headers.get("Content-Type", "")
                played.asked.append((self.command, self.path, kind, body))
                status, document = played.reply(self.command, self.path)
                content = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PATCH = do_DELETE = _serve

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"}}],
                    "users": [{"name": "u", "user": {"token": "t"}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        self.cluster = KubernetesCluster(self.kubeconfig)


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    api = Played(tmp_path)
    thread = threading.Thread(target=api.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield api
    api.server.shutdown()
    api.server.server_close()


def shown(digest: str = DIGEST, ready: int = 1, total: int = 1, observed: int = 2) -> dict[str, Any]:
    return {
        **DEPLOYMENT,
        "metadata": {**DEPLOYMENT["metadata"], "generation": 2},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": f"r.local/svc@{digest}"}]}}},
        "status": {
            "observedGeneration": observed,
            "replicas": total,
            "readyReplicas": ready,
            "updatedReplicas": 1,
        },
    }


def pods(state: dict[str, Any], ready: bool = False) -> dict[str, Any]:
    return {
        "items": [
            {
                "metadata": {"name": "svc-1"},
                "spec": {"containers": [{"image": f"r.local/svc@{DIGEST}"}]},
                "status": {"containerStatuses": [{"ready": ready, "state": state}]},
            }
        ]
    }


def test_apply_is_server_side_with_our_name_and_force(played: Played) -> None:
    played.reply = lambda method, path: (200, {})
    played.cluster.apply([DEPLOYMENT])
    method, path, kind, body = played.asked[0]
    assert (method, kind, json.loads(body)) == ("PATCH", "application/apply-patch+yaml", DEPLOYMENT)
    assert path == "/apis/apps/v1/namespaces/compliant/deployments/svc?fieldManager=golden-goose&force=true"
    played.cluster.apply([DEPLOYMENT], dry_run=True)
    assert played.asked[1][1].endswith("&dryRun=All")


def test_other_kinds_than_the_promoter_may_write_are_refused_unsent(played: Played) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "compliant"}}
    with pytest.raises(ClusterError, match=r"Secret \(v1\) is not among what the promoter may write"):
        played.cluster.apply([secret])
    assert played.asked == []


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (401, ClusterDenied, "does not accept the credentials in"),
        (403, ClusterDenied, "does not allow .* to apply Deployment svc in compliant: because"),
        (422, ClusterError, "refuses to apply Deployment svc in compliant: because"),
        (429, ClusterUnavailable, "is not able to apply Deployment svc in compliant now: because"),
        (503, ClusterUnavailable, "is not able to apply"),
    ],
)
def test_each_refusal_has_its_class_and_sentence(
    played: Played, status: int, kind: type[ClusterError], sentence: str
) -> None:
    played.reply = lambda method, path: (status, {"message": "because."})
    with pytest.raises(kind, match=sentence) as caught:
        played.cluster.apply([DEPLOYMENT])
    assert caught.type is kind


def test_nothing_listening_is_unavailable_and_names_address_and_file(played: Played) -> None:
    played.server.shutdown()
    played.server.server_close()
    with pytest.raises(ClusterUnavailable, match=r"at http://127\.0\.0\.1:\d+ does not answer .*kubeconfig"):
        played.cluster.deployment("compliant", "svc")


def test_no_kubeconfig_is_said(tmp_path: Path) -> None:
    with pytest.raises(ClusterUnavailable, match=f"There is no kubeconfig at {tmp_path}/none"):
        KubernetesCluster(tmp_path / "none").deployment("compliant", "svc")


def test_a_kubeconfig_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("a: b\n")
    with pytest.raises(ClusterError, match="bad cannot be used"):
        KubernetesCluster(tmp_path / "bad").deployment("compliant", "svc")


def test_a_deployment_that_is_not_there_is_none(played: Played) -> None:
    assert played.cluster.deployment("compliant", "svc") is None


@pytest.mark.parametrize(
    ("document", "healthy"),
    [
        (shown(), True),
        (shown(ready=0), False),
        (shown(total=2), False),
        (shown(observed=1), False),
    ],
)
def test_healthy_means_exactly_the_wanted_pods_of_the_newest_revision(
    played: Played, document: dict[str, Any], healthy: bool
) -> None:
    played.reply = lambda method, path: (200, document)
    view = played.cluster.deployment("compliant", "svc")
    assert view is not None
    assert (view.healthy, view.digest) == (healthy, DIGEST)


def test_a_rollout_is_waited_for_through_a_short_absence_of_the_server(played: Played) -> None:
    replies = iter([(503, {}), (200, shown(ready=0)), (200, pods({"running": {}})), (200, shown())])
    played.reply = lambda method, path: next(replies)
    assert played.cluster.wait_rollout("compliant", "svc", DIGEST, 10).healthy


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ({"running": {}}, "pod svc-1: running, but its readiness probe fails"),
        ({"waiting": {"reason": "ContainerCreating"}}, "pod svc-1: ContainerCreating"),
    ],
)
def test_the_end_of_the_limit_says_what_was_seen_last(played: Played, state: dict[str, Any], seen: str) -> None:
    played.reply = lambda method, path: (200, pods(state) if "pods" in path else shown(ready=0))
    said = rf"svc in compliant did not become healthy within 0 s; last seen: 1 pods \(wanted: 1\), 0 ready.*{seen}\.$"
    with pytest.raises(RolloutUnhealthy, match=said):
        played.cluster.wait_rollout("compliant", "svc", DIGEST, 0)


def test_what_waiting_cannot_cure_is_not_waited_for(played: Played) -> None:
    state = {"waiting": {"reason": "ErrImageNeverPull", "message": "image is not present"}}
    played.reply = lambda method, path: (200, pods(state) if "pods" in path else shown(ready=0))
    with pytest.raises(RolloutUnhealthy, match=r"cannot become healthy; .*ErrImageNeverPull \(image is not present\)"):
        played.cluster.wait_rollout("compliant", "svc", DIGEST, 600)


def test_pods_of_another_digest_say_nothing_about_this_one(played: Played) -> None:
    other = f"sha256:{'2' * 64}"
    played.reply = lambda method, path: (200, shown(digest=other))
    with pytest.raises(RolloutUnhealthy, match=f"but of the image r.local/svc@{other}"):
        played.cluster.wait_rollout("compliant", "svc", DIGEST, 0)


def test_an_answer_that_is_not_200_is_waited_for_and_then_said(played: Played) -> None:
    replies = iter([(503, b"none"), (200, b"ok")])
    played.reply = lambda method, path: next(replies)
    assert played.cluster.wait_answer("compliant", "svc", "/healthz", 10).body == b"ok"
    assert played.asked[-1][1] == "/api/v1/namespaces/compliant/services/svc:http/proxy/healthz"
    played.reply = lambda method, path: (500, b"no")
    with pytest.raises(RolloutUnhealthy, match=r"does not answer /healthz with 200 .* the last status was 500"):
        played.cluster.wait_answer("compliant", "svc", "/healthz", 0)


def test_delete_goes_backwards_and_takes_absence_for_success(played: Played) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "svc", "namespace": "compliant"}}
    played.reply = lambda method, path: (404, {})
    played.cluster.delete([service, DEPLOYMENT])
    assert [path.rsplit("/", 2)[1] for method, path, *_more in played.asked if method == "DELETE"] == [
        "deployments",
        "services",
    ]


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (503, "etcdserver: leader changed", ClusterUnavailable),
        (429, "too many requests", ClusterUnavailable),
        (403, "services is forbidden", ClusterDenied),
        (401, "Unauthorized", ClusterDenied),
    ],
)
def test_what_the_api_server_says_of_itself_is_no_answer_of_the_service(
    played: Played, status: int, message: str, error: type[ClusterError]
) -> None:
    played.reply = lambda method, path: (status, {"kind": "Status", "message": message, "code": status})
    with pytest.raises(error, match="The API server at"):
        played.cluster.get("sandbox", "svc", "/readyz")


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "Status", "message": 'no endpoints available for service "http:svc:"', "code": 503},
        {"kind": "Status", "message": "error trying to reach service: dial tcp: refused", "code": 503},
        # What it says of a Service whose endpoints nobody has written yet.
        {"kind": "Status", "message": 'services "svc" not found', "code": 404},
        {"status": "starting", "code": 503},
    ],
)
def test_what_is_said_of_or_by_the_service_is_its_answer(played: Played, body: dict[str, Any]) -> None:
    played.reply = lambda method, path: (body["code"], body)
    assert played.cluster.get("sandbox", "svc", "/readyz").status == body["code"]


def test_a_rollout_is_waited_for_while_a_new_api_server_accepts_nobody_yet(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    statuses = iter([403, 401, 503])
    played.reply = lambda method, path: (200, shown()) if (code := next(statuses, 0)) == 0 else (code, {})
    assert played.cluster.wait_rollout("compliant", "svc", DIGEST, 10).healthy
