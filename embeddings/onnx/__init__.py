"""ONNX export: a whole pipeline, from pixels to a vector, as one file."""
