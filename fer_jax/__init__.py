"""Dynamic facial-expression recognition with uncertainty, in JAX and Flax."""

__version__ = "0.1.0"


def load_model(path):
    """Loads a model by name ("faces") or path, see `fer_jax.predict.load.load_model`."""
    from fer_jax.predict.load import load_model

    return load_model(path)


_LAZY = ("predict_clips", "predict_frames", "predict_images")


def __dir__():
    return sorted([*globals(), *_LAZY, "prepare"])


def __getattr__(name):
    if name == "prepare":
        from fer_jax.commands.prepare import prepare

        return prepare
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fer_jax import predict

    return getattr(predict, name)
