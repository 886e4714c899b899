"""What the page shows of a picture: boxes, words and numbers for models of every task."""

import json
import pathlib

import numpy as np
import pytest

import fer_jax.live
from fer_jax import tasks
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.live.drawing import shown
from fer_jax.live.engine import Person, Seen
from fer_jax.plotting import panel
from tests import bundles

FACE = (60 * MEAN_FACE + [200, 220]).astype(np.float32)
TASKS = {
    "classification": (("joy", "fear", "anger"), 0.9),
    "action_units": (("AU01", "AU06", "AU12"), (0.4, None, 0.4)),
    "dimensional": (("valence", "arousal"), 5.0),
    "distribution": (("joy", "fear", "anger"), 0.9),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A tiny model of each task, and a row of it."""
    made = {}
    for task, (names, threshold) in TASKS.items():
        path = tmp_path_factory.mktemp(task) / "model"
        how = {"rule": "windows", "seconds": 0.5, "task": task}
        bundles.write_bundle(path, bundles.LANDMARKS, names, threshold, **how)
        model = fer_jax.load_model(path)
        images = [np.full((480, 640, 3), 90, np.uint8)] * 13
        moving = [FACE + [0, index % 5] for index in range(13)]
        made[task] = model, next(fer_jax.predict_frames(model, images, moving, mc_samples=8))
    return made


def of(model, *people):
    """What is shown, as the page gets it: JSON has no NaN."""
    return json.loads(json.dumps(shown(model, Seen(1.0, list(people), [])), allow_nan=False))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_bars_with_their_spread_and_its_doubts(models, task):
    model, row = models[task]
    row |= {"abstained": False, "reason": ""}
    answer = of(model, Person(7, 1, FACE, row))
    (person,) = answer["people"]
    assert answer["status"] == "1 face."
    assert person["tone"] == "sure" and person["said"] and person["second"] == int(row["end"])
    assert [bar["name"] for bar in person["bars"]] == list(model.classes)
    for bar in person["bars"]:
        assert 0 <= bar["low"] <= bar["value"] <= bar["high"] <= 1
        assert any(character.isdigit() for character in bar["text"])
    assert 0 <= person["ambiguity"]["value"] <= person["ambiguity"]["most"]
    assert person["unfamiliarity"]["value"] is None  # the model cannot tell
    assert "cannot tell" in person["unfamiliarity"]["text"]


def test_bars_of_classes_are_probabilities_and_their_deviation(models):
    model, row = models["classification"]
    bars = of(model, Person(7, 1, FACE, row))["people"][0]["bars"]
    for name, bar in zip(model.classes, bars, strict=True):
        assert bar["value"] == pytest.approx(row[name])
        assert bar["high"] - bar["value"] == pytest.approx(row[f"std_{name}"], abs=1e-6)


def test_a_set_of_several_classes_is_undecided(models):
    model, row = models["classification"]
    row = row | {"set": "joy|fear", "set_level": 0.9, "abstained": False, "reason": ""}
    (person,) = of(model, Person(7, 1, FACE, row))["people"]
    assert person["said"] == "joy or fear" and person["detail"] == "90% set: undecided"
    assert [bar["held"] for bar in person["bars"]] == [True, True, False]


@pytest.mark.parametrize("reason", ["ambiguous", "unfamiliar", "unreadable: profile"])
def test_a_row_that_is_withheld_says_why(models, reason):
    model, row = models["classification"]
    row = row | {"abstained": True, "reason": reason, "set": "joy", "unfamiliarity": 1.5}
    (person,) = of(model, Person(7, 1, FACE, row))["people"]
    assert person["tone"] == "unsure" and person["said"] == reason.removeprefix("unreadable: ")
    assert person["detail"] == "perhaps joy"
    assert person["unfamiliarity"]["value"] == 1.5 > person["unfamiliarity"]["limit"]


def test_withheld_action_units_are_counted_by_their_own_entropy(models):
    model, row = models["action_units"]
    row = row | {f"entropy_{unit}": 0.1 for unit in model.classes} | {"entropy_AU12": 0.5}
    withheld = withheld_of(model, row)
    (person,) = of(model, Person(7, 1, FACE, withheld))["people"]
    assert person["ambiguity"]["text"] == "1 of 3 units unsure" and person["detail"] == ""


def withheld_of(model, row):
    return row | tasks.TASKS[model.task].withheld(row, model.classes) | {"reason": "unfamiliar"}


def test_faces_without_a_row_wait_for_motion(models):
    model, row = models["classification"]
    answer = of(model, Person(7, 1, FACE, None))
    assert answer["people"] == [
        {"number": 1, "box": answer["people"][0]["box"], "said": "0.5 s of motion needed",
         "tone": "waiting"},
    ]  # fmt: skip
    assert answer["status"] == "1 face, 0.5 s of motion needed."
    both = of(model, Person(7, 1, FACE, None), Person(8, 2, FACE, row))
    assert both["status"] == "2 faces."


def test_nobody(models):
    model, _ = models["classification"]
    assert of(model) == {"people": [], "status": "No face."}


def test_boxes_hold_brow_and_chin_and_the_largest_face_comes_first(models):
    model, _ = models["classification"]
    corners = np.array([[10.0, 20.0], [40.0, 60.0]])
    answer = of(model, Person(1, 1, corners, None), Person(2, 2, FACE, None))
    assert [one["number"] for one in answer["people"]] == [2, 1]
    large, small = (one["box"] for one in answer["people"])
    assert small == [10, 20, 40, 60]
    left, top, right, bottom = large
    assert top < FACE[:, 1].min() and bottom == pytest.approx(FACE[:, 1].max(), abs=0.1)
    assert (left, right) == pytest.approx((FACE[:, 0].min(), FACE[:, 0].max()), abs=0.1)


@pytest.mark.parametrize("name", ["SURE", "UNSURE", "GROUND", "TEXT"])
def test_page_has_the_colours_of_the_annotated_video(name):
    colour = "#{:02x}{:02x}{:02x}".format(*getattr(panel, name))
    web = pathlib.Path(fer_jax.live.__file__).parent / "web"
    for file in ("camera.css", "drawing.js"):
        assert colour in (web / file).read_text()
