"""What computes a model: torch, OpenVINO or ONNX Runtime, and the choice between them.

A network takes pixels to pooled features. All of them are made from one torch module
(`embeddings.models.feature_module`), so that they differ by rounding only; `auto` lets a runtime
or a precision in only where its vectors agree with torch in float32.
"""
