# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases on a real API server, with the promoter's own credentials."""

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.cluster import ClusterError, KubernetesCluster
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.leases import Leases
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.model import Refused
from ansible_collections.golden_goose.compliance.plugins.module_utils.promotion.runs import Owner, owner_of

from .api_server import Api, kubeconfig

PATH = "/apis/coordination.k8s.io/v1/namespaces/compliant/leases/promotion-svc"


def elsewhere(api: Api, seconds: float = 60) -> Leases:
    """Return the leases as a process of another machine holds them."""
    return Leases(api.promoter, Owner(1, "1", "other-boot"), seconds, host="other")


def test_another_run_is_refused_and_told_who_it_is(api: Api) -> None:
    with elsewhere(api).hold("svc", "promotion of svc"):
        said = r"by another run: promotion of svc \(on other, pid 1, lease until 20"
        with pytest.raises(Refused, match=said), Leases(api.promoter).hold("svc", "promotion of svc"):
            raise AssertionError("both hold it")
        with Leases(api.promoter).hold("other-service", "promotion"):
            pass
    assert api.promoter.request("GET", PATH).status == 404
    with Leases(api.promoter).hold("svc", "promotion of svc"):
        assert api.promoter.request("GET", PATH).status == 200


def test_one_that_nobody_renews_expires(api: Api) -> None:
    elsewhere(api, seconds=1)._acquire("svc", "a run that is killed")
    began = time.monotonic()
    with Leases(api.promoter, wait_seconds=10).hold("svc", "promotion of svc"):
        assert 0.5 < time.monotonic() - began < 8


def test_one_that_is_renewed_does_not(api: Api) -> None:
    with elsewhere(api, seconds=1).hold("svc", "a long run"):
        time.sleep(2.5)
        with pytest.raises(Refused, match="a long run"), Leases(api.promoter).hold("svc", "promotion"):
            raise AssertionError("both hold it")


def test_a_process_of_this_machine_that_has_ended_is_not_waited_for(api: Api) -> None:
    ours = owner_of(os.getpid())
    assert ours is not None
    gone = Owner(2**22 - 1, "1", ours.boot)
    Leases(api.promoter, gone)._acquire("svc", "a run that is killed")
    with Leases(api.promoter).hold("svc", "promotion of svc"):
        pass


def test_the_same_run_takes_its_lease_again(api: Api) -> None:
    Leases(api.promoter)._acquire("svc", "promotion of svc")
    with Leases(api.promoter).hold("svc", "promotion of svc"):
        pass


def test_without_the_right_to_it_the_sentence_says_so(api: Api) -> None:
    reader = KubernetesCluster(kubeconfig(api.folder, "reader", api.port, "reader-token"))
    said = "The API server does not give the lease of svc in compliant"
    with pytest.raises(ClusterError, match=said), Leases(reader).hold("svc", "promotion"):
        raise AssertionError("not allowed")
