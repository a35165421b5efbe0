"""What the operator asked for in this whole run, by the API server's audit log, beside what its roles allow."""

import pytest

from e2e import audit, operators
from e2e.lab import SYSTEM, Lab

# Rights that the run need not have used, each for a reason.
RARE = {
    # Only when a write meets an object that the cache does not show: after a lost answer, or with a name taken.
    "get jobs": "a create that met its object",
    "get trainingjobs": "a create that met its object",
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
    for entry in audit.of_roles(lab, "perennial", began):
        if entry["verb"] == "delete" and gone is None:
            gone = audit.at(entry)
        elif entry["verb"] == "create" and gone is not None:
            found.append((gone, audit.at(entry)))
            gone = None
    return found


def _allowed(lab: Lab) -> set[str]:
    roles = [lab.get("clusterrole", "perennial", SYSTEM), lab.get("role", "perennial", SYSTEM)]
    return {
        f"{verb} {resource}"
        for role in roles
        for rule in (role or {})["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _whole(config: pytest.Config) -> bool:
    return not any("test_" in argument for argument in config.args)
