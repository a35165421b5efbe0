"""From what was decided to what is done: the Service, the replicas of each revision, what is made and what goes."""

from dataclasses import dataclass

from perennial.api.resources import DEPLOYMENTS, SERVICES
from perennial.modeldeployment import autoscaler, children, trials
from perennial.modeldeployment.checks import checks
from perennial.modeldeployment.companions import companions
from perennial.modeldeployment.route import routing
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.snapshot import preview_name
from perennial.plan import Action, Apply, Body, Create, Delete, Find, Patch
from perennial.strategies.step import Route, Targets, Traffic, step


@dataclass(frozen=True, slots=True)
class Act:
    """The actions of one reconcile. `lost`: a revision that should run, is gone, and cannot be rendered again."""

    actions: tuple[Action, ...]
    lost: str | None = None

    @property
    def names(self) -> set[tuple[str, str]]:
        """Kind and name of every object that an action is about."""
        named = set()
        for action in self.actions:
            if isinstance(action, Apply | Create | Find):
                named.add((action.body["kind"], action.body["metadata"]["name"]))
            else:
                named.add((action.resource.kind, action.name))
        return named


def act(scene: Scene) -> Act:
    """What is to be done now. What gives room or traffic comes before what might be refused."""
    if scene.incoming is None:
        targets = Targets(0, None, dict.fromkeys(scene.leaving, 0), Traffic.SHARED)
    else:
        targets = step(scene.state, scene.aim)
    wanted = {name: targets.leaving.get(name, 0) for name in scene.leaving}
    if scene.incoming is not None:
        wanted[scene.incoming] = targets.incoming
    if scene.stable is not None and targets.stable is not None:
        wanted[scene.stable] = targets.stable
    made, lost = _made(scene, wanted)
    weight = targets.route.weight if targets.route else None
    match = scene.stage.match if targets.route and targets.route.matched else ()
    mirror = targets.route.mirrored if targets.route else 0
    route = tuple(routing(scene.seen, scene.spec.route, weight, [one.conditions() for one in match], mirror))
    # Made last: a cluster without the Gateway API refuses it.
    early, late = (route, ()) if scene.seen.route else ((), route)
    scaler = tuple(autoscaler.of_incoming(scene, targets.least))
    # Before the pods that it had are another's; made after them.
    first, then = (scaler, ()) if scene.seen.autoscaler_of_incoming else ((), scaler)
    actions = (
        *_traffic(scene, targets.traffic),
        *_preview(scene, targets.route),
        *early,
        *first,
        *_scaled(scene, wanted),
        *_removed(scene, wanted),
        *made,
        *then,
        *_sought(scene, wanted),
        *companions(scene),
        *trials.jobs(scene),
        *late,
        *checks(scene),
    )
    return Act(actions, lost)


def _traffic(scene: Scene, traffic: Traffic) -> list[Action]:
    revision = {Traffic.INCOMING: scene.incoming, Traffic.STABLE: scene.stable, Traffic.SHARED: None}[traffic]
    return _led(scene, scene.seen.service, children.service(scene.seen, scene.seen.name, revision))


def _preview(scene: Scene, route: Route | None) -> list[Action]:
    """The Service of the revision that comes; between rollouts of the one that serves."""
    there = scene.seen.preview
    if scene.incoming is not None and (scene.previewed or route):
        if there is not None and route and route.leads is not Traffic.INCOMING:
            return []
        return _led(scene, there, children.service(scene.seen, preview_name(scene.seen.name), scene.incoming))
    if there is None:
        return []
    return [Delete(SERVICES, scene.seen.namespace, there["metadata"]["name"], there["metadata"]["uid"])]


def _led(scene: Scene, there: Body | None, intent: Body) -> list[Action]:
    actions: list[Action] = [Apply(intent)]
    if there is not None:
        # Keys that somebody added would select nothing; an apply alone leaves what it does not name.
        now = there["spec"].get("selector") or {}
        foreign: Body = {key: None for key in now if key not in intent["spec"]["selector"]}
        if foreign:
            metadata = there["metadata"]
            patch: Body = {"spec": {"selector": foreign}}
            actions.append(Patch(SERVICES, scene.seen.namespace, metadata["name"], patch, metadata["uid"]))
    return actions


def _scaled(scene: Scene, wanted: dict[str, int]) -> list[Action]:
    changes = []
    for name, replicas in wanted.items():
        deployment = scene.seen.deployments.get(name)
        if deployment is not None and scene.pods(name).wanted != replicas:
            patch: Body = {"spec": {"replicas": replicas}}
            action = Patch(DEPLOYMENTS, scene.seen.namespace, name, patch, deployment["metadata"]["uid"])
            changes.append((scene.pods(name).wanted - replicas, action))
    return [action for _, action in sorted(changes, key=lambda change: change[0])]


def _removed(scene: Scene, wanted: dict[str, int]) -> list[Action]:
    """Revisions without pods: those that served stay, as many as the history holds; those that never did go."""
    served = list(dict.fromkeys(past.revision for past in scene.memory.promotions if past.revision != scene.stable))
    kept = {scene.warm, *served[: scene.spec.revision_history_limit]}
    return [
        Delete(DEPLOYMENTS, scene.seen.namespace, name, scene.seen.deployments[name]["metadata"]["uid"])
        for name in scene.leaving
        if name not in kept and not wanted[name] and not scene.pods(name).count
    ]


def _sought(scene: Scene, wanted: dict[str, int]) -> list[Action]:
    """Revisions that were there when the status was written: one that lost its labels runs on where nobody sees it."""
    return [
        Find(children.known(scene.seen, past.name))
        for past in scene.memory.revisions
        if past.name not in scene.seen.deployments and not wanted.get(past.name)
    ]


def _made(scene: Scene, wanted: dict[str, int]) -> tuple[list[Action], str | None]:
    made: list[Action] = []
    lost = None
    for name in dict.fromkeys((scene.stable, scene.incoming)):
        if name is None or name in scene.seen.deployments or not wanted[name]:
            continue
        model = scene.model_of(name)
        if model is None:
            lost = name
        else:
            body = children.deployment(scene.seen, scene.spec, model, name, wanted[name], scene.config)
            made.append(Create(body, strict=True))
    return made, lost
