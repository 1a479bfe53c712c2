"""A whole pipeline, from pixels to a vector, as one ONNX file."""
