"""Chooses the scaling of the pixels by the initial weights."""

from __future__ import annotations

import pathlib

from flax import linen as nn
from ml_collections import ConfigDict

from fer_jax.experiments.bundle import is_bundle, read_bundle


def with_pixels(config: ConfigDict, network: type[nn.Module]) -> dict:
    """Returns the fields of the network, with pixels that suit its initial weights.

    Pixels "auto" become those of the bundle that training begins with, else those that the network
    chooses, see `layers.build`.

    Raises:
      ValueError: pixels of weights of faces without such weights.
    """
    fields, path = config.model.to_dict(), pathlib.Path(config.pretrained).expanduser()
    pixels = fields.get("pixels", getattr(network, "pixels", ""))
    if pixels == "auto" and hasattr(network, "pixels_for"):
        of_bundle = config.pretrained and is_bundle(path)
        own = _of_bundle(path) if of_bundle else ""
        fields["pixels"] = own or network.pixels_for(fields, bool(config.pretrained))
    elif pixels.startswith("vggface") and not config.pretrained:
        raise ValueError(
            f"--config.model.pixels={pixels} are pixels of 0 to 255, on which random weights "
            "diverge: name weights of faces (--config.pretrained=FILE.safetensors, see "
            "docs/systems/bilinear_cnn.md) or set --config.model.pixels=symmetric"
        )
    return fields


def _of_bundle(path: pathlib.Path) -> str:
    try:
        return read_bundle(path, say=lambda _: None).model.get("pixels", "")
    except FileNotFoundError as error:
        raise ValueError(f"the bundle {path} cannot be read: {error}") from error
