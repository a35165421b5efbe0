"""The sidecar that takes a sample of the requests to a store, and what the server is told to write it with.

Sidecars that end after the others: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
"""

import json

from perennial.api.base import parse_duration
from perennial.api.requestlog import COLUMNS_ENV, FOLDER_ENV, PERCENT_ENV, RequestLog, place_of
from perennial.api.task import ShipTask
from perennial.config import Config
from perennial.plan import Body
from perennial.pods import agent_container, claim_mounts, claim_of

SHIP = "ship"
FOLDER = "/perennial/requests"
_VOLUME = "perennial-requests"
VOLUME: Body = {"name": _VOLUME, "emptyDir": {}}
MOUNT: Body = {"name": _VOLUME, "mountPath": FOLDER}


def environment(log: RequestLog) -> dict[str, str]:
    """What the server is told."""
    columns = {COLUMNS_ENV: json.dumps(log.columns)} if log.columns else {}
    return {FOLDER_ENV: FOLDER, PERCENT_ENV: f"{log.percent:g}", **columns}


def claims(log: RequestLog) -> list[str]:
    """The claims that it is written to."""
    claim = claim_of(log.uri)
    return [claim] if claim else []


def sidecar(log: RequestLog, namespace: str, deployment: str, config: Config) -> Body:
    """The container beside the server, which outlives it."""
    keep = int(parse_duration(log.retention).total_seconds())
    task = ShipTask(folder=FOLDER, uri=place_of(log, namespace, deployment), keep_seconds=keep)
    mounts = [MOUNT, *claim_mounts(claims(log), read_only=False)]
    storage = log.storage.secret_name if log.storage else None
    return agent_container(SHIP, SHIP, task, config, storage=storage, mounts=mounts) | {"restartPolicy": "Always"}
