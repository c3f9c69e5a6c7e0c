"""Converters of ONNX operators, one file a family."""
