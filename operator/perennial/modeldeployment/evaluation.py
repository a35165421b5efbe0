"""The gate's evaluation: both revisions predict rows of which the truth is known, and are compared row by row."""

from collections.abc import Iterator

from perennial.api.evaluate import Evaluated, EvaluateTask, Limit, Measured, parse_evaluated
from perennial.api.gate import Compared, Evaluation, EvaluationLimit, EvaluationStatus
from perennial.api.meta import LABEL_CHECK
from perennial.api.modeldeployment import Rollout
from perennial.api.task import Artifact
from perennial.modeldeployment.gate import NOT_COMPUTABLE, NOT_PASSED, evaluation_hash
from perennial.modeldeployment.scene import Scene
from perennial.modeldeployment.trial import Trial
from perennial.modeldeployment.turn import Turn, about, rolling_on, vetoed, with_vetoes


class ByEvaluation(Trial[Evaluation, Evaluated]):
    """The trial by evaluation."""

    field, mark, label, step = "evaluation", "eval", LABEL_CHECK, "evaluate"
    parse = staticmethod(parse_evaluated)

    def asked(self, scene: Scene) -> Evaluation | None:
        """What asks for it."""
        return scene.evaluation

    def data(self, asked: Evaluation) -> Artifact:
        """What is sent to both."""
        return Artifact(name="rows", uri=asked.uri, digest=asked.digest)

    def task(self, asked: Evaluation, stable: str, incoming: str) -> EvaluateTask:
        """What the Job does with the two, by their URLs."""
        return EvaluateTask(
            rows=self.data(asked),
            stable=stable + asked.path,
            incoming=incoming + asked.path,
            label=asked.label,
            columns=tuple(asked.columns),
            min_rows=asked.min_rows,
            confidence=asked.confidence,
            limits=tuple(Limit(**limit.model_dump(exclude_none=True)) for limit in asked.metrics),
        )

    def judged(self, scene: Scene, rolling: Rollout, asked: Evaluation, answer: Evaluated) -> Turn:
        """What follows from an answer."""
        if answer.failure:
            return _held_back(scene, rolling, NOT_PASSED, f"it {answer.failure}")
        if answer.rows < asked.min_rows:
            words = f"of at least {asked.min_rows} rows with a label there are {answer.rows}"
            return _held_back(scene, rolling, NOT_COMPUTABLE, words)
        if len(answer.limits) != len(asked.metrics):
            return _held_back(scene, rolling, NOT_COMPUTABLE, "the agent measured something else")
        pairs = list(zip(asked.metrics, answer.limits, strict=True))
        if missed := [words for limit, found in pairs for words in _misses(limit, found, asked.confidence)]:
            failed = any(name != "minRows" for found in answer.limits for name in found.missed)
            reason = NOT_PASSED if failed else NOT_COMPUTABLE
            return _held_back(scene, rolling, reason, f"{'; '.join(missed)} ({answer.rows} rows)")
        words = f"{answer.rows} rows: {'; '.join(_words(limit, found) for limit, found in pairs)}"
        record = EvaluationStatus(
            rows=answer.rows, digest=answer.digest, metrics=[_compared(limit, found) for limit, found in pairs]
        )
        return rolling_on(scene, rolling, about(scene, rolling, "EvaluationPassed", words), evaluation=record)

    def unanswerable(self, scene: Scene, rolling: Rollout, asked: Evaluation, why: str) -> Turn:
        """What follows when none comes."""
        return _held_back(scene, rolling, NOT_COMPUTABLE, f"it cannot be evaluated: {why}")


def _held_back(scene: Scene, rolling: Rollout, reason: str, message: str) -> Turn:
    """The gate does its work: what it holds back is told of as any other version that it does."""
    veto = vetoed(scene, rolling.revision, rolling.version, reason, message)
    veto = veto.model_copy(update={"evaluation": evaluation_hash(scene.spec.gate)})
    return Turn(scene.memory.model_copy(update={"rollout": None, "vetoes": with_vetoes(scene, veto)}))


def _misses(limit: EvaluationLimit, found: Measured, confidence: float) -> Iterator[str]:
    what = f"{limit.name}{_where(limit, found)}"
    value = "not defined" if found.value is None else f"{found.value:g}"
    for missed in found.missed:
        if missed == "minRows":
            yield f"no value of {limit.segment} has {limit.min_rows} rows"
        elif missed == "min":
            yield f"{what} is {value}, below the minimum {limit.min:g}"
        elif missed == "max":
            yield f"{what} is {value}, above the maximum {limit.max:g}"
        elif missed == "maxGap":
            gap = "not defined" if found.gap is None else f"{found.gap:g}"
            yield f"{limit.name} between the values of {limit.segment}: the gap is {gap}, at most {limit.max_gap:g}"
        elif missed == "noWorseThanChampionBy":
            margin = limit.no_worse_than_champion_by
            yield f"{_words(limit, found)}; at most {margin:g} worse is allowed, with confidence {confidence:.4g}"
        else:
            effect = limit.better_than_champion_by
            yield f"{_words(limit, found)}; better by {effect:g} is wanted, with confidence {confidence:.4g}"


def _words(limit: EvaluationLimit, found: Measured) -> str:
    value, champion = ("not defined" if one is None else f"{one:g}" for one in (found.value, found.champion))
    words = f"{limit.name}{_where(limit, found)} {value}, the champion's {champion}"
    if found.at_least is not None:
        apart = abs(found.at_least)
        words += f", surely better by {apart:g}" if found.at_least > 0 else f", perhaps worse by {apart:g}"
    return words


def _where(limit: EvaluationLimit, found: Measured) -> str:
    return f" where {limit.segment} is {found.segment!r}" if found.segment is not None else ""


def _compared(limit: EvaluationLimit, found: Measured) -> Compared:
    return Compared(
        name=limit.name,
        segment=None if found.segment is None else f"{limit.segment}={found.segment}",
        rows=found.rows,
        value=found.value,
        champion=found.champion,
        at_least=found.at_least,
        gap=found.gap,
    )
