"""Pixels that suit the initial weights."""

import pytest

from configs import bilinear_ferplus, fergcn_ckplus
from fer_jax import systems
from fer_jax.experiments.pixels import with_pixels
from tests.bundles import write_bundle

SMALL = {"name": "bilinear_cnn", "stages": [[4, 1]], "pixels": "imagenet", "features": 3,
         "size": 16, "batch_norm": True}  # fmt: skip


def chosen(config):
    return with_pixels(config, systems.find(config.model.name).network)


def config_of(variant="vgg16", **fields):
    config = bilinear_ferplus.get_config(variant)
    config.update_from_flattened_dict(fields)
    return config


@pytest.mark.parametrize(
    ("variant", "pretrained", "pixels"),
    [
        ("vgg16", "", "symmetric"),
        ("resnet50,global", "", "symmetric"),
        ("vgg16", "vgg_face.safetensors", "vggface"),
        ("resnet50", "someone/resnet50_vggface2", "vggface2"),
        ("small", "", "symmetric"),
    ],
)
def test_auto_follows_the_initial_weights(variant, pretrained, pixels):
    fields = chosen(config_of(variant, pretrained=pretrained))
    assert fields["pixels"] == pixels
    assert systems.build(fields, 3, None).pixels == pixels


def test_auto_follows_the_bundle_that_training_begins_with(tmp_path):
    bundle = write_bundle(tmp_path, SMALL, ("valence", "arousal"), 1.0, rule="middles",
                          seconds=0.2, task="dimensional")  # fmt: skip
    assert chosen(config_of(pretrained=str(bundle)))["pixels"] == "imagenet"


@pytest.mark.parametrize("pixels", ["vggface", "vggface2"])
def test_pixels_of_faces_need_weights_of_faces(pixels):
    """Pixels of 0 to 255 make random weights diverge within a dozen steps."""
    config = config_of(**{"model.pixels": pixels})
    with pytest.raises(ValueError, match=f"model.pixels={pixels} are pixels of 0 to 255.*symme"):
        chosen(config)
    config.model.unlock()
    del config.model["pixels"]  # as the network sets them
    with pytest.raises(ValueError, match="model.pixels=vggface are pixels of 0 to 255"):
        chosen(config)
    config.model.pixels, config.pretrained = pixels, "vgg_face.safetensors"
    assert chosen(config)["pixels"] == pixels
    config.pretrained, config.model.pixels = "", "imagenet"
    assert chosen(config)["pixels"] == "imagenet"


def test_networks_with_pixels_of_their_own_are_left_alone():
    config = fergcn_ckplus.get_config()
    assert chosen(config) == config.model.to_dict()
