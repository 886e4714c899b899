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
