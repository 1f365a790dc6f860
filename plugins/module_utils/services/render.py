# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Kubernetes manifests of a service, rendered from the Jinja2 templates in its folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import GoldenGooseError
from ..imports import require
from .model import Service

TEMPLATE_SUFFIX = ".yaml.j2"
LABEL_NAME = "app.kubernetes.io/name"
LABEL_STAGE = "golden-goose.local/stage"
ANNOTATION_DIGEST = "golden-goose.local/digest"
ANNOTATION_PROMOTION = "golden-goose.local/promotion-id"
# What others refer to comes first.
_ORDER = ("ServiceAccount", "ConfigMap", "NetworkPolicy", "Service", "Deployment")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def render_manifests(
    service: Service,
    stage: str,
    digest: str,
    namespace: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Return the objects of ``service`` for ``stage``, in the order in which to apply them.

    Templates see service (``Service.as_dict()``), stage, namespace, image (``name@sha256:…``), digest,
    replicas and labels. Every object gets the namespace, the labels, the annotation
    ``golden-goose.local/digest`` and ``annotations``.

    :param digest: manifest digest of the image, ``sha256:`` and 64 hexadecimal digits.
    :param namespace: default is the stage.
    :raises GoldenGooseError: the digest is not one, a template does not render to Kubernetes objects,
        or a container would run another image than the pinned one.
    """
    if not _DIGEST.fullmatch(digest):
        raise GoldenGooseError(f"'{digest}' is not an image digest; expected sha256:<64 hexadecimal digits>.")
    target = namespace or stage
    labels = {LABEL_NAME: service.name, LABEL_STAGE: stage}
    values = {
        "service": service.as_dict(),
        "stage": stage,
        "namespace": target,
        "image": service.pinned_image(digest),
        "digest": digest,
        "replicas": service.replicas,
        "labels": labels,
    }
    extra = {ANNOTATION_DIGEST: digest, **(annotations or {})}
    objects = []
    for template in _templates(service):
        for item in _load(template, _render(template, values)):
            _complete(item, target, labels, extra)
            _require_pinned(item, service.pinned_image(digest), template)
            objects.append(item)
    return sorted(objects, key=_rank)


def _templates(service: Service) -> list[Path]:
    found = sorted(service.manifests.glob(f"*{TEMPLATE_SUFFIX}"))
    if not found:
        raise GoldenGooseError(f"{service.manifests} holds no manifest template (*{TEMPLATE_SUFFIX}).")
    return found


def _render(template: Path, values: Mapping[str, Any]) -> str:
    jinja2 = require("jinja2")
    sandbox = require("jinja2.sandbox", "jinja2")
    environment = sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    try:
        return str(environment.from_string(template.read_text(encoding="utf-8")).render(values))
    except jinja2.TemplateError as error:
        raise GoldenGooseError(f"{template} cannot be rendered: {error}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise GoldenGooseError(f"Cannot read {template}: {error}.") from error


def _load(template: Path, text: str) -> Iterator[dict[str, Any]]:
    yaml = require("yaml", "pyyaml")
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise GoldenGooseError(f"{template} does not render to YAML: {problem}.") from error
    for document in documents:
        if document is None:
            continue
        if not _is_object(document):
            raise GoldenGooseError(f"{template} must render to objects with apiVersion, kind and metadata.name.")
        yield document


def _is_object(document: Any) -> bool:
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        return False
    words = (document.get("apiVersion"), document.get("kind"), document["metadata"].get("name"))
    return all(isinstance(word, str) and word for word in words)


def _complete(item: dict[str, Any], namespace: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
    metadata = item["metadata"]
    metadata["namespace"] = namespace
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}


def _require_pinned(item: dict[str, Any], image: str, template: Path) -> None:
    for container in _with_image(item.get("spec")):
        if container["image"] != image:
            raise GoldenGooseError(
                f"{template}: container '{container.get('name')}' uses the image '{container['image']}'; "
                f'expected the pinned one, {image} (write image: "{{{{ image }}}}").'
            )


def _with_image(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping with an image, however deep: pods hide in Deployments, CronJobs and others."""
    if isinstance(value, dict):
        if isinstance(value.get("image"), str):
            yield value
        for child in value.values():
            yield from _with_image(child)
    elif isinstance(value, list):
        for child in value:
            yield from _with_image(child)


def _rank(item: dict[str, Any]) -> int:
    kind = item["kind"]
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER) - 1
