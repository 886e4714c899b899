"""Calibration, sets and promises of a bundle: kept exactly, and read strictly."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax import uncertainty
from fer_jax.experiments import schema
from fer_jax.experiments.bundle import read_bundle
from fer_jax.experiments.stored_trust import StoredTrust
from fer_jax.predict.load import load_model
from tests.bundles import LANDMARKS, write_bundle
from tests.experiments.test_bundle import CLASSES, JSON, change, edges, refusal
from tests.trusting import trusting

UNITS = ("AU01", "AU02", "AU04")
CALIBRATOR = uncertainty.Calibrator("temperature", ((2.0,),), 9, 90)
VECTOR = uncertainty.Calibrator("vector", ((1.0,) * 4, (0.0,) * 4), 9, 90)
OWN = dataclasses.replace(
    trusting(0.5), calibration=dict.fromkeys(("predict", "deterministic"), CALIBRATOR)
)
PROMISE = OWN.to_json()["promise"]
SETS = OWN.to_json()["sets"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A bundle that says how far to trust it, and the same without."""
    folder = tmp_path_factory.mktemp("trust")
    plain = write_bundle(folder / "plain", LANDMARKS, CLASSES, 0.5, rule="ends", seconds=0.8)
    own = dataclasses.replace(read_bundle(plain), trust=OWN)
    own.write(folder / "trust")
    return folder


@pytest.fixture
def bundle(whole, tmp_path):
    return shutil.copytree(whole / "trust", tmp_path / "model")


def calibration(**changed):
    one = CALIBRATOR.to_json() | changed
    return {"calibration": {"predict": one, "deterministic": one}}


HOSTILE = {
    "temperature of 0": (calibration(parameters=[[0.0]]), "temperature"),
    "endless temperature": (calibration(parameters=[[float("inf")]]), "number"),
    "unknown method": (calibration(method="magic"), "method"),
    "method without its numbers": (calibration(method="vector"), "vector"),
    "people as text": (calibration(people="9"), "people"),
    "true people": (calibration(people=True), "people"),
    "more people than clips": (calibration(people=91), "more people"),
    "calibrator of more fields": (calibration(code="x"), "fields"),
    "calibrator of other classes": (
        {"calibration": dict.fromkeys(("predict", "deterministic"), VECTOR.to_json())}, "classes",
    ),
    "calibrators of units": (
        {"calibration": dict.fromkeys(("predict", "deterministic"), [CALIBRATOR.to_json()] * 3)},
        "action unit",
    ),
    "one calibrator": ({"calibration": {"predict": CALIBRATOR.to_json()}}, "deterministic"),
    "calibration as a list": ({"calibration": [1]}, "calibration"),
    "level of 1": ({"sets": SETS | {"level": 1.0}}, "level"),
    "no quantile": ({"sets": SETS | {"quantile": []}}, "quantile"),
    "quantiles of other classes": ({"sets": SETS | {"quantile": [0.5, 0.5]}}, "quantile"),
    "random sets": ({"sets": SETS | {"randomised": True}}, "random"),
    "sets of units": ({"sets": [SETS] * 3}, "action unit"),
    "sets in words": ({"sets": "all"}, "sets"),
    "promise of another threshold": ({"threshold": 0.4}, "another threshold"),
    "promise above 1": ({"promise": PROMISE | {"bound": 1.5}}, "promise"),
    "promise without a bound": ({"promise": PROMISE | {"bound": None}}, "bound"),
    "promise of no accuracy": ({"promise": PROMISE | {"accuracy": None}}, "bound"),
    "promise beyond the accuracy": ({"promise": PROMISE | {"bound": 0.99}}, "bound"),
    "promise of no clip": ({"promise": PROMISE | {"coverage": 0.0}}, "bound"),
    "quantile of no score": ({"sets": SETS | {"quantile": [-1.0]}}, "no score"),
    "promise to more people than clips": ({"promise": PROMISE | {"people": 10**6}}, "more people"),
    "endless promise": ({"promise": PROMISE | {"target": float("nan")}}, "target"),
    "promises of units": ({"promise": [PROMISE] * 3}, "action unit"),
    "version before": ({"bundle_version": 2}, "before version 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_trust_that_makes_no_sense_is_named(bundle, name):
    fields, message = HOSTILE[name]
    change(bundle, fields)
    assert message in refusal(bundle)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["calibration", "sets", "promise"]), JSON, st.integers(0, 3))
def test_any_value_is_answered_in_one_line(name, value, task):
    """Nothing but a ValueError or a trust comes of it, nested in what is right or alone."""
    task = ("classification", "action_units", "dimensional", "distribution")[task]
    good = {
        "bundle_version": 3, "name": "a", "model": {"name": "st_bln"}, "classes": ["a", "b"],
        "task": task, "frames": 4, "frame_rule": "ends", "features": "motion",
        "graph": edges(1, 2), "window_seconds": 1, "threshold": None,
    }  # fmt: skip
    right = {"calibration": {"predict": value, "deterministic": value}, "sets": [value] * 2}
    for each in (value, right.get(name, value)):
        try:
            info = schema.check(schema.BundleFields, good | {name: each})
            assert isinstance(StoredTrust.from_fields(info), StoredTrust)
        except ValueError as error:
            assert len(str(error)) < 600


def test_what_is_written_is_read(whole):
    content = json.loads((whole / "trust/model.json").read_text())
    assert content["bundle_version"] == 3 and read_bundle(whole / "trust").trust == OWN
    plain = json.loads((whole / "plain/model.json").read_text())
    assert plain["bundle_version"] == 1 and "calibration" not in plain


@pytest.mark.parametrize("task, names", [("action_units", UNITS), ("dimensional", CLASSES)])
def test_other_tasks_keep_theirs(whole, tmp_path, task, names):
    rule = uncertainty.IntervalRule("residual", 0.8, (1.0, 2.0, 3.0), 9, 90, "effective", True)
    trust = trusting(0.5, units=3)
    threshold = (0.5, 0.5, 0.5)
    if task == "dimensional":
        trust, threshold = dataclasses.replace(trusting(0.5), calibration=None, sets=rule), 0.5
    plain = read_bundle(whole / "plain")
    own = dataclasses.replace(plain, task=task, classes=names, threshold=threshold, trust=trust)
    own.write(tmp_path)
    assert read_bundle(tmp_path).trust == trust


def test_probabilities_are_calibrated_and_bundles_of_before_say_that_they_are_not(whole):
    ours, before = (load_model(whole / name) for name in ("trust", "plain"))
    rng = np.random.default_rng(0)
    clips = rng.uniform(100, 300, (2, 4, 68, 2))
    samples = before.samples(clips, mc_samples=5)
    np.testing.assert_array_equal(samples, ours.samples(clips, mc_samples=5))
    summary = ours.predict(clips, mc_samples=5)
    np.testing.assert_allclose(summary.mean, CALIBRATOR.apply(samples.mean(0)))
    np.testing.assert_allclose(summary.entropy, uncertainty.entropy(summary.mean))
    plain = before.predict(clips, mc_samples=5)
    for name in ("variance", "mutual_information", "agreement"):
        np.testing.assert_array_equal(getattr(summary, name), getattr(plain, name))
    np.testing.assert_allclose(
        ours.deterministic(clips), CALIBRATOR.apply(before.deterministic(clips))
    )
    assert "threshold 0.5; calibrated)" in repr(ours)
    assert "threshold 0.5; not calibrated)" in repr(before)
    assert ours.trust.calibration_note(CLASSES) == ""
    said = before.trust.calibration_note(CLASSES)
    assert said.startswith("no probability is calibrated (the bundle says nothing of it)")
    few = uncertainty.Calibrator("none", (), 1, 40)
    some = StoredTrust({"predict": (CALIBRATOR, few), "deterministic": (few, few)})
    assert some.calibrated(("AU01", "AU02")) == "calibrated but for AU02"
    assert some.calibration_note(("AU01", "AU02")).startswith("AU02 are not calibrated (1 person")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            [("lac", 0.999, 7)],
            "sets at a level of 99.9%: that takes 999 people, and they rest",
        ),
        ([("lac", 0.9, 40), ("lac", 0.9, 6)], "sets at a level of 90%: that takes 9 people, and"),
        ([("residual", 0.95, 9)], "intervals at a level of 95%: that takes 19 people"),
        ([("lac", 0.9, 9)], ""),
        ([], ""),
    ],
)
def test_level_out_of_reach_is_noted(rules, said):
    made = [
        uncertainty.IntervalRule(kind, level, (1.0,), people, 400, "effective")
        if kind == "residual"
        else uncertainty.SetRule(kind, level, (0.9,), people, 400, "effective")
        for kind, level, people in rules
    ]
    own = StoredTrust(sets=(*made, None) if len(made) > 1 else next(iter(made), None))
    assert said in own.sets_note() and bool(own.sets_note()) == bool(said)
