"""What of an intent an object lacks, and what only looks like it."""

from typing import Any

import pytest

from perennial.api.meta import ANNOTATION_DROPPED
from perennial.dropped import dropped, said

CONTAINER = {"name": "train", "image": "a", "restartPolicyRules": [{"action": "Restart"}]}


def pod(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


@pytest.mark.parametrize(
    ("wanted", "made", "fields"),
    [
        (pod(hostnameOverride="x"), pod(), "spec.template.spec.hostnameOverride"),
        # False is not what it would be without the field.
        (pod(hostUsers=False), pod(), "spec.template.spec.hostUsers"),
        (pod(a=1, b={"c": 1}), pod(), "spec.template.spec.a, spec.template.spec.b"),
        (
            pod(containers=[CONTAINER]),
            # A sidecar that was put before it does not hide it.
            pod(containers=[{"name": "proxy"}, {"name": "train", "image": "a"}]),
            "spec.template.spec.containers[train].restartPolicyRules",
        ),
        (pod(containers=[CONTAINER]), pod(containers=[]), "spec.template.spec.containers[train]"),
        (
            pod(tolerations=[{"key": "a", "x": 1}]),
            pod(tolerations=[{"key": "a"}]),
            "spec.template.spec.tolerations[0].x",
        ),
        ({"spec": {"podReplacementPolicy": "Failed"}}, {"spec": {}}, "spec.podReplacementPolicy"),
        (
            pod(**{f"f{n:02}": 1 for n in range(12)}),
            pod(),
            ", ".join(f"spec.template.spec.f{n:02}" for n in range(10)) + " and 2 more",
        ),
    ],
)
def test_a_field_that_is_not_there_is_named(wanted: Any, made: Any, fields: str) -> None:
    assert dropped(wanted, made) == fields


@pytest.mark.parametrize(
    ("wanted", "made"),
    [
        (pod(cpu="1000m"), pod(cpu="1")),
        (pod(), pod(dnsPolicy="ClusterFirst")),
        (pod(hostNetwork=False, volumes=[], securityContext={}, subdomain="", priority=None), pod()),
        (pod(volumes=[{"name": "a", "emptyDir": {}}]), pod(volumes=[{"name": "token"}, {"name": "a", "emptyDir": {}}])),
        # One volume, mounted twice, and another that somebody mounted before them: no telling which is which.
        (
            pod(mounts=[{"name": "a", "path": "/x", "sub": "x"}, {"name": "a", "path": "/y"}]),
            pod(mounts=[{"name": "b"}, {"name": "a", "path": "/x", "sub": "x"}, {"name": "a", "path": "/y"}]),
        ),
        (pod(args=["a", "b"]), pod(args=["a", "b"])),
    ],
)
def test_what_the_server_says_otherwise_is_there(wanted: Any, made: Any) -> None:
    assert dropped(wanted, made) == ""


def test_the_condition_names_the_first_child_that_lacks_something() -> None:
    whole = {"metadata": {"name": "whole"}}
    less = {"metadata": {"name": "less", "annotations": {ANNOTATION_DROPPED: "spec.x"}}}
    assert not list(said([None, whole]))
    (one,) = said([None, whole, less, less])
    assert (one.type, one.status, one.reason) == ("FieldsDropped", True, "NotInThisCluster")
    assert "made less without spec.x" in one.message
