"""Write docs/dependencies.md: what the images hold, how large they are, how alive it is. `make dependencies`.

When a package had its releases is asked of the package index, by uv.
"""

import gzip
import json
import subprocess
import sys
import tarfile
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from e2e.cluster import images
from scripts import sbom
from scripts.locks import IMAGES, ROOT, asked_for, direct, licence, locked

PAGE = ROOT / "docs/dependencies.md"
WHAT_FOR = {
    "aiohttp": "the operator's client of the API server and the ingest endpoint; the agent's downloads",
    "cronsim": "schedules: when a cron expression is due, in its time zone",
    "cryptography": "the ingest endpoint's key and certificate; signatures of tokens",
    "fsspec": "one way to read and write every kind of store",
    "kopf": "the operator's shell: watches, start-up, signals",
    "numpy": "arrays of a request and of a prediction",
    "onnxruntime": "models in ONNX; it reports to its vendor unless told not to, as the server does",
    "orjson": "JSON of API objects: a burst is mostly that",
    "packaging": "what a python function of MLflow's needs, against what is there",
    "polars": "tables from CSV, JSON Lines and Parquet, compared for drift",
    "prometheus-client": "`/metrics`, and reading that of pods",
    "pydantic": "the kinds as typed models; the CRDs are made from them",
    "pyjwt": "tokens checked by the API server's published keys, where TokenReview may not be asked",
    "pyyaml": "the operator's configuration file; MLflow's description of a model",
    "river": "detectors of concept drift",
    "s3fs": "stores of the kind S3",
    "scipy": "distances of samples, and tests of them",
    "scikit-learn": "the models that the bundled server serves and the demo trains",
    "skops": "models read without running code from them",
    "starlette": "the bundled server's HTTP routes",
    "tzdata": "time zones of schedules, whatever the base has",
    "uvicorn": "the bundled server's HTTP",
    "xgboost-cpu": "models of XGBoost, without what GPUs need",
}
# Megabytes on disk of the images as they were before the cuts below.
BEFORE = {"operator": 160, "agent": 163, "server": 423, "digits": 323}
HEAD = """# Dependencies

Made by `make dependencies`. Everything is locked with hashes in `requirements/` and installed from wheels only. A unit
test fails when a package of an image has no hash, no licence that may be passed on with Apache-2.0 (the table is in
`scripts/locks.py`), or nobody who asks for it. `make sbom` writes what each image holds, Debian's packages included, as
CycloneDX beside its archive.

"""
CUT = """
Built on Debian's own packages, as `make images` does without a container engine. Cut are: pip and what makes virtual
environments; Perl, PAM, login, mount and what else nothing in a pod calls; glibc's converters of character sets;
documentation but for licences; the packages' tests, stubs and Cython sources; of botocore's data on 430 services all
but S3 and what gives credentials for it; ONNX Runtime's second copy of itself, for programs in C. Kept are the compiled
modules: the root is read-only, and without them each start compiles anew. Most of what is left of `server` and `digits`
is SciPy (115 MB) and NumPy (55 MB), each with an OpenBLAS of its own, and scikit-learn (35 MB); in `server` also ONNX
Runtime (40 MB) and XGBoost (20 MB: the package without what GPUs need). MLflow is in no image: its small package with
pandas would add 180 MB.

The agent's launcher is a C program of one file, linked statically with glibc (LGPL-2.1) of the image that builds it.

## Python packages
Released is the day of the locked version; of what we ask for ourselves, a newer version is named, too.

| Package | Version | Released | Licence | In | What for |
|---|---|---|---|---|---|
"""


def main() -> int:
    """Build the images, ask the index, write the page."""
    PAGE.write_text(HEAD + _sizes() + CUT + _packages())
    print(PAGE.relative_to(ROOT))
    return 0


def _sizes() -> str:
    lines = [
        "| Image | MB on disk | before it was cut | MB to pull | Debian packages | Python packages |",
        "|---|---|---|---|---|---|",
    ]
    for target in images.TARGETS:
        archive = images.ensure(target)
        with tarfile.open(archive) as tar:
            manifest = json.loads(sbom.content(tar, "manifest.json"))[0]
            layers = [sbom.content(tar, layer) for layer in manifest["Layers"]]
        kinds = [component.purl.type for component in sbom.bom(archive, target).components if component.purl]
        pulled = sum(len(gzip.compress(layer, 6)) for layer in layers)
        lines.append(
            f"| {target} | {sum(map(len, layers)) / 1e6:.0f} | {BEFORE.get(target, '–')} | {pulled / 1e6:.0f} "
            f"| {kinds.count('deb')} | {kinds.count('pypi')} |"
        )
    return "\n".join(lines) + "\n"


def _packages() -> str:
    of_image = {image: {package.name: package for package in locked(image) if package.wanted} for image in IMAGES}
    packages = {name: package for lock in of_image.values() for name, package in lock.items()}
    asked = set().union(*map(direct, IMAGES))
    released = _released([f"{name}=={package.version}" for name, package in packages.items()])
    newest = _released(sorted(asked))
    askers = defaultdict(set)
    for name in packages:
        for other in asked_for(name):
            askers[other].add(name)
    lines = []
    for name in sorted(packages, key=lambda name: (name not in asked, name)):
        version, day = released[name]
        if name in asked and newest[name][0] != version:
            day += f" ({newest[name][0]}: {newest[name][1]})"
        holders = ", ".join(image for image in IMAGES if name in of_image[image])
        why = WHAT_FOR.get(name) or f"needed by {', '.join(sorted(askers[name] & packages.keys()))}"
        terms = licence(name, metadata.metadata(name))
        lines.append(f"| {name} | {version} | {day} | {terms} | {holders} | {why} |\n")
    return "".join(lines)


def _released(requirements: Iterable[str]) -> Mapping[str, tuple[str, str]]:
    """Return of each package the newest version that satisfies its requirement, and the day of its release."""
    options = ["--no-deps", "--no-config", "--universal", "--python-version=3.11", "--format=pylock.toml"]
    ran = subprocess.run(
        [Path(sys.executable).parent / "uv", "pip", "compile", "-q", *options, "-"],
        input="\n".join(requirements),
        text=True,
        capture_output=True,
        check=True,
    )
    found = {}
    for package in tomllib.loads(ran.stdout)["packages"]:
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        found[package["name"]] = package["version"], f"{min(file['upload-time'] for file in files):%Y-%m-%d}"
    return found


if __name__ == "__main__":
    sys.exit(main())
