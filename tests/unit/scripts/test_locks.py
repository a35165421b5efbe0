"""Every package of an image is locked with a hash, asked for, licensed compatibly, and told in docs/dependencies.md."""

import re
from importlib import metadata

import pytest

from scripts import locks
from scripts.dependencies import PAGE, WHAT_FOR

NORMAL = 64


def _lock(image: str) -> dict[str, locks.Locked]:
    return {package.name: package for package in locks.locked(image) if package.wanted}


@pytest.mark.parametrize("image", [*locks.IMAGES, "dev"])
def test_each_package_of_a_lock_has_one_version_and_hashes(image: str) -> None:
    for package in locks.locked(image):
        assert package.version, f"{package.requirement} is not one version"
        assert package.hashes, f"{package.requirement} has no hash: run `make lock`"
        assert all(len(value) == NORMAL for value in package.hashes), package.requirement


@pytest.mark.parametrize("image", locks.IMAGES)
def test_a_lock_holds_what_is_asked_for_and_nothing_else(image: str) -> None:
    lock, wanted = _lock(image), set[str]()
    ahead = locks.direct(image)
    while ahead:
        wanted |= ahead
        ahead = {name for package in ahead for name in locks.asked_for(package)} - wanted
    assert lock.keys() == wanted


@pytest.mark.parametrize("image", locks.IMAGES)
def test_each_package_of_an_image_is_the_one_that_the_tests_run_with(image: str) -> None:
    assert {name: package.version for name, package in _lock(image).items()} == {
        name: metadata.version(name) for name in _lock(image)
    }


@pytest.mark.parametrize("image", locks.IMAGES)
def test_each_package_of_an_image_may_be_passed_on_under_our_licence(image: str) -> None:
    for name in _lock(image):
        terms = locks.licence(name, metadata.metadata(name))
        assert terms, f"{name}: no licence is known, read its LICENSE and add it to READ in scripts/locks.py"
        assert locks.compatible(terms), f"{name} is under {terms}, which is not in the table of scripts/locks.py"


@pytest.mark.parametrize(
    ("terms", "may"),
    [
        ("MIT", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("GPL-3.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("", False),
    ],
)
def test_a_licence_is_compatible_when_one_choice_of_it_is_in_the_table(terms: str, may: bool) -> None:
    assert locks.compatible(terms) is may


def test_a_licence_is_read_from_the_table_then_from_the_expression_then_from_the_field() -> None:
    assert locks.licence("some", {"License-Expression": "MIT", "License": "BSD"}) == "MIT"
    assert locks.licence("SciPy", {"License-Expression": "MIT"}) == locks.READ["scipy"]
    assert locks.licence("Python_DateUtil", {"License": "Dual License"}) == "Apache-2.0 AND BSD-3-Clause"
    assert locks.licence("some", {"License": "Apache-2.0"}) == "Apache-2.0"
    assert locks.licence("some", {"License": "Apache 2.0"}) == ""
    assert locks.licence("some", {}) == ""


def test_the_page_says_what_is_locked_now() -> None:
    page = PAGE.read_text()
    for image in locks.IMAGES:
        for name, package in _lock(image).items():
            assert f"| {name} | {package.version} |" in page, f"{name} {package.version}: run `make dependencies`"


def test_it_is_said_of_each_package_that_we_ask_for_what_it_is_for() -> None:
    assert set().union(*map(locks.direct, locks.IMAGES)) == WHAT_FOR.keys()


# Found by name at run time: time zones by zoneinfo, S3 by fsspec, a model's classes by skops.
FOUND_BY_OTHERS = {"tzdata", "s3fs", "scikit-learn"}
MODULES = {"xgboost-cpu": "xgboost", "pyyaml": "yaml", "pyjwt": "jwt", "prometheus-client": "prometheus_client"}


@pytest.mark.parametrize("image", ["operator", "agent", "server", "drift"])
def test_the_code_of_an_image_imports_what_it_asks_for(image: str) -> None:
    package = locks.ROOT / "operator/perennial"
    folder = {"operator": "", "drift": "agent"}.get(image, image)
    elsewhere = {"agent", "server", "cli"} - {folder}
    files = (package / folder).rglob("*.py")
    text = "\n".join(file.read_text() for file in files if file.relative_to(package).parts[0] not in elsewhere)
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.M))
    assert {MODULES.get(name, name) for name in locks.direct(image) - FOUND_BY_OTHERS} <= imported
