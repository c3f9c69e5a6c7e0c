"""ONNX models as graphs: opset 9 to the newest of the pinned `onnx`, static shapes."""

from codesign.frontends.onnx.importer import import_onnx

__all__ = ["import_onnx"]
