"""What the operator asked for in this whole run, by the API server's audit log, beside what its roles allow."""

import asyncio
import json
import os
from collections import Counter

import pytest

from e2e import audit, jostle, operators
from e2e.gateway import route
from e2e.lab import SYSTEM, Body, Lab
from e2e.space import Space, serving, shell, training
from perennial.api.meta import DEFAULT_CLAIM
from tests.prove.report import Proof

# What a ModelDeployment may have beside its pods.
BESIDE = ("horizontalpodautoscalers", "poddisruptionbudgets", "networkpolicies", "ingresses", "httproutes")
# Rights that a run need not use, each for a reason.
RARE = {
    **dict.fromkeys(
        (f"create {kind}" for kind in ("services", *BESIDE) if kind != "httproutes"),
        "the API server asks for it beside `patch` when an apply makes the object",
    ),
    "get pods": "after a deletion that met somebody else's write, or whose answer was lost",
    "get persistentvolumeclaims": "when a LIST tells of one that the watch did not",
}
# What leads to more than the role says.
LEADS_ON = {"escalate", "bind", "impersonate", "*"}
SECRET = {"secrets", "serviceaccounts", "roles", "rolebindings", "clusterroles", "clusterrolebindings"}
# An operator of one namespace asks whether they are there; of their tokens it says nothing.
ACCOUNTS = {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"]}
OURS = "app.kubernetes.io/name=perennial"
# What somebody other than RBAC may refuse, and tests make it do so.
OTHERS = ("exceeded quota", "is being terminated", "violates PodSecurity")


@pytest.fixture(scope="module")
def space(lab: Lab) -> Space:
    """Where nothing runs, and somebody edits whatever he finds."""
    space = Space(lab, "e2e-rights")
    jostle.world(space)
    return space


def test_what_others_edit_meanwhile_is_read_again(space: Space, lab: Lab, began: float) -> None:
    wanted = {f"get {kind}" for kind in ("trainingjobs", "models", "modelversions", "retrainpolicies", "deployments")}
    wanted.add("patch events")

    def met() -> bool:
        asyncio.run(jostle.jostle(space, 5))
        used = {audit.asked(entry) for entry in audit.of(lab, operators.USER, began, space.name)}
        return wanted <= used

    space.until("its writes met those of others", met, 60)


def test_what_others_made_is_read_and_left_alone(space: Space, lab: Lab, began: float) -> None:
    container = {"name": "theirs", "image": "localhost/none:1"}
    job = {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    space.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "taken"}, "spec": job},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": DEFAULT_CLAIM}, "spec": claim},
    )
    space.apply(route("taken", "taken.example", {"theirs": 1}))
    made = (("job", "taken"), ("pvc", DEFAULT_CLAIM), ("httproute", "taken"))
    before = [space.get(*one) for one in made]
    space.apply(training("taken", shell("true")), serving("taken", route={"parentRefs": [{"name": "gateway"}]}))
    for kind in ("trainingjob", "mdep"):
        space.says(kind, "taken", "Stalled", "True", "belongs to no object of this operator")
    after = [space.get(*one) for one in made]
    assert [one and one["spec"] for one in after] == [one and one["spec"] for one in before]
    asked = {audit.asked(entry) for entry in audit.of(lab, operators.USER, began, space.name)}
    assert {"get jobs", "create persistentvolumeclaims", "get httproutes"} <= asked


def test_what_is_asked_for_beside_the_pods_comes_and_goes(space: Space) -> None:
    fields = {
        "autoscaling": {"maxReplicas": 2},
        "disruption": {"maxUnavailable": 1},
        "network": {"allowFrom": []},
        "ingress": {},
        "route": {"parentRefs": [{"name": "gateway"}]},
    }
    space.apply(serving("beside", **fields))
    space.until("all of it is made", lambda: all(space.get(kind, "beside") for kind in BESIDE))
    space.kubectl("patch", "mdep", "beside", "--type=merge", "-p", '{"spec": {"route": {"hostnames": ["a.dev"]}}}')
    space.until("the route is changed", lambda: "hostnames" in (space.get("httproute", "beside") or {})["spec"])
    patch = json.dumps({"spec": dict.fromkeys(fields)})
    space.kubectl("patch", "modeldeployment", "beside", "--type=merge", "-p", patch)
    space.until("all of it is gone", lambda: not any(space.get(kind, "beside") for kind in BESIDE))


@pytest.mark.proof("Least privilege")
def test_nothing_was_refused_for_lack_of_a_right(lab: Lab, began: float, proof: Proof) -> None:
    requests = list(audit.of(lab, operators.USER, began))
    # An uninstall takes the roles, and a moment later what had them.
    without = _without_roles(lab, began)
    during = [entry for entry in requests if not any(gone <= audit.at(entry) <= back for gone, back in without)]
    denied = [entry for entry in during if audit.denied(entry)]
    assert [audit.asked(entry) for entry in denied] == []
    forbidden = [entry for entry in during if entry["responseStatus"].get("code") == 403]
    words = [f"{audit.asked(entry)}: {entry['responseStatus'].get('message', '')}" for entry in forbidden]
    assert [one for one in words if not any(other in one for other in OTHERS)] == []
    proof.count("requests of the operator", len(requests))
    proof.count("refused for lack of a right", len(denied))


@pytest.mark.proof("Least privilege")
def test_every_right_was_used(lab: Lab, began: float, pytestconfig: pytest.Config, proof: Proof) -> None:
    if not _whole(pytestconfig):
        pytest.skip("only a whole run uses every right")
    used = Counter(audit.asked(entry) for entry in audit.of(lab, operators.USER, began) if "objectRef" in entry)
    allowed = _allowed(lab)
    assert sorted(allowed - used.keys() - RARE.keys()) == []
    assert sorted(RARE.keys() - allowed) == []
    proof.count("rights", len(allowed))
    proof.count("of them used", len(allowed & used.keys()))
    proof.count("excused by name", len(allowed - used.keys()))


@pytest.mark.proof("Least privilege")
def test_no_role_leads_to_more(lab: Lab, began: float, proof: Proof) -> None:
    own = _roles(lab)
    others = [role for role in lab.every("clusterroles", SYSTEM, OURS) if role["metadata"]["name"] not in _names(own)]
    assert others, "the roles for people are not there"
    for role in [*own, *others]:
        for rule in role["rules"]:
            assert not rule.get("nonResourceURLs"), role["metadata"]["name"]
            assert "*" not in [*rule["apiGroups"], *rule["resources"]], role["metadata"]["name"]
            assert not LEADS_ON & set(rule["verbs"]), role["metadata"]["name"]
            assert rule == ACCOUNTS or not SECRET & {one.split("/")[0] for one in rule["resources"]}, role["metadata"][
                "name"
            ]
            proof.count("rules without a wildcard, escalate, bind, impersonate or Secrets")
    touched = [
        one for one in audit.of(lab, operators.USER, began) if (one.get("objectRef") or {}).get("resource") in SECRET
    ]
    assert [audit.asked(entry) for entry in touched] == []


def _without_roles(lab: Lab, began: float) -> list[tuple[float, float]]:
    """The times between an uninstall and the next install."""
    found: list[tuple[float, float]] = []
    gone = None
    for entry in audit.of_roles(lab, _names(_roles(lab)), began):
        if entry["verb"] == "delete" and gone is None:
            gone = audit.at(entry)
        elif entry["verb"] == "create" and gone is not None:
            found.append((gone, audit.at(entry)))
            gone = None
    return found


def _allowed(lab: Lab) -> set[str]:
    return {
        f"{verb} {resource}"
        for role in _roles(lab)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _names(roles: list[Body]) -> set[str]:
    return {role["metadata"]["name"] for role in roles}


def _roles(lab: Lab) -> list[Body]:
    """The roles that are bound to the operator's account."""
    account = {"kind": "ServiceAccount", "name": "perennial", "namespace": SYSTEM}
    bindings = [*lab.every("clusterrolebindings", SYSTEM), *lab.every("rolebindings", SYSTEM)]
    names = [one["roleRef"] for one in bindings if account in one.get("subjects", ())]
    return [lab.get(ref["kind"].lower(), ref["name"], SYSTEM) or {} for ref in names]


def _whole(config: pytest.Config) -> bool:
    marks = config.getoption("markexpr")
    # Those beside each other were before.
    narrowed = config.getoption("keyword") or (marks and not (marks == "alone" and "E2E_BEGAN" in os.environ))
    return not narrowed and not any("test_" in argument for argument in config.args)
