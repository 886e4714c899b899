"""Configs load, say how to run them, and refuse what is misspelt before any work."""

import importlib
import itertools
import math
import pathlib
import re

import jax
import pytest
from ml_collections import ConfigDict

from configs import base, stbln_synthetic
from configs.recipes import (
    bilinear_cnn,
    fer_gcn,
    inception_resnet_3d,
    pst_bln,
    st_bln,
    stc_nlstm,
)
from fer_jax.data import how_to_prepare, model_inputs
from fer_jax.experiments import configs, setup, validate
from fer_jax.systems import SYSTEMS, build, searches
from fer_jax.systems.st_bln import growth
from fer_jax.tasks import TASKS, published
from fer_jax.training import program
from preprocess.datasets import DATASETS

ROOT = pathlib.Path(__file__).parents[2]
PREPARE = r"(?:python -m preprocess|fer-jax prepare) "
FLAGS = ("--out", "--crops", "--database")
LANDMARK_SETS = ("afew", "buhmap", "ckplus", "lse", "oulu", "ravdess", "synthetic")
BASELINES = {"stgcn": "st_gcn", "agcn": "agcn", "dgnn": "dgnn"}  # take the dataset's name
OWN_VARIANTS = ("layers", "mcd", "steps")  # without a published figure
OWN_CLIPS = ("stbln", "pstbln", "fergcn", "stcnlstm", "ir3d")
STUDIES = [*((system, "buhmap") for system in OWN_CLIPS),
           *((system, "lse") for system in ("stbln", "pstbln", "stcnlstm"))]  # fmt: skip
# Take a part of their name as an argument.
NAMED = {
    **{name: f"{name}_buhmap" for name in BASELINES},
    "ir3d_cross": "ir3d_cross_ckplus",
    "bilinear_ferplus": "bilinear_vgg16_bilinear_vad",
}
NAMES = configs.names()


def load(name, *arguments):
    return importlib.import_module(f"configs.{name}").get_config(*arguments)


def preparation(text):
    """Reader, folder and options of the first command in a text that prepares a dataset."""
    text = re.sub(r"\\\\?\n\s*", " ", text)  # lines that go on
    words = re.search(PREPARE + r"([^(\n,]*)", text).group(1).split()
    named = {flag: words[words.index(flag) + 1] for flag in words if flag in FLAGS}
    return words[0], named, "--render" in words


def test_the_experiments_are_there():
    assert {f"stbln_{name}" for name in LANDMARK_SETS} <= set(NAMES)
    for method, names in (
        ("fergcn", ("afew", "buhmap", "ckplus", "mmi", "oulu", "synthetic")),
        ("stcnlstm", ("buhmap", "ckplus", "lse", "mmi", "oulu", "synthetic")),
        ("ir3d", ("buhmap", "ckplus", "disfa", "fera", "mmi", "synthetic")),
        ("ir3d", ("cross", "cross_synthetic")),
    ):
        assert {f"{method}_{name}" for name in names} <= set(NAMES)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(BASELINES)))
def test_config_is_complete_and_names_its_command(name):
    module, config = importlib.import_module(f"configs.{name}"), load(name)
    train = rf"python run.py --config configs/{name}\.py|fer-jax train --config {name}\b"
    assert re.search(train, module.__doc__), (
        f"the docstring of configs/{name}.py lacks its command: fer-jax train --config {name}"
    )
    document = module.__doc__.replace("data/NAME", "data/manifest")
    prepared_by = re.search(PREPARE + r"(\w+)", document)
    assert prepared_by and f"--out {config.data.path}" in document, (
        f"the docstring of configs/{name}.py does not say how {config.data.path} is prepared: "
        f"fer-jax prepare DATASET ... --out {config.data.path}"
    )
    assert prepared_by.group(1) in DATASETS
    crop_size = (
        config.data.crop_size
        if model_inputs.takes_crops(SYSTEMS[config.model.name].network)
        else None
    )
    said = how_to_prepare.not_prepared_message(config.data.path, config.data.dataset, crop_size)
    assert preparation(said) == preparation(document)
    assert config.name == NAMED.get(name, name)
    assert config.task in TASKS
    assert config.protocol.name in ("holdout", "subject_kfold", "by_sequence", "cross_database")


@pytest.mark.parametrize("name", NAMES)
def test_config_is_valid_and_adds_sections_of_its_system_alone(name):
    config, shared = load(name), base.get_config()
    validate.check(config)
    setup.check_network(config, SYSTEMS[config.model.name].network)
    if searches(config):
        growth.check(config)
    own = {"search"} if "stbln" in name else {"loss"} if "ferplus" in name else set()
    assert {*config} - {*shared} == own
    for key in {*shared} - {"model", "augment"}:
        if isinstance(shared[key], ConfigDict):
            assert config[key].keys() == shared[key].keys(), key


def test_base_knows_no_system():
    text = (ROOT / "configs/base.py").read_text()
    assert len(text.splitlines()) < 130
    assert base.get_config().model.to_dict() == {}
    for word in ("bln", "gcn", "lstm", "bilinear", "inception", "recipes import"):
        assert word not in text.lower().replace("configs/recipes/", "")


@pytest.mark.parametrize("system", [*OWN_CLIPS, *BASELINES])
def test_own_clips_are_called_by_their_own_name(system):
    config = load(system if system in BASELINES else f"{system}_manifest", "smiles")
    assert config.name == f"{system}_smiles"
    assert (config.data.dataset, config.data.path) == ("smiles", "data/smiles")
    assert "buhmap" not in str(config)
    said = how_to_prepare.not_prepared_message(config.data.path, config.data.dataset)
    assert said.startswith("smiles is not prepared in data/smiles")
    assert "python -m preprocess manifest --source FILE.csv --out data/smiles" in said


@pytest.mark.parametrize(("system", "variant"), [("fergcn", "vgg16"), ("stcnlstm", "stc"),
                                                 ("ir3d", "still")])  # fmt: skip
def test_own_clips_take_a_variant(system, variant):
    config = load(f"{system}_manifest", f"smiles,{variant}")
    assert config.name == f"{system}_smiles_{variant}" and config.data.path == "data/smiles"
    assert config.method == load(f"{system}_buhmap", variant).method
    with pytest.raises(ValueError, match="variant 'none' is unknown"):
        load(f"{system}_manifest", "smiles,none")


@pytest.mark.parametrize(("system", "dataset"), STUDIES)
def test_buhmap_and_lse_are_such_studies(system, dataset):
    own, public = load(f"{system}_manifest", dataset), load(f"{system}_{dataset}")
    public.data.path = own.data.path
    assert own == public


@pytest.mark.parametrize("name", ["", "my/study"])
def test_name_that_is_no_folder_is_refused(name):
    with pytest.raises(ValueError, match="has no usable name: name it as the folder in data/"):
        load("stbln_manifest", name)


@pytest.mark.parametrize("dataset", LANDMARK_SETS)
@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_differs_from_st_bln_in_the_model_only(name, dataset):
    module = importlib.import_module(f"configs.{name}")
    config = module.get_config(dataset).to_dict()
    other = importlib.import_module(f"configs.stbln_{dataset}").get_config().to_dict()
    assert f"python run.py --config configs/{name}.py:DATASET" in module.__doc__
    assert config.pop("name") == f"{name}_{dataset}"
    assert config.pop("model")["name"] == BASELINES[name]
    assert config.pop("method") != other["method"]
    del other["name"], other["model"], other["method"], other["search"]
    assert config == other


@pytest.mark.parametrize("variant", fer_gcn.VARIANTS)
@pytest.mark.parametrize("dataset", ["afew", "buhmap", "ckplus", "mmi", "oulu", "synthetic"])
def test_the_ablations_of_fer_gcn(dataset, variant):
    module = importlib.import_module(f"configs.fergcn_{dataset}")
    config, full = module.get_config(variant), module.get_config()
    modules, fusion, method = fer_gcn.VARIANTS[variant]
    assert (config.model.modules, config.model.fusion) == (modules, fusion)
    assert config.method == method
    assert config.name == full.name + ("" if variant == "full" else f"_{variant}")
    assert config.train == full.train and config.optimizer == full.optimizer
    with pytest.raises(ValueError, match="variant 'four' is unknown"):
        module.get_config("four")


def test_fer_gcn_follows_its_paper():
    config = importlib.import_module("configs.fergcn_ckplus").get_config()
    assert (config.optimizer.learning_rate, config.optimizer.weight_decay) == (0.001, 5e-5)
    assert (config.train.epochs, config.data.frames, config.data.crop_size) == (120, 16, 224)
    assert config.protocol.folds == 10 and config.augment.flip
    assert (config.model.recurrence, config.model.dropout) == ("eq6", 0.0)
    with_dropout = importlib.import_module("configs.fergcn_ckplus").get_config("mcd").to_dict()
    assert with_dropout["model"].pop("dropout") == 0.2
    assert with_dropout["model"].items() < config.model.to_dict().items()
    own = importlib.import_module("configs.fergcn_synthetic").get_config()
    assert (own.model.recurrence, own.model.dropout) == ("concat", 0.2)
    middle = importlib.import_module("configs.fergcn_mmi").get_config()
    assert (config.data.frame_rule, middle.data.frame_rule) == ("uniform", "middles")


@pytest.mark.parametrize("variant", stc_nlstm.VARIANTS)
@pytest.mark.parametrize("dataset", ["buhmap", "ckplus", "lse", "mmi", "oulu", "synthetic"])
def test_the_rows_of_the_stc_nlstm_paper(dataset, variant):
    module = importlib.import_module(f"configs.stcnlstm_{dataset}")
    config, full = module.get_config(variant), module.get_config()
    assert config.name == full.name + ("" if variant == "full" else f"_{variant}")
    assert config.method == stc_nlstm.VARIANTS[variant][1]
    if variant == "steps":
        assert config.optimizer.lr_milestones == (300, 500) and config.train.repeats_per_epoch == 14
        assert config.optimizer.lr_milestone_unit == "step"
    else:
        assert config.train == full.train
        if variant != "densenet":  # its small one has a rate of its own
            assert config.optimizer == full.optimizer
    assert config.protocol == full.protocol and config.augment == full.augment
    assert f":{variant}" in module.__doc__ or variant == "full"
    model = build(config.model.to_dict(), 6, None, config.data.frames)
    if variant == "densenet":
        assert isinstance(model, SYSTEMS["densenet"].network)
        ends_with_peak = dataset in ("ckplus", "oulu")
        assert config.data.frame_rule == ("last" if ends_with_peak else "middles")
    else:
        layers = {"layers3": 3, "layers4": 4, "layers6": 6}.get(variant, 5)
        nesting = {"stc": "none", "lstm": "last", "slstm": "sum"}.get(variant, "nested")
        assert (len(model.channels), model.nesting) == (layers, nesting)
        assert config.data == full.data
    with pytest.raises(ValueError, match="variant 'five' is unknown"):
        module.get_config("five")


def test_stc_nlstm_follows_its_paper():
    config = importlib.import_module("configs.stcnlstm_ckplus").get_config()
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.weight_decay) == (0.0025, 0.0015)
    assert optimizer.learning_rate * optimizer.lr_factor == pytest.approx(0.000025)
    assert (optimizer.schedule, optimizer.lr_milestones, optimizer.decay) == (
        "steps",
        (300,),
        "kernels",
    )
    assert (config.train.batch_size, config.train.epochs, config.model.dropout) == (64, 500, 0.0)
    assert (config.protocol.folds, config.protocol.repeats) == (10, 4)
    assert len(config.augment.angles) * 2 == 14 and config.augment.flip
    assert config.data.frames == 18 and "contempt" not in config.data.classes
    assert len(config.data.classes) == 6
    mmi = importlib.import_module("configs.stcnlstm_mmi").get_config()
    assert (mmi.data.frames, mmi.data.frames_per_second) == (22, 10.0)
    shapes = jax.eval_shape(
        lambda key, x: build(config.model.to_dict(), 6, None).init(key, x, train=False),
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, 18, 64, 64, 3), "float32"),
    )
    assert program.count_parameters(shapes["params"])[0] == 15_462_790


@pytest.mark.parametrize(("dataset", "clips"), [("ckplus", 309), ("oulu", 480), ("mmi", 205)])
def test_steps_end_after_the_steps_of_the_paper(dataset, clips):
    """300 and 200 iterations on nine tenths of the clips, 14 copies each."""
    config = load(f"stcnlstm_{dataset}", "steps")
    steps = clips * 9 // 10 * config.train.repeats_per_epoch // config.train.batch_size
    assert steps * (config.train.epochs - 1) < 500 <= steps * config.train.epochs
    assert config.optimizer.learning_rate == 0.0025 and config.optimizer.lr_factor == 0.01


def test_framing_and_protocol_of_the_papers():
    assert (
        load("stcnlstm_ckplus").data.framing == load("stcnlstm_mmi", "stc").data.framing == "eyes"
    )
    assert load("ir3d_ckplus").data.framing == "box" and load("fergcn_ckplus").data.framing == ""
    for own in ("stcnlstm_synthetic", "ir3d_synthetic", "stcnlstm_buhmap", "ir3d_manifest"):
        assert load(own).data.framing == ""
    plain = load("ir3d_mmi", "plain").protocol
    assert (plain.name, plain.share) == ("random_subjects", 0.2)
    assert load("ir3d_mmi").protocol.name == load("ir3d_mmi", "still").protocol.name
    assert load("ir3d_synthetic", "plain").protocol.name == "subject_kfold"
    assert load("ir3d_cross", "mmi,plain").protocol.name == "cross_database"


def test_every_row_of_a_table_has_its_published_figure():
    for variants in (fer_gcn.VARIANTS, stc_nlstm.VARIANTS):
        for variant, (*_, method) in variants.items():
            found = published.other_protocols(method, "oulu", "")
            assert bool(found) == (not variant.startswith(OWN_VARIANTS)), variant


def test_st_bln_follows_its_paper():
    config = st_bln.get_config("ckplus")
    assert config.optimizer.to_dict() == {
        "name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": False,
        "weight_decay": 5e-4, "decay": "all", "clip_norm": 0.0, "schedule": "constant",
        "lr_milestones": (), "patience": 10, "lr_factor": 0.1, "lr_milestone_unit": "epoch",
        "warmup_epochs": 0.0, "freeze_graph_epochs": 0,
    }  # fmt: skip
    assert (config.train.batch_size, config.train.epochs) == (128, 400)
    assert config.protocol.folds == 10 and config.evaluation.mc_samples == 100
    afew = importlib.import_module("configs.stbln_afew").get_config()
    assert (afew.optimizer.learning_rate, afew.train.batch_size) == (0.01, 64)
    assert (afew.train.epochs, afew.train.repeats_per_epoch) == (300, 14)
    assert afew.data.frames == 150 and afew.augment.enabled and afew.augment.fixed
    assert not config.augment.enabled and not config.search.enabled
    found = pst_bln.grown(st_bln.get_config("oulu"))
    assert (found.name, found.method) == ("pstbln_oulu", "PST-BLN") and searches(found)
    for name in ("afew", "ckplus", "oulu"):
        assert load(f"pstbln_{name}").search.folds == "all"


def test_a_misspelt_field_in_a_config_file_is_an_error():
    config = base.get_config()
    with pytest.raises((AttributeError, KeyError), match="learning_rat"):
        config.optimizer.learning_rat = 0.1


@pytest.mark.parametrize("variant", inception_resnet_3d.VARIANTS)
@pytest.mark.parametrize("dataset", ["buhmap", "ckplus", "disfa", "fera", "mmi", "synthetic"])
def test_the_columns_of_the_3d_inception_resnet_paper(dataset, variant):
    module = importlib.import_module(f"configs.ir3d_{dataset}")
    config, full = module.get_config(variant), module.get_config()
    assert config.name == full.name + ("" if variant == "full" else f"_{variant}")
    assert config.train == full.train and config.optimizer == full.optimizer
    assert config.protocol.folds == 5 and config.data.frames == 10
    model = build(config.model.to_dict(), 6, None, config.data.frames)
    assert (model.landmarks, model.still) == (variant == "full", variant == "still")
    known = published.other_protocols(config.method, dataset, "")
    unknown = dataset in ("buhmap", "synthetic") or (variant, dataset) == ("still", "disfa")
    assert bool(known) != unknown
    with pytest.raises(ValueError, match="variant 'flat' is unknown"):
        module.get_config("flat")


@pytest.mark.parametrize("dataset", ["ckplus", "disfa", "fera", "mmi"])
def test_3d_inception_resnet_follows_its_paper(dataset):
    config = importlib.import_module(f"configs.ir3d_{dataset}").get_config()
    assert (config.optimizer.learning_rate, config.optimizer.momentum) == (0.01, 0.9)
    assert (config.optimizer.weight_decay, config.optimizer.schedule) == (1e-4, "constant")
    assert config.data.crop_size == 299 and not config.augment.enabled
    crossed = load("ir3d_cross", dataset)
    trained = {name: rule for name, _, rule in crossed.data.train_on}
    rules = {**trained, dataset: crossed.data.frame_rule}
    assert rules == {
        name: inception_resnet_3d.RULES[name] for name in ("ckplus", "disfa", "fera", "mmi")
    }
    for name, path, _ in crossed.data.train_on:
        assert path == importlib.import_module(f"configs.ir3d_{name}").get_config().data.path


@pytest.mark.parametrize("variant", ["plain", "still"])
def test_cross_database_variants(variant):
    config = load("ir3d_cross", f"fera,{variant}")
    assert config.name == f"ir3d_cross_fera_{variant}"
    assert config.method == inception_resnet_3d.VARIANTS[variant][1]
    assert [name for name, _, _ in config.data.train_on] == ["ckplus", "mmi", "disfa"]
    for argument in ("afew", "fera,flat"):
        with pytest.raises(ValueError, match="is unknown: use one of"):
            load("ir3d_cross", argument)


@pytest.mark.parametrize(
    ("trunk", "pooling", "dimensions"),
    [*itertools.product(bilinear_cnn.TRUNKS, bilinear_cnn.POOLINGS, bilinear_cnn.DIMENSIONS)],
)
def test_the_networks_of_the_bilinear_cnn_paper(trunk, pooling, dimensions):
    config = load("bilinear_ferplus", f"{trunk},{pooling},{dimensions}")
    assert config.name == f"bilinear_{trunk}_{pooling}_{dimensions}"
    assert load("bilinear_ferplus", f"{dimensions},{trunk},{pooling}") == config
    protocol = published.protocol_of(config)
    assert published.errors(config.method, "ferplus", config.data.classes, protocol)
    assert config.task == "dimensional" and len(config.data.classes) == len(dimensions)
    assert (config.optimizer.learning_rate, config.optimizer.lr_factor) == (0.001, 0.5)
    assert config.optimizer.lr_milestones == (20, 40, 60, 80) and config.train.epochs == 100
    assert config.train.batch_size == 50 and config.protocol.name == "holdout"
    model = build(config.model.to_dict(), len(dimensions), None, config.data.frames)
    dropout = 0.3 if pooling == "bilinear" else 0.0  # it belongs to the layer that this one adds
    assert (model.trunk, model.pooling, model.size, model.dropout) == (trunk, pooling, 224, dropout)
    assert model.mirrored and model.gray and model.pixels == "auto"
    assert config.loss.absolute == 2.0
    ablation = load("bilinear_ferplus", f"{trunk},{pooling},{dimensions},a0")
    assert ablation.loss.absolute == 0.0 and ablation.name == f"{config.name}_a0"
    protocol = published.protocol_of(ablation)
    assert published.errors(ablation.method, "ferplus", config.data.classes, protocol) is None


def test_the_small_bilinear_network():
    config, pooled = load("bilinear_ferplus", "small"), load("bilinear_ferplus", "small,global")
    assert (config.name, pooled.name) == ("bilinear_small", "bilinear_small_global")
    assert config.model.size == 0 and len(config.model.stages) == 3
    assert load("bilinear_ferplus", "va,small").name == "bilinear_small_va"
    assert load("bilinear_ferplus", "a0,small").name == "bilinear_small_a0"
    assert config.model.dropout == pooled.model.dropout == 0.3
    for variant in ("small,vgg16", "vgg19", "global,bilinear", "a0,a2"):
        with pytest.raises(ValueError, match=f"variant '{variant}' is unknown: join at most one"):
            load("bilinear_ferplus", variant)


@pytest.mark.parametrize("name", NAMES)
def test_listed_variants_load(name):
    listed = re.findall(r":([a-z]\w*)", configs.describe(name)[1])
    for variant in listed:
        assert load(name, variant).name.startswith(name.split("_")[0])
    system, _, dataset = name.partition("_")
    recipe = {"fergcn": fer_gcn, "stcnlstm": stc_nlstm, "ir3d": inception_resnet_3d}.get(system)
    own = dataset == "manifest" or dataset.startswith("cross")
    if recipe and not own and load(name).task == "classification":
        assert {"full", *listed} == set(recipe.VARIANTS)


def test_small_network_of_the_demo_differs_in_size_alone():
    full, small = load("stbln_synthetic"), load("stbln_synthetic", "small")
    assert small.name == f"{full.name}_small" and small.train.epochs < full.train.epochs
    assert math.prod(small.model.widths) < math.prod(full.model.widths)
    with full.unlocked():
        full.update_from_flattened_dict({"name": small.name, **stbln_synthetic.SMALL})
    assert full == small
    with pytest.raises(ValueError, match="variant 'tiny' is unknown"):
        load("stbln_synthetic", "tiny")
