"""Writes a trained model as an ONNX file, which predicts without JAX: `fer-jax export`."""
