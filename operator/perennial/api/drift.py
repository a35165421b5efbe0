"""The drift trigger: how far what a model sees has moved from what it was trained on."""

from typing import Annotated

from pydantic import ConfigDict, Field

from perennial.api.base import DNS_LABEL, SET, TABLES, ApiModel, Duration, InputUri, Number, Storage, StorageUri
from perennial.api.oneof import OneOf
from perennial.api.rules import rule, validations
from perennial.api.task import MAX_COLUMNS, DriftMethod
from perennial.sources import Every

_DAYS_30 = "duration('720h')"
# Of a distance, by which a shift counts in practice; of a test, the probability by chance.
LIMITS = {
    DriftMethod.PSI: 0.2,
    DriftMethod.JENSEN_SHANNON: 0.1,
    DriftMethod.WASSERSTEIN: 0.1,
    DriftMethod.KOLMOGOROV_SMIRNOV: 0.01,
    DriftMethod.CHI_SQUARED: 0.01,
}
TESTS = (DriftMethod.KOLMOGOROV_SMIRNOV, DriftMethod.CHI_SQUARED)
_TESTED = f"self.method in {[str(one) for one in TESTS]}"


class Reference(OneOf):
    """What the model was trained on: exactly one."""

    input: Annotated[str, Field(pattern=DNS_LABEL, min_length=1, max_length=63)] | None = Field(
        None, description="An input of the TrainingJob that trained the served version, by its name: it moves with it."
    )
    uri: InputUri | None = Field(None, description=f"{TABLES}: s3://, http(s):// or pvc://claim/path.")


class Requests(ApiModel):
    """What the deployment was asked, by its spec.requestLog."""

    within: Annotated[
        Duration,
        Field(
            json_schema_extra=validations(
                rule("duration(self) >= duration('5m') && duration(self) <= duration('8760h')", "must be 5m to 8760h")
            )
        ),
    ] = Field("24h", description="Only what was asked in this time counts.")


class Current(OneOf):
    """What it sees now: exactly one."""

    requests: Requests | None = Field(None, description="What the deployment was asked, by its spec.requestLog.")
    uri: InputUri | None = Field(None, description=f"{TABLES}: s3://, http(s):// or pvc://claim/path.")


class DriftTrigger(ApiModel):
    """Retrain when data has drifted: columns of what the model sees now are far from what it was trained on."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                f"!has(self.above) || !({_TESTED})",
                "goes with methods that measure a distance; of a test give significance",
                ".above",
            ),
            rule(
                f"!has(self.significance) || {_TESTED}",
                "goes with KolmogorovSmirnov and ChiSquared; of a distance give above",
                ".significance",
            ),
            rule(f"duration(self.__for__) <= {_DAYS_30}", "must be at most 720h", ".for"),
        )
    )

    reference: Reference = Field(description="What the model was trained on.")
    current: Current = Field(description="What it sees now.")
    columns: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]],
        Field(max_length=MAX_COLUMNS, json_schema_extra=SET),
    ] = Field(default=[], description="The columns that are compared. Default: all that both have.")
    method: DriftMethod = Field(
        DriftMethod.PSI,
        description="PSI, JensenShannon and Wasserstein (in standard deviations) measure a distance; KolmogorovSmirnov "
        "and ChiSquared test, corrected for the number of columns. A column of no numbers is compared by JensenShannon "
        "instead of Wasserstein, and by ChiSquared instead of KolmogorovSmirnov.",
    )
    above: Annotated[Number, Field(ge=0)] | None = Field(
        None, description="A column whose distance is above this has drifted. Default: PSI 0.2, the others 0.1."
    )
    significance: Annotated[Number, Field(ge=0.000_000_1, le=0.5)] | None = Field(
        None, description="A column that by chance would be as far with less than this probability has drifted: 0.01."
    )
    at_least: Annotated[int, Field(ge=1, le=MAX_COLUMNS)] = Field(1, description="So many columns must have drifted.")
    min_samples: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        200, description="With fewer current rows nothing is decided."
    )
    for_: Annotated[Duration, Field(alias="for")] = Field(
        "0s", alias="for", description="How long they must have drifted without a break."
    )
    every: Every = Field("1h", description="How often a Job looks at it.")
    storage: Storage | None = Field(None, description="Credentials; default: the Secret perennial-storage, if any.")
    report: StorageUri | None = Field(
        None,
        description="Each look writes report.html and report.json below this. Default: below the chart's default "
        "output; without one there is no report.",
    )

    @property
    def limit(self) -> float:
        """What a column is judged by."""
        given = self.significance if self.method in TESTS else self.above
        return LIMITS[self.method] if given is None else given
