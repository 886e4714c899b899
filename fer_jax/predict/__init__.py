"""Predicts clips, frames and pictures with a trained model."""

_PUBLIC = ("predict_clips", "predict_frames", "predict_images")


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fer_jax.predict import api
    from fer_jax.predict.images import pictures

    return getattr(pictures if name == "predict_images" else api, name)
