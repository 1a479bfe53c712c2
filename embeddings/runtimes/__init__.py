"""Runtimes of models (torch, OpenVINO, ONNX Runtime) and the choice between them.

A network turns pixels into pooled features. All are made from one torch module
(`embeddings.models.feature_module`), so that they differ by rounding only; `auto` accepts a
runtime or precision only if its vectors agree with torch in float32.
"""
