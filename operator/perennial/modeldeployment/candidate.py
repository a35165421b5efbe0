"""Which version is to be served, and what is said of the others: an ordered tuple of rules over the versions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from perennial.api.meta import ANNOTATION_RETRY
from perennial.api.modeldeployment import NOT_APPROVED, Approval, Candidate, ModelDeploymentSpec, Promotion, Veto
from perennial.api.modelversion import Decision, DeploymentState, ModelVersionSpec
from perennial.config import ServingRuntime
from perennial.modeldeployment import gate
from perennial.modeldeployment.pod import Unrenderable, runtime_of
from perennial.modeldeployment.revision import Model, revision_of
from perennial.podwords import cut

_SHOWN = 20
_WORDS = 1000
_BY_HAND = ("Aborted", "Undone")
# A veto on a version, whatever its template: it was seen not to predict well.
RELAPSED = "Relapsed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a version is not served."""

    state: DeploymentState
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What the choice is made from."""

    name: str
    spec: ModelDeploymentSpec
    versions: Mapping[int, ModelVersionSpec]
    promotions: Sequence[Promotion]  # newest first; the first one serves
    vetoes: Sequence[Veto]
    runtimes: Mapping[str, ServingRuntime]
    # The version that a person lets through the gate, and why.
    skip_gate: str = ""

    @property
    def served(self) -> Promotion | None:
        return self.promotions[0] if self.promotions else None

    def revision(self, model: Model) -> str:
        return revision_of(self.name, self.spec, model)


@dataclass(frozen=True, slots=True)
class Block:
    """Why the wish of the spec is not fulfilled. `stalled`: a person must change something."""

    reason: str
    message: str
    stalled: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What should be served. Without a model: what is served now stays, or nothing is. `gate_skipped`: what the model
    did not show of the gate, and why it is let in."""

    model: Model | None
    candidates: tuple[Candidate, ...] = ()
    block: Block | None = None
    gate_skipped: str | None = None


@dataclass(frozen=True, slots=True)
class _Entrant:
    model: Model
    record: ModelVersionSpec | None

    @property
    def words(self) -> str:
        return f"version {self.model.version}" if self.record else self.model.uri


def _rejected(_: Situation, entrant: _Entrant) -> Verdict | None:
    if entrant.record and entrant.record.approval == Decision.REJECTED:
        by = f" by {entrant.record.approved_by}" if entrant.record.approved_by else ""
        return Verdict(DeploymentState.REJECTED, "RejectedByPerson", f"{entrant.words} was rejected{by}")
    return None


def _vetoed(situation: Situation, entrant: _Entrant) -> Verdict | None:
    revision = situation.revision(entrant.model)
    for veto in situation.vetoes:
        if veto.evaluation:
            continue
        if veto.revision == revision or (veto.reason == RELAPSED and _is_of(situation, veto, entrant.model)):
            how = "" if veto.reason in _BY_HAND else "failed here: "
            words = f"{entrant.words} {how}{veto.message}"
            return Verdict(DeploymentState.VETOED, veto.reason, words)
    return None


def _is_of(situation: Situation, veto: Veto, model: Model) -> bool:
    """Whether a revision with a veto served this version."""
    past = (one for one in situation.promotions if one.revision == veto.revision)
    return any((one.model, one.version) == (model.name, model.version) for one in past)


def _unapproved(situation: Situation, entrant: _Entrant) -> Verdict | None:
    if situation.spec.approval == Approval.AUTOMATIC:
        return None
    if entrant.record is None:
        how = "there is no ModelVersion to approve: apply one for these files, or set spec.approval to Automatic"
        return Verdict(DeploymentState.WAITING, NOT_APPROVED, f"{entrant.words} is not approved; {how}")
    if entrant.record.approval == Decision.APPROVED:
        return None
    how = f"set spec.approval: Approved on its ModelVersion {version_name(entrant.model)}"
    return Verdict(DeploymentState.WAITING, NOT_APPROVED, f"{entrant.words} waits for approval: {how}")


def _gate(situation: Situation, entrant: _Entrant) -> Verdict | None:
    if situation.spec.gate is None:
        return None
    champion = None if _was_served(situation, entrant.model) else _champion(situation)
    missed = list(gate.misses(situation.spec.gate, _scores(entrant.record), champion))
    if not missed:
        return None
    # A limit that was measured and missed says more than one that could not be computed.
    first = min(missed, key=lambda miss: miss.reason == gate.NOT_COMPUTABLE)
    words = "; ".join(dict.fromkeys(miss.message for miss in missed))
    return Verdict(DeploymentState.REJECTED, first.reason, f"{entrant.words} does not pass spec.gate: {words}")


def _evaluation(situation: Situation, entrant: _Entrant) -> Verdict | None:
    revision, asked = situation.revision(entrant.model), gate.evaluation_hash(situation.spec.gate)
    for veto in situation.vetoes:
        if veto.revision == revision and veto.evaluation and veto.evaluation == asked:
            again = by_annotation(situation.name, ANNOTATION_RETRY)
            words = (
                f"{entrant.words} does not pass spec.gate.evaluation: {veto.message}. On other data, try again: {again}"
            )
            return Verdict(DeploymentState.REJECTED, veto.reason, words)
    return None


def _unserved_format(situation: Situation, entrant: _Entrant) -> Verdict | None:
    try:
        runtime_of(situation.spec, entrant.model.format, situation.runtimes)
    except Unrenderable as error:
        return Verdict(DeploymentState.WAITING, error.reason, error.message)
    return None


# Those that a person may leave out for a version.
GATES = (_gate, _evaluation)
RULES: tuple[Callable[[Situation, _Entrant], Verdict | None], ...] = (
    _rejected,
    _vetoed,
    _unapproved,
    *GATES,
    _unserved_format,
)


def choose(situation: Situation) -> Choice:
    """The highest entrant that no rule holds back; without one, what is served stays, or its predecessor returns."""
    entrants = _entrants(situation)
    winner: _Entrant | None = None
    candidates: list[Candidate] = []
    for entrant in entrants:
        verdict = _verdict(situation, entrant)
        if verdict is None and winner is None:
            winner = entrant
            continue
        if verdict is None:
            words = f"version {winner.model.version} is newer" if winner else ""
            verdict = Verdict(DeploymentState.SUPERSEDED, "Superseded", words)
        candidates.append(_candidate(entrant, verdict))
    shown = tuple(candidates[:_SHOWN])
    if winner:
        skipped = _gate_skipped(situation, winner)
        return Choice(winner.model, shown, _failed_before(situation, shown), skipped)
    return _keep(situation, shown)


def _verdict(situation: Situation, entrant: _Entrant) -> Verdict | None:
    left_out = GATES if _let_in(situation, entrant) is not None else ()
    return next((verdict for rule in RULES if rule not in left_out and (verdict := rule(situation, entrant))), None)


def _let_in(situation: Situation, entrant: _Entrant) -> str | None:
    """Why a person lets this one through the gate, in his own words; None where nobody does."""
    version, *why = situation.skip_gate.split(None, 1)[:2] or [""]
    names = (str(entrant.model.version), version_name(entrant.model)) if entrant.record else ()
    return "".join(why) if version in names else None


def _gate_skipped(situation: Situation, entrant: _Entrant) -> str | None:
    why, asked = _let_in(situation, entrant), situation.spec.gate
    if why is None or asked is None:
        return None
    missed = [verdict.message for rule in GATES if (verdict := rule(situation, entrant))]
    if not missed and asked.evaluation is None:
        return None
    words = "; ".join(missed) or f"{entrant.words} is not evaluated (spec.gate.evaluation)"
    return cut(f"{words}; let in by hand" + (f": {why}" if why else ""), _WORDS)


def _entrants(situation: Situation) -> Sequence[_Entrant]:
    """What could replace the one served, highest first. What is served is none of them."""
    model, served = situation.spec.model, situation.served
    if model.uri is not None:
        files = Model.of_files(model.uri, model.digest, model.format)
        same = served and (served.model, served.uri, served.digest, served.format) == (
            None, files.uri, files.digest, files.format,
        )  # fmt: skip
        return () if same else (_Entrant(files, None),)
    last = served.version if served and served.version and served.model == model.name else None
    if model.version is not None:
        record = situation.versions.get(model.version)
        return () if record is None or model.version == last else (_entrant(record),)
    return [_entrant(situation.versions[number]) for number in _above(situation.versions, last)]


def _above(numbers: Iterable[int], last: int | None) -> list[int]:
    return sorted((number for number in numbers if number > (last or 0)), reverse=True)


def _entrant(record: ModelVersionSpec) -> _Entrant:
    return _Entrant(Model.of_version(record), record)


def _keep(situation: Situation, candidates: tuple[Candidate, ...]) -> Choice:
    """Nothing new to serve: what is served stays, as the spec says now, unless it was rejected meanwhile."""
    served = situation.served
    if served is None:
        return Choice(None, candidates, _nothing_yet(situation, candidates))
    model = Model.of_promotion(served)
    block = _held_back(situation, candidates)
    if served.model != situation.spec.model.name:
        return Choice(None, candidates, block or _nothing_yet(situation, candidates))
    record = situation.versions.get(served.version or 0)
    entrant = _Entrant(model, record)
    if record and record.approval == Decision.REJECTED:
        return _return(situation, entrant, "RejectedByPerson", "was rejected", candidates, block)
    changed = situation.revision(model) != served.revision
    vetoed = _vetoed(situation, entrant)
    if vetoed and (vetoed.reason == RELAPSED or not changed):
        why = "relapsed" if vetoed.reason == RELAPSED else "was undone by hand"
        return _return(situation, entrant, vetoed.reason, why, candidates, block)
    verdict = (vetoed or _unserved_format(situation, entrant)) if changed else None
    if verdict is None:
        return Choice(model, candidates, block)
    return Choice(None, (_candidate(entrant, verdict), *candidates)[:_SHOWN], block or _blocked(situation, verdict))


def _return(
    situation: Situation,
    left: _Entrant,
    reason: str,
    why: str,
    candidates: tuple[Candidate, ...],
    block: Block | None,
) -> Choice:
    """The one served is not wanted any more: back to the latest one promoted here that people still approve of."""
    version = left.model.version
    for past in situation.promotions[1:]:
        record = situation.versions.get(past.version or 0) if past.model == left.model.name else None
        if record is None or record.version == version:
            continue
        entrant = _entrant(record)
        if not any(rule(situation, entrant) for rule in (_rejected, _vetoed, _unapproved, _unserved_format)):
            if situation.spec.model.version == version:
                words = f"spec.model.version: version {version} {why}; name another one"
                block = Block(reason, words, stalled=True)
            return Choice(entrant.model, candidates, block)
    return Choice(
        None,
        candidates,
        Block(
            "ServedVersionRejected",
            f"version {version} {why}, but no version promoted here before it is still approved: it "
            "keeps serving. Approve one, or train the next",
            stalled=True,
        ),
    )


def _nothing_yet(situation: Situation, candidates: Sequence[Candidate]) -> Block:
    model = situation.spec.model
    if candidates:
        first = candidates[0]
        return _blocked(situation, Verdict(first.state, first.reason, first.message))
    if model.version is not None:
        return _no_such_version(situation)
    return Block(
        "WaitingForVersion",
        f"model {model.name} has no version yet: train one with a TrainingJob, or apply a ModelVersion",
        stalled=False,
    )


def _no_such_version(situation: Situation) -> Block:
    model = situation.spec.model
    return Block(
        "VersionNotFound", f"spec.model.version: there is no ModelVersion {model.name}-{model.version}", stalled=False
    )


def _held_back(situation: Situation, candidates: Sequence[Candidate]) -> Block | None:
    """Whether the spec asks for more than what is served. A version held by the gate is the gate doing its work."""
    model, served = situation.spec.model, situation.served
    follows = model.uri is None and model.version is None
    if candidates and not follows:
        first = candidates[0]
        return _blocked(situation, Verdict(first.state, first.reason, first.message))
    if model.version is not None and model.version not in situation.versions:
        if served is None or (served.model, served.version) != (model.name, model.version):
            return _no_such_version(situation)
        return None
    unserved = next((one for one in candidates if one.reason in ("NoRuntime", "UnknownRuntime")), None)
    if unserved:
        return Block(unserved.reason, unserved.message, stalled=True)
    return _failed_before(situation, candidates)


def _failed_before(situation: Situation, candidates: Sequence[Candidate]) -> Block | None:
    vetoed = next((one for one in candidates if one.state == DeploymentState.VETOED), None)
    return _blocked(situation, Verdict(vetoed.state, vetoed.reason, vetoed.message)) if vetoed else None


def _blocked(situation: Situation, verdict: Verdict) -> Block:
    if verdict.state == DeploymentState.VETOED:
        again = by_annotation(situation.name, ANNOTATION_RETRY)
        change = "Make" if verdict.reason == RELAPSED else "Change spec.template, make"
        how = f"{change} another version, or have it tried again: {again}"
        if verdict.reason in _BY_HAND:
            return Block(verdict.reason, f"{verdict.message}. {how}", stalled=True)
        return Block("RolloutFailed", f"{verdict.message} ({verdict.reason}). {how}", stalled=True)
    waits = verdict.state == DeploymentState.WAITING and verdict.reason == "NotApproved"
    return Block(verdict.reason, verdict.message, stalled=not waits)


def _candidate(entrant: _Entrant, verdict: Verdict) -> Candidate:
    return Candidate(version=entrant.model.version, state=verdict.state, reason=verdict.reason, message=verdict.message)


def _was_served(situation: Situation, model: Model) -> bool:
    """A model that was promoted here went through the gate then; going back is no contest with the one left."""
    return any((past.model, past.digest) == (model.name, model.digest) for past in situation.promotions)


def _champion(situation: Situation) -> gate.Champion | None:
    served = situation.served
    if served is None:
        return None
    record = situation.versions.get(served.version or 0) if served.model == situation.spec.model.name else None
    return gate.Champion(served.digest, _scores(record))


def _scores(record: ModelVersionSpec | None) -> gate.Scores:
    if record is None:
        return gate.Scores()
    champion = record.champion.digest if record.champion else None
    return gate.Scores(record.metrics, record.evaluation, champion)


def by_annotation(deployment: str, annotation: str) -> str:
    """The command that asks for what an annotation stands for."""
    return f'kubectl annotate --overwrite modeldeployment {deployment} {annotation}="$(date +%s)"'


def version_name(model: Model) -> str | None:
    """The name of the ModelVersion that a model is; None for files given by uri."""
    return f"{model.name}-{model.version}" if model.version is not None else None
