"""JSON that is nested deeper than the decoder takes."""

import json

import pytest

from perennial.kube import decode


@pytest.mark.parametrize(("begin", "end"), [('{"a":', "}"), ("[", "]")])
def test_what_is_nested_too_deep_is_cut_and_the_rest_kept(begin: str, end: str) -> None:
    deep = begin * 9000 + "1" + end * 9000
    found = decode.loads('{"before": "\\"[{", "deep": ' + deep + ', "after": [1, {"b": "]"}]}')
    assert (found["before"], found["after"]) == ('"[{', [1, {"b": "]"}])
    levels, value = 0, found["deep"]
    while value is not None:
        levels, value = levels + 1, value["a"] if isinstance(value, dict) else value[0]
    assert levels == 198


def test_it_reads_as_json_does() -> None:
    text = json.dumps({"a": [1, 2.5, None, True, "\u20ac"], "b": {}})
    assert decode.loads(text) == decode.loads(text.encode()) == json.loads(text)
    with pytest.raises(ValueError, match="Expecting"):
        decode.loads("{")
