"""A sample of what a deployment is asked, kept beside the models."""

from typing import Annotated

from pydantic import Field

from perennial.api.base import SET, ApiModel, Duration, Number, Storage, StorageUri
from perennial.api.rules import rule, validations
from perennial.api.task import MAX_COLUMNS

# By which a server finds where to write, and what.
FOLDER_ENV, PERCENT_ENV, COLUMNS_ENV = (f"PERENNIAL_REQUEST_LOG{part}" for part in ("", "_PERCENT", "_COLUMNS"))


class RequestLog(ApiModel):
    """Rows that were asked for, and what was answered, as JSON Lines: what drift is measured in. Headers and who asked
    are never part of it."""

    uri: StorageUri = Field(
        description="s3://bucket/prefix or pvc://claim/prefix; they lie in <namespace>/<deployment>/<day> below it."
    )
    percent: Annotated[Number, Field(ge=0.001, le=100)] = Field(
        100, description="So many of a hundred rows are kept, by chance."
    )
    columns: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]],
        Field(max_length=MAX_COLUMNS, json_schema_extra=SET),
    ] = Field(
        default=[], description="Only these columns are kept, and the prediction. Default: all that the model has."
    )
    retention: Annotated[
        Duration,
        Field(
            json_schema_extra=validations(
                rule("duration(self) >= duration('1h') && duration(self) <= duration('8760h')", "must be 1h to 8760h")
            )
        ),
    ] = Field("720h", description="Whole days that are older are removed.")
    storage: Storage | None = Field(None, description="Credentials; default: the Secret perennial-storage, if any.")


def place_of(log: RequestLog, namespace: str, deployment: str) -> str:
    """Where the days of one deployment's log lie."""
    return f"{log.uri.rstrip('/')}/{namespace}/{deployment}"
