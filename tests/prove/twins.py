"""Twins of our kinds, under another group: what is written on them costs the API server what it costs on ours, and the
operator nothing."""

import json
from typing import Any

from e2e.cluster.apiserver import ApiServer
from perennial.api.crds import KINDS, crd
from perennial.api.meta import GROUP, LABEL_OWNED
from perennial.api.resources import DEPLOYMENTS, JOBS, MODELDEPLOYMENTS, TRAININGJOBS, Resource, of
from perennial.kube.http import HttpClient
from perennial.plan import Body
from tests.apiserver.operators import define
from tests.prove.poisoned import PLAIN_TEMPLATE

TWIN = "perennial.example"
_POD = {"metadata": {"labels": {LABEL_OWNED: "true"}}, "spec": PLAIN_TEMPLATE["spec"]}
# As the operator makes them of ours.
_CHILDREN: dict[Resource, tuple[Resource, Body]] = {
    TRAININGJOBS: (JOBS, {"template": {**_POD, "spec": {**_POD["spec"], "restartPolicy": "Never"}}}),
    MODELDEPLOYMENTS: (DEPLOYMENTS, {"selector": {"matchLabels": {LABEL_OWNED: "true"}}, "template": _POD}),
}


def apply_twins(server: ApiServer) -> None:
    """Apply their CustomResourceDefinitions, of the same schemas; return when clients can discover them."""
    file = server.folder / "twins.json"
    kinds = {"apiVersion": "v1", "kind": "List", "items": [crd(kind) for kind in KINDS]}
    file.write_text(json.dumps(_twin(kinds)))
    define(server, file, TWIN)


def _twin(value: Any) -> Any:
    return json.loads(json.dumps(value).replace(GROUP, TWIN))


class Twins(HttpClient):
    """Writes on the twins, with the same calls; a twin's children are made with it."""

    async def create(self, body: Body, *, strict: bool = False, dry_run: bool = False) -> Body:
        """Make an object and its child."""
        made = await super().create(body, strict=strict, dry_run=dry_run)
        if child := _CHILDREN.get(of(body)):
            resource, spec = child
            name, uid = made["metadata"]["name"], made["metadata"]["uid"]
            owner = {"apiVersion": body["apiVersion"], "kind": body["kind"], "name": name, "uid": uid}
            metadata = {"name": name, "namespace": body["metadata"]["namespace"], "labels": {LABEL_OWNED: "true"}}
            head = {"apiVersion": resource.api_version, "kind": resource.kind}
            await super().create({**head, "metadata": {**metadata, "ownerReferences": [owner]}, "spec": spec})
        return made

    async def _request(self, method: str, verb: str, resource: Resource | None, *call: Any, **how: Any) -> Body:
        how["query"] = _twin(how.get("query"))
        return await super()._request(method, verb, resource, *_twin(call), **how)
