"""What the cache keeps, and that it does not touch what it was given."""

import copy

from perennial.api.resources import DEPLOYMENTS, JOBS, PODS, TRAININGJOBS
from perennial.runtime.projection import project
from tests.unit.runtime.builders import a_body, a_job

NOISE = {
    "managedFields": [{"manager": "kubectl"}],
    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "perennial.dev/cause": "{}", "x": "y"},
}


def test_own_kinds_keep_everything_but_the_noise():
    body = a_body(TRAININGJOBS, "tj", metadata=NOISE, status={"phase": "Running"})
    before = copy.deepcopy(body)
    kept = project(TRAININGJOBS, body)
    assert body == before
    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {"perennial.dev/cause": "{}", "x": "y"}
    assert (kept["spec"], kept["status"]) == (body["spec"], body["status"])


def test_a_pod_keeps_its_identity_node_and_status():
    status = {"phase": "Running", "containerStatuses": [{"name": "train", "restartCount": 0}]}
    body = a_body(PODS, "pod", metadata={**NOISE, "labels": {"a": "b"}, "deletionTimestamp": "2026-01-01T00:00:00Z"})
    body |= {"spec": {"nodeName": "node-1", "containers": [{"name": "train"}]}, "status": status}
    kept = project(PODS, body)
    assert kept["spec"] == {"nodeName": "node-1"}
    assert kept["status"] == status
    assert kept["metadata"]["labels"] == {"a": "b"}
    assert kept["metadata"]["deletionTimestamp"]
    assert kept["metadata"]["annotations"] == {"perennial.dev/cause": "{}"}


def test_templates_lose_their_pod_spec_only():
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    for resource in (JOBS, DEPLOYMENTS):
        kept = project(resource, a_job() | {"spec": {"suspend": True, "template": template}})
        assert kept["spec"] == {"suspend": True, "template": {"metadata": {"labels": {"a": "b"}}}}


def test_repeated_words_are_one_object():
    one, two = (project(JOBS, a_job("".join(["j", str(n)]))) for n in range(2))
    assert [id(key) for key in one] == [id(key) for key in two]
    assert one["metadata"]["namespace"] is two["metadata"]["namespace"]
