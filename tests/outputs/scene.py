"""A namespace in which one story is played, and what kubectl says of it at each turn."""

import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from e2e.cluster import tools
from e2e.cluster.apiserver import ApiServer
from perennial.api.conditions import find
from perennial.api.resources import RETRAINPOLICIES, Resource
from perennial.plan import Body
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.operators import eventually
from tests.apiserver.serving import Serving
from tests.apiserver.space import Space
from tests.outputs.normal import Normal

EVENTS = ("Events",)
# Of a description: what the operator says.
SAID = ("Status", "Events")


class Scene:
    """`texts` is what is told and shown so far, as it stands in the documentation, by the kind that it is about."""

    def __init__(self, server: ApiServer, kind: str) -> None:
        self.space = Space(server)
        self.kubelet = Kubelet(self.space)
        self.serving = Serving(self.space)
        self.texts: defaultdict[str, str] = defaultdict(str)
        self._kind = kind
        self._normal = Normal(self.space.name)
        self._folder = server.folder / self.space.name
        self._folder.mkdir()
        self._kubeconfig = server.write_kubeconfig(self.space.name, server.token(), self.space.name)

    def about(self, kind: str) -> None:
        """What follows is about this kind."""
        self._kind = kind

    def tell(self, words: str) -> None:
        """A sentence on what has happened."""
        self.texts[self._kind] += f"\n{words}\n"

    def get(self, *words: str) -> None:
        """What `kubectl get` prints."""
        self._show(f"kubectl get {' '.join(words)}", self._normal.table(self._kubectl("get", *words)))

    def describe(self, kind: str, name: str, told: str | None = None, *, shown: Sequence[str] | None = SAID) -> None:
        """What `kubectl describe` prints, once there is an Event with the words `told`; without `shown` all of it."""
        if told:
            eventually(lambda: any(told in f"{one['reason']} {one['message']}" for one in self.space.events(name)), 60)
        text = self._kubectl("describe", kind, name)
        events = sorted(
            self.space.events(name), key=lambda one: (one["firstTimestamp"], int(one["metadata"]["resourceVersion"]))
        )
        text = self._normal.description(text, [str(event["message"]) for event in events])
        self._show(f"kubectl describe {kind} {name}", _parts(text, shown) if shown else text)

    def run(self, *words: str) -> None:
        """What any other command prints."""
        command = " ".join(f"'{word}'" if re.search(r"[{$ ]", word) else word for word in words)
        self._show(f"kubectl {command}", self._normal.text(self._kubectl(*words)))

    def apply(self, file: str, manifest: str) -> None:
        """What `kubectl apply` prints for a file, which is shown, too."""
        (self._folder / file).write_text(manifest)
        self.texts[self._kind] += f"\n```yaml\n{manifest}```\n"
        self.run("apply", "-f", file)

    def policy(self, *triggers: Body, **spec: Any) -> None:
        """A RetrainPolicy `churn` of the deployment of that name."""
        container = {"name": "main", "image": "train:1", "command": ["python", "train.py"]}
        training = {
            "model": {"name": "churn"},
            "template": {"spec": {"containers": [container]}},
            "output": {"uri": "s3://acme/models"},
        }
        plain = {
            "deployment": {"name": "churn"},
            "trainingJobTemplate": {"spec": training},
            "triggers": list(triggers),
        }
        self.space.make(RETRAINPOLICIES, "churn", plain | spec)

    def until(self, resource: Resource, name: str, type_: str, reason: str, seconds: float = 60.0) -> Body:
        """The status of an object once its condition has this reason."""

        def says(status: Body) -> bool:
            return (find(status.get("conditions"), type_) or {}).get("reason") == reason

        return self.status(resource, name, says, seconds)

    def status(self, resource: Resource, name: str, check: Callable[[Body], bool], seconds: float = 60.0) -> Body:
        """The status of an object once it passes the check."""
        seen: list[Body] = [{}]

        def checked() -> bool:
            seen.append((self.space.get(resource, name) or {}).get("status") or {})
            return check(seen[-1])

        try:
            eventually(checked, seconds)
        except AssertionError:
            raise AssertionError(f"{resource.kind} {name} does not come so far: {seen[-1]}") from None
        return seen[-1]

    def _show(self, command: str, output: str) -> None:
        lines = "\n".join(line.rstrip() for line in output.strip().splitlines())
        self.texts[self._kind] += f"\n```console\n$ {command}\n{lines}\n```\n"

    def _kubectl(self, *words: str) -> str:
        ran = subprocess.run(
            [tools.ensure("kubectl")["kubectl"], *words],
            env=os.environ | {"KUBECONFIG": str(self._kubeconfig)},
            cwd=self._folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return ran.stdout


def _parts(text: str, shown: Sequence[str]) -> str:
    """The parts of a description that are shown; an ellipsis stands for what is left out."""
    kept: list[str] = []
    for part in re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]:
        if part.startswith(tuple(shown)):
            kept.append(part)
        elif kept[-1:] != ["...\n"]:
            kept.append("...\n")
    return "".join(kept)
