"""Inputs unlike those of training: features that show it, and distances between them.

`activations`: how much the activations of an example vary; `distance`: how far its features are
from those of the training examples. `fer_jax.uncertainty` exports their names.
"""
