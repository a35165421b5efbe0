"""Which requests are sent to the new revision, by what they carry: as an HTTPRouteMatch of the Gateway API says it."""

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from perennial.api.base import ApiModel
from perennial.api.rules import rule, validations

_TOKEN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
HeaderName = Annotated[str, Field(min_length=1, max_length=256, pattern=_TOKEN)]


class HeaderMatchType(StrEnum):
    """How the value of a header is compared."""

    EXACT = "Exact"
    REGULAR_EXPRESSION = "RegularExpression"


class HeaderMatch(ApiModel):
    """A header of a request."""

    name: HeaderName = Field(description="Its name.")
    value: Annotated[str, Field(min_length=1, max_length=4096)] = Field(description="Its value.")
    type: HeaderMatchType = Field(
        HeaderMatchType.EXACT,
        description="Exact, or RegularExpression: of the gateway's own dialect, where it knows one.",
    )


class CookieMatch(ApiModel):
    """A cookie of a request."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=_TOKEN)] = Field(description="Its name.")
    value: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[!#-+\--:<-\[\]-~]+$")] = Field(
        description="Its value."
    )


class RequestMatch(ApiModel):
    """Requests that carry all of this."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule("has(self.cookie) || (has(self.headers) && size(self.headers) > 0)", "give headers, a cookie or both"),
            rule(
                "!has(self.cookie) || !has(self.headers) || !self.headers.exists(h, h.name.lowerAscii() == 'cookie')",
                "cookie and a header of that name exclude each other: a gateway compares each header once",
                ".headers",
            ),
        )
    )

    headers: Annotated[list[HeaderMatch], Field(max_length=8)] = Field(default=[], description="All of these headers.")
    cookie: CookieMatch | None = Field(
        None, description="This cookie. The gateway must know regular expressions of headers."
    )

    def conditions(self) -> list[dict[str, Any]]:
        """As the headers of an HTTPRouteMatch."""
        conditions = [{"name": one.name, "type": str(one.type), "value": one.value} for one in self.headers]
        if self.cookie is not None:
            # Some gateways compare the whole of a value, and some search in it: it means the same to both.
            value = rf"^(.*;\s*)?{re.escape(self.cookie.name)}={re.escape(self.cookie.value)}(;.*)?$"
            conditions.append({"name": "Cookie", "type": "RegularExpression", "value": value})
        return conditions


RequestMatches = Annotated[list[RequestMatch], Field(max_length=8)]
