# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The engine: request, gates, choke point, rollout. Every step looks at its record, then at the world, then acts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from ..cluster import AWAY, ClusterError
from ..errors import GoldenGooseError
from ..ledger import Entry, LedgerError
from ..services.model import Service, find_service
from ..services.render import ANNOTATION_PROMOTION, render_manifests
from .evaluate import evaluate
from .evidence import AlreadyRecorded, Evidence
from .gates import Scanners
from .identity import trusted_by
from .model import COMPLIANT, Outcome, Refused, short
from .next_steps import what_next
from .plan import Plan, Requester, keep_plan, load_plan
from .policy import Policy
from .ports import Answer, Cluster, DeploymentView, Signer
from .restore import images_of, leftovers, manifests_of, undo
from .runs import Runs
from .sealing import plan_of_request, reference
from .sets import held_back, standing, unsettled
from .standing import Standing, clears_the_way, findings
from .state import Promotion, ServiceState, fold, state_of
from .verdicts import denial, shortfalls, statement, waiting


class Denied(AlreadyRecorded):
    """A gate does not allow the artifact; the promotion is closed and the cluster was not touched."""


class Waiting(GoldenGooseError):
    """Nothing denies, but someone or something has to come first; the promotion stays open."""


class Unsettled(AlreadyRecorded):
    """A set that is all or nothing has failed and is not taken back yet: nothing new is begun under its plan."""


class RolloutFailed(AlreadyRecorded):
    """The rollout did not become healthy; the sentence says what is compliant now."""


@dataclass(frozen=True)
class Promoter:
    """Promotes services of one ledger on one cluster.

    ``signer`` is called only when something is to be signed. ``lease`` takes a service and what is being
    done, and keeps runs on other machines off while the cluster is changed. ``rollout_timeout`` and ``request_max_age``
    are seconds; a request that is older has verdicts that may be stale, and is not resumed. With
    ``dry_run`` nothing is written or changed anywhere.
    """

    evidence: Evidence
    cluster: Cluster
    runs: Runs
    services_dir: Path
    signer: Callable[[], Signer]
    rollout_timeout: float = 120.0
    request_max_age: float = 3600.0
    dry_run: bool = False
    policy: Policy = field(default_factory=Policy)
    lease: Callable[[str, str], AbstractContextManager[None]] | None = None
    # Signs what is in the ledger and keeps the head in Vault; None where nothing is anchored.
    anchor: Callable[[], object] | None = None
    # Brings the copy of the ledger up to date, then anchors; without it only the anchoring ends a promotion.
    keep: Callable[[], object] | None = None

    @contextmanager
    def guarded(self, name: str, doing: str) -> Iterator[dict[str, Any]]:
        """Hold the service's lock, and leave a ``refused`` entry for what goes wrong in the block.

        The block may set ``promotion_id`` in the yielded dictionary once it knows it. ``name`` must be
        that of a known service: files are called after it.
        """
        lock = nullcontext() if self.dry_run else self.runs.hold(name, doing)
        with self.evidence.refusing(name) as facts:  # noqa: SIM117 - pylint takes the short form for a tuple
            with lock:
                yield facts

    def request(
        self, name: str, digest: str | None, requested_by: str | Requester, sealed: str | Plan | None = None
    ) -> Outcome:
        """Ask for ``digest`` of the service (default: what sandbox runs) to become compliant.

        An unfinished promotion of the same artifact is resumed. When the service is compliant with it
        already and the cluster shows it, nothing is written.

        :param sealed: the sealed plan to do it under, or its hash; by default one is sealed for this service.
        :raises Refused: another run is at it, sandbox runs nothing, or the plan does not hold any more.
        :raises Unsettled: the set has to be taken back first.
        :raises GoldenGooseError: the service is unknown or malformed, or the cluster does not answer.
        """
        service = self.service(name)
        with self.guarded(name, f"promotion of {name}") as facts:
            requester = requested_by if isinstance(requested_by, Requester) else Requester(requested_by)
            plan = plan_of_request(self, service, digest, requester, sealed)
            wanted = str(plan.item(name)["digest"])
            states = fold(self.evidence.entries())
            if failed := unsettled(plan, states):
                raise Unsettled(
                    f"{name} is not requested: {failed} of the same plan is not promoted "
                    f"({standing(plan, failed, states)}), and the run before ended before it had taken all back; "
                    "that is done first (promotion_plan, state: settled)."
                )
            state = states.get(name) or ServiceState(name)
            unfinished = state.open
            if unfinished:
                facts["promotion_id"] = unfinished.id
                outdated = self._outdated(unfinished, plan)
                if outdated is None:
                    return _requested(unfinished, changed=False, reason="an unfinished promotion is resumed")
                self._close(state, unfinished, outdated)
                facts.pop("promotion_id")
            if state.compliant and not state.compliant.revoked and self._shows(state.compliant, wanted):
                if not self.dry_run:
                    # It may have become compliant before the cluster had a list.
                    self.cluster.admit({service.pinned_image(wanted)})
                self.runs.release(name)
                return unchanged(state.compliant)
            if self.dry_run:
                return Outcome("requested", name, True, "a promotion would be requested", wanted)
            keep_plan(self.evidence, plan)
            entry = self.evidence.record(
                "requested",
                {
                    "service": name,
                    "digest": wanted,
                    "image": service.pinned_image(wanted),
                    "gates": list(self.policy.gates),
                    "requested_by": plan.requester.name,
                    "plan": plan.sha256,
                    "sealed_plan": reference(plan),
                },
            )
            return _requested(Promotion(entry), changed=True, reason="a promotion is requested")

    def evaluate(self, name: str, scanners: Scanners, gates: Sequence[str]) -> tuple[list[Entry], bool]:
        """Return the verdicts of ``gates`` for the open promotion, and whether any was written now.

        :raises Refused: there is no open promotion, or another run is at it.
        """
        service = self.service(name)
        with self.guarded(name, f"promotion of {name}") as facts:
            promotion = self._open(name)
            facts["promotion_id"] = promotion.id
            before = dict(promotion.verdicts)
            if promotion.phase != "requested" or self.dry_run:
                return [promotion.verdicts[gate] for gate in gates if gate in before], False
            evaluated = evaluate(self.evidence, self.cluster, scanners, service, promotion, gates, self.policy)
            return evaluated, {entry.id for entry in evaluated} != {e.id for e in before.values() if e in evaluated}

    def promote(self, name: str) -> Outcome:
        """Take the open promotion to ``compliant``: the only way there.

        :raises Denied: a required verdict is not allow; nothing was touched.
        :raises RolloutFailed: the cluster was put back to what was compliant before.
        :raises GoldenGooseError: Vault or the API server does not answer; running again resumes.
        """
        service = self.service(name)
        with self.guarded(name, f"promotion of {name}") as facts, self.leased(name, f"promotion of {name}"):
            states = fold(self.evidence.entries())
            state = states.get(name) or ServiceState(name)
            promotion = state.open
            if promotion is None:
                if state.compliant and self._shows(state.compliant, state.compliant.digest):
                    return unchanged(state.compliant)
                raise Refused(f"There is no open promotion of {name}; request one first (state: requested).")
            facts["promotion_id"] = promotion.id
            if promotion.failed:
                self._fail(state, promotion, str(promotion.failed.data["reason"]))
            if promotion.phase == "requested":
                self._start(service, states, promotion)
            if self.dry_run:
                return Outcome("compliant", name, True, "it would be promoted", promotion.digest, promotion.id)
            return self._finish(service, state, promotion)

    def leased(self, name: str, doing: str) -> AbstractContextManager[None]:
        """Hold the cluster's lease on the service, where there is one to hold."""
        return nullcontext() if self.lease is None or self.dry_run else self.lease(name, doing)

    def service(self, name: str) -> Service:
        """Return the service, from a ledger that can be trusted to take a refusal down."""
        self.evidence.require_sound()
        with self.evidence.refusing(name):
            return find_service(self.services_dir, name)

    def _open(self, name: str) -> Promotion:
        promotion = state_of(self.evidence.entries(), name).open
        if promotion is None:
            raise Refused(f"There is no open promotion of {name}; request one first (promotion, state: requested).")
        return promotion

    def _shows(self, compliant: Promotion, digest: str) -> bool:
        """Whether ``digest`` is the compliant artifact and the cluster runs just that."""
        if compliant.digest != digest:
            return False
        view = self.cluster.deployment(COMPLIANT, compliant.service)
        return view is not None and view.digest == digest and view.ready > 0

    def _outdated(self, promotion: Promotion, plan: Plan) -> str | None:
        """Return why an unfinished promotion cannot be resumed, or None when it can."""
        wanted = str(plan.item(promotion.service)["digest"])
        if promotion.digest != wanted:
            return f"it was never finished, and {short(wanted)} is requested now"
        if promotion.phase == "requested" and promotion.plan not in (None, plan.sha256):
            return f"it was requested under the plan {str(promotion.plan)[:12]}, and now it is {plan.sha256[:12]}"
        age = (datetime.now(UTC) - datetime.fromisoformat(promotion.requested.timestamp)).total_seconds()
        if promotion.phase == "requested" and age > self.request_max_age:
            return f"its verdicts may be stale: the request is older than {self.request_max_age:.0f} s"
        return None

    def _close(self, state: ServiceState, promotion: Promotion, reason: str) -> None:
        if self.dry_run:
            return
        if promotion.phase == "requested":
            self._record_refusal(promotion, reason)
        else:
            undo(self.evidence, self.cluster, state, promotion, reason, self.rollout_timeout)

    def _record_refusal(self, promotion: Promotion, reason: str, **more: Any) -> None:
        data = {**promotion.named(), "reason": reason, "final": True, **more}
        promotion.refused = self.evidence.record("refused", data, step_of=promotion.id)

    def _start(self, service: Service, states: Mapping[str, ServiceState], promotion: Promotion) -> None:
        """The choke point: people, verdicts, plan, manifests, signature, in this order; then the started entry."""
        now = datetime.now(UTC)
        plan = load_plan(self.evidence, promotion.plan) if promotion.plan else None
        people = Standing.of(
            self.evidence.entries(), trusted_by(self.signer, self.evidence.origin), clears_the_way(plan)
        )
        found = findings(people, plan, service.name, promotion.digest, now)
        told = {item["gate"] for item in found}
        denied = found + [i for i in shortfalls(promotion, self.policy.id, now) if i["gate"] not in told]
        if denied and waiting(denied):
            sentence = f"{denial(promotion, denied)}{what_next(plan, denied)}"
            raise Waiting(sentence, denied=denied, promotion_id=promotion.id)
        if plan and not denied and (held := held_back(plan, service.name, states)):
            raise Waiting(f"{service.name} is not promoted: {held}.", promotion_id=promotion.id)
        if denied:
            sentence = denial(promotion, denied)
            if not self.dry_run:
                self._record_refusal(promotion, sentence, denied=denied)
                self.runs.release(service.name)
            raise Denied(sentence, denied=denied, promotion_id=promotion.id)
        objects = render_manifests(
            service, COMPLIANT, promotion.digest, annotations={ANNOTATION_PROMOTION: promotion.id}
        )
        if not self.dry_run:
            # Nothing is put on the list yet, but without any list the cluster refuses even a check.
            self.cluster.admit(frozenset())
        # The API server checks everything and changes nothing: better refused here than half-way.
        self.cluster.apply(objects, dry_run=True)
        if self.dry_run:
            return
        said = statement(promotion)
        state = states[service.name]
        signed = self.signer().sign(said.content)
        kept = self.evidence.store(json.dumps(objects, sort_keys=True).encode(), "application/json")
        promotion.started = self.evidence.record(
            "started",
            {
                **promotion.named(),
                "previous_digest": state.compliant.digest if state.compliant else None,
                **(people.summary(plan, service.name) if plan else {}),
                "manifests": dict(kept),
                "verdicts": said.verdicts,
                "verdicts_sha256": hashlib.sha256(said.content).hexdigest(),
                "signature": signed.signature,
                "key": signed.key,
                "key_version": signed.key_version,
                "public_key": signed.public_key,
            },
            step_of=promotion.id,
        )

    def _finish(self, service: Service, state: ServiceState, promotion: Promotion) -> Outcome:
        objects = manifests_of(self.evidence, promotion)
        # What decided this promotion is in two places before the cluster is touched.
        self._anchor()
        try:
            self.cluster.admit(images_of(objects))
            self.cluster.apply(objects)
            view = self.cluster.wait_rollout(COMPLIANT, service.name, promotion.digest, self.rollout_timeout)
            answered = self._answers(service)
            if state.compliant:
                self.cluster.delete(leftovers(manifests_of(self.evidence, state.compliant), objects))
        except AWAY as error:
            raise type(error)(
                f"{error} The promotion {promotion.id} has started and is finished by running it again."
            ) from error
        except ClusterError as error:
            self._fail(state, promotion, str(error))
        completed = self._complete(promotion, state, view, answered)
        try:
            (self.keep or self._anchor)()
        except LedgerError:
            raise
        except GoldenGooseError as error:
            raise AlreadyRecorded(
                f"{service.name} is compliant and its evidence is complete, but the last entries are not "
                f"{'copied and ' if self.keep else ''}anchored: {str(error).rstrip('.')}. Run it again to do that.",
                promotion_id=promotion.id,
            ) from error
        self.runs.release(service.name)
        return Outcome(
            "compliant",
            service.name,
            True,
            f"{short(promotion.digest)} is compliant",
            promotion.digest,
            promotion.id,
            completed.hash,
        )

    def _anchor(self) -> None:
        if self.anchor is not None:
            self.anchor()

    def _answers(self, service: Service) -> dict[str, Any]:
        path = service.health.path
        healthy = self.cluster.wait_answer(COMPLIANT, service.name, path, self.rollout_timeout)
        version = self.cluster.wait_answer(COMPLIANT, service.name, service.health.version, self.rollout_timeout)
        return {"path": path, "status": healthy.status, "version": _version(version)}

    def _complete(
        self, promotion: Promotion, state: ServiceState, view: DeploymentView, answered: dict[str, Any]
    ) -> Entry:
        return self.evidence.record(
            "completed",
            {
                **promotion.named(),
                "previous_digest": state.compliant.digest if state.compliant else None,
                "stage": COMPLIANT,
                "replicas": view.ready,
                "answered": answered,
            },
            step_of=promotion.id,
        )

    def _fail(self, state: ServiceState, promotion: Promotion, reason: str) -> NoReturn:
        """Put the cluster back and raise what happened."""
        try:
            target = undo(self.evidence, self.cluster, state, promotion, reason, self.rollout_timeout)
        except ClusterError as error:
            raise AlreadyRecorded(
                f"{promotion.service} is not promoted: {reason.rstrip('.')}; and what was compliant before could not "
                f"be put back: {str(error).rstrip('.')}. Run it again to finish the rollback."
            ) from error
        self.runs.release(promotion.service)
        now = f"was put back to {short(target.digest)}" if target else "is empty again, as before"
        raise RolloutFailed(
            f"{promotion.service} is not promoted: {reason.rstrip('.')}; {COMPLIANT} {now}.",
            promotion_id=promotion.id,
            digest=promotion.digest,
            restored=target.digest if target else None,
        )


def unchanged(promotion: Promotion) -> Outcome:
    """Return the outcome of asking for what is so already."""
    completed = promotion.completed
    return Outcome(
        "unchanged",
        promotion.service,
        False,
        f"{short(promotion.digest)} is compliant already",
        promotion.digest,
        promotion.id,
        completed.hash if completed else None,
    )


def _requested(promotion: Promotion, *, changed: bool, reason: str) -> Outcome:
    return Outcome("requested", promotion.service, changed, reason, promotion.digest, promotion.id)


def _version(answer: Answer) -> str | None:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return None
    return str(document["version"]) if isinstance(document, dict) and "version" in document else None
