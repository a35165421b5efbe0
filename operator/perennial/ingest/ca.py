"""The ConfigMap `perennial-ca`: what clients trust, in the operator's namespace and in those that have deployments."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from cryptography import x509

from perennial.api.meta import CA_CONFIGMAP, LABEL_OWNED
from perennial.api.resources import CONFIGMAPS
from perennial.kube.client import Client
from perennial.kube.errors import AlreadyExists, Conflict, NameTaken, NotFound
from perennial.plan import Body

NAME = CA_CONFIGMAP
BUNDLE = "ca.crt"
# More replicas than anyone runs; pods that vanished leave their entries until their certificates expire.
_MAX_REPLICAS = 64
_ATTEMPTS = 8
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?-----END CERTIFICATE-----\n?", re.DOTALL)


async def publish(client: Client, namespace: str, replica: str, authorities: str, now: datetime) -> str:
    """Put a replica's CA beside those of the others, and return the bundle of all. Writes only what differs.

    Raises NameTaken when a ConfigMap of that name is not ours, and the other types of `kube.errors`.
    """
    for _ in range(_ATTEMPTS):
        found = await _find(client, namespace)
        before = found.get("data") or {} if found else {}
        data = _merged(before, f"{replica}.pem", authorities, now)
        try:
            await _write(client, namespace, found, data)
        except (AlreadyExists, Conflict):
            continue
        return data.get(BUNDLE, "")
    raise Conflict(f"ConfigMap {NAME} changes too often", code=409)


async def copy(client: Client, namespace: str, bundle: str, now: datetime) -> None:
    """Make a namespace's ConfigMap say the bundle.

    Raises as `publish`, and NameTaken, too, when another operator publishes there: it serves the same objects.
    """
    found = await _find(client, namespace)
    before = (found or {}).get("data") or {}
    if any(key != BUNDLE and _ends(text) > now for key, text in before.items()):
        raise NameTaken(
            f"another operator runs in {namespace}, and both act on the same objects: uninstall one of them; if it is "
            f"gone already, delete the ConfigMap {NAME} in {namespace}",
            code=409,
        )
    await _write(client, namespace, found, {BUNDLE: bundle})


async def _find(client: Client, namespace: str) -> Body | None:
    try:
        found = await client.get(CONFIGMAPS, namespace, NAME)
    except NotFound:
        return None
    if LABEL_OWNED not in (found["metadata"].get("labels") or {}):
        raise NameTaken(f"the ConfigMap {NAME} in {namespace} is not of this operator: remove it", code=409)
    return found


async def _write(client: Client, namespace: str, found: Body | None, data: Mapping[str, str]) -> None:
    if found is None:
        if data:
            metadata = {"name": NAME, "namespace": namespace, "labels": {LABEL_OWNED: "true"}}
            await client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)})
        return
    before = found.get("data") or {}
    if before != data:
        metadata = {key: found["metadata"][key] for key in ("uid", "resourceVersion")}
        gone: dict[str, str | None] = dict.fromkeys(before)
        await client.patch(CONFIGMAPS, namespace, NAME, {"metadata": metadata, "data": {**gone, **data}})


def _merged(before: Mapping[str, str], own: str, authorities: str, now: datetime) -> dict[str, str]:
    """All replicas' entries but those that expired, and the bundle of them; nothing when there is nothing to trust."""
    others = {key: ends for key, text in before.items() if key not in (own, BUNDLE) and (ends := _ends(text)) > now}
    kept = sorted(others, key=lambda key: others[key])[-_MAX_REPLICAS:]
    entries = {key: before[key] for key in kept} | ({own: authorities} if authorities else {})
    certificates = dict.fromkeys(one.strip() for key in sorted(entries) for one in _PEM.findall(entries[key]))
    return entries | ({BUNDLE: "\n".join(certificates) + "\n"} if certificates else {})


def _ends(text: str) -> datetime:
    """When the last certificate of an entry expires; long ago when it has none."""
    never = datetime.fromtimestamp(0, UTC)
    try:
        return max((one.not_valid_after_utc for one in x509.load_pem_x509_certificates(text.encode())), default=never)
    except ValueError:
        return never
