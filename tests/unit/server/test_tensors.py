"""Tensors: a round trip for every datatype, and the message for each way to get one wrong."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perennial.server.errors import InvalidRequestError
from perennial.server.tensors import DTYPES, decode_tensor, encode_tensor, jsonable


def tensor(**change: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4], **change}


def strings() -> st.SearchStrategy[Any]:
    return hnp.arrays(object, hnp.array_shapes(max_dims=3, max_side=4), elements=st.text(max_size=8))


def numbers(dtype: np.dtype[Any]) -> st.SearchStrategy[Any]:
    elements = {"allow_infinity": False} if dtype.kind == "f" else {}
    shapes = hnp.array_shapes(max_dims=3, max_side=4)
    return hnp.arrays(dtype, shapes, elements=hnp.from_dtype(dtype, **elements))


@pytest.mark.parametrize("datatype", DTYPES)
@given(data=st.data())
def test_what_is_encoded_is_decoded_to_the_same_flat_or_nested(datatype: str, data: st.DataObject) -> None:
    array = data.draw(strings() if datatype == "BYTES" else numbers(DTYPES[datatype]))
    encoded = json.loads(json.dumps(encode_tensor("x", array), allow_nan=False))
    assert encoded["datatype"] == datatype
    for form in (encoded, {**encoded, "data": jsonable(array)}):
        decoded = decode_tensor(form, "inputs[0]")
        assert decoded.dtype == array.dtype
        np.testing.assert_array_equal(decoded, array)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)


@given(
    datatype=st.sampled_from([*DTYPES]), data=st.lists(JSON, max_size=4), shape=st.lists(st.integers(0, 4), max_size=3)
)
def test_any_data_is_taken_or_refused_naming_the_field(datatype: str, data: list[Any], shape: list[int]) -> None:
    try:
        decoded = decode_tensor(tensor(datatype=datatype, data=data, shape=shape), "inputs[7]")
    except InvalidRequestError as error:
        message = error.message
    else:
        message = ""
        assert decoded.shape == tuple(shape)
        assert decoded.dtype == DTYPES[datatype]
    assert message == "" or message.startswith("inputs[7].")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("x", "t must be an object"),
        (tensor(name=""), "t.name must be"),
        (tensor(name=3), "t.name must be"),
        (tensor(parameters=[]), "t.parameters must be an object"),
        (tensor(datatype="FLOAT"), "t.datatype must be one of BOOL, "),
        (tensor(datatype=None), "t.datatype must be one of"),
        (tensor(shape=None), "t.shape must be a list"),
        (tensor(shape=[]), "t.shape must be a list"),
        (tensor(shape=[1] * 33), "t.shape must be a list of 1 to 32"),
        (tensor(shape=[-1, 2]), "t.shape must hold whole numbers"),
        (tensor(shape=[2.0, 2]), "t.shape must hold whole numbers"),
        (tensor(shape=[True, 4]), "t.shape must hold whole numbers"),
        (tensor(data="1,2"), "t.data must be a list"),
        (tensor(data=[1, 2, 3]), "t.data has the shape [3], t.shape says [2, 2]"),
        (tensor(data=[[1, 2, 3, 4]]), "t.data has the shape [1, 4]"),
        (tensor(data=[[1, 2], [3]]), "t.data must be nested evenly"),
        (tensor(data=["1", "2", "3", "4"]), "t.data must hold FP64 values only"),
        (tensor(data=[1, 2, 3, {}]), "t.data must hold FP64 values only"),
        (tensor(data=[True, False, True, True]), "t.data must hold FP64 values only"),
        (tensor(data=[1, 2, 3, float("inf")]), "t.data has a value outside the range of FP64"),
        (tensor(data=[1, 2, 3, 10**400]), "t.data has a number that is too large"),
        (tensor(datatype="FP32", data=[1, 2, 3, 1e300]), "t.data has a value outside the range of FP32"),
        (tensor(datatype="INT8", data=[1, 2, 3, 128]), "t.data has a value outside the range of INT8"),
        (tensor(datatype="UINT8", data=[1, 2, 3, -1]), "t.data has a value outside the range of UINT8"),
        (tensor(datatype="INT64", data=[1, 2, 3, 2**63]), "t.data"),
        (tensor(datatype="INT32", data=[1, 2, 3, 4.5]), "t.data must hold INT32 values only"),
        (tensor(datatype="INT32", data=[1, 2, 3, None]), "t.data must hold INT32 values only"),
        (tensor(datatype="BOOL", data=[1, 0, 1, 0]), "t.data must hold BOOL values only"),
        (tensor(datatype="BYTES", data=["a", "b", "c", 4]), "t.data must hold strings only"),
        (tensor(datatype="BYTES", data=[["a", "b"], ["c"]]), "t.data must"),
    ],
)
def test_a_broken_tensor_is_refused_naming_the_field(broken: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        decode_tensor(broken, "t")
    assert caught.value.message.startswith(message)


def test_null_in_a_float_tensor_is_a_missing_value() -> None:
    assert np.isnan(decode_tensor(tensor(data=[1, None, 3, 4]), "t")[0, 1])


def test_what_json_cannot_say_becomes_null() -> None:
    assert jsonable(np.array([[1.5, np.nan], [np.inf, -np.inf]])) == [[1.5, None], [None, None]]
