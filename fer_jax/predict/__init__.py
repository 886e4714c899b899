"""Predicts clips and frames with a trained model."""

_PUBLIC = ("predict_clips", "predict_frames")


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fer_jax.predict import api

    return getattr(api, name)
