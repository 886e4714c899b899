"""Posteriors over the weights by config: trained, evaluated, reported."""

import dataclasses
import json
import re
import shutil

import jax
import numpy as np
import pandas as pd
import pytest
from flax import serialization

import fer_jax
from fer_jax import progress, systems, uncertainty
from fer_jax.compare import compare, tables
from fer_jax.compare.answers import read
from fer_jax.data.load import load_clips
from fer_jax.experiments import report
from fer_jax.experiments.bundle import read_bundle
from fer_jax.experiments.setup import SetupError
from fer_jax.experiments.workdir import Workdir
from fer_jax.tasks import TASKS
from fer_jax.training.checkpoint import load_tree, load_weights
from tests.finished_runs import (
    CONFIGS,
    dimensions_config,
    epochs_of,
    landmarks_config,
    some_units_unknown,
    train,
    units_config,
)

EPOCHS = 8  # of which the last two are averaged
OPTIONS = {
    "protocol.name": "random_subjects", "train.epochs": EPOCHS, "optimizer.schedule": "constant",
    "optimizer.learning_rate": 0.02, "train.checkpoint_every_epochs": 1,
}  # fmt: skip
KINDS = ("swa", "swag", "laplace")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, prepared):
    """Work directory and metrics of a run of each posterior."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_figures", lambda *arguments: iter(()))  # other tests draw
        for kind in KINDS:
            workdir = tmp_path_factory.mktemp(kind)
            config = landmarks_config(prepared, **OPTIONS, **{"uncertainty.posterior": kind})
            found[kind] = workdir, train(config, workdir)[0]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_posterior_is_reported_beside_the_three_readings(runs, kind):
    workdir, metrics = runs[kind]
    modes, others = (runs[each][1]["inference_modes"] for each in (kind, "laplace"))
    average = [] if kind == "laplace" else ["average"]
    assert list(modes) == ["stored", "recalibrated", "mc_dropout", *average, kind]
    for name in ("stored", "recalibrated", "mc_dropout"):  # the training is the same
        assert modes[name] == others[name]
    samples = Workdir(workdir).load_result("random")["evaluation_posterior_samples"]
    assert len(samples) == 8
    assert np.ptp(samples, 0).max() > 1e-3
    table = pd.read_csv(workdir / "predictions.csv")
    classes = [name for name in table if name.startswith("p_")]
    np.testing.assert_allclose(table[classes], samples.mean(0), atol=1e-5)
    assert metrics["single_samples"]["mc_samples"] == 8


def clips_of(workdir, prepared):
    """Landmarks of the evaluated clips."""
    config = landmarks_config(prepared).data
    clips = load_clips(prepared, 4, config.frame_rule)
    names = pd.read_csv(workdir / "predictions.csv")["clip"]
    return clips.landmarks[[clips.clip_ids.index(name) for name in names]]


@pytest.mark.parametrize("kind", ["swag", "laplace"])
def test_bundle_predicts_with_the_draws_that_were_evaluated(runs, prepared, kind):
    workdir, _ = runs[kind]
    model = fer_jax.load_model(workdir / "model")
    evaluated = Workdir(workdir).load_result("random")["evaluation_posterior_samples"]
    samples = model.samples(clips_of(workdir, prepared), seed=3)
    np.testing.assert_allclose(samples, evaluated, rtol=1e-3, atol=1e-5)
    few = model.samples(clips_of(workdir, prepared), mc_samples=2)
    np.testing.assert_allclose(few, evaluated[:2], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_single_pass_of_a_bundle_is_the_one_its_calibrator_is_for(runs, prepared, kind):
    workdir, metrics = runs[kind]
    model = fer_jax.load_model(workdir / "model")
    plain = "recalibrated" if kind == "laplace" else "average"
    assert list(metrics["calibration"]["modes"]) == [kind, plain]
    clips = clips_of(workdir, prepared)
    found = model.module.apply(model.recalibrated, model.features(clips), train=False)
    evaluated = Workdir(workdir).load_result("random")[f"evaluation_{plain}"]
    np.testing.assert_allclose(jax.nn.softmax(found), evaluated, rtol=1e-3, atol=1e-5)


def test_bundle_of_averaged_weights_is_the_mean_network(runs, prepared):
    workdir, _ = runs["swa"]
    model = fer_jax.load_model(workdir / "model")
    assert model.draws == () and read_bundle(workdir / "model").posterior == "swa"
    last, _ = load_weights(Workdir(workdir).weights("random"))
    kept = load_tree(Workdir(workdir).posterior("random"))["network"]
    jax.tree.map(np.testing.assert_array_equal, model.variables["params"], kept["params"])
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), kept["params"], last["params"])
    assert max(jax.tree.leaves(moved)) > 1e-4
    evaluated = Workdir(workdir).load_result("random")["evaluation_posterior_samples"]
    samples = model.samples(clips_of(workdir, prepared), mc_samples=64)
    np.testing.assert_allclose(samples.mean(0), evaluated.mean(0), atol=0.2)


def resaved(bundle, change):
    """Changes the draws of a bundle, and takes its checksums away."""
    file, info = bundle / "posterior.msgpack", bundle / "model.json"
    content = json.loads(info.read_text())
    content.pop("sha256")
    info.write_text(json.dumps(content))
    arrays = serialization.msgpack_restore(file.read_bytes())
    file.write_bytes(serialization.msgpack_serialize(change(arrays)))


def negative(arrays):
    return arrays | {"variance": jax.tree.map(lambda leaf: -1 - leaf, arrays["variance"])}


HOSTILE = [
    ("swag", lambda arrays: arrays | {"more": np.zeros(3)}, "nothing else"),
    ("swag", lambda arrays: arrays | {"count": np.int32(10**6)}, "count must lie in 1 to 100"),
    ("swag", lambda arrays: arrays | {"count": np.int32(2)}, "batch_stats of its draws do not fit"),
    ("swag", lambda arrays: arrays | {"seed": np.float32(1)}, "seed is no whole number"),
    ("swag", lambda arrays: arrays | {"probe": arrays["probe"] + 1}, "draws other networks"),
    ("swag", negative, "variance is negative"),
    ("swag", lambda arrays: arrays | {"variance": {}}, "variance of its draws do not fit"),
    ("swag", lambda arrays: arrays | {"variance": "x"}, "no tree of arrays"),
    ("laplace", lambda arrays: {"heads": arrays["heads"][:, 1:]}, "its last layers are"),
    ("laplace", lambda arrays: {"heads": arrays["heads"] * np.nan}, "finite float32"),
    ("laplace", lambda arrays: {"heads": arrays["heads"][0]}, "heads must be"),
    ("laplace", lambda arrays: {"heads": "x"}, "finite float32"),
    ("laplace", lambda arrays: [1, 2], "posterior.msgpack is no file of arrays: it holds a list"),
    ("laplace", lambda arrays: {}, "nothing else"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "change", "words"), HOSTILE)
def test_draws_that_make_no_sense_are_refused(runs, tmp_path, kind, change, words):
    bundle = shutil.copytree(runs[kind][0] / "model", tmp_path / "model")
    resaved(bundle, change)
    with pytest.raises(ValueError, match=words):
        fer_jax.load_model(bundle)


@pytest.mark.parametrize("change", ["gone", "cut", "older"])
def test_damaged_draws_are_refused(runs, tmp_path, change):
    bundle = shutil.copytree(runs["swag"][0] / "model", tmp_path / "model")
    file, info = bundle / "posterior.msgpack", bundle / "model.json"
    words = {
        "gone": "its file posterior.msgpack is missing",
        "cut": "posterior.msgpack is not as it was written",
        "older": "bundles before version 3 have MC dropout",
    }[change]
    if change == "gone":
        file.unlink()
    elif change == "cut":
        file.write_bytes(file.read_bytes()[:-5])
    else:
        content = json.loads(info.read_text()) | {"bundle_version": 1}
        content.pop("sha256")
        info.write_text(json.dumps(content))
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        fer_jax.load_model(bundle)


def test_stopped_run_ends_with_the_same_average(runs, prepared, tmp_path, no_figures):
    workdir, metrics = runs["swag"]
    copy = shutil.copytree(workdir, tmp_path / "run")
    for name in ("random.npz", "random-posterior.msgpack"):
        (copy / "folds" / name).unlink()
    last = copy / f"checkpoints/random/{EPOCHS}.msgpack"
    before = last.with_name(f"{EPOCHS - 1}.msgpack")
    assert before.exists()  # with one network averaged
    last.unlink()
    log = copy / "metrics.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    config = landmarks_config(prepared, **OPTIONS, **{"uncertainty.posterior": "swag"})
    again, _ = train(config, copy)
    assert again["inference_modes"] == metrics["inference_modes"]
    assert epochs_of(copy) == epochs_of(workdir)
    files = [Workdir(each).posterior("random") for each in (copy, workdir)]
    jax.tree.map(np.testing.assert_array_equal, *map(load_tree, files))


def test_lost_posterior_is_evaluated_again(runs, prepared, tmp_path, no_figures):
    workdir, _ = runs["laplace"]
    copy = shutil.copytree(workdir, tmp_path / "run")
    file = Workdir(copy).posterior("random")
    whole = file.read_bytes()
    file.write_bytes(whole[:-3])
    config = landmarks_config(prepared, **OPTIONS, **{"uncertainty.posterior": "laplace"})
    _, shown = train(config, copy)
    assert "is damaged: it is not as it was written: random is evaluated again" in shown
    assert file.read_bytes() == whole


@pytest.mark.parametrize("kind", KINDS)
def test_draws_show_their_progress(runs, prepared, tmp_path, no_figures, monkeypatch, kind):
    monkeypatch.setattr(progress, "SILENCE", 0.0)  # a line at every update
    copy = shutil.copytree(runs[kind][0], tmp_path / "run")
    Workdir(copy).posterior("random").unlink()
    config = landmarks_config(prepared, **OPTIONS, **{"uncertainty.posterior": kind})
    _, shown = train(config, copy)
    evaluated = len(pd.read_csv(copy / "predictions.csv"))
    total, what = {
        "swa": (evaluated, "clips by SWA"),
        "swag": (8, "networks of SWAG"),
        "laplace": (42, "clips by Laplace"),  # those of training, which it is fitted to, as well
    }[kind]
    counts = re.findall(rf"evaluating (\d+)/(\d+) {what}", shown)
    done, totals = zip(*(map(int, each) for each in counts), strict=True)
    assert set(totals) == {total} and done[-1] == total
    assert list(done) == sorted(done)
    assert len(set(done)) > 1 or kind == "swa"  # the evaluated clips are a single batch


def test_comparison_is_of_the_posterior(runs, prepared, monkeypatch):
    workdir, metrics = runs["swag"]
    monkeypatch.setattr(compare, "measure", lambda model: {"gflops": 1.0, "ms": 1.0, "ms_mcd": 1.0})
    config = landmarks_config(prepared, **OPTIONS, **{"uncertainty.posterior": "swag"})
    found = compare.result(compare.Finished(config, Workdir(workdir), metrics))
    assert found.answers.mode == "swag"
    assert found.row["posterior"] == metrics["inference_modes"]["swag"]["accuracy_mean_of_folds"]
    text = tables.markdown([found.row])
    assert "| posterior, % |" in text and "| SWAG " in text


def test_methods_say_what_predicts(runs):
    texts = {kind: (workdir / "report.md").read_text() for kind, (workdir, _) in runs.items()}
    assert "last 2 epochs were averaged." in texts["swa"]  # the schedule is constant
    assert "drawn around the averaged weights (SWAG" in texts["swag"]
    assert "Laplace approximation" in texts["laplace"] and "epochs were" not in texts["laplace"]
    assert "the precision of the prior maximises the evidence." in texts["laplace"]


def test_prior_without_validation_people_is_that_of_the_evidence(runs):
    (_, metrics), (_, others) = runs["laplace"], runs["swag"]
    (precision,) = metrics["laplace"]["precision"]
    assert metrics["laplace"]["chosen_by"] == "evidence" and precision > 0
    assert "laplace" not in others


@pytest.mark.parametrize("mirrored", [False, True], ids=["one position", "two positions"])
def test_prior_is_the_one_that_validation_labels_are_likeliest_under(
    prepared_ferplus, tmp_path, no_figures, monkeypatch, mirrored
):
    seen, tune = [], uncertainty.tune_precision

    def spy(laplace, features, labels, key, **options):
        seen.append((laplace, np.asarray(features), labels, key))
        return tune(laplace, features, labels, key, **options)

    monkeypatch.setattr(uncertainty, "tune_precision", spy)
    config = dimensions_config(
        prepared_ferplus, **{"uncertainty.posterior": "laplace", "train.epochs": 1}
    )
    with config.unlocked():
        config.model.mirrored = mirrored
    metrics, _ = train(config, tmp_path)
    ((laplace, features, labels, key),) = seen
    assert metrics["laplace"]["chosen_by"] == "validation"
    (tuned,) = metrics["laplace"]["precision"]

    def samples(precision):
        heads = np.asarray(dataclasses.replace(laplace, precision=precision).draw(key, 4))
        outputs = np.einsum("npd,sdc->snpc", features, heads[:, :-1]) + heads[:, None, None, -1]
        return outputs.mean(2).astype(np.float64)

    def loss(precision):
        return -laplace.likelihood.log_of_samples(samples(precision), labels).sum()

    others = [laplace.precision, 1e-3, 1e-1, 1e1, 1e3, 1e5]
    assert loss(tuned) <= min(map(loss, others)) < max(map(loss, others))
    found = Workdir(tmp_path).load_result("holdout")["validation_posterior_samples"]
    ordered = [np.sort(each, axis=1) for each in (found, samples(tuned))]
    np.testing.assert_allclose(*ordered, rtol=1e-3, atol=1e-4)
    said = "gives the validation labels the highest likelihood."
    assert said in (tmp_path / "report.md").read_text()
    assert read_bundle(tmp_path / "model").record.metrics["laplace"] == metrics["laplace"]


@pytest.mark.parametrize("kind", ["swag", "laplace"])
def test_members_have_posteriors_of_their_own(prepared, tmp_path, no_figures, kind):
    asked = {"uncertainty.posterior": kind, "uncertainty.members": 2, "evaluation.mc_samples": 4}
    train(landmarks_config(prepared, **OPTIONS, **asked), tmp_path)
    names = ("random", "random-member1")
    first, second = (
        Workdir(tmp_path).load_result(name)["evaluation_posterior_samples"] for name in names
    )
    assert len(first) == len(second) == 2
    assert np.abs(first - second).max() > 1e-3
    model = fer_jax.load_model(tmp_path / "model")
    order = (first[0], second[0], first[1], second[1])  # so that a few are of all members
    expected = order if kind == "swag" else (*first, *second)
    samples = model.samples(clips_of(tmp_path, prepared))
    np.testing.assert_allclose(samples, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "posterior"), [("dimensions", "laplace"), ("distribution", "swa")]
)
def test_posterior_of_another_task(prepared_ferplus, tmp_path, no_figures, kind, posterior):
    asked = {"uncertainty.posterior": posterior, "uncertainty.familiarity": True}
    config = CONFIGS[kind](prepared_ferplus)
    config.update_from_flattened_dict(asked)
    metrics, _ = train(config, tmp_path)
    assert list(metrics["inference_modes"])[-1] == posterior
    results = Workdir(tmp_path).load_result("holdout")
    samples = results["evaluation_posterior_samples"]
    assert len(samples) == 4 and np.ptp(samples, 0).max() > 1e-3
    answers = read(Workdir(tmp_path), config.task, list(metrics["inference_modes"]))
    decide = TASKS[config.task].measures.decide
    predicted = decide(samples.mean(0))[: len(answers[posterior].predicted)]
    if kind == "dimensions":  # the votes for some clips have no class
        np.testing.assert_allclose(answers[posterior].predicted, predicted, atol=1e-4)
        own = decide(results["evaluation_samples"].mean(0))
        np.testing.assert_allclose(answers["mc_dropout"].predicted, own, atol=1e-4)
    assert fer_jax.load_model(tmp_path / "model").familiarity is not None


def test_posterior_of_action_units(prepared_crops, tmp_path, no_figures):
    config = units_config(prepared_crops, "st_bln", **{"uncertainty.posterior": "laplace"})
    with some_units_unknown():
        metrics, _ = train(config, tmp_path)
    assert list(metrics["inference_modes"])[-1] == "laplace"
    assert fer_jax.load_model(tmp_path / "model").draws[0].heads.shape[::2] == (3, 18)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"compact": "low_rank", "rank": 2}, "ends in no dense layer"),
        ({"stages": ((4, 1), (100, 1)), "features": 0}, "more than 8191 are too many"),
    ],
)
def test_network_without_a_last_layer_to_draw_is_refused(prepared_ferplus, tmp_path, fields, words):
    config = dimensions_config(prepared_ferplus, **{"uncertainty.posterior": "laplace"})
    with config.unlocked():
        config.model.update(fields)
    with pytest.raises(SetupError, match=f"uncertainty.posterior=laplace: .*{words}"):
        systems.prepare(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
