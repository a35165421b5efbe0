"""One of several ways, applied: what was chosen first, or by default, does not stand in the way of another choice."""

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import MODELDEPLOYMENTS, RETRAINPOLICIES, Resource
from tests.apiserver.test_bad_manifests import manifest

# With all that has a default of its own.
CANARY = {"canary": {"bakeTime": "1m", "stableScale": "Full", "steps": [{"setWeight": 10}]}}
SOURCE = "spec.triggers.0.metric.source"


@pytest.mark.parametrize("flags", [(), ("--server-side",)], ids=["client", "server"])
@pytest.mark.parametrize(
    ("resource", "field", "ways"),
    [
        (
            MODELDEPLOYMENTS,
            "spec.strategy",
            [None, CANARY, {"rollingUpdate": {}}, None],
        ),
        (RETRAINPOLICIES, SOURCE, [None, {"reported": {}}, None]),
    ],
    ids=["strategy", "source"],
)
def test_the_default_is_not_written_into_the_object(
    kinds: ApiServer,
    namespace: str,
    tmp_path: Path,
    resource: Resource,
    field: str,
    ways: list[Any],
    flags: tuple[str, ...],
) -> None:
    path = tmp_path / "object.json"
    for way in ways:
        body = manifest(resource, {field: way} if way else {})
        path.write_text(json.dumps(body))
        kinds.kubectl("apply", *flags, "-n", namespace, "-f", str(path))
        name = body["metadata"]["name"]
        shown = json.loads(kinds.kubectl("get", resource.plural, name, "-n", namespace, "-o", "json"))["spec"]
        found = shown.get("strategy") if field == "spec.strategy" else shown["triggers"][0]["metric"].get("source")
        assert found == way
