"""What the operator asked for in this whole run, by the API server's audit log, beside what its roles allow."""

import pytest

from e2e import audit, operators
from e2e.lab import SYSTEM, Body, Lab

_MET = "after a write that met somebody else's, or whose answer was lost"
# Rights that a run need not use, each for a reason.
RARE = {
    **{f"get {plural}": _MET for plural in ("jobs", "deployments", "pods", "persistentvolumeclaims")},
    **{f"get {plural}": _MET for plural in ("trainingjobs", "models", "modelversions", "retrainpolicies")},
    "create services": "the API server asks for it beside `patch` when an apply makes the object",
    "list events": "they are read when a Job has had no pod for some seconds",
    "patch events": "an Event that is told again within minutes is counted",
}


def test_nothing_was_denied(lab: Lab, began: float) -> None:
    denied = [entry for entry in audit.of(lab, operators.USER, began) if audit.denied(entry)]
    # An uninstall takes the roles, and a moment later what had them.
    without = _without_roles(lab, began)
    assert [
        audit.asked(entry) for entry in denied if not any(gone <= audit.at(entry) <= back for gone, back in without)
    ] == []


def test_every_right_was_used(lab: Lab, began: float, pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("keyword") or not _whole(pytestconfig):
        pytest.skip("only a whole run uses every right")
    used = {audit.asked(entry) for entry in audit.of(lab, operators.USER, began) if "objectRef" in entry}
    unused = sorted(_allowed(lab) - used - RARE.keys())
    assert unused == []


def _without_roles(lab: Lab, began: float) -> list[tuple[float, float]]:
    """The times between an uninstall and the next install."""
    found: list[tuple[float, float]] = []
    gone = None
    for entry in audit.of_roles(lab, {role["metadata"]["name"] for role in _roles(lab)}, began):
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


def _roles(lab: Lab) -> list[Body]:
    """The roles that are bound to the operator's account."""
    account = {"kind": "ServiceAccount", "name": "perennial", "namespace": SYSTEM}
    bindings = [*lab.every("clusterrolebindings", SYSTEM), *lab.every("rolebindings", SYSTEM)]
    names = [one["roleRef"] for one in bindings if account in one.get("subjects", ())]
    return [lab.get(ref["kind"].lower(), ref["name"], SYSTEM) or {} for ref in names]


def _whole(config: pytest.Config) -> bool:
    return not any("test_" in argument for argument in config.args)
