"""What takes long and needs nobody, begun before the first test: the demo's loop, and a policy by schedule."""

from dataclasses import dataclass, field

from e2e.demo.story import Story
from e2e.lab import Body, Lab
from e2e.space import Space, policy, serving, shell, training

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
