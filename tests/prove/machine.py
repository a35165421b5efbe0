"""Schedules, as hypothesis makes them up: a state machine of what people, others and the weather may do next."""

from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from perennial.plan import Body
from tests.prove.crowd import MUDDLES, STORMS
from tests.prove.player import OURS, Schedule

PAUSES = st.sampled_from((0.0, 0.0, 0.1, 0.3, 0.7, 1.5, 3.0))
RUNS = st.sampled_from(("t1", "t2", "t3"))
SERVED = st.sampled_from(("churn", "churn", "second"))
POLICIES = st.sampled_from(("p1", "p1", "p2"))
NUMBERS = st.integers(1, 6)
WELL, BAD, TAKEN, HELD = {"seconds": 1.2}, {"seconds": 1.2, "exit": 3}, {"seconds": 1.2, "exit": -2}, {"exit": -1}
FATES = st.sampled_from(
    ([WELL], [WELL], [BAD, WELL], [BAD], [TAKEN, WELL], [HELD], [HELD, WELL], [{"seconds": 4}], [{"seconds": 0.0}])
)
GATE: Body = {"metrics": [{"name": "f1", "min": 0.8}]}
TRIGGER: Body = {"name": "f1", "metric": {"name": "f1", "below": 0.7, "minSamples": 10}}
CANARY: Body = {
    "steps": [{"setWeight": 50}, {"pause": {"duration": "2s"}}, {"setWeight": 20}],
    "bakeTime": "1s",
}
CHANGES = st.sampled_from(
    (
        *({"replicas": number} for number in (0, 1, 2, 3)),
        *({"approval": how} for how in ("Manual", "Automatic")),
        *({"gate": gate} for gate in (GATE, None)),
        *({"model": {"version": number}} for number in (1, 3, None, None)),
        *({"maxSurge": surge, "maxUnavailable": 1} for surge in (0, 2, "100%")),
        {"strategy": {"rollingUpdate": None, "canary": CANARY, "blueGreen": None}},
        {"strategy": {"rollingUpdate": {}, "canary": None, "blueGreen": None}},
        {"strategy": {"rollingUpdate": None, "canary": None, "blueGreen": {}}},
    )
)
APPROVALS = st.sampled_from(("Approved", "Approved", "Rejected", None))
WEATHER = st.lists(st.sampled_from(STORMS), min_size=1, max_size=3, unique=True)
# So many times a step is drawn; with the pauses between them a schedule takes some 15 s.
STEPS = 20
# Shorter ones have little to go wrong.
_LEAST = 10
_AT_A_TIME = 10


class Machine(RuleBasedStateMachine):
    """Each rule adds a step. What is there is known roughly, so that most steps meet something."""

    made: ClassVar[list[Schedule]] = []

    def __init__(self) -> None:
        super().__init__()
        self.steps: Schedule = []
        self.runs: set[str] = set()
        self.policies: set[str] = set()
        self.kills = 0

    def teardown(self) -> None:
        self.made.append(self.steps)

    def step(self, pause: float, verb: str, **arguments: Any) -> None:
        self.steps.append((pause, verb, arguments))

    @initialize(
        replicas=st.integers(1, 3),
        gated=st.booleans(),
        version=st.booleans(),
        weather=WEATHER,
        fates=FATES,
        asks=st.booleans(),
    )
    def begin(
        self, replicas: int, gated: bool, version: bool, weather: list[str], fates: list[Body], asks: bool
    ) -> None:
        """There is something to serve, something to train and something to go wrong."""
        if version:
            self.step(0.0, "version", number=1, f1=0.9, loads=True)
        self.step(0.0, "deploy", name="churn", replicas=replicas, **({"gate": GATE} if gated else {}))
        self.step(0.0, "storm", sorts=weather, rate=0.2, seconds=5.0)
        if asks:
            self.policies.add("p1")
            self.step(0.0, "policy", name="p1", fates=fates, concurrencyPolicy="Forbid", triggers=[TRIGGER])
            self.step(0.0, "ask", name="p1")
        else:
            self.runs.add("t1")
            self.step(0.0, "train", name="t1", fates=fates, backoffLimit=1)

    @rule(
        pause=PAUSES, name=RUNS, fates=FATES, retries=st.integers(0, 2), suspend=st.sampled_from((False, False, True))
    )
    def train(self, pause: float, name: str, fates: list[Body], retries: int, suspend: bool) -> None:
        self.runs.add(name)
        self.step(pause, "train", name=name, fates=fates, backoffLimit=retries, suspend=suspend)

    @precondition(lambda self: self.runs)
    @rule(pause=PAUSES, name=RUNS, suspend=st.booleans())
    def suspend(self, pause: float, name: str, suspend: bool) -> None:
        self.step(pause, "edit", kind="TrainingJob", name=name, spec={"suspend": suspend})

    @precondition(lambda self: self.runs)
    @rule(pause=PAUSES, name=RUNS)
    def time_out(self, pause: float, name: str) -> None:
        self.step(pause, "edit", kind="TrainingJob", name=name, spec={"activeDeadlineSeconds": 2})

    @rule(
        pause=PAUSES, number=NUMBERS, f1=st.sampled_from((0.9, 0.85, 0.7)), loads=st.sampled_from((True, True, False))
    )
    def version(self, pause: float, number: int, f1: float, loads: bool) -> None:
        self.step(pause, "version", number=number, f1=f1, loads=loads)

    @rule(pause=PAUSES, name=SERVED, change=CHANGES)
    def change(self, pause: float, name: str, change: Body) -> None:
        if name == "second":
            self.step(pause, "deploy", name=name)
        self.step(pause, "edit", kind="ModelDeployment", name=name, spec=change)

    @rule(pause=PAUSES, name=SERVED, image=st.sampled_from(("server:1", "server:2")))
    def retemplate(self, pause: float, name: str, image: str) -> None:
        self.step(pause, "retemplate", name=name, image=image)

    @rule(pause=PAUSES, number=NUMBERS, approval=APPROVALS)
    def approve(self, pause: float, number: int, approval: str | None) -> None:
        self.step(pause, "edit", kind="ModelVersion", name=f"churn-{number}", spec={"approval": approval})

    @rule(pause=PAUSES, name=SERVED)
    def retry(self, pause: float, name: str) -> None:
        self.step(pause, "retry", name=name)

    @rule(pause=PAUSES, name=SERVED, what=st.sampled_from(("skip-step", "promote")))
    def go_on(self, pause: float, name: str, what: str) -> None:
        self.step(pause, "go_on", name=name, what=what)

    @rule(
        pause=PAUSES,
        name=POLICIES,
        fates=FATES,
        concurrency=st.sampled_from(("Forbid", "Forbid", "Replace", "Allow")),
        triggers=st.sampled_from(([], [TRIGGER])),
    )
    def policy(self, pause: float, name: str, fates: list[Body], concurrency: str, triggers: list[Body]) -> None:
        self.policies.add(name)
        self.step(pause, "policy", name=name, fates=fates, concurrencyPolicy=concurrency, triggers=triggers)
        self.step(0.3, "ask", name=name)

    @precondition(lambda self: self.policies)
    @rule(pause=PAUSES, name=POLICIES)
    def ask(self, pause: float, name: str) -> None:
        self.step(pause, "ask", name=name)

    @precondition(lambda self: self.policies)
    @rule(pause=PAUSES, name=POLICIES, suspend=st.booleans())
    def hold(self, pause: float, name: str, suspend: bool) -> None:
        self.step(pause, "edit", kind="RetrainPolicy", name=name, spec={"suspend": suspend})

    @rule(pause=PAUSES, value=st.sampled_from((0.5, 0.5, 0.9)))
    def measured(self, pause: float, value: float) -> None:
        self.step(pause, "measured", value=value)

    @rule(
        pause=PAUSES,
        what=st.sampled_from(
            (
                *(("TrainingJob", name) for name in ("t1", "t2")),
                *(("ModelDeployment", name) for name in ("churn", "second")),
                *(("RetrainPolicy", "p1"), ("TrainingJob", "p1-1"), ("TrainingJob", "p1-2"), ("Model", "churn")),
                *(("ModelVersion", f"churn-{number}") for number in (1, 2, 3)),
                ("MetricSeries", "churn"),
            )
        ),
    )
    def remove(self, pause: float, what: tuple[str, str]) -> None:
        self.step(pause, "remove", kind=what[0], name=what[1])
        if what == ("ModelDeployment", "churn"):
            self.step(pause, "deploy", name="churn", replicas=1)

    @rule(
        pause=PAUSES,
        what=st.sampled_from(
            (
                *(("Job", name) for name in ("t1", "t2", "p1-1")),
                *(("Deployment", "churn"), ("Deployment", "churn"), ("Service", "churn"), ("Service", "second")),
            )
        ),
    )
    def take(self, pause: float, what: tuple[str, str]) -> None:
        self.step(pause, "take", kind=what[0], name=what[1])

    @rule(pause=PAUSES, what=st.sampled_from((("Job", "t1"), ("Job", "t2"), ("Job", "p1-1"), ("Deployment", "churn"))))
    def lose(self, pause: float, what: tuple[str, str]) -> None:
        self.step(pause, "lose", kind=what[0], name=what[1])

    @rule(pause=PAUSES, what=st.sampled_from((("Job", "t1"), ("Job", "p1-1"), ("Deployment", "churn"))))
    def fail(self, pause: float, what: tuple[str, str]) -> None:
        self.step(pause, "fail", kind=what[0], name=what[1])

    @rule(pause=PAUSES, name=SERVED, replicas=st.integers(0, 4))
    def scale(self, pause: float, name: str, replicas: int) -> None:
        self.step(pause, "scale", name=name, replicas=replicas)

    @rule(pause=PAUSES, name=RUNS, suspend=st.booleans())
    def resume(self, pause: float, name: str, suspend: bool) -> None:
        self.step(pause, "resume", name=name, suspend=suspend)

    @rule(
        pause=PAUSES,
        name=SERVED,
        change=st.sampled_from(
            (
                (f"{OURS}revision", "nobody"),
                (f"{OURS}revision", None),
                ("app", "other"),
                (f"{OURS}modeldeployment", "no"),
            )
        ),
    )
    def select(self, pause: float, name: str, change: tuple[str, str | None]) -> None:
        self.step(pause, "select", name=name, key=change[0], value=change[1])

    @rule(
        pause=PAUSES,
        what=st.sampled_from(
            (
                *(("Job", name) for name in ("t1", "t2", "p1-1")),
                *(("Deployment", "churn"), ("Service", "churn"), ("ModelVersion", "churn-1"), ("TrainingJob", "p1-1")),
            )
        ),
        part=st.sampled_from(("labels", "annotations")),
    )
    def strip(self, pause: float, what: tuple[str, str], part: str) -> None:
        # By its annotations a policy tells its own TrainingJob from a namesake's: without them it is none of its own.
        part = "labels" if what[0] == "TrainingJob" else part
        self.step(pause, "strip", kind=what[0], name=what[1], what=part)

    @rule(pause=PAUSES, what=st.sampled_from((("Job", "t3"), ("Job", "p2-1"), ("Service", "second"))))
    def occupy(self, pause: float, what: tuple[str, str]) -> None:
        self.step(pause, "occupy", kind=what[0], name=what[1])

    @rule(pause=PAUSES, sorts=WEATHER, rate=st.sampled_from((0.2, 0.5, 1.0)), seconds=st.sampled_from((1.0, 3.0, 6.0)))
    def storm(self, pause: float, sorts: list[str], rate: float, seconds: float) -> None:
        self.step(pause, "storm", sorts=sorts, rate=rate, seconds=seconds)

    @rule(
        pause=PAUSES,
        sort=st.sampled_from(MUDDLES),
        rate=st.sampled_from((0.1, 0.3, 1.0)),
        seconds=st.sampled_from((1.0, 4.0)),
    )
    def muddle(self, pause: float, sort: str, rate: float, seconds: float) -> None:
        self.step(pause, "muddle", sort=sort, rate=rate, seconds=seconds)

    @precondition(lambda self: not self.kills)
    @rule(pause=PAUSES)
    def kill(self, pause: float) -> None:
        self.kills += 1
        self.step(pause, "kill")

    @rule(pause=PAUSES, seconds=st.sampled_from((2.0, 5.0)))
    def stale(self, pause: float, seconds: float) -> None:
        self.step(pause, "stale", seconds=seconds)


def schedules(count: int, number: int) -> list[Schedule]:
    """So many schedules, the same for the same number."""
    found: list[Schedule] = []
    while len(found) < count:
        # Hypothesis varies what it made before; of few schedules at a time more are new.
        found += [one for one in _some(number + len(found)) if one not in found]
    return found[:count]


def _some(number: int) -> list[Schedule]:
    class Fresh(Machine):
        made: ClassVar[list[Schedule]] = []

    run_state_machine_as_test(
        seed(number)(Fresh),
        settings=settings(
            max_examples=_AT_A_TIME,
            stateful_step_count=STEPS,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return [one for one in Fresh.made if len(one) >= _LEAST]
