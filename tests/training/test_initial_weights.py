"""Initial weights: files with PyTorch's names, repositories, other networks; messages of faults."""

import functools
import pathlib
import sys

import jax
import numpy as np
import pytest

from fer_jax.experiments import setup
from fer_jax.installation import how_to_install
from fer_jax.layers.backbones import VGG16, ResNet50
from fer_jax.layers.conv2d import max_pool_3
from fer_jax.training import initial_weights
from fer_jax.training.initial_weights import PretrainedError, load_backbone, take_over
from tests.quick import quick

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
safetensors = pytest.importorskip("safetensors.numpy", reason="pip install safetensors")

from benchmarks.torch_mirrors import bilinear_cnn as cut_mirrors  # noqa: E402
from benchmarks.torch_mirrors import fer_gcn as mirrors  # noqa: E402

MODELS = {
    "vgg16": VGG16(((4, 2), (6, 1), (6, 2))),
    "resnet50": ResNet50(((3, 2), (4, 1), (4, 2))),
}
CLASSIFIERS = {
    "torchvision vgg16": ("vgg16", ("classifier.0.weight", "classifier.6.bias")),
    "timm vgg16": ("vgg16", ("pre_logits.fc1.weight", "pre_logits.fc2.bias", "head.fc.weight")),
    "torchvision and timm resnet50": ("resnet50", ("fc.weight", "fc.bias")),
}


# Trunks of the bilinear CNN: VGG16 without BatchNorm or pool5, ResNet50 cut in its last block.
CUT = {
    "vgg16": VGG16(((4, 2), (6, 1), (6, 2)), batch_norm=False, last_pool=False),
    "resnet50": ResNet50(((3, 2), (4, 1), (4, 2)), cut=True),
}


def shapes_of(name, models=MODELS):
    images = np.zeros((1, 32, 32, 3))
    variables = jax.eval_shape(lambda: models[name].init(jax.random.key(0), images, train=False))
    return {"batch_stats": {}, **variables}


def random_weights(name):
    """A state of the PyTorch network, under torchvision's names."""
    rng = np.random.default_rng(0)
    return {
        key: rng.uniform(0.5, 1.5, tuple(value.shape)).astype(np.float32)
        if value.is_floating_point()
        else np.array(7, np.int64)  # num_batches_tracked
        for key, value in make_mirror(name).state_dict().items()
    }


def make_mirror(name):
    build = {"vgg16": mirrors.VGG16, "resnet50": mirrors.ResNet50}[name]
    return build(MODELS[name].stages)


def saved(tmp_path, weights):
    path = tmp_path / "model.safetensors"
    safetensors.save_file(weights, path)
    return str(path)


def message_of(source, name="vgg16"):
    with pytest.raises(PretrainedError) as caught:
        load_backbone(source, shapes_of(name))
    return str(caught.value)


# What is read


@pytest.mark.parametrize("origin", CLASSIFIERS)
def test_load_backbone_gives_the_function_of_the_pytorch_network(origin, tmp_path):
    name, classifier = CLASSIFIERS[origin]
    weights = random_weights(name)
    assert any(key.endswith("num_batches_tracked") for key in weights)
    extra = {key: np.zeros((2, 3), np.float32) for key in classifier}
    variables = load_backbone(saved(tmp_path, weights | extra), shapes_of(name))
    mirror = make_mirror(name)
    mirror.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    x = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype(np.float32)
    with torch.no_grad():
        expected = mirror.eval()(mirrors.channels_first(x)).numpy()
    y = np.moveaxis(np.asarray(MODELS[name].apply(variables, x, train=False)), -1, 1)
    assert np.abs(y - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", MODELS)
def test_load_backbone_takes_every_leaf_from_the_file(name, tmp_path):
    weights = random_weights(name)
    variables = load_backbone(saved(tmp_path, weights), shapes_of(name))
    back = mirrors.torch_names(variables["params"]) | mirrors.torch_names(variables["batch_stats"])
    assert set(back) == {key for key in weights if "num_batches" not in key}
    for key, value in back.items():
        np.testing.assert_array_equal(value, weights[key], err_msg=key)
    for leaf, shape in zip(
        jax.tree.leaves(variables), jax.tree.leaves(shapes_of(name)), strict=True
    ):
        assert (leaf.shape, leaf.dtype) == (shape.shape, shape.dtype)


@pytest.mark.parametrize("name", CUT)
def test_load_backbone_of_a_whole_network_gives_the_function_of_a_part(name, tmp_path):
    if name == "vgg16":
        mirror = whole = mirrors.VGG16(CUT[name].stages, False, False)
        classifier = "classifier.0.weight"
    else:
        whole, mirror = make_mirror(name), cut_mirrors.resnet50(CUT[name].stages)
        classifier = "fc.weight"
    rng = np.random.default_rng(0)
    weights = {
        key: rng.uniform(0.5, 1.5, tuple(value.shape)).astype(np.float32)
        for key, value in whole.state_dict().items()
    }
    own = {key: torch.from_numpy(weights[key]) for key in mirror.state_dict()}
    assert len(own) == len(weights) - (6 if name == "resnet50" else 0)  # conv3, bn3 and its count
    mirror.load_state_dict(own)
    path = saved(tmp_path, weights | {classifier: np.zeros((2, 3), np.float32)})
    variables = load_backbone(path, shapes_of(name, CUT))
    assert set(variables) == {"params", "batch_stats"}
    x = rng.normal(size=(2, 32, 32, 3)).astype(np.float32)
    with torch.no_grad():
        expected = mirror.eval()(mirrors.channels_first(x)).numpy()
    y = np.moveaxis(np.asarray(CUT[name].apply(variables, x, train=False)), -1, 1)
    assert y.shape == ((2, 6, 8, 8) if name == "vgg16" else (2, 4, 2, 2))
    assert np.abs(y - expected).max() < 1e-4 * np.abs(expected).max()


def test_leaves_beyond_the_cut_are_refused(tmp_path):
    """Only the cut block may lack conv3, and every weight in a file needs a leaf."""
    weights = random_weights("resnet50")
    weights["layer3.0.conv4.weight"] = weights.pop("layer3.0.conv3.weight")
    path = saved(tmp_path, weights)
    with pytest.raises(PretrainedError) as caught:
        load_backbone(path, shapes_of("resnet50", CUT))
    message = str(caught.value)
    assert "missing: layer3.0.conv3.weight;" in message
    assert message.endswith("unknown: layer3.0.conv4.weight")


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_names_of_the_full_trunks_are_those_of_torchvision(name):
    model = VGG16(batch_norm=False, last_pool=False) if name == "vgg16" else ResNet50(cut=True)
    images = np.zeros((1, 64, 64, 3))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
    names = [
        initial_weights._torch_name([key.key for key in path], shapes)
        for path, _ in jax.tree_util.tree_leaves_with_path(shapes)
    ]
    if name == "vgg16":  # torchvision's vgg16().features
        layers = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
        expected = {f"features.{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias")}
        assert set(names) == expected
    else:
        assert len(names) == 5 * 53 - 5  # 53 convolutions and norms, one of which is cut off
        assert "layer4.2.bn2.running_var" in names and "layer4.2.conv3.weight" not in names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["conv{}_{}", "conv_{}_{}", "features.conv_{}_{}"])
def test_vgg_face_is_read_by_the_names_of_caffe(name, tmp_path):
    """VGG-Face as it is converted to PyTorch: conv1_1 to conv5_3, then fc6 to fc8."""
    mirror = mirrors.VGG16(CUT["vgg16"].stages, False, False)
    weights = {key: value.numpy() for key, value in mirror.state_dict().items()}
    places = [(1, 1), (1, 2), (2, 1), (3, 1), (3, 2)]
    renamed = {
        f"{name.format(*place)}.{leaf}": weights[f"features.{index}.{leaf}"]
        for place, index in zip(places, (0, 2, 5, 8, 10), strict=True)
        for leaf in ("weight", "bias")
    }
    classifier = {f"fc{n}.{leaf}": np.zeros(2, np.float32) for n in (6, 7, 8) for leaf in "wb"}
    read = load_backbone(saved(tmp_path, renamed | classifier), shapes_of("vgg16", CUT))
    expected = load_backbone(saved(tmp_path, weights), shapes_of("vgg16", CUT))
    jax.tree.map(np.testing.assert_array_equal, read, expected)


OTHERS = {  # a name that only this family has -> what the message calls it
    "repeat_1.0.branch0.conv.weight": "InceptionResnetV1 (FaceNet)",
    "layer1.0.se.fc1.weight": "an SE-ResNet",
    "conv2_1_1x1_down.weight": "an SE-ResNet",
    "conv2_1_1x1_reduce.weight": "a ResNet50 with the names of Caffe",
    "features.denseblock1.denselayer1.conv1.weight": "a DenseNet",
    "blocks.0.attn.qkv.weight": "a vision transformer",
    "stages.0.blocks.0.conv_dw.weight": "a ConvNeXt",
    "features.0.0.weight": "a MobileNet or an EfficientNet",
    "something.weight": "an unknown network",
}


@pytest.mark.parametrize("name", OTHERS)
def test_weights_of_another_family_are_refused_by_its_name(name, tmp_path):
    path = saved(tmp_path, {name: np.zeros((2, 2, 1, 1), np.float32)})
    assert f"they are of {OTHERS[name]}, not of VGG8 with BatchNorm." in message_of(path)


def _resnet(counts, wide, groups=1):
    shapes = {f"layer{s}.{b}.conv1.weight": (2, 2, 1, 1)
              for s, count in enumerate(counts, 1) for b in range(count)}  # fmt: skip
    shapes["layer1.0.conv2.weight"] = (4, 4 // groups, 3, 3)
    return shapes | ({"layer1.0.conv3.weight": (8, 4, 1, 1)} if wide else {})


@pytest.mark.parametrize(
    ("shapes", "family"),
    [
        (_resnet((2, 2, 2, 2), False), "ResNet18"),
        (_resnet((3, 4, 6, 3), False), "ResNet34"),
        (_resnet((3, 4, 6, 3), True), "ResNet50"),
        (_resnet((3, 4, 23, 3), True), "ResNet101"),
        (_resnet((3, 4, 6, 3), True, groups=2), "ResNeXt50"),
        ({f"features.{i}.weight": (2, 2, 3, 3) for i in range(16)}, "VGG19 without BatchNorm"),
        ({f"features.{i}.weight": (2, 2, 3, 3) for i in range(13)}
         | {"features.1.running_mean": (2,)}, "VGG16 with BatchNorm"),
    ],
)  # fmt: skip
def test_family_is_told_by_sizes(shapes, family):
    assert initial_weights._family(shapes) == family


def test_resnet50_of_caffe_gives_the_function_of_its_pytorch_network(tmp_path):
    """Its first convolutions stride and its pooling rounds up; the names are torchvision's."""
    options = {"stride_in_1x1": True, "ceil_pool": True}
    stages, side = ((3, 1), (4, 1)), 36  # 18 pixels to pool: rounded up
    mirror, model = mirrors.ResNet50(stages, **options), ResNet50(stages, **options)
    rng = np.random.default_rng(0)
    weights = {key: rng.uniform(0.5, 1.5, tuple(value.shape)).astype(np.float32)
               for key, value in mirror.state_dict().items()}  # fmt: skip
    mirror.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    x = rng.normal(size=(1, side, side, 3)).astype(np.float32)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), x, train=False))
    variables = load_backbone(saved(tmp_path, weights), shapes)
    with torch.no_grad():
        expected = mirror.eval()(mirrors.channels_first(x)).numpy()
    apply = functools.partial(model.apply, train=False)
    y = np.moveaxis(np.asarray(quick(apply)(variables, x)), -1, 1)
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("side", (3, 4, 8))
def test_pooling_of_caffe_rounds_up(side):
    x = np.random.default_rng(side).uniform(size=(1, side, side + 3, 2)).astype(np.float32)
    for ceil in (False, True):
        pool = torch.nn.MaxPool2d(3, 2, padding=0 if ceil else 1, ceil_mode=ceil)
        expected = pool(mirrors.channels_first(x)).numpy()
        np.testing.assert_array_equal(max_pool_3(x, ceil), np.moveaxis(expected, 1, -1))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_files_become_single(dtype, tmp_path):
    from safetensors.torch import save_file

    weights = random_weights("vgg16")
    path = tmp_path / "half.safetensors"
    save_file(
        {key: torch.from_numpy(value).to(getattr(torch, dtype)) for key, value in weights.items()},
        path,
    )
    variables = load_backbone(str(path), shapes_of("vgg16"))
    kernel = variables["params"]["stage1"]["conv1"]["kernel"]
    assert kernel.dtype == np.float32
    expected = weights["features.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_allclose(kernel, expected, rtol=1e-2)


def test_load_backbone_expands_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    saved(tmp_path, random_weights("vgg16"))
    load_backbone("~/model.safetensors", shapes_of("vgg16"))


# What does not fit


def test_missing_unknown_and_misshapen_leaves_are_named(tmp_path):
    weights = random_weights("vgg16")
    del weights["features.4.running_var"]
    weights["features.99.weight"] = np.zeros(3, np.float32)
    weights["features.3.weight"] = np.zeros((4, 4, 5, 5), np.float32)
    message = message_of(saved(tmp_path, weights))
    assert "model.safetensors do not fit the backbone" in message
    assert "missing: features.4.running_var;" in message
    assert "unknown: features.99.weight;" in message
    assert "misshapen: features.3.weight (4, 4, 5, 5) instead of (4, 4, 3, 3)" in message


def test_weights_of_another_network_are_listed_briefly(tmp_path):
    message = message_of(saved(tmp_path, random_weights("resnet50")))
    assert "missing: features.0.bias, features.0.weight, features.1.bias, " in message
    assert "unknown: bn1.bias, " in message
    assert len(message.replace(str(tmp_path), "")) < 500


def test_pytorch_file_names_the_conversion(tmp_path):
    checkpoint = tmp_path / "vgg16_bn.pth"
    torch.save({"features.0.weight": torch.zeros(3)}, checkpoint)
    message = message_of(str(checkpoint))
    assert "vgg16_bn.pth is no safetensors file" in message and "save_file" in message


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", None])
def test_damaged_safetensors_are_refused(content, tmp_path):
    path = pathlib.Path(saved(tmp_path, random_weights("vgg16")))
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    assert "is no safetensors file" in message_of(str(path))


@pytest.mark.parametrize(
    "source", ["weights/model.safetensors", "weights/vgg16.pth", "model", "a/b/c", "../vgg16"]
)
def test_path_that_does_not_exist_is_not_downloaded(source, monkeypatch):
    monkeypatch.setattr(initial_weights, "_download", lambda repo: pytest.fail("asked the network"))
    message = message_of(source)
    assert f"pretrained weights {source} do not exist" in message
    for known in ("names a bundle", "a .safetensors file", "a Hugging Face repo id"):
        assert known in message


def test_folder_is_no_repo_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights" / "vgg16").mkdir(parents=True)
    assert "weights/vgg16 is no bundle" in message_of("weights/vgg16")


# Hugging Face


@pytest.fixture
def hub():
    return pytest.importorskip("huggingface_hub", reason="pip install huggingface_hub")


@pytest.mark.parametrize("repo", ["timm/vgg16_bn.tv_in1k", "someone/vgg"])
def test_repo_id_is_downloaded(repo, hub, tmp_path, monkeypatch):
    path, asked = saved(tmp_path, random_weights("vgg16")), []

    def download(repo_id, filename):
        asked.append((repo_id, filename))
        return path

    monkeypatch.setattr(hub, "hf_hub_download", download)
    variables = load_backbone(repo, shapes_of("vgg16"))
    assert asked == [(repo, "model.safetensors")]
    assert variables["params"]["stage1"]["conv1"]["kernel"].shape == (3, 3, 3, 4)


def test_offline_message_names_the_alternative(hub, monkeypatch, tmp_path):
    """The error of huggingface_hub itself, offline with an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    message = message_of("timm/vgg16_bn.tv_in1k")
    assert "timm/vgg16_bn.tv_in1k could not be downloaded (LocalEntryNotFoundError: " in message
    assert "take its model.safetensors from elsewhere" in message
    assert "--config.pretrained=DIR/model.safetensors" in message


@pytest.mark.parametrize("text", ["", "first line\nsecond line"])
def test_download_error_is_one_line(text, hub, monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    def refuse(*_):
        raise LocalEntryNotFoundError(text)

    monkeypatch.setattr(hub, "hf_hub_download", refuse)
    message = message_of("timm/resnet50.tv_in1k", "resnet50")
    assert f"(LocalEntryNotFoundError: {text[:10]}). Without a network" in message


@pytest.mark.parametrize(
    ("package", "source"),
    [("safetensors", "model.safetensors"), ("huggingface_hub", "timm/vgg16_bn.tv_in1k")],
)
def test_missing_package_is_named(package, source, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.safetensors").touch()
    for name in list(sys.modules):
        if name.split(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    message = message_of(source)
    assert f"need {package}: {how_to_install('pretrained')}" in message


# Weights of another network

CLASSES = ["valence", "arousal", "dominance"]


def network(outputs, seed=0, width=5):
    rng = np.random.default_rng(seed)
    params = {
        "trunk": {"kernel": rng.normal(size=(3, 4))},
        "extra": {"kernel": rng.normal(size=(4, width))},
        "last": {"kernel": rng.normal(size=(width, outputs)), "bias": rng.normal(size=outputs)},
    }
    return {"params": params, "batch_stats": {"trunk": {"mean": rng.normal(size=4)}}}


@pytest.fixture
def given():
    """Weights of three outputs."""
    return network(3, seed=1)


def taken_over(given, classes, width=5):
    return take_over(given, CLASSES, lambda outputs: network(outputs, width=width), classes)


def test_outputs_are_taken_by_name(given):
    taken, new = taken_over(given, ("arousal", "valence"))
    np.testing.assert_array_equal(
        taken["params"]["last"]["kernel"], given["params"]["last"]["kernel"][:, [1, 0]]
    )
    np.testing.assert_array_equal(
        taken["params"]["last"]["bias"], given["params"]["last"]["bias"][[1, 0]]
    )
    for part in ("params", "batch_stats"):
        for name, leaf in given[part]["trunk"].items():
            np.testing.assert_array_equal(taken[part]["trunk"][name], leaf)
    assert not new


def test_outputs_of_other_names_are_new_though_there_are_as_many(given):
    taken, new = taken_over(given, ("anger", "fear", "joy"))
    assert "last" not in taken["params"] and set(taken["params"]) == {"trunk", "extra"}
    assert new == ["last/kernel", "last/bias"]


def test_layers_of_another_size_are_new(given):
    taken, new = taken_over(given, CLASSES, width=7)
    assert set(taken["params"]) == {"trunk", "last"} and set(taken["params"]["last"]) == {"bias"}
    assert new == ["extra/kernel", "last/kernel"]


def test_nothing_in_common_is_taken(given):
    taken, _ = take_over(
        given, CLASSES, lambda outputs: {"params": {"other": np.zeros(2)}}, CLASSES
    )
    assert not taken


def test_a_bundle_without_weights_or_anything_in_common_is_an_error(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot be read.*no weights.msgpack"):
        setup._from_bundle(tmp_path, None, None)
