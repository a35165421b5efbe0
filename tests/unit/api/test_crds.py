"""What holds for every CustomResourceDefinition of ours."""

from collections.abc import Iterator
from typing import Any

import pytest

from perennial.api.crds import KINDS, Crd, Kind, crd, crds
from perennial.api.resources import OWN_KINDS


def version(made: Crd) -> dict[str, Any]:
    (only,) = made["spec"]["versions"]
    return dict(only)


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            yield from nodes(schema[part], f"{path}.{part}")


def test_every_kind_of_ours_has_one() -> None:
    assert {kind.resource for kind in KINDS} == set(OWN_KINDS)
    assert len(crds()) == len(OWN_KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource.kind)
class TestEach:
    def test_strings_lists_and_maps_that_people_write_are_bounded(self, kind: Kind) -> None:
        schema = version(crd(kind))["schema"]["openAPIV3Schema"]["properties"].get("spec", {})
        unbounded = [
            path
            for path, node in nodes(schema)
            if (node.get("type") == "string" and not {"maxLength", "enum", "format"} & node.keys())
            or (node.get("type") == "array" and "maxItems" not in node)
            or ("additionalProperties" in node and "maxProperties" not in node)
        ]
        # Records of the operator's own, inside a ModelVersion.
        assert [path for path in unbounded if not path.startswith((".champion", ".retrain", ".trainingJob."))] == []

    def test_the_columns_read_fields_that_exist(self, kind: Kind) -> None:
        made = version(crd(kind))
        known = {path for path, _ in nodes(made["schema"]["openAPIV3Schema"])} | {".metadata.creationTimestamp"}
        for column in made["additionalPrinterColumns"]:
            field = column["jsonPath"].replace("[0]", ".items").split("[?")[0]
            assert field in known, column

    def test_some_columns_are_for_the_wide_table(self, kind: Kind) -> None:
        priorities = {column.get("priority", 0) for column in version(crd(kind))["additionalPrinterColumns"]}
        assert 0 in priorities
        assert (1 in priorities) is (kind.spec is not None)


def test_short_names_are_unique() -> None:
    names = [name for kind in KINDS for name in kind.short_names]
    assert len(names) == len(set(names))


def test_what_people_look_at_is_in_the_category() -> None:
    outside = {kind.resource.kind for kind in KINDS if "perennial" not in kind.categories}
    assert outside == {"MetricSeries"}
