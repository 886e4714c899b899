"""The published systems as pure Flax modules: `MODELS` maps the config's name to the class."""

from fer_jax.models.st_bln import STBLN

MODELS = {"st_bln": STBLN}
