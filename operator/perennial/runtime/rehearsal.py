"""Has the API server try objects that will be made later, so that what it would refuse is known at once."""

import json

from perennial.kube.client import Client
from perennial.kube.errors import ApiError, BadRequest, Invalid
from perennial.questions import Answer, Question, Rehearsal
from perennial.runtime.asker import Ask


class Rehearsals:
    """Answers such questions; every other one goes on to `ask`."""

    def __init__(self, client: Client, ask: Ask) -> None:
        self._client = client
        self._ask = ask

    async def answer(self, question: Question) -> Answer:
        """That it is no object that can be made. Whatever else stands in its way may be gone by then."""
        if not isinstance(question, Rehearsal):
            return await self._ask(question)
        try:
            await self._client.create(json.loads(question.body), strict=True, dry_run=True)
        except (Invalid, BadRequest) as error:
            return Answer(error=error.message)
        except ApiError:
            return Answer()
        return Answer()
