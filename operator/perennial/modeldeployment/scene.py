"""What a decision looks at: the snapshot read in its parts, with the choice of version made and the pods counted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from perennial.analysis import Verdict
from perennial.api.base import digest_of, parse_duration
from perennial.api.gate import Evaluation
from perennial.api.meta import ANNOTATION_SKIP_GATE
from perennial.api.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from perennial.config import Config
from perennial.modeldeployment.candidate import Choice, Situation, choose, version_name
from perennial.modeldeployment.failure import Failure, failure_of
from perennial.modeldeployment.led import Led, led
from perennial.modeldeployment.revision import Model, revision_of
from perennial.modeldeployment.route import accepted, matched, matches, mirrored, unmirrored, weight_of
from perennial.modeldeployment.snapshot import Snapshot
from perennial.plan import Body
from perennial.podwords import ready_since
from perennial.strategies import Rollout, Stage
from perennial.strategies.stage import EVALUATION, GOLDEN
from perennial.strategies.step import Aim, Limits, Pods, Route, State, Traffic, reached

# From a change of the Service until every node routes by it; nothing that was selected before is taken away earlier.
SETTLE = timedelta(seconds=10)


@dataclass(frozen=True)
class Scene:
    """One moment, of which each part is found once. `memory` is the status: what was decided before; `target` the
    revision that the spec asks for."""

    seen: Snapshot
    spec: ModelDeploymentSpec
    memory: ModelDeploymentStatus
    now: datetime
    config: Config
    limits: Limits
    choice: Choice
    target: str | None

    @cached_property
    def stable(self) -> str | None:
        """The revision that was promoted last."""
        return self.memory.promotions[0].revision if self.memory.promotions else None

    @cached_property
    def incoming(self) -> str | None:
        """The revision that the pods are led towards: the one rolled out, else the stable one."""
        return self.memory.rollout.revision if self.memory.rollout else self.stable

    @cached_property
    def warm(self) -> str | None:
        """The revision before the stable one, while it is kept."""
        past = self.memory.promotions[1:2]
        if self.memory.rollout or not past or past[0].revision == self.stable or self.now >= self.warm_until:
            return None
        return past[0].revision

    @cached_property
    def warm_until(self) -> datetime:
        """When the revision before the stable one has been kept long enough."""
        return self.memory.promotions[0].time + parse_duration(self.spec.scale_down_delay)

    @cached_property
    def deadline(self) -> datetime | None:
        """When the rollout will have been without progress for too long; None while it lacks no pod or is held."""
        rolling = self.memory.rollout
        # One that was held, or has lost a pod, is waited for anew, from when that is on record.
        if rolling is None or rolling.held or self.held:
            return None
        if max(self.state.incoming.ready, rolling.ready_replicas) >= self.aim.incoming:
            return None
        return rolling.progress_time + timedelta(seconds=self.spec.progress_deadline_seconds)

    @cached_property
    def stages(self) -> Sequence[Stage]:
        """The stages of the rollout; only the last where there is nothing to keep beside it."""
        rolling, stages = self.memory.rollout, self.strategy.stages()
        plain = self.stable is None or (rolling is not None and rolling.steps_skipped)
        if plain:
            return (stages[-1].plain,)
        trials = ((self.spec.golden, GOLDEN), (self.evaluation, EVALUATION))
        return (*(stage for asked, stage in trials if asked), *stages)

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """What the rollout's revision must show on labelled rows. Of a version that served here before, nothing: going
        back is no contest with the one left."""
        gate, rolling = self.spec.gate, self.memory.rollout
        if gate is None or rolling is None or rolling.gate_skipped:
            return None
        served = {past.version for past in self.memory.promotions if past.model == self.spec.model.name}
        return None if rolling.version is not None and rolling.version in served else gate.evaluation

    @cached_property
    def stage(self) -> Stage:
        """The stage of the rollout that is under way."""
        return self.stages[min(self.step, len(self.stages) - 1)]

    @cached_property
    def strategy(self) -> Rollout:
        """How a new revision takes over."""
        chosen: Rollout = self.spec.strategy.chosen
        return chosen

    @cached_property
    def strategy_hash(self) -> str:
        """By which a change of the stages is seen."""
        trials = {"golden": self.spec.golden, "evaluation": self.spec.gate.evaluation if self.spec.gate else None}
        return digest_of(self.spec.strategy.told() | {name: one.told() for name, one in trials.items() if one})

    @cached_property
    def previewed(self) -> bool:
        """Whether a Service of its own leads to the new revision."""
        gated = self.spec.gate is not None and self.spec.gate.evaluation is not None
        return self.strategy.preview or self.spec.golden is not None or gated or self.strategy.checked

    @cached_property
    def step(self) -> int:
        """How many stages are done."""
        return self.memory.rollout.step if self.memory.rollout else 0

    @cached_property
    def aim(self) -> Aim:
        """Where the pods and the traffic are to get now."""
        state = self.state
        aim = self.stage.aim(state)
        if why := self._unmirrored:
            aim = Aim(0, self.limits.replicas, Traffic.STABLE, f"{self.stage.words}: {why}")
        if self.spec.paused and state.stable is not None:
            weight = state.route.weight if state.route else aim.weight
            return replace(aim, incoming=state.incoming.wanted, stable=state.stable.wanted, weight=weight)
        if self.handed_over and state.stable is not None:
            # What the new one has been brought is not asked of the stable one.
            stable = min(aim.stable, state.stable.wanted)
            return replace(aim, incoming=max(aim.incoming, state.incoming.wanted), stable=stable)
        return aim

    @cached_property
    def _unmirrored(self) -> str:
        """Why the stage under way, which asks for copies of requests, may have none."""
        if not self.stage.mirrored or self.spec.route is None:
            return ""
        return unmirrored(self.seen.route, self.spec.route, self.config.mirroring_gateways)

    @cached_property
    def held(self) -> str | None:
        """Why the rollout may not go on."""
        if self.memory.rollout is None:
            return None
        return "Paused" if self.spec.paused else self.obstacle

    @cached_property
    def obstacle(self) -> str | None:
        """The reason, for programs, why what the stage asks for cannot be."""
        if not self.aim.obstacle:
            return None
        return "MirrorNotPossible" if self._unmirrored else "WeightNotPossible"

    @cached_property
    def arrived(self) -> bool:
        """Whether the stage under way is where it should be."""
        return reached(self.state, self.aim) and self.taken_over

    @cached_property
    def stage_over(self) -> bool:
        """Whether the stage under way has arrived, and lasted long enough or been skipped."""
        if not self.arrived:
            return False
        if self.step >= len(self.stages):
            return True
        if self.stage.analysed and not self.passed:
            return False
        if self.stage.trial and getattr(self.memory.rollout, self.stage.trial, None) is None:
            return False
        if self.stage.hold == timedelta():
            return True
        return self.stage_ends is not None and self.now >= self.stage_ends

    @cached_property
    def passed(self) -> bool:
        """Whether the analysis has passed since the stage under way is where it should be."""
        rolling = self.memory.rollout
        if rolling is None or rolling.step_time is None or rolling.analysis is None:
            return False
        last = rolling.analysis.last_time
        return rolling.analysis.verdict is Verdict.PASS and last is not None and last > rolling.step_time

    @cached_property
    def next_look(self) -> datetime | None:
        """When the analysis is to be looked at again; None while there is none."""
        rolling, analysis = self.memory.rollout, self.stage.analysis
        if rolling is None or rolling.analysis is None or analysis is None:
            return None
        return (rolling.analysis.last_time or rolling.analysis.start_time) + parse_duration(analysis.interval)

    @cached_property
    def look_due(self) -> bool:
        """Whether the analysis is to be looked at now."""
        return self.next_look is not None and self.now >= self.next_look

    @cached_property
    def stage_ends(self) -> datetime | None:
        """When the stage under way has lasted long enough; None while it has not arrived, or until a person goes on."""
        rolling = self.memory.rollout
        hold = self.stage.hold
        return rolling.step_time + hold if rolling and rolling.step_time and hold is not None else None

    @cached_property
    def routed(self) -> bool:
        """Whether gateways share the requests."""
        return self.spec.route is not None and self.strategy.routed

    @cached_property
    def scaled_apart(self) -> bool:
        """Whether the new revision has an autoscaler of its own: with a gateway, the number of its pods is not what
        shares the requests. Where the stable revision gives pods away as it is asked less, one sees to the sum."""
        asked, rolling = self.spec.autoscaling, self.memory.rollout is not None and self.stable is not None
        return bool(rolling and self.routed and not self.strategy.frugal and asked and asked.measured_of_pods)

    @cached_property
    def handed_over(self) -> bool:
        """Whether the deployment's autoscaler goes by the new revision, of which all is asked: of two that select the
        same pods, neither does anything."""
        return self.scaled_apart and self.led.weight == 100

    @cached_property
    def taken_over(self) -> bool:
        """Whether as many pods are to serve as the new revision has, where an autoscaler brought them."""
        return not self.handed_over or self.limits.replicas >= self.state.incoming.wanted

    @cached_property
    def led(self) -> Led:
        """Who gets requests, as it is seen."""
        return led(self.seen, self.memory.traffic, routed=self.routed)

    @cached_property
    def settled_at(self) -> datetime | None:
        """When every node routes by what the Service selects, and to a pod of each revision that serves or comes; None
        while that is not known."""
        traffic = self.memory.traffic
        if self.seen.service is None or traffic is None or (self.routed and not self._taken):
            return None
        if Led.told(traffic) != self.led:
            return None
        times = [traffic.since]
        for revision in (self.stable, self.incoming):
            if self.pods(revision).ready:
                first = self._first_ready(revision)
                if first is None:
                    return None
                times.append(first)
        return max(times) + SETTLE

    @cached_property
    def _taken(self) -> bool:
        """Whether gateways have taken the route, and it sends no others to the new revision than the stage asks."""
        asked = [one.conditions() for one in self.stage.match]
        return accepted(self.seen.route) and (not asked or matches(self.seen.route, self.seen.name, asked))

    @cached_property
    def state(self) -> State:
        """The pods, for the strategy."""
        rolling = self.memory.rollout is not None and self.stable is not None
        settled = self.settled_at
        # Of those that leave, the one that is known best comes first: it is kept longest.
        leaving = sorted(self.leaving, key=lambda name: self._first_ready(name) or self.now)
        return State(
            limits=self.limits,
            incoming=self.pods(self.incoming),
            stable=self.pods(self.stable) if rolling else None,
            leaving={name: pods for name in leaving if (pods := self.pods(name)).count},
            selected=self._traffic(self.seen.service, self.led.service),
            route=self._route(),
            frugal=self.strategy.frugal,
            autoscaled=self.scaled_apart and not self.handed_over,
            settled=settled is not None and self.now >= settled,
            warm=self.warm if self.limits.replicas else None,
        )

    def _first_ready(self, revision: str | None) -> datetime | None:
        return min(filter(None, map(ready_since, self.seen.pods.get(revision or "", ()))), default=None)

    def _traffic(self, service: Body | None, selected: str | None) -> Traffic | None:
        if service is None:
            return None
        if selected is None:
            return Traffic.SHARED
        if selected == self.incoming:
            return Traffic.INCOMING
        if selected == self.stable:
            return Traffic.STABLE
        return Traffic.LEAVING if selected in self.leaving else None

    def _route(self) -> Route | None:
        if not self.routed:
            return None
        weight = weight_of(self.seen.route, self.seen.name)
        leads = self._traffic(self.seen.preview, self.led.preview)
        there, name = self.seen.route, self.seen.name
        return Route(weight or 0, leads, bool(matched(there, name)), mirrored(there, name))

    @cached_property
    def leaving(self) -> list[str]:
        """The revisions that are neither stable nor coming."""
        return [name for name in sorted(self.seen.deployments) if name not in (self.stable, self.incoming)]

    def pods(self, revision: str | None) -> Pods:
        """The pods of a revision, counted."""
        return _count(self.seen.deployments.get(revision or ""))

    def failure(self, revision: str | None) -> Failure | None:
        """Why a revision's pods are not ready."""
        name = revision or ""
        return failure_of(self.seen.pods.get(name, ()), self.seen.deployments.get(name))

    def model_of(self, revision: str | None) -> Model | None:
        """What a revision serves, when it can still be rendered: from the choice, else from its promotion."""
        known = [self.choice.model, *(Model.of_promotion(past) for past in self.memory.promotions)]
        for model in known:
            if model and revision_of(self.seen.name, self.spec, model) == revision:
                return model
        return None

    def named(self, revision: str) -> str:
        """A revision for people: with the version that it serves, as far as that is known."""
        model = self.model_of(revision)
        return f"{version_name(model) or model.uri} ({revision})" if model else revision


def look(
    seen: Snapshot, spec: ModelDeploymentSpec, memory: ModelDeploymentStatus, now: datetime, config: Config
) -> Scene:
    """The scene of a snapshot, with this memory."""
    situation = Situation(
        name=seen.name,
        spec=spec,
        versions=seen.versions,
        promotions=memory.promotions,
        vetoes=memory.vetoes,
        runtimes=config.serving_runtimes,
        skip_gate=seen.annotations.get(ANNOTATION_SKIP_GATE, ""),
    )
    choice = choose(situation)
    strategy: Rollout = spec.strategy.chosen
    limits = strategy.limits(Limits.of(spec.replicas, spec.max_surge, spec.max_unavailable))
    if spec.route is not None and strategy.routed:
        # Weights need no pods to be taken away from the stable revision.
        autoscaled = spec.autoscaling.max_replicas if spec.autoscaling else 0
        limits = replace(limits, surge=max(limits.surge, limits.replicas, autoscaled))
    return Scene(
        seen=seen,
        spec=spec,
        memory=memory,
        now=now,
        config=config,
        limits=limits,
        choice=choice,
        target=situation.revision(choice.model) if choice.model else None,
    )


def _count(deployment: Body | None) -> Pods:
    if deployment is None:
        return Pods()
    wanted = deployment["spec"].get("replicas", 1)
    status = deployment.get("status") or {}
    # A status that is older than the last change of the replicas may speak of pods that go.
    return Pods(wanted, status.get("replicas", 0), min(wanted, status.get("readyReplicas", 0)))
