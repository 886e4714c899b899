"""Networks keep the contract of `layers.build` and refuse fields that mean nothing."""

import flax.linen as nn
import pytest

from configs import fergcn_synthetic, pstbln_synthetic
from fer_jax.experiments import setup
from fer_jax.layers import build
from fer_jax.systems import SYSTEMS
from fer_jax.systems.st_bln import growth


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("st_bln", {"widths": (8, -1)}, r"widths=\(8, -1\): give the width of every layer, pos"),
        ("st_bln", {"subsets": 0}, "subsets=0: it must lie in 1 to 64"),
        ("st_bln", {"kernel_size": 4}, "kernel_size=4: it must be odd"),
        ("st_bln", {"dropout_place": "middle"}, "dropout_place=middle: use one of"),
        ("st_bln", {"u_init": "ones"}, r"u_init=ones: use one of \('const_1e-6', "),
        ("st_bln", {"dropout": 0.96}, "dropout=0.96: it must lie in 0.0 to 0.95"),
        ("st_gcn", {"widths": ()}, r"widths=\(\): give the width of every layer"),
        ("st_gcn", {"original": True, "centre": 51}, "centre=51: it must lie in 0 to 50"),
        ("agcn", {"kernel_size": 4}, "kernel_size=4: it must be odd"),
        ("dgnn", {"kernel_size": 0}, "kernel_size=0: it must be 1 or more"),
        ("fer_gcn", {"dtype": "bfloat"}, r"dtype=bfloat: use one of \('float32', 'bfloat16'\)"),
        ("fer_gcn", {"features": 7}, "features=7: it must be even"),
        ("stc_nlstm", {"flat": True}, "flat=True: it is for nesting last, not nested"),
        ("bilinear_cnn", {"ceil_pool": True}, "ceil_pool=True: it belongs to resnet50, not vgg16"),
        ("bilinear_cnn", {"channels": "gbr"}, "channels=gbr: use one of"),
        ("fer_gcn", {"recurrence": "sum"}, "recurrence=sum: use one of"),
        ("fer_gcn", {"features": 0}, "features=0: it must lie in 2"),
        ("fer_gcn", {"modules": -1}, "modules=-1: it must lie in 0"),
        ("fer_gcn", {"stages": ((4, 1), (6, 0))}, r"\(6, 0\) is not a pair \(channels"),
        ("stc_nlstm", {"hidden": 0}, "hidden=0: it must be 1 or more"),
        ("stc_nlstm", {"channels": ()}, r"channels=\(\): give the width of every layer"),
        ("stc_nlstm", {"channels": (4, 0)}, r"channels=\(4, 0\): give the width of every layer"),
        ("stc_nlstm", {"nesting": "deep"}, "nesting=deep: use one of"),
        ("stc_nlstm", {"nesting": "sum", "channels": (4, 5)}, "layers of a sum have one width"),
        ("densenet", {"growth": 0}, "growth=0: it must be 1 or more"),
        ("densenet", {"initial": -3}, "initial=-3: it must be 1 or more"),
        ("densenet", {"blocks": (2, 0)}, r"blocks=\(2, 0\): give the number of layers of every"),
        ("inception_resnet_3d", {"version": "v3"}, "version=v3: use one of"),
        ("inception_resnet_3d", {"divisor": 0}, "divisor=0: it must be 1 or more"),
        ("inception_resnet_3d", {"factorised": 2}, r"factorised=2: use one of \(1, 3\)"),
        ("inception_resnet_3d", {"residual_scale": (0.1,)}, "scale=.*give one factor for each"),
        ("inception_resnet_3d", {"outside": -3.0}, "outside=-3.0: it must lie in 0.0 to 1.0"),
        ("bilinear_cnn", {"trunk": "vgg"}, "trunk=vgg: use one of"),
        ("bilinear_cnn", {"pooling": "mean"}, "pooling=mean: use one of"),
        ("bilinear_cnn", {"compact": "half"}, "compact=half: use one of"),
        ("bilinear_cnn", {"trunk": "resnet50", "pooling": "fc"}, "fc6 and fc7 belong to vgg16"),
        ("bilinear_cnn", {"rank": 3}, "rank=3: it must be even"),
        ("bilinear_cnn", {"label_mean": 0.0}, "label_mean=0.0: it must lie in 1.0 to 9.0"),
        ("bilinear_cnn", {"reduced": 0}, "reduced=0: it must be 1 or more"),
        ("bilinear_cnn", {"pooling": "global", "compact": "reduced"}, "it is for bilinear pooling"),
        ("bilinear_cnn", {"size": 3, "stages": ((4, 1),) * 2}, "2 stages halve it to nothing"),
    ],
)
def test_field_without_meaning_is_refused(name, fields, words):
    with pytest.raises(ValueError, match=words):
        build.check_fields(SYSTEMS[name].network, {"name": name, **fields})


@pytest.mark.parametrize("name", SYSTEMS)
def test_published_network_passes_its_own_checks(name):
    build.check_fields(SYSTEMS[name].network, {"name": name})


@pytest.mark.parametrize(
    ("name", "fields", "pixels"),
    [
        ("fer_gcn", {}, 32),
        ("densenet", {"blocks": (1, 1)}, 8),
        ("inception_resnet_3d", {}, 49),
        ("bilinear_cnn", {"stages": ((4, 1),) * 3}, 8),
        ("bilinear_cnn", {"stages": ((4, 1),) * 3, "size": 224}, 1),
    ],
)
def test_network_tells_the_smallest_crop(name, fields, pixels):
    assert (
        build.check_fields(SYSTEMS[name].network, {"name": name, **fields}).smallest_crop == pixels
    )


def test_config_says_where_the_field_stands():
    config = fergcn_synthetic.get_config()
    config.model.modules = -1
    with pytest.raises(ValueError, match="^--config.model.modules=-1: it must lie in 0"):
        setup.check_network(config, SYSTEMS["fer_gcn"].network)


def test_still_frames_are_for_classes_alone():
    """Their class probabilities are averaged."""
    network = SYSTEMS["inception_resnet_3d"].network
    assert build.check_fields(network, {"still": True}).tasks == ("classification", "distribution")
    assert build.check_fields(network, {}).tasks == ()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("search.block_size", 0, "search.block_size=0: it must be 1 or more"),
        ("search.width_threshold", 0.0, "width_threshold=0.0: it must lie in 1e-12 to 1.0"),
        ("model.name", "st_gcn", "grows st_bln for classification, not st_gcn"),
        ("task", "action_units", "grows st_bln for classification, not st_bln for action_units"),
        ("uncertainty.members", 3, "uncertainty.members=3: a search grows one network"),
        ("uncertainty.familiarity", True, "not while a topology is searched"),
        ("uncertainty.posterior", "swa", "posterior=swa: not while a topology is searched"),
    ],
)
def test_search_without_meaning_is_refused(field, value, words):
    config = pstbln_synthetic.get_config()
    growth.check(config)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(ValueError, match=words):
        growth.check(config)


class Newcomer(nn.Module):
    """The least that a network is: no dropout, no checks."""

    classes: int
    axis_name: str | None = None

    inputs = "edges"

    @nn.compact
    def __call__(self, inputs, *, train, dropout=None):
        return nn.Dense(self.classes)(inputs.mean((1, 2)))


class NoAxis(nn.Module):
    classes: int
    inputs = "edges"

    def __call__(self, inputs, *, train, dropout=None):
        return inputs


class NoInputs(Newcomer):
    inputs = "points"


class NoPixels(Newcomer):
    inputs = "frames"


class NoDropout(Newcomer):
    def __call__(self, inputs, *, train):
        return inputs


def test_least_network_keeps_the_contract():
    assert build.check_fields(Newcomer, {"name": "new"}) == Newcomer(1)
    assert build.make_network(Newcomer, {"name": "new"}, 3, None) == Newcomer(3)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (NoAxis, r"NoAxis lacks the field `axis_name: str \| None = None`: see .*layers.build"),
        (NoInputs, r"NoInputs lacks the class attribute `inputs`, one of \('edges', 'nodes'"),
        (NoPixels, "NoPixels lacks the class attribute `pixels`"),
        (NoDropout, "NoDropout lacks the argument 'dropout' in `__call__"),
    ],
)
def test_what_a_network_lacks_is_named(network, words):
    with pytest.raises(ValueError, match=words):
        build.check_fields(network, {})


def test_field_that_needs_a_value_is_named():
    class Wide(nn.Module):
        classes: int
        width: int
        axis_name: str | None = None
        inputs = "edges"

        def __call__(self, inputs, *, train, dropout=None):
            return inputs

    with pytest.raises(ValueError, match="model 'Wide' needs its field 'width'"):
        build.check_fields(Wide, {})
    with pytest.raises(ValueError, match=r"'Wide' has no field 'depth' to set: it has \['width'"):
        build.check_fields(Wide, {"depth": 2})
