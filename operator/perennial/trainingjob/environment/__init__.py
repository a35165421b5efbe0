"""What a training finds in its environment. Each part is a module, and a line in `PARTS`."""

from collections.abc import Callable, Iterable

from perennial.api.trainingjob import TrainingJobSpec
from perennial.plan import Body
from perennial.trainingjob.environment import contract, distribution, parameters
from perennial.trainingjob.snapshot import Snapshot

PARTS: tuple[Callable[[Snapshot, TrainingJobSpec], Iterable[Body]], ...] = (
    contract.variables,
    parameters.variables,
    distribution.variables,
)


def variables(snapshot: Snapshot, spec: TrainingJobSpec, given: Iterable[Body]) -> list[Body]:
    """The `env` of the training container: what the user gave, and before it what of ours has another name, or is
    referred to by the user's of that name.

    InvalidSpec when a variable cannot be said.
    """
    theirs = list(given)
    # A preset may say anything; what is no text is refused by the API server, in its words.
    names = {one.get("name") for one in theirs if f"$({one.get('name')})" not in str(one.get("value") or "")}
    ours = (variable for part in PARTS for variable in part(snapshot, spec))
    return [*(one for one in ours if one["name"] not in names), *theirs]
