"""Compares methods side by side: python -m fer_jax.compare"""
