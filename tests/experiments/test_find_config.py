"""Finding configs by name or by path; an unknown name lists all configs."""

import pathlib

import pytest

from fer_jax.experiments import configs

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name",
    ["stbln_afew", "stbln_afew.py", "stcnlstm_ckplus:stc", "configs/stcnlstm_ckplus.py:stc"],
)
def test_a_name_is_found_from_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stem, colon, variant = name.partition(":")
    stem = stem.removesuffix(".py").removeprefix("configs/")
    assert configs.find(name) == f"{ROOT / 'configs' / stem}.py{colon}{variant}"


def test_a_path_stays_as_it_is(tmp_path):
    file = tmp_path / "mine.py"
    file.touch()
    assert configs.find(f"{file}:small") == f"{file}:small"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stbln_afew:small", "stbln_afew has no variants: leave out :small"),
        (str(ROOT / "configs/base.py"), "base.py holds what all configs share"),
    ],
)
def test_config_that_takes_no_variant_or_is_none_is_named(name, message):
    with pytest.raises(configs.ConfigNotFoundError, match=message):
        configs.find(name)


@pytest.mark.parametrize("name", ["stbln_afw", "configs/stbln_afw.py", "own/stbln_afew.py", "base"])
def test_the_nearest_are_named_and_listed_first(name):
    with pytest.raises(configs.ConfigNotFoundError) as caught:
        configs.find(name)
    message, rows = str(caught.value), caught.value.known
    assert message.startswith(f"there is no config {name}: did you mean ") and " or " in message
    assert all(f"  {each} " in rows for each in configs.names())
    if name != "base":
        assert message.count("did you mean stbln_afew, ") == 1
        assert rows.splitlines()[0].split()[0] == "stbln_afew"


def test_every_config_says_what_it_is():
    assert all(configs.describe(name)[0].endswith(".") for name in configs.names())


def test_variants_stand_below_their_config():
    rows = configs.listing(["stbln_afew", "stbln_manifest"]).splitlines()
    assert [row.split()[0] for row in rows] == ["stbln_afew", "stbln_manifest", ":NAME"]
    whole = configs.listing(["bilinear_ferplus"])  # two lines in the config
    assert whole.endswith("joined by commas") and ":a0 (a of the loss" in " ".join(whole.split())


def test_fields_are_set_as_on_the_command_line():
    config = configs.load(
        "fergcn_oulu:modules1",
        ["train.epochs=3", "optimizer.learning_rate=1", "pretrained=", "data.classes=('a',)",
         "augment.enabled=False", "protocol.name=by_sequence"],
    )  # fmt: skip
    assert (config.name, config.train.epochs) == ("fergcn_oulu_modules1", 3)
    assert config.optimizer.learning_rate == 1.0 and config.data.classes == ("a",)
    assert config.augment.enabled is False and config.protocol.name == "by_sequence"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", r"--config.train.epoch: there is no such field, but train.epochs"),
        ("optimiser.momentum=0", "there is no such field"),
        ("train.epochs=many", "--config.train.epochs=many: give a value of type int, such as 400"),
        ("train.epochs=True", "give a value of type int"),
        ("data.crop_size", "'data.crop_size' sets no field: write FIELD=VALUE"),
    ],
)
def test_a_field_that_cannot_be_set_is_named(override, message):
    with pytest.raises(configs.LoadError, match=message):
        configs.load("stbln_oulu", [override])
