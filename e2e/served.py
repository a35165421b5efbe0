"""A deployment under load, and a small server of one's own for those whose model does not matter."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from e2e.lab import Body, is_true
from e2e.load import Load
from e2e.space import IMAGE, RESTRICTED, Space, program, shell, training, version
from e2e.store import BUCKET, Store
from tests.prove.report import scaled

# Requests per second, and in each scenario.
RATE = scaled(200, 50)
ENOUGH = scaled(10_000, 0)
# What is late only because the machine is busy is still ready.
PROBE: Body = {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 5}
_ODD: Body = {
    "name": "server",
    "image": IMAGE,
    "command": program("odd"),
    "ports": [{"name": "http", "containerPort": 8080}],
    "readinessProbe": PROBE,
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    "securityContext": RESTRICTED,
}


def odd_server(pod: Body | None = None, **container: Any) -> Body:
    """The pod template of a server whose models say how it behaves, with fields of its container and pod changed."""
    return {"spec": {**(pod or {}), "containers": [_ODD | container]}}


def tried(store: Store, model: str, number: int, behaviour: str = "fine") -> Body:
    """A version of such a server that behaves so."""
    files = {"behaviour.txt": behaviour.encode()}
    return version(model, number, store.put(f"{model}/{number}", files), format="files")


def mended(model: str) -> Body:
    """A TrainingJob of such a model, after which it behaves."""
    command = shell('echo fine > "$PERENNIAL_OUTPUT_DIR/behaviour.txt"')
    return training(model, command, model={"name": model, "format": "files"}, output={"uri": f"s3://{BUCKET}"})


@dataclass(frozen=True)
class Served:
    """A deployment under load."""

    space: Space
    load: Load
    name: str

    @property
    def deployment(self) -> Body:
        return self.space.get("modeldeployment", self.name) or {}

    def ask(self, what: str, value: str) -> None:
        """Ask for something by annotation."""
        self.space.kubectl("annotate", "--overwrite", "mdep", self.name, f"perennial.dev/{what}={value}")

    def at(self, step: int) -> None:
        """Wait until so many steps are done, and the one under way is where it should be."""

        def check() -> bool:
            rollout = self.deployment["status"].get("rollout") or {}
            return rollout.get("step") == step and "stepTime" in rollout

        self.space.until(f"step {step} is done", check)

    def vetoed(self, number: int) -> Body:
        """The version's verdict, once it is vetoed."""

        def check() -> Body | None:
            record = self.space.get("modelversion", f"{self.name}-{number}") or {}
            verdicts = (record.get("status") or {}).get("deployments") or ()
            return next((one for one in verdicts if one["state"] == "Vetoed"), None)

        return dict(self.space.until(f"version {number} is vetoed", check))

    def aborted(self, number: int) -> None:
        """Wait until a version that was aborted by hand has no pods any more."""
        self.space.says("mdep", self.name, "Stalled", "True", f"version {number} was aborted by hand")
        label = f"perennial.dev/model-version={number}"
        self.space.until("its pods are gone", lambda: not self.space.every("pods", label))

    @contextmanager
    def scenario(self, served: int) -> Iterator[None]:
        """What happens meanwhile harms none of the requests, of which there are enough in the end."""
        before = self.load.sent()
        yield
        self.space.until("enough requests were sent", lambda: self.load.sent() - before >= ENOUGH, 300)
        self.unharmed(served)

    def unharmed(self, served: int) -> None:
        """No request failed, and none was answered by a version above the one that is served."""
        counts = self.load.counts()
        assert counts["failures"] == 0, counts
        assert max(int(number) for number in counts["versions"]) == served, counts
        assert is_true(self.deployment, "Available")


def share(space: Space, load: Load, number: int, sample: int, of: str = "versions") -> float:
    """Percent of so many requests that a version answers. `of`: the count that is looked at, of `Load.counts`."""
    before = load.counts()[of]

    def since() -> dict[str, int]:
        return {name: count - before.get(name, 0) for name, count in load.counts()[of].items()}

    space.until("enough requests were sent", lambda: sum(since().values()) >= sample)
    found = since()
    return 100 * found.get(str(number), 0) / sum(found.values())
