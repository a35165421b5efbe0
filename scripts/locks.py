"""What the images are made from: the locked packages of each, what asks for them, and their licences."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

from license_expression import ExpressionError, get_spdx_licensing
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ("operator", "agent", "server", "drift", "digits")

# What may be passed on together with what is under the Apache License 2.0. MPL-2.0 asks for its own files only; GCC's
# exception is made for programs that its libraries are linked to.
ALLOWED = {
    *(
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Zlib",
        "curl",
    ),
    "GPL-3.0-or-later WITH GCC-exception-3.1",
}
# Read in their LICENSE files, since their metadata has no SPDX expression.
READ = {
    "aiosignal": "Apache-2.0",
    "cronsim": "BSD-3-Clause",
    "flatbuffers": "Apache-2.0",
    # Its wheel brings Eigen, Mbed TLS, curl and others, as its notices say.
    "onnxruntime": "MIT AND Apache-2.0 AND BSD-3-Clause AND MPL-2.0 AND curl",
    "polars": "MIT",
    "polars-runtime-32": "MIT",
    "protobuf": "BSD-3-Clause",
    "python-dateutil": "Apache-2.0 AND BSD-3-Clause",
    "s3fs": "BSD-3-Clause",
    # Its wheel brings OpenBLAS and GCC's Fortran library.
    "scipy": "BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1",
    "skops": "MIT",
    "wcwidth": "MIT",
    # Its wheel brings GCC's OpenMP library.
    "xgboost-cpu": "Apache-2.0 AND GPL-3.0-or-later WITH GCC-exception-3.1",
}
_SPDX = get_spdx_licensing()


class Metadata(Protocol):
    """What a wheel says of itself."""

    def __contains__(self, name: str, /) -> bool: ...

    def __getitem__(self, name: str, /) -> str: ...


@dataclass(frozen=True)
class Locked:
    """One package of a lock: the version, and the sha256 hashes of the files that may be installed."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The package's canonical name."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The exact version; empty when the lock allows more than one."""
        exact = re.fullmatch(r"==([^,*]+)", str(self.requirement.specifier))
        return exact[1] if exact else ""

    @property
    def wanted(self) -> bool:
        """Whether it is installed on this platform."""
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def locked(name: str) -> list[Locked]:
    """Return the packages of requirements/NAME.txt."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=sha256:", line.strip())
            found.append(Locked(Requirement(requirement), tuple(hashes)))
    return found


def direct(image: str) -> set[str]:
    """Return the packages that the image asks for itself."""
    if image == "digits":
        lines = (ROOT / "requirements/digits.in").read_text().splitlines()
    else:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = project["optional-dependencies"]
        lines = project["dependencies"] if image == "operator" else extras[image]
        # It holds the agent.
        lines += extras["agent"] if image == "drift" else []
    return {canonicalize_name(Requirement(line).name) for line in lines if line and not line.startswith("#")}


def asked_for(name: str) -> Iterator[str]:
    """Yield what an installed package asks for on this platform, its extras left out."""
    for line in metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def licence(name: str, about: Metadata) -> str:
    """Return a package's licence as an SPDX expression, by the metadata of its wheel; empty when nobody knows it."""
    fields = (about[field] for field in ("License-Expression", "License") if field in about)
    stated = READ.get(canonicalize_name(name)) or next(fields, "")
    try:
        return str(_SPDX.parse(stated, validate=True, strict=True)) if stated else ""
    except ExpressionError:
        return ""


def compatible(expression: str) -> bool:
    """Whether a licence (an SPDX expression) may be chosen, and all of it is in the table."""
    return bool(expression) and _compatible(_SPDX.parse(expression))


def _compatible(node: object) -> bool:
    if isinstance(node, _SPDX.OR):
        return any(_compatible(each) for each in node.args)
    if isinstance(node, _SPDX.AND):
        return all(_compatible(each) for each in node.args)
    return str(node) in ALLOWED
