import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from fer_jax.faces.labels import AFEW_CLASSES, BP4D_ACTION_UNITS, RAVDESS_CLASSES
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.plotting import coverage, curves, style
from fer_jax.systems.st_bln.figures import growth_curve
from fer_jax.tasks import TASKS
from fer_jax.tasks.action_units.scores import summarise_units
from fer_jax.tasks.classification import figures
from fer_jax.tasks.evaluation import reliability_curve
from tests.legible import check_legible


def draw_timeline(task, rows, names, threshold=None, pictures=None, title=""):
    return TASKS[task].draw_timeline(rows, names, threshold, pictures, title)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_confusion_matrix_shows_counts_and_accuracy(rng):
    matrix = rng.integers(0, 9, (8, 8)) + np.diag(rng.integers(20, 140, 8))
    matrix[2] = 0  # a class nobody showed
    figure = figures.confusion_matrix(matrix, RAVDESS_CLASSES, "test set")
    texts = check_legible(figure)
    assert str(matrix[0, 0]) in texts
    heading = next(text for text in texts if text.startswith("test set"))
    assert f"accuracy {np.trace(matrix) / matrix.sum():.1%}" in heading
    assert f"{matrix.sum()} clips" in heading


def test_confusion_matrix_of_two_classes_and_of_nothing():
    check_legible(figures.confusion_matrix([[3, 1], [0, 4]], ("a", "b")))
    check_legible(figures.confusion_matrix(np.zeros((3, 3), int), ("a", "b", "c")))


def history(folds, epochs, evaluation=True):
    rows = []
    for fold, epoch in itertools.product(range(folds), range(1, epochs + 1)):
        row = {"fold": fold, "epoch": epoch, "train_loss": 2 / epoch + 0.1 * fold}
        row["train_accuracy"] = 1 - 0.8 / epoch
        if evaluation:
            row |= {"evaluation_loss": 2 / epoch, "evaluation_accuracy": 0.9 - 0.8 / epoch}
        rows.append(row)
    return pd.DataFrame(rows)


def test_learning_curves_draw_folds_thin_and_their_mean_thick():
    figure = curves.learning_curves(history(4, 10))
    check_legible(figure)
    lines = figure.axes[0].get_lines()
    assert len(lines) == 2 * (4 + 1)
    thick = [line for line in lines if line.get_linewidth() > 1]
    expected = 2 / np.arange(1, 11) + 0.15
    np.testing.assert_allclose(thick[0].get_ydata(), expected)


def test_learning_curves_of_one_fold_without_evaluation():
    figure = curves.learning_curves(history(1, 1, evaluation=False))
    check_legible(figure)
    assert len(figure.axes[0].get_lines()) == 1


def test_learning_curves_skip_epochs_that_were_not_evaluated():
    table = history(2, 6)
    table.loc[table["epoch"] % 3 != 0, ["evaluation_loss", "evaluation_accuracy"]] = np.nan
    figure = curves.learning_curves(table)
    assert list(figure.axes[1].get_lines()[-1].get_xdata()) == [3, 6]


@pytest.mark.parametrize("clips", [80, 4000])
def test_sample_accuracies_count_samples_and_mark_the_ensemble(rng, clips):
    accuracies = (rng.normal(0.32, 0.0118, 100) * clips).round() / clips
    figure = figures.sample_accuracies(accuracies, 0.3611, 0.3413, 0.35)
    texts = check_legible(figure)
    axes = figure.axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 100
    assert [line.get_xdata()[0] for line in axes.get_lines()] == [0.3611, 0.3413, 0.35]
    assert any("36.1%" in text for text in texts)
    assert any(f"{accuracies.mean():.1%}" in text for text in texts)


def test_sample_accuracies_that_are_equal():
    check_legible(figures.sample_accuracies(np.full(10, 0.75), 0.75))


def test_class_distributions_show_samples_and_true_class(rng):
    samples = rng.dirichlet([1, 0.2, 0.3, 0.1, 3, 0.4, 6], 100)
    landmarks = MEAN_FACE[None] * 60 + 200 + rng.normal(0, 1, (9, 68, 2))
    figure = figures.class_distributions(samples, AFEW_CLASSES, "surprise", landmarks, "clip 7")
    texts = check_legible(figure)
    assert "surprise (true)" in texts and "first frame" in texts
    assert f"{samples[:, 6].mean():.2f} ± {samples[:, 6].std():.2f}" in texts
    dots = np.concatenate([c.get_offsets()[:, 0] for c in figure.axes[-1].collections])
    np.testing.assert_allclose(np.sort(dots), np.sort(samples.ravel()))


def test_class_distributions_without_faces(rng):
    figure = figures.class_distributions(rng.dirichlet([1, 1], 5), ("yes", "no"))
    check_legible(figure)
    assert len(figure.axes) == 1


def test_reliability_leaves_empty_bins_out():
    confidence = np.array([np.nan, 0.3, 0.5, 0.7, 0.9])
    accuracy = np.array([np.nan, 0.2, 0.5, 0.6, 0.95])
    figure = curves.reliability(confidence, accuracy, [0, 3, 5, 9, 20], 0.0712)
    texts = check_legible(figure)
    assert len(figure.axes[0].patches) == 4
    assert any("0.071" in text and "37 clips" in text for text in texts)


def test_risk_coverage_draws_every_curve():
    coverage = np.arange(1, 101) / 100
    drawn = {
        "entropy": (coverage, 0.2 * coverage**2, 0.066),
        "mutual information": (coverage, 0.2 * coverage, 0.1),
    }
    figure = curves.risk_coverage(drawn)
    texts = check_legible(figure)
    assert "entropy (area 0.066)" in texts
    assert len(figure.axes[0].get_lines()) == 2


def test_risk_coverage_of_a_model_without_errors():
    figure = curves.risk_coverage({"entropy": (np.array([1.0]), np.array([0.0]), 0.0)})
    check_legible(figure)
    (point,) = figure.axes[0].get_lines()
    assert point.get_marker() == "o"  # a line of one point would not show


def test_figures_leave_pyplot_alone():
    import sys

    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def test_colours_are_distinct_up_to_nine_classes():
    assert len(set(style.class_colours(9))) == 9
    assert len(style.class_colours(12)) == 12


def predictions(windows=24, seed=0, faceless=(5, 6, 7), threshold=1.2):
    rng = np.random.default_rng(seed)
    start = np.arange(windows) * 0.5
    probabilities = rng.dirichlet([0.3] * len(RAVDESS_CLASSES), windows)
    table = pd.DataFrame(probabilities, columns=list(RAVDESS_CLASSES))
    table.insert(0, "clip", "clip.mp4")
    table.insert(1, "start", start)
    table.insert(2, "end", start + 1)
    table["label"] = [RAVDESS_CLASSES[i] for i in probabilities.argmax(1)]
    table["entropy"] = -(probabilities * np.log(probabilities)).sum(1)
    table["mutual_information"] = 0.3 * table["entropy"]
    table["agreement"], table["frames"] = 0.9, 25
    table["abstained"] = table["entropy"] > threshold
    gone = [index for index in faceless if index < windows]
    numbers = [*RAVDESS_CLASSES, "entropy", "mutual_information", "agreement"]
    table.loc[gone, numbers] = np.nan
    table.loc[gone, "label"], table.loc[gone, "frames"] = "no face", 0
    table.loc[gone, "abstained"] = True
    return table


def test_timeline_names_predictions_and_abstention():
    pictures = [np.full((60, 60, 3), 30 * index, np.uint8) for index in range(8)]
    figure = draw_timeline(
        "classification", predictions(), RAVDESS_CLASSES, 1.2, pictures, "clip.mp4"
    )
    texts = check_legible(figure)
    assert {"abstains", "no face", "clip.mp4", "threshold 1.20 nats", "time (s)"} <= set(texts)
    assert figure.axes[-1].get_xlim() == (0.0, 12.5)


def test_timeline_names_the_set_where_it_holds_several_classes():
    table = predictions(faceless=(), threshold=9.0)
    table["label"], table["set"], table["set_level"] = "calm", "calm|happy", 0.9
    table.loc[12:, "set"] = "calm"
    texts = check_legible(draw_timeline("classification", table, RAVDESS_CLASSES))
    assert texts.count("calm or happy") == 1 and texts.count("calm") == 2  # one beside its lane
    assert any("solid: in the 90% set" in text for text in texts)


def test_set_has_a_stripe_each_class_in_boxes_that_have_no_room_for_its_name():
    table = predictions(faceless=(), threshold=9.0)
    table["label"], table["set"], table["set_level"] = "calm", "calm|happy", 0.9
    table.loc[1::2, "set"] = "calm|happy|sad"
    axes = draw_timeline("classification", table, RAVDESS_CLASSES).axes[0]
    colours = style.class_colours(len(RAVDESS_CLASSES))
    wanted = [to_rgba(colours[RAVDESS_CLASSES.index(name)]) for name in ("sad", "happy", "calm")]
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    stripes = [bar for bar in bars if bar.get_y() > len(RAVDESS_CLASSES)]
    second = [bar for bar in stripes if bar.get_x() == stripes[2].get_x()]
    second.sort(key=lambda bar: bar.get_y())
    assert [bar.get_facecolor() for bar in second] == wanted and len(stripes) == 12 * (2 + 3)
    assert sum(bar.get_height() for bar in second) == pytest.approx(0.5)


def test_coverage_of_few_and_of_many_people_is_legible():
    for count in (1, 9, 300):
        shares = np.linspace(0.7, 1, count)
        texts = check_legible(coverage.coverage_by_person(shares, 0.9))
        assert f"mean {shares.mean():.1%}" in texts and "level 90%" in texts
        count = "1 person" if count == 1 else f"{count} people"
        assert f"Coverage of prediction sets by person ({count})" in texts
        assert all(text.isdigit() for text in texts if text[0].isdigit() and text[-1] != "%")


def test_set_sizes_of_few_and_of_many_classes_and_clips_are_legible():
    texts = check_legible(coverage.set_sizes([0, 30, 60, 10], 0.9, 1.83))
    assert {"30%", "60%", "10%", "1", "2", "3"} <= set(texts) and "0" in texts
    assert "Sizes of the 90% prediction sets\n100 clips, mean over people 1.83 classes" in texts
    texts = check_legible(coverage.set_sizes([3, 100_000, 20_000, 7, 0, 0, 0, 0, 0], 0.8, 1.2))
    assert texts.count("< 1%") == 2 and "100,000" in texts


def test_reliability_before_and_after_calibration(rng):
    p = rng.dirichlet([0.3] * 8, 12_000)
    labels = rng.integers(8, size=len(p))
    curve = reliability_curve(p, labels)
    after = reliability_curve(np.full(p.shape, 1 / 8), labels)
    figure = curves.reliability(*curve, after)
    texts = check_legible(figure)
    words = f"ECE {curve[-1]:.3f}, after calibration {after[-1]:.3f}; 12,000 clips"
    assert any(words in text for text in texts)
    assert "after calibration, at the bin's mean confidence" in texts
    _, _, line = figure.axes[0].get_lines()
    assert line.get_xdata() == [1 / 8]


def test_risk_of_a_few_clips_does_not_squash_the_rest():
    coverage = np.arange(1, 1001) / 1000
    risk = np.where(coverage < 0.01, 1.0, 0.2 * coverage)
    figure = curves.risk_coverage({"entropy": (coverage, risk, 0.1)})
    check_legible(figure)
    assert figure.axes[0].get_ylim()[1] == pytest.approx(0.22)


def test_clip_of_one_window_without_threshold():
    figure = draw_timeline("classification", predictions(windows=1), RAVDESS_CLASSES)
    texts = check_legible(figure)
    assert not any("threshold" in text for text in texts)
    assert figure.axes[-1].get_xlim() == (0.0, 1.0)


def test_threshold_that_lets_nothing_through():
    table = predictions(threshold=-np.inf)
    texts = check_legible(draw_timeline("classification", table, RAVDESS_CLASSES, float("-inf")))
    assert "abstains" in texts and not any("threshold" in text for text in texts)


def test_heights_are_the_probabilities():
    table = predictions(windows=6, faceless=())
    figure = draw_timeline("classification", table, RAVDESS_CLASSES)
    pale = figure.axes[0].patches[0].get_data()
    lowest_of_lane = len(RAVDESS_CLASSES) - 1
    np.testing.assert_allclose((pale.values - lowest_of_lane) / 0.86, table[RAVDESS_CLASSES[0]])


def grown(topologies, decisions, losses, layers):
    rows = zip(topologies, decisions, losses, layers, strict=True)
    return [
        {
            "topology": t,
            "decision": d,
            "loss": loss,
            "layer": layer,
            "params_without_U": 90 * sum(t),
        }
        for t, d, loss, layer in rows
    ]


def test_growth_curve_shows_every_topology_and_what_became_of_it():
    stages = grown(
        [(5,), (10,), (15,), (10, 5), (10, 10), (10,)],
        ["new layer", "accepted", "rejected", "new layer", "rejected", "fine-tuned"],
        [1.2, 0.9, 0.95, 0.91, 0.93, 0.8],
        ["", "", "kept", "", "dropped", ""],
    )
    figure = growth_curve(stages)
    texts = check_legible(figure)
    for text in ("5", "10", "15", "10-5", "10-10", "rejected", "block accepted", "fine-tuned"):
        assert text in texts
    assert "of a dropped layer" in texts
    losses, parameters = figure.axes
    crosses = next(s for s in losses.collections if s.get_label() == "rejected")
    assert crosses.get_offsets().data.tolist() == [[3, 0.95], [5, 0.93]]
    heights = [bar.get_height() for bar in parameters.patches]
    assert heights == [stage["params_without_U"] for stage in stages]


def test_growth_curve_of_a_long_search_stays_legible():
    topologies = [(15, 10, 15, 5, 5, 10, 40, 5, 5)[: n // 4 + 1] for n in range(36)]
    decisions = ["new layer", "accepted", "accepted", "rejected"] * 9
    stages = grown(topologies, decisions, np.geomspace(2, 1e-3, 36), [""] * 36)
    figure = growth_curve(stages)
    assert "15-10-15-5-5-10-40-5-5" in check_legible(figure)
    assert figure.axes[0].get_yscale() == "log"


# --- action units over time -----------------------------------------------------------------


def unit_predictions(windows=40, units=BP4D_ACTION_UNITS, faceless=(30, 31), threshold=0.5):
    rng, kind = np.random.default_rng(0), TASKS["action_units"]
    rows = []
    for index in range(windows):
        chances = np.clip(rng.beta(0.5, 0.5, len(units)), 0.02, 0.98)
        samples = np.clip(chances + 0.02 * rng.standard_normal((9, len(units))), 0, 1)
        row = kind.row(summarise_units(samples[:, None]), units, (threshold,) * len(units))
        place = {"start": 0.08 * index, "end": 0.08 * index + 0.16, "frames": 4}
        rows.append(place | (kind.blank_row(units) | {"frames": 0} if index in faceless else row))
    return pd.DataFrame(rows)


def test_timeline_of_action_units_says_what_is_present_and_what_unsure():
    pictures = [np.full((60, 60, 3), 30 * index, np.uint8) for index in range(8)]
    figure = draw_timeline(
        "action_units", unit_predictions(), BP4D_ACTION_UNITS, None, pictures, "clip.mp4"
    )
    texts = check_legible(figure)
    expected = {*BP4D_ACTION_UNITS, "present", "unsure", "no face", "probability", "clip.mp4"}
    assert expected <= set(texts) and len(texts) == len(set(texts))


def test_lanes_of_action_units_show_probability_and_deviation():
    table = unit_predictions(windows=6, faceless=(4,))
    (axes,) = draw_timeline("action_units", table, BP4D_ACTION_UNITS).axes
    present, unsure, band, line = (patch.get_data() for patch in axes.patches[:4])  # of AU01
    lane, seen = len(BP4D_ACTION_UNITS) - 1, (table["frames"] > 0).to_numpy()
    expected = np.where(seen, table["AU01"], np.nan)
    np.testing.assert_allclose((line.values - lane) / 0.86, expected)
    np.testing.assert_allclose(line.edges[1:-1], table["end"][:-1] + 0.04)
    withheld = table["abstained_AU01"].to_numpy() & seen
    assert ((unsure.values > lane) == withheld).all()
    assert ((present.values > lane) == ((table["AU01"] > 0.5) & ~withheld & seen)).all()
    high = np.clip(expected + table["std_AU01"], 0, 1)
    np.testing.assert_allclose((band.values - lane) / 0.86, high)
