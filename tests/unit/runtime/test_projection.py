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
    labels = {"perennial.dev/trainingjob": "tj", "job-name": "tj"}
    body = a_body(PODS, "pod", metadata={**NOISE, "labels": labels, "deletionTimestamp": "2026-01-01T00:00:00Z"})
    body |= {"spec": {"nodeName": "node-1", "containers": [{"name": "train"}]}, "status": status}
    kept = project(PODS, body)
    assert kept["spec"] == {"nodeName": "node-1"}
    assert kept["status"] == status
    assert kept["metadata"]["labels"] == {"perennial.dev/trainingjob": "tj"}
    assert kept["metadata"]["deletionTimestamp"]
    assert kept["metadata"]["annotations"] == {"perennial.dev/cause": "{}"}


def test_of_a_container_what_nobody_reads_is_dropped():
    state = {"terminated": {"exitCode": 137, "message": "m"}}
    read = {
        "name": "main",
        "state": state,
        "lastState": {},
        "ready": False,
        "restartCount": 2,
        "imageID": "i@sha256:1",
    } | {"image": "i:1"}
    status = {"containerStatuses": [{**read, "started": False, "volumeMounts": [{"name": "v"}]}]}
    assert project(PODS, a_body(PODS, "pod", status=status))["status"] == {"containerStatuses": [read]}


def test_a_deployments_template_loses_its_pod_spec_only():
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    kept = project(DEPLOYMENTS, a_job() | {"spec": {"replicas": 1, "template": template}})
    assert kept["spec"] == {"replicas": 1, "template": {"metadata": {"labels": {"a": "b"}}}}


def test_a_job_keeps_what_may_be_changed():
    spec = {"suspend": True, "template": {}, "selector": {}, "podFailurePolicy": {}, "activeDeadlineSeconds": 3}
    assert project(JOBS, a_job() | {"spec": spec})["spec"] == {"suspend": True, "activeDeadlineSeconds": 3}


def test_repeated_words_are_one_object():
    one, two = (project(JOBS, a_job("".join(["j", str(n)]))) for n in range(2))
    assert [id(key) for key in one] == [id(key) for key in two]
    assert one["metadata"]["namespace"] is two["metadata"]["namespace"]
