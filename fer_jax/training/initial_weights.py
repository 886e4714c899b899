"""Initial weights from another network, or from a backbone trained on ImageNet or on faces.

They are read from a safetensors file with the names of torchvision or timm, or for VGG16 with those
of Caffe (`conv1_1`), which VGG-Face has.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable, Sequence

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from fer_jax.installation import how_to_install

# Weights in a file that a backbone has no leaf for.
_CLASSIFIERS = re.compile(r"(classifier|fc\d?|head|pre_logits)\.|.*\.num_batches_tracked$")
_CAFFE = re.compile(r"(?:features\.)?conv_?(\d+)_(\d+)\.(weight|bias)")  # of VGG16
# Names that only one family of networks has. What has none of them is told by its sizes.
_FAMILIES = (
    (r"repeat_1\.|conv2d_1a\.", "InceptionResnetV1 (FaceNet)"),
    (r".*conv2_1_1x1_(down|up)|layer1\.0\.se", "an SE-ResNet"),
    (r".*conv2_1_1x1_(reduce|increase)", "a ResNet50 with the names of Caffe"),
    (r"features\.denseblock1\.", "a DenseNet"),
    (r"blocks\.0\.attn\.|encoder\.layers?\.|cls_token", "a vision transformer"),
    (r"stages\.0\.blocks\.|features\.\d+\.\d+\.layer_scale", "a ConvNeXt"),
    (r"features\.0\.0\.|conv_stem\.|blocks\.0\.0\.", "a MobileNet or an EfficientNet"),
)
_SHOWN = 8  # names listed per kind of fault
_ENDINGS = (".safetensors", ".bin", ".ckpt", ".h5", ".npz", ".pt", ".pth")  # never of a repo id


class PretrainedError(ValueError):
    """Weights are missing or do not fit; the message says which, and what to do."""


def take_over(
    given: dict, given_classes: Sequence[str], shapes: Callable[[int], dict], classes: Sequence[str]
) -> tuple[dict, list[str]]:
    """Takes the weights that a network has in common with another one.

    Leaves with the same name and shape are copied. Leaves with one column per output (the head) are
    copied column by column, matched by the names of the outputs, if the other network has all of
    them: a network for valence and arousal can start from one for valence, arousal and dominance.
    Otherwise the head stays new.

    Args:
      given: `{"params", "batch_stats"}` of the other network.
      given_classes: names of its outputs.
      shapes: `number of outputs -> {"params", "batch_stats"}`, shapes of the network.
      classes: names of the network's outputs.

    Returns:
      The leaves taken, as a subtree of `shapes` (empty where nothing fits), and the names of all
      other leaves.
    """
    given, wanted = flatten_dict(given), flatten_dict(shapes(len(classes)))
    more = flatten_dict(shapes(len(classes) + 1))
    taken = {}
    for name, leaf in wanted.items():
        array = given.get(name)
        if array is not None and leaf.shape != more[name].shape:  # one column an output
            array = _columns(array, given_classes, classes)
        if array is not None and array.shape == leaf.shape:
            taken[name] = np.asarray(array, leaf.dtype)
    new = ["/".join(name[1:]) for name in wanted if name not in taken]
    return unflatten_dict(taken), new


def _columns(array, given_classes: Sequence[str], classes: Sequence[str]):
    """Reorders the columns to those of `classes`; None where one is missing."""
    if array.shape[-1] != len(given_classes) or not set(classes) <= set(given_classes):
        return None
    return array[..., [list(given_classes).index(name) for name in classes]]


def load_backbone(source: str, variables: dict) -> dict:
    """Reads the weights of a backbone.

    Args:
      source: a `.safetensors` file, or a Hugging Face repo id such as `timm/vgg16_bn.tv_in1k`,
        which is downloaded once and then read from the cache of huggingface_hub.
      variables: `{"params", "batch_stats"}` of a `backbones.VGG16` or `backbones.ResNet50`,
        arrays or shapes; the second may be empty.

    Returns:
      A tree like `variables`, NumPy.

    Raises:
      PretrainedError: there is no such file or repo, or leaves are missing, unknown or misshapen.
    """
    return convert(_read(source), variables, source)


def _read(source: str) -> dict[str, np.ndarray]:
    path = pathlib.Path(source).expanduser()
    if not path.is_file() and not _is_repo(path, source):
        raise _not_found(path)
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise _not_installed("safetensors") from error
    if not path.is_file():
        path = _download(source)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise PretrainedError(
            f"{path} is no safetensors file ({error}). A checkpoint of PyTorch is converted by "
            f"safetensors.torch.save_file(torch.load(FILE), 'model.safetensors')"
        ) from error


def _is_repo(path: pathlib.Path, source: str) -> bool:
    """Tells a repo id, whose name may hold dots, from a file or folder."""
    is_file = path.is_dir() or path.suffix in _ENDINGS
    return not is_file and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", source) is not None


def _not_found(path: pathlib.Path) -> PretrainedError:
    found = f"{path} is no bundle" if path.is_dir() else f"pretrained weights {path} do not exist"
    return PretrainedError(
        f"{found}: --config.pretrained names a bundle (the folder model/ of a finished run), a "
        f".safetensors file, or a Hugging Face repo id such as timm/vgg16_bn.tv_in1k"
    )


def _not_installed(package: str) -> PretrainedError:
    return PretrainedError(f"pretrained weights need {package}: {how_to_install('pretrained')}")


def _download(repo: str) -> pathlib.Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise _not_installed("huggingface_hub") from error
    try:
        return pathlib.Path(hf_hub_download(repo, "model.safetensors"))
    except Exception as error:  # no network, no such repo, no access: many types
        reason = str(error).strip().partition("\n")[0]
        raise PretrainedError(
            f"{repo} could not be downloaded ({type(error).__name__}: {reason}). Without a "
            f"network, take its model.safetensors from elsewhere and name the file: "
            f"--config.pretrained=DIR/model.safetensors"
        ) from error


def convert(weights: dict[str, np.ndarray], variables: dict, source: str = "") -> dict:
    """Converts PyTorch weights to the names and axes of a backbone.

    Args:
      weights: name -> array, as in PyTorch (channels first).
      variables, source: see `load_backbone`.

    Raises:
      PretrainedError: see `load_backbone`.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(variables)
    wanted = {_torch_name([key.key for key in path], variables): leaf for path, leaf in leaves}
    given = {name: array for name, array in weights.items() if not _CLASSIFIERS.match(name)}
    if "stem_conv" not in variables["params"]:
        given = _named_by_index(given, variables["params"])
    other = _other_family(given, wanted)
    beyond = _cut_off(variables["params"])
    given = {name: array for name, array in given.items() if not name.startswith(beyond)}
    faults = {
        "missing": [name for name in wanted if name not in given],
        "unknown": [name for name in given if name not in wanted],
        "misshapen": [
            f"{name} {np.shape(given[name])} instead of {_torch_shape(leaf.shape)}"
            for name, leaf in wanted.items()
            if name in given and np.shape(given[name]) != _torch_shape(leaf.shape)
        ],
    }
    if any(faults.values()):
        listed = "; ".join(f"{kind}: {_listed(names)}" for kind, names in faults.items() if names)
        raise PretrainedError(f"the weights {source} do not fit the backbone{other}. {listed}")
    arrays = [np.asarray(given[name], np.float32) for name in wanted]
    for name, array in zip(wanted, arrays, strict=True):
        if not np.isfinite(array).all():
            raise PretrainedError(f"the weights {name} of {source} hold NaN or infinity")
    arrays = [array.transpose(2, 3, 1, 0) if array.ndim == 4 else array for array in arrays]
    return jax.tree_util.tree_unflatten(tree, arrays)


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape in PyTorch: of a kernel `[H, W, Fi, Fo] -> [Fo, Fi, H, W]`."""
    return shape if len(shape) != 4 else (shape[3], shape[2], *shape[:2])


def _listed(names: list[str]) -> str:
    names = sorted(names, key=lambda name: re.sub(r"\d+", lambda digits: digits[0].zfill(3), name))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


_LEAVES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}


def _torch_name(path: list[str], variables: dict) -> str:
    """PyTorch's name of the leaf at `(collection, *modules, leaf)`."""
    collection, *modules, leaf = path
    name = _LEAVES[collection, leaf]
    if "stem_conv" in variables["params"]:
        return f"{_resnet_module(modules)}.{name}"
    return f"features.{_vgg_index(modules, variables['params'])}.{name}"


def _vgg_index(modules: list[str], params: dict) -> int:
    """Index of a layer in torchvision's `features`: convolution, (norm,) ReLU; a pool per stage."""
    stage, layer = int(modules[0].removeprefix("stage")), modules[1]
    apart = 3 if "norm1" in params["stage1"] else 2  # layers from one convolution to the next
    index = 0
    for earlier in range(1, stage):
        convolutions = sum(name.startswith("conv") for name in params[f"stage{earlier}"])
        index += apart * convolutions + 1
    return index + apart * (int(layer[4:]) - 1) + layer.startswith("norm")


def _named_by_index(weights: dict[str, np.ndarray], params: dict) -> dict[str, np.ndarray]:
    """Renames the convolutions of a VGG16 in Caffe's names, `conv1_1`, to those of torchvision."""
    named = {}
    for name, array in weights.items():
        if found := _CAFFE.fullmatch(name):
            stage, convolution, leaf = found.groups()
            if f"stage{stage}" in params:
                place = _vgg_index([f"stage{stage}", f"conv{convolution}"], params)
                name = f"features.{place}.{leaf}"
        named[name] = array
    return named


def _other_family(given: dict[str, np.ndarray], wanted: dict) -> str:
    """Names the network of a file if it is another one than the backbone; "" if it is the same.

    Args:
      given: arrays by PyTorch's names.
      wanted: leaves of the backbone by PyTorch's names.
    """
    own = _family({name: _torch_shape(leaf.shape) for name, leaf in wanted.items()})
    found = _family({name: np.shape(array) for name, array in given.items()})
    return "" if own == found else f": they are of {found}, not of {own}"


def _family(shapes: dict[str, tuple[int, ...]]) -> str:
    """Names a network by the names and shapes of its weights, in PyTorch."""
    for pattern, family in _FAMILIES:
        if any(re.match(pattern, name) for name in shapes):
            return family
    blocks = [re.match(r"layer(\d+)\.(\d+)\.conv1\.", name) for name in shapes]
    if any(blocks):
        stages = [match[1] for match in blocks if match]
        counts = tuple(stages.count(stage) for stage in dict.fromkeys(sorted(stages)))
        wide = "layer1.0.conv3.weight" in shapes
        depths = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 50 if wide else 34, (3, 4, 23, 3): 101,
                  (3, 8, 36, 3): 152}  # fmt: skip
        width, fan_in = shapes.get("layer1.0.conv2.weight", (0, 0))[:2]
        kind = "ResNet" if width == fan_in else "ResNeXt"
        return f"{kind}{depths.get(counts, f' of {counts} blocks')}"
    convolutions = [name for name, shape in shapes.items() if len(shape) == 4]
    if convolutions and all(re.match(r"features\.\d+\.weight$", name) for name in convolutions):
        norm = any(name.endswith("running_mean") for name in shapes)
        return f"VGG{len(convolutions) + 3} with{'' if norm else 'out'} BatchNorm"
    return "an unknown network"


def _cut_off(params: dict) -> tuple[str, ...]:
    """Prefixes of the names in a file that lie beyond the cut of a cut `ResNet50`."""
    cut = [name for name, block in params.items() if "_block" in name and "conv3" not in block]
    blocks = [_resnet_module([name, "conv3"]).removesuffix("conv3") for name in cut]
    layers = ("conv3.", "bn3.", "downsample.")
    return tuple(block + layer for block in blocks for layer in layers)


def _resnet_module(modules: list[str]) -> str:
    if len(modules) == 1:
        return {"stem_conv": "conv1", "stem_norm": "bn1"}[modules[0]]
    stage, block = re.fullmatch(r"stage(\d+)_block(\d+)", modules[0]).groups()
    layer = {"shortcut_conv": "downsample.0", "shortcut_norm": "downsample.1"}.get(
        modules[1], modules[1].replace("norm", "bn")
    )
    return f"layer{stage}.{int(block) - 1}.{layer}"
