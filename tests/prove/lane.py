"""An operator of its own for one namespace of a server that many share, behind a proxy, with a person's hands in it."""

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from e2e.cluster.apiserver import ApiServer
from perennial.api.resources import DEPLOYMENTS, MODELDEPLOYMENTS, MODELVERSIONS, RETRAINPOLICIES, TRAININGJOBS
from perennial.plan import Body
from tests.apiserver.operators import Perennial, eventually
from tests.apiserver.space import Space
from tests.kubelets import fated
from tests.prove.compare import timeless
from tests.prove.proxy import Faults, Proxy, Write

CONTAINER = {"name": "main", "image": "train:1", "command": ["python", "train.py"]}
# A second is what a status is held back for, and the longest that any rule waits when nothing is asked of it.
QUIET = 2.5
PATIENCE = 120.0


class Crash(Faults):
    """Ends the operator when its writes of these numbers are accepted, and starts it again at once each time."""

    def __init__(self, *at: int) -> None:
        self.at = at
        self.lane: Lane | None = None
        self.died: list[Write] = []

    def written(self, write: Write) -> None:
        if write.number in self.at and self.lane:
            self.died.append(write)
            self.lane.restart()


class Lane:
    """A namespace, entered with its operator started. `patience`: the seconds that what it waits for may take."""

    def __init__(
        self, server: ApiServer, config: Body, faults: Faults | None = None, patience: float = PATIENCE
    ) -> None:
        self.patience = patience
        self.space = Space(server)
        self.proxy = Proxy(server, self.space.name, faults, scope=self.space.name)
        self._config: Path = server.folder / f"{self.space.name}.yaml"
        self.configure(config)
        self.operator = Perennial(
            server, self.space.name, self._config, kubeconfig=self.proxy.kubeconfig, namespace=self.space.name
        )

    def __enter__(self) -> Self:
        self.proxy.__enter__()
        self.operator.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.operator.__exit__()
        self.proxy.__exit__()

    def configure(self, config: Body) -> None:
        """Write the operator's configuration file, which it reads when it starts."""
        self._config.write_text(json.dumps(config))

    def restart(self) -> None:
        """Kill the operator, and start it again."""
        self.operator.kill()
        self.proxy.cut()
        self.operator.__enter__()

    def train(self, name: str, *fates: Body, **spec: Any) -> None:
        """A TrainingJob of the model `churn` whose pods have these fates."""
        template = {"metadata": fated(*(fates or ({},))), "spec": {"containers": [CONTAINER]}}
        self.space.train(name, template=template, **spec)

    def deploy(self, name: str = "churn", **spec: Any) -> None:
        """A ModelDeployment of the model of the same name."""
        server = {"spec": {"containers": [{"name": "server", "image": "server:1"}]}}
        plain = {"model": {"name": name}, "template": server, "scaleDownDelay": "1s"}
        self.space.make(MODELDEPLOYMENTS, name, plain | spec)

    def version(self, number: int, path: str = "", *, model: str = "churn", **spec: Any) -> None:
        """A person's own ModelVersion."""
        plain = {
            "model": model,
            "version": number,
            "uri": f"s3://acme{path}/{number}",
            "digest": f"sha256:{number:064x}",
            "format": "sklearn",
        }
        self.space.make(MODELVERSIONS, f"{model}-{number}", plain | spec)

    def policy(
        self, name: str, *triggers: Body, deployment: str = "churn", fates: tuple[Body, ...] = ({},), **spec: Any
    ) -> None:
        """A RetrainPolicy of a deployment."""
        training = {
            "model": {"name": deployment},
            "template": {"metadata": fated(*fates), "spec": {"containers": [CONTAINER]}},
            "output": {"uri": "s3://acme/models"},
            "backoffLimit": 0,
        }
        plain = {
            "deployment": {"name": deployment},
            "trainingJobTemplate": {"spec": training},
            "triggers": list(triggers),
        }
        self.space.make(RETRAINPOLICIES, name, plain | spec)

    def ask(self, policy: str, value: str) -> None:
        """Ask a policy for a run."""
        annotations = {"perennial.dev/run-request": value}
        self.space.patch(RETRAINPOLICIES, policy, {"metadata": {"annotations": annotations}})

    def says(self, what: str, value: str) -> None:
        """Ask the deployment `churn` for something by annotation."""
        annotations = {f"perennial.dev/{what}": value}
        self.space.patch(MODELDEPLOYMENTS, "churn", {"metadata": {"annotations": annotations}})

    def rollout(self) -> Body:
        """The rollout of the deployment `churn`; empty without one."""
        found: Body = ((self.space.get(MODELDEPLOYMENTS, "churn") or {}).get("status") or {}).get("rollout") or {}
        return found

    def until(self, what: str, check: Callable[[], Any], seconds: float = 0.0) -> Any:
        """The first truthy value of a check; `seconds` where it takes longer than anything else."""
        try:
            return eventually(check, max(seconds, self.patience))
        except AssertionError as error:
            seen = {kind.plural: self.space.every(kind) for kind in (TRAININGJOBS, MODELDEPLOYMENTS, RETRAINPOLICIES)}
            statuses = {f"{k}/{o['metadata']['name']}": o.get("status") for k, all_ in seen.items() for o in all_}
            raise AssertionError(f"{self.space.name}: {what}: {error}\n{json.dumps(statuses)[:6000]}") from None

    def phase(self, run: str, *phases: str) -> None:
        """Wait until a TrainingJob is in one of these phases."""
        self.until(f"{run} is {phases}", lambda: self.space.status(run).get("phase") in phases)

    def serves(self, version: int) -> None:
        """Wait until the deployment `churn` serves a version and is at rest, its old revisions too."""

        def check() -> bool:
            found = (self.space.get(MODELDEPLOYMENTS, "churn") or {}).get("status") or {}
            ready = {one["type"]: one["status"] for one in found.get("conditions") or ()}.get("Ready") == "True"
            scaled = [one for one in self.space.every(DEPLOYMENTS) if one["spec"]["replicas"]]
            return ready and found.get("modelVersion") == f"churn-{version}" and len(scaled) == 1

        self.until(f"churn serves version {version}", check)

    def condition(self, kind: Any, name: str, type_: str, reason: str) -> None:
        """Wait until an object's condition has this reason."""

        def check() -> bool:
            found = (self.space.get(kind, name) or {}).get("status") or {}
            return any((one["type"], one["reason"]) == (type_, reason) for one in found.get("conditions") or ())

        self.until(f"{name} says {type_} {reason}", check)

    def quiet(self, seconds: float = QUIET, within: float = 60.0) -> None:
        """Wait until the operator has written nothing for so long."""
        deadline = time.monotonic() + within
        count, since = len(self.proxy.writes), time.monotonic()
        while time.monotonic() - since < seconds:
            assert time.monotonic() < deadline, f"still writing: {[str(one) for one in self.proxy.writes[-10:]]}"
            time.sleep(0.1)
            if len(self.proxy.writes) != count:
                count, since = len(self.proxy.writes), time.monotonic()

    def made(self) -> Counter[str]:
        """How often the operator created and deleted each object."""
        return Counter(
            timeless(f"{one.request.method} {one.request.resource} {one.name}")
            for one in self.proxy.writes
            if one.request.method in ("POST", "DELETE")
        )
