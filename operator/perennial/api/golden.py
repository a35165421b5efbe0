"""Golden requests: what the new revision must answer as the stable one does, before anybody else asks it."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from perennial.api.base import ApiModel, Count, Digest, Number, StorageUri
from perennial.api.rules import rule, validations


class Golden(ApiModel):
    """Requests that are sent to the stable and to the new revision, before that gets any other; and how far the answers
    may be apart."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "has(self.maxDifference) || has(self.meanDifference)",
                "give at least one limit: maxDifference or meanDifference",
            ),
        )
    )

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.max_difference is None and self.mean_difference is None:
            raise ValueError("give at least one limit: maxDifference or meanDifference")
        return self

    uri: StorageUri = Field(description="A file in a store, with one request's JSON body on each line.")
    digest: Digest | None = Field(None, description="sha256 of that file; checked when it is given.")
    path: Annotated[str, Field(pattern="^/[A-Za-z0-9/_.:-]*$", max_length=256)] = Field(
        "/invocations", description="Where the servers take them, by POST."
    )
    max_difference: Annotated[Number, Field(ge=0)] | None = Field(
        None,
        description="No answer may be further off: numbers by their difference, anything else that differs counts 1.",
    )
    mean_difference: Annotated[Number, Field(ge=0)] | None = Field(
        None, description="The answers may not be further off in the mean: for labels, the share that differs."
    )


class GoldenStatus(ApiModel):
    """How far the answers of the two revisions to the golden requests are apart."""

    requests: Count = Field(description="Requests that both answered.")
    skipped: Count = Field(0, description="Requests that the stable revision did not answer with 200.")
    max_difference: Number = Field(description="The greatest difference of an answer.")
    mean_difference: Number = Field(description="The mean of the differences.")
    worst: Count = Field(description="The line of the request with the greatest difference.")
