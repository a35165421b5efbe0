"""The documentation holds together: examples are the files that other tests apply, and links lead somewhere."""

import pkgutil
import re
from pathlib import Path

import pytest

from e2e.cluster import tools

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("charts/*/README.md")])
EXAMPLES = sorted(path for kind in ("yaml", "Dockerfile") for path in (ROOT / "docs" / "examples").glob(f"*.{kind}"))


def blocks(page: Path) -> list[tuple[str, str]]:
    """(file, text) of the page's blocks that begin with the name of an example."""
    found = re.findall(r"^```(?:yaml|dockerfile)\n# (examples/\S+)\n(.*?)^```", page.read_text(), flags=re.S | re.M)
    return [(name, text) for name, text in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_an_example_on_a_page_is_the_file(page: Path) -> None:
    for name, text in blocks(page):
        assert text == (ROOT / "docs" / name).read_text(), f"{page.name} and docs/{name} differ"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_on_a_page_or_linked_from_one(example: Path) -> None:
    name = f"examples/{example.name}"
    assert any(name in {shown for shown, _ in blocks(page)} or f"]({name})" in page.read_text() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "charts/perennial/README.md"])
def test_the_range_of_kubernetes_is_the_one_that_tests_run_on(page: str) -> None:
    assert f"Kubernetes {tools.EMULATED[0]} to {list(tools.SERVED)[-1]}" in (ROOT / page).read_text()


INTERNALS = re.findall(r"`([a-z_]+(?:[.][A-Za-z_]+)+)`", (ROOT / "docs/internals.md").read_text())


@pytest.mark.parametrize("name", sorted(set(INTERNALS)))
def test_what_the_internals_name_is_there(name: str) -> None:
    assert pkgutil.resolve_name(f"perennial.{name}")
