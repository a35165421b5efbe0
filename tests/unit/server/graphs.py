"""ONNX graphs for tests."""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper


def value(name: str, kind: int = TensorProto.FLOAT, shape: Any = ("rows", 2)) -> Any:
    """An input or output; sizes that are names, or None, are free."""
    return helper.make_tensor_value_info(name, kind, None if shape is None else list(shape))


def graph(folder: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> Path:
    """Write a model of these nodes into the folder."""
    made = helper.make_graph(nodes, "made", inputs, outputs)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save_model(model, folder / "model.onnx")
    return folder


def weighing(folder: Path) -> Path:
    """A table times a column of weights, and how many cells the table has."""
    nodes = [helper.make_node("Mul", ["table", "weight"], ["product"]), helper.make_node("Size", ["table"], ["size"])]
    inputs = [value("table"), value("weight", shape=("rows", 1))]
    return graph(folder, nodes, inputs, [value("product"), value("size", TensorProto.INT64, ())])
