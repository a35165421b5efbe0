"""What takes long and needs nobody, begun before the first test: the demo's loop, policies, lost nodes."""

from dataclasses import dataclass, field

from e2e.demo.story import Story
from e2e.hollow import HollowNode
from e2e.lab import Body, Lab, is_true
from e2e.reporter import monitor
from e2e.space import IMAGE, Space, digits, policy, serving, shell, training

ASKED = 200
EVERY_MINUTE = "every-minute"


@dataclass
class Played:
    """What the loop came to; `told` is what a person would have read."""

    told: list[str] = field(default_factory=list)
    first: Body = field(default_factory=dict)  # the first TrainingJob
    right: int = 0  # of ASKED images before they changed
    served: Body = field(default_factory=dict)  # the ModelDeployment with the first version
    recovered: Body = field(default_factory=dict)  # the RetrainPolicy at the end
    right_again: int = 0  # of ASKED images after the change, by the retrained version
    requests: int = 0  # of the camera since the change
    failures: int = 0


def play(lab: Lab) -> Played:
    """Every step of the demo, from the beginning."""
    played = Played()
    story = Story(lab, played.told.append)
    story.world()
    played.first = story.train()
    played.served = story.serve()
    played.right = story.ask(ASKED)
    story.watch()
    story.turn()
    played.recovered = story.recover()
    played.right_again = story.ask(ASKED)
    played.requests, played.failures = story.failed_requests()
    return played


def _phase(space: Space, job: str) -> str:
    return str(((space.get("trainingjob", job) or {}).get("status") or {}).get("phase"))


def lose_nodes(lab: Lab) -> Space:
    """Trainings and a server on nodes of which one falls silent and one is deleted, as soon as they run there."""
    space = Space(lab, "e2e-nodes")
    silent, gone = (HollowNode(lab, f"hollow-{name}") for name in ("silent", "gone"))
    write = shell('echo weights > "$PERENNIAL_OUTPUT_DIR/weights.txt"')
    for node in (silent, gone):
        node.leave()
        node.join()
        space.apply(training(node.name, write, backoffLimit=0, pod=node.placed))
    server = {"spec": {**silent.placed, "containers": [{"name": "server", "image": IMAGE, "command": ["sleep"]}]}}
    files = {"uri": "s3://models/none", "digest": "sha256:" + "0" * 64, "format": "files"}
    space.apply(serving(silent.name, model=files, template=server))

    def run() -> bool:
        for node in (silent, gone):
            node.beat()
            for pod in space.every("pods"):
                if pod["spec"].get("nodeName") == node.name and pod["status"]["phase"] == "Pending":
                    node.run(pod)
        trains = [_phase(space, node.name) == "Running" for node in (silent, gone)]
        return all(trains) and is_true(space.get("modeldeployment", silent.name), "Ready")

    space.until("all of them run", run, 120, every=1)
    gone.leave()
    return space


def schedule(lab: Lab) -> Space:
    """A policy that trains every minute; its versions never pass the gate, so that nothing is rolled out."""
    space = Space(lab, "e2e-schedule")
    write = shell('echo weights > "$PERENNIAL_OUTPUT_DIR/weights.txt"')
    space.apply(
        serving(EVERY_MINUTE, gate={"metrics": [{"name": "accuracy", "min": 1}]}),
        policy(
            EVERY_MINUTE,
            training(EVERY_MINUTE, write),
            triggers=[{"name": "minute", "schedule": {"cron": "* * * * *"}}],
            concurrencyPolicy="Allow",
            unpromotedLimit=1000,
        ),
    )
    return space


def retrained(lab: Lab) -> Space:
    """A served version, on a claim; it and all that follow are retrained when they are reported to be bad."""
    space = Space(lab, "e2e-failover")
    monitor(space)
    metric: Body = {"name": "accuracy", "below": 0.9, "window": "1h", "minSamples": 5}
    space.apply(
        digits("first", c=1, output={}),
        serving("digits"),
        policy("digits", digits("again", c=1, output={}), triggers=[{"name": "accuracy", "metric": metric}]),
    )
    return space
