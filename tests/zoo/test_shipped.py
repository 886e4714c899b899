"""The models that the package ships: whole, small, documented, usable."""

import json
import pathlib
import re

import cv2
import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax import shipped
from fer_jax.commands import main
from fer_jax.compare.chosen import load_config
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.faces.media.listing import clips_of
from fer_jax.predict.load import load_model
from fer_jax.zoo import ZOO
from fer_jax.zoo.card import card

NAMES = shipped.names()


def files(name: str) -> list:
    return sorted((shipped.FOLDER / name).iterdir())


def test_zoo_is_small_and_has_an_entry_for_each_model():
    assert NAMES and set(NAMES) <= ZOO.keys()
    assert sum(file.stat().st_size for name in NAMES for file in files(name)) < 12e6


@pytest.mark.parametrize("name", NAMES)
def test_card_tells_what_the_bundle_holds_which_names_no_path_of_the_machine_that_made_it(name):
    folder, entry = shipped.FOLDER / name, ZOO[name]
    model = json.loads((folder / shipped.MODEL).read_text())
    config = load_config(
        entry.config, [f"{field}={value}" for field, value in entry.fields.items()]
    )
    assert (folder / shipped.CARD).read_text() == card(name, entry, config, model["metrics"])
    assert not re.search(r'"/|[A-Z]:\\\\|\.\./', (folder / shipped.MODEL).read_text())
    accuracy = model["metrics"]["inference_modes"]
    assert accuracy and model["calibration"] and model["sets"] and model["familiarity"]


@pytest.mark.parametrize("name", NAMES)
def test_card_has_what_a_reader_must_know(name):
    card = (shipped.FOLDER / name / shipped.CARD).read_text()
    needed = ("Trained on", "Terms", "Made by", "seed 0", "Measured on", "95% interval", "ECE",
              "alibrat", "sets", "Where it fails", "checked on", "under Apache-2.0")  # fmt: skip
    assert [said for said in needed if said not in card] == []
    # no image names its person, so nothing is said of people
    assert ("every person" in card) == (name in ("gestures", "questions"))


@pytest.mark.parametrize("name", NAMES)
def test_model_predicts_alone(name):
    model = load_model(name, say=pytest.fail)
    frames, size = model.spec.frames, model.spec.prepared_size
    random = np.random.default_rng(0)
    if model.takes_crops:
        window = random.integers(0, 255, (2, frames, size, size, 3), np.uint8)
    else:
        noise = 20 * random.standard_normal((2, frames, 68, 2)).astype(np.float32)
        window = 128 + 60 * MEAN_FACE + noise
    summary = model.predict(window, mc_samples=2)
    assert ((summary.mean >= 0) & (summary.mean <= 1)).all()
    assert (model.unfamiliarity(window) > 1).all()  # noise is no face


def test_portrait_is_predicted_by_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "faces", "portrait", "--out", "table.csv", "--figure", "face.png"]) == 0
    (row,) = pd.read_csv("table.csv").to_dict("records")
    assert row["label"] == row["set"] == "happiness" and not row["abstained"]
    assert row["clip"] == str(shipped.PORTRAIT)
    assert cv2.imread("face.png").shape[1] > cv2.imread(row["clip"]).shape[1]
    (again,) = fer_jax.predict_clips(load_model("faces"), "portrait").to_dict("records")
    assert again["happiness"] == pytest.approx(row["happiness"])
    (one,) = fer_jax.predict_images(load_model("faces"), "portrait").to_dict("records")
    assert one["clip"] == row["clip"] and one["label"] == "happiness"
    capsys.readouterr()
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert f"  {shipped.PORTRAIT}\n" in listed and "terms: research use" in listed


def test_what_lies_here_under_the_name_of_the_portrait_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert clips_of(["portrait"], print) == [shipped.PORTRAIT]
    (tmp_path / "portrait").mkdir()
    assert clips_of(["portrait"], print) == [pathlib.Path("portrait")]
