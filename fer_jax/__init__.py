"""Dynamic facial-expression recognition with uncertainty, in JAX and Flax."""

__version__ = "0.1.0"


def load_model(path):
    """Opens a model bundle, see `fer_jax.training.checkpoint.load_model`."""
    from fer_jax.training.checkpoint import load_model

    return load_model(path)
