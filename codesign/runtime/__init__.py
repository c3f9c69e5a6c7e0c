"""Artifacts and their execution; needs neither torch nor onnx nor a compiler."""
