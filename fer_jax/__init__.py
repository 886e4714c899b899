"""Dynamic facial-expression recognition with uncertainty, in JAX and Flax."""

__version__ = "0.1.0"
