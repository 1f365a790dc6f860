# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A thin client of the Kubernetes API: what promotion and deployment need, each failure one sentence.

Connections, TLS and kubeconfig files are left to kube_transport.py. Objects stay plain dictionaries, as they are in the
manifests.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence, Set
from functools import cached_property
from pathlib import Path
from typing import Any

from . import admission
from .errors import GoldenGooseError
from .kube_transport import Transport, Unreachable, Untrusted, Unusable, transport
from .promotion.ports import Answer, DeploymentView

FIELD_MANAGER = "golden-goose"
REQUEST_SECONDS = 10
_POLL_SECONDS = 0.2
_LOOK_SECONDS = 1.0
_MAX_BODY = 1 << 16
# Exactly what the promoter's role may write; another kind needs a wider role first.
_RESOURCES = {
    ("v1", "ConfigMap"): "configmaps",
    ("v1", "Service"): "services",
    ("v1", "ServiceAccount"): "serviceaccounts",
    ("apps/v1", "Deployment"): "deployments",
    ("networking.k8s.io/v1", "NetworkPolicy"): "networkpolicies",
}
# How the API server begins what it says of a service that it cannot reach; all else it says of itself.
_OF_THE_SERVICE = ("no endpoints available", "error trying to reach service")
# Waiting cannot cure these: the pod spec itself, or the image on the node, has to change.
_HOPELESS = frozenset({"ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CrashLoopBackOff"})


class ClusterError(GoldenGooseError):
    """The API server did not do what was asked."""


class ClusterUnavailable(ClusterError):
    """No API server answers now; trying again later can help."""


class ClusterDenied(ClusterError):
    """The API server answered and does not accept the credentials, or they may not do this."""


# What passes, or is put right by others: one that has just been started accepts nobody for a moment.
AWAY = (ClusterUnavailable, ClusterDenied)


class RolloutUnhealthy(ClusterError):
    """What was rolled out did not become healthy; the sentence says what was seen last."""


class KubernetesCluster:
    """The cluster that a kubeconfig file names; it connects when first asked something."""

    def __init__(self, kubeconfig: Path | str) -> None:
        self.kubeconfig = Path(kubeconfig)

    @cached_property
    def _api(self) -> Transport:
        if not self.kubeconfig.is_file():
            raise ClusterUnavailable(
                f"There is no kubeconfig at {self.kubeconfig}; run playbooks/sandbox.yml, or set the path to yours."
            )
        try:
            return transport(self.kubeconfig)
        except Unusable as error:
            raise ClusterError(f"The kubeconfig {self.kubeconfig} cannot be used: {error}.") from error

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Return what the API server answers to one request, whatever the status.

        :raises ClusterUnavailable: nothing answers at the kubeconfig's address.
        """
        headers = {"Accept": "application/json", "Content-Type": content_type}
        try:
            return Answer(*self._api.send(method, path, query or {}, headers, body, REQUEST_SECONDS))
        except Untrusted as error:
            raise ClusterUnavailable(
                f"The API server at {self._api.host} presents a certificate that {self.kubeconfig} "
                "does not trust; write the kubeconfig anew with playbooks/sandbox.yml."
            ) from error
        except Unreachable as error:
            raise ClusterUnavailable(
                f"The API server at {self._api.host} does not answer "
                f"({error}); start it with playbooks/sandbox.yml, or correct {self.kubeconfig}."
            ) from error

    def deployment(self, namespace: str, name: str) -> DeploymentView | None:
        """Return the Deployment, or None when there is none.

        :raises ClusterError: the API server does not answer or refuses.
        """
        found = self._read(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}", f"deployment {name}")
        return _view(found) if found is not None else None

    def apply(self, objects: Sequence[Mapping[str, Any]], dry_run: bool = False) -> None:
        """Make the objects so by server-side apply, in order; fields that others own become ours.

        :param dry_run: have the API server check them and change nothing.

        :raises ClusterError: the API server does not answer or refuses one of them.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true"} | ({"dryRun": "All"} if dry_run else {})
        for item in objects:
            path, what = _path(item), _what(item)
            deadline = time.monotonic() + admission.LAG_SECONDS
            answer = self.request("PATCH", path, item, query, "application/apply-patch+yaml")
            while admission.may_be_lag(answer.status, _json(answer.body)) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                answer = self.request("PATCH", path, item, query, "application/apply-patch+yaml")
            self._require(answer, (200, 201), f"to apply {what}")

    def admit(self, images: Set[str]) -> None:
        """Put pinned images on the list of what may run in ``compliant`` (see admission.py); make it if need be.

        :raises ClusterError: the API server does not answer or refuses.
        """
        wanted = admission.document(sorted(images))
        attempts = 3
        while attempts:
            attempts -= 1
            answer = self.request("PATCH", admission.PATH, wanted, content_type="application/merge-patch+json")
            if answer.status != 404:
                break
            answer = self.request("POST", admission.COLLECTION, wanted)
            if answer.status != 409:
                break
        self._require(
            answer, (200, 201), f"to put {', '.join(sorted(images)) or 'nothing'} on the list of promoted images"
        )

    def dismiss(self, images: Set[str]) -> None:
        """Take images off the list of what may run in ``compliant``.

        :raises ClusterError: the API server does not answer or refuses.
        """
        if images:
            patch = admission.removal(sorted(images))
            answer = self.request("PATCH", admission.PATH, patch, content_type="application/merge-patch+json")
            self._require(answer, (200, 404), f"to take {', '.join(sorted(images))} off the list of promoted images")

    def changes(self, objects: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return which objects ``apply`` would create or change, as "Kind name in namespace".

        :raises ClusterError: the API server does not answer or refuses one of them.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "dryRun": "All"}
        changed = []
        for item in objects:
            path, what = _path(item), _what(item)
            answer = self.request("PATCH", path, item, query, "application/apply-patch+yaml")
            wanted = self._require(answer, (200, 201), f"to apply {what}")
            found = self._read(path, what)
            if found is None or _comparable(found) != _comparable(wanted):
                changed.append(what)
        return changed

    def exists(self, item: Mapping[str, Any]) -> bool:
        """Return whether there is an object of this kind, name and namespace.

        :raises ClusterError: the API server does not answer or refuses.
        """
        return self._read(_path(item), _what(item)) is not None

    def delete(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Remove the objects, last one first, and return when their Deployments are gone.

        :raises ClusterError: the API server does not answer or refuses.
        """
        for item in reversed(objects):
            # A Deployment is gone when its pods are.
            policy = "Foreground" if item["kind"] == "Deployment" else "Background"
            body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
            answer = self.request("DELETE", _path(item), body)
            self._require(answer, (200, 202, 404), f"to remove {_what(item)}")
        deadline = time.monotonic() + 60
        for item in objects:
            while item["kind"] == "Deployment" and self._read(_path(item), _what(item)) is not None:
                if time.monotonic() > deadline:
                    raise RolloutUnhealthy(f"{_what(item)} is still there 60 s after it was removed.")
                time.sleep(_POLL_SECONDS)

    def wait_rollout(self, namespace: str, name: str, digest: str, timeout: float) -> DeploymentView:
        """Return the Deployment once it runs ``digest`` and is healthy.

        An API server that is away for a moment is waited for, too.

        :param timeout: seconds.
        :raises RolloutUnhealthy: it did not come to that in time, or a pod is in a state that waiting
            cannot cure; the sentence says what was seen last.
        :raises ClusterUnavailable: at the end of the time the API server did not answer.
        """
        deadline, look_at = time.monotonic() + timeout, 0.0
        while True:
            lost: ClusterError | None = None
            seen, hopeless = "nothing", False
            over = time.monotonic() > deadline
            try:
                view = self.deployment(namespace, name)
                if view and view.healthy and view.digest == digest:
                    return view
                # The pods say why it takes its time; a set has many that wait, so they are not looked at each time.
                if over or time.monotonic() > look_at:
                    seen, hopeless = self._describe(namespace, name, digest, view)
                    look_at = time.monotonic() + _LOOK_SECONDS
            except AWAY as error:
                lost = error
            if hopeless or over:
                if lost:
                    raise lost
                why = "cannot become healthy" if hopeless else f"did not become healthy within {timeout:.0f} s"
                raise RolloutUnhealthy(f"{name} in {namespace} {why}; last seen: {seen}.", seen=seen)
            time.sleep(_POLL_SECONDS)

    def get(self, namespace: str, service: str, path: str) -> Answer:
        """Return what the Service's port ``http`` answers to GET ``path``, through the API server.

        A Service without ready pods is a 503 of the API server's own, one whose endpoints are not written yet a 404.

        :raises ClusterUnavailable: the API server does not answer, or is not able to ask.
        :raises ClusterDenied: these credentials may not ask.
        """
        answer = self.request("GET", f"/api/v1/namespaces/{namespace}/services/{service}:http/proxy{path}")
        said = _json(answer.body)
        of_the_service = answer.status == 404 or str(said.get("message")).startswith(_OF_THE_SERVICE)
        if said.get("kind") == "Status" and not of_the_service:
            self._require(answer, (), f"to ask {service} in {namespace}")
        return Answer(answer.status, answer.body[:_MAX_BODY])

    def wait_answer(self, namespace: str, service: str, path: str, timeout: float) -> Answer:
        """Return the answer to GET ``path`` once its status is 200; ``timeout`` in seconds.

        :raises RolloutUnhealthy: it was never 200; the sentence has the last status.
        :raises ClusterUnavailable: at the end of the time the API server did not answer.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                answer = self.get(namespace, service, path)
                if answer.status == 200:
                    return answer
                failure: ClusterError = RolloutUnhealthy(
                    f"{service} in {namespace} does not answer {path} with 200 within {timeout:.0f} s; "
                    f"the last status was {answer.status}.",
                    seen=f"status {answer.status}",
                )
            except AWAY as error:
                failure = error
            if time.monotonic() > deadline:
                raise failure
            time.sleep(_POLL_SECONDS)

    def _read(self, path: str, what: str) -> dict[str, Any] | None:
        answer = self.request("GET", path)
        if answer.status == 404:
            return None
        return self._require(answer, (200,), f"to show {what}")

    def _require(self, answer: Answer, expected: tuple[int, ...], doing: str) -> dict[str, Any]:
        document = _json(answer.body)
        if answer.status in expected:
            return document
        message = str(document.get("message") or f"status {answer.status}").rstrip(".")
        host = self._api.host
        if answer.status == 401:
            raise ClusterDenied(
                f"The API server at {host} does not accept the credentials in {self.kubeconfig}; "
                "write them anew with playbooks/sandbox.yml."
            )
        if answer.status == 403:
            raise ClusterDenied(f"The API server at {host} does not allow {self.kubeconfig} {doing}: {message}.")
        if answer.status == 429 or answer.status >= 500:
            raise ClusterUnavailable(f"The API server at {host} is not able {doing} now: {message}.")
        raise ClusterError(f"The API server at {host} refuses {doing}: {message}.")

    def _describe(self, namespace: str, name: str, digest: str, view: DeploymentView | None) -> tuple[str, bool]:
        """Return what is seen of a rollout, in words, and whether waiting is pointless."""
        if view is None:
            return "there is no such deployment", False
        words = f"{view.total} pods (wanted: {view.desired}), {view.ready} ready, {view.updated} of the new revision"
        if view.digest != digest:
            return f"{words}, but of the image {view.image}", False
        pods = self.request(
            "GET",
            f"/api/v1/namespaces/{namespace}/pods",
            query={"labelSelector": f"app.kubernetes.io/name={name}"},
        )
        hopeless = False
        for pod in self._require(pods, (200,), f"to list the pods of {name}").get("items", []):
            for reason, message in _waiting(pod, digest):
                words += f"; pod {pod['metadata']['name']}: {reason}" + (f" ({message})" if message else "")
                hopeless = hopeless or reason in _HOPELESS
        return words, hopeless


def _waiting(pod: Mapping[str, Any], digest: str) -> list[tuple[str, str]]:
    """Return (reason, message) of each container of ``digest`` that does not run or is not ready."""
    if not any(str(c.get("image", "")).endswith(digest) for c in pod["spec"]["containers"]):
        return []
    found = []
    for status in pod.get("status", {}).get("containerStatuses", []):
        state = status.get("state", {}).get("waiting") or status.get("state", {}).get("terminated")
        if state:
            found.append((str(state.get("reason", "waiting")), str(state.get("message", "")).strip()))
        elif not status.get("ready"):
            found.append(("running, but its readiness probe fails", ""))
    return found


def _view(document: Mapping[str, Any]) -> DeploymentView:
    spec, status, metadata = document["spec"], document.get("status", {}), document["metadata"]
    return DeploymentView(
        image=str(spec["template"]["spec"]["containers"][0]["image"]),
        desired=int(spec.get("replicas", 1)),
        ready=int(status.get("readyReplicas", 0)),
        updated=int(status.get("updatedReplicas", 0)),
        total=int(status.get("replicas", 0)),
        settled=int(status.get("observedGeneration", 0)) >= int(metadata["generation"])
        and "deletionTimestamp" not in metadata,
    )


def _path(item: Mapping[str, Any]) -> str:
    key = (str(item["apiVersion"]), str(item["kind"]))
    if key not in _RESOURCES:
        allowed = ", ".join(sorted(resource[1] for resource in _RESOURCES))
        raise ClusterError(
            f"Manifests may hold {allowed}; {key[1]} ({key[0]}) is not among what the promoter may write."
        )
    prefix = "/api" if key[0] == "v1" else "/apis"
    metadata = item["metadata"]
    return f"{prefix}/{key[0]}/namespaces/{metadata['namespace']}/{_RESOURCES[key]}/{metadata['name']}"


def _comparable(document: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the API server keeps by itself."""
    kept = {key: value for key, value in document.items() if key not in ("metadata", "status")}
    metadata = document["metadata"]
    return kept | {"labels": metadata.get("labels"), "annotations": metadata.get("annotations")}


def _what(item: Mapping[str, Any]) -> str:
    return f"{item['kind']} {item['metadata']['name']} in {item['metadata']['namespace']}"


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
