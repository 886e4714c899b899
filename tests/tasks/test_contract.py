"""What holds for every task: summary, rows, panel, timeline, terminal, report and figures."""

import io
import json
import re

import cv2
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from fer_jax.experiments import report
from fer_jax.faces.emotion_ratings import FERPLUS_EMOTIONS, read_votes
from fer_jax.faces.labels import BP4D_ACTION_UNITS, RAVDESS_CLASSES
from fer_jax.plotting.panel import SURE, UNSURE
from fer_jax.predict import annotate, tables
from fer_jax.predict.windows import columns
from fer_jax.tasks import TASKS
from fer_jax.tasks.base import NO_FACE, NonFiniteOutputError, check_finite
from fer_jax.uncertainty import IntervalRule, SetRule
from tests.finished_runs import PREPARED
from tests.legible import check_legible
from tests.tasks.drawn_clip import clip, picture, share

NAMES = {
    "classification": RAVDESS_CLASSES,
    "action_units": BP4D_ACTION_UNITS,
    "dimensional": ("valence", "arousal", "dominance"),
    "distribution": FERPLUS_EMOTIONS,
}
ALWAYS, NEVER = -1.0, None  # thresholds: everything is unsure, nothing is
every_task = pytest.mark.parametrize("name", TASKS)


def samples_of(name, seed=0, mc_samples=9):
    """MC samples of one window, `[S, 1, C]`."""
    rng, count = np.random.default_rng(seed), len(NAMES[name])
    if name in ("classification", "distribution"):
        return rng.dirichlet([0.3] * count, mc_samples)[:, None]
    if name == "action_units":
        likely = np.clip(rng.beta(0.5, 0.5, count), 0.02, 0.98)
        return np.clip(likely + 0.02 * rng.standard_normal((mc_samples, 1, count)), 0, 1)
    return rng.uniform(2, 8, count) + 0.2 * rng.standard_normal((mc_samples, 1, count))


def threshold_of(name, threshold):
    return TASKS[name].abstain_threshold(None, threshold, NAMES[name])


def row(name, threshold=NEVER, seed=0, start=0.0):
    task, names = TASKS[name], NAMES[name]
    said = task.row(task.summarise(samples_of(name, seed)), names, threshold_of(name, threshold))
    where = {"clip": "a.mp4", "person": 1, "start": start, "end": start + 0.2, "frames": 5}
    return where | said


NOBODY = {"person": 0, "frames": 0}


def faceless(name, start=0.0):
    return row(name, start=start) | TASKS[name].blank_row(NAMES[name]) | NOBODY


def table_of(name, windows=24, gap=()):
    rows = [
        faceless(name, 0.1 * n) if n in gap else row(name, seed=n, start=0.1 * n)
        for n in range(windows)
    ]
    return pd.DataFrame(rows, columns=columns(NAMES[name], name))


@every_task
def test_task_has_what_reports_and_comparisons_call(name):
    """Whatever is missing would be missed after training."""
    said = {"LOSS", "headline", "content", "table", "parts", "figures", "lines", "order"}
    counted = {"TESTED", "OVER_FOLDS", "decide", "count", "measures", "right", "names_in", "read"}
    assert said <= {*dir(TASKS[name].report)} and counted <= {*dir(TASKS[name].measures)}


@every_task
def test_only_classes_are_balanced(name):
    labels = np.array([0, 0, 0, 2])
    if name != "classification":
        assert TASKS[name].balancing(np.eye(3)[labels], 3) is None
        return
    weights = TASKS[name].balancing(labels, 3)
    np.testing.assert_allclose(weights, [4 / 6, 0, 2])  # class 1 does not occur
    assert weights[labels].mean() == pytest.approx(1)


@every_task
def test_loss_of_a_still_model_is_mean_over_frames(name):
    """Outputs of all frames count as their mean does, each frame an example of its own."""
    task, rng = TASKS[name], np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(4, 3, 5)), jnp.float32)
    label = rng.integers(0, 2, (4, 5)).astype(np.float32)  # of units; as good as any of dimensions
    if name == "classification":
        label = jnp.arange(4)
    elif name == "distribution":
        label = read_votes(rng.integers(0, 9, (4, 5)), 5, "majority")
    batch = {"label": label}
    for function in (task.loss, task.score):
        each = [function(logits[:, frame], batch) for frame in range(3)]
        np.testing.assert_allclose(function(logits, batch), np.mean(each, 0), rtol=1e-6)


@every_task
def test_summary_holds_mean_over_samples(name):
    samples = samples_of(name)
    summary = TASKS[name].summarise(samples)
    np.testing.assert_allclose(summary.mean, samples.mean(0))
    np.testing.assert_allclose(summary.variance, samples.var(0), atol=1e-12)


@every_task
def test_row_has_the_columns_of_the_task(name):
    task, names = TASKS[name], NAMES[name]
    said = task.row(task.summarise(samples_of(name)), names, threshold_of(name, NEVER))
    blank = task.blank_row(names)
    assert sorted(said) == sorted(blank) == sorted([*task.columns(names), "abstained"])
    np.testing.assert_allclose([said[each] for each in names], samples_of(name).mean((0, 1)))
    assert not said["abstained"] and row(name, ALWAYS)["abstained"]
    assert blank["label"] == NO_FACE and blank["abstained"] is True
    assert np.isnan([blank[each] for each in names]).all()


@every_task
def test_row_has_the_set_of_its_rule(name):
    """Sets hold what the quantile lets in, the likeliest first; it sets the width of intervals."""
    task, names = TASKS[name], NAMES[name]
    summary, limit = task.summarise(samples_of(name)), threshold_of(name, NEVER)
    if name == "dimensional":
        rule = IntervalRule("residual", 0.8, (2.0,) * len(names), 9, 90)
        said, deviation = task.row(summary, names, limit, rule), summary.variance[0] ** 0.5
        ends = [[said[f"{end}_{each}"] for each in names] for end in ("low", "high")]
        for way, found in zip((-1, 1), ends, strict=True):
            np.testing.assert_allclose(found, (summary.mean[0] + way * 2 * deviation).clip(1, 9))
        assert said["interval_level"] == 0.8
        return
    rule = SetRule("lac", 0.8, (0.9,), 9, 90)  # whatever has a probability of 0.1
    mean = summary.mean[0]
    if name == "action_units":
        said = task.row(summary, names, limit, (rule, None) + (rule,) * (len(names) - 2))
        assert said[f"set_{names[1]}"] == ""
        for unit, p in [*zip(names, mean, strict=True)][2:]:
            likely = sorted(((1 - p, "absent"), (p, "present")), reverse=True)
            assert said[f"set_{unit}"] == "|".join(each for share, each in likely if share >= 0.1)
    else:
        said = task.row(summary, names, limit, rule)
        likely = sorted(zip(mean, names, strict=True), reverse=True)
        assert said["set"] == "|".join(each for share, each in likely if share >= 0.1)
    assert said["set_level"] == 0.8


@every_task
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_row_is_never_made_of_nan(name, bad):
    task, names = TASKS[name], NAMES[name]
    for place in (0, -1):  # of one output in one sample
        samples = samples_of(name)
        samples[place, 0, place] = bad
        with np.errstate(all="ignore"):
            summary = task.summarise(samples)
        with pytest.raises(NonFiniteOutputError, match="NaN or infinite for this window"):
            task.row(summary, names, threshold_of(name, 0.5))


@pytest.mark.parametrize("name", ["classification", "action_units"])
def test_nan_agrees_with_nothing(name):
    summary = TASKS[name].summarise(np.full((4, 2, 3), np.nan))
    assert all(np.isnan(values).all() for values in summary)


def test_check_finite_names_the_clips():
    outputs, names = np.zeros((2, 8, 3)), [f"clip{index}" for index in range(8)]
    check_finite(outputs, names)
    outputs[1, 2, 0], outputs[0, 5] = np.nan, np.inf
    with pytest.raises(NonFiniteOutputError, match="infinite for clip2, clip5$"):
        check_finite(outputs, names)
    outputs[:] = np.nan
    with pytest.raises(NonFiniteOutputError, match="clip3, clip4 and 3 more$"):
        check_finite(outputs, names)


@every_task
def test_name_of_an_output_may_not_be_that_of_a_column(name):
    for taken in ("frames", f"std_{NAMES[name][0]}"):
        with pytest.raises(ValueError, match="named like a column"):
            columns((*NAMES[name], taken), name)


@every_task
def test_threshold_of_user_overrules_that_of_bundle(name):
    task, names = TASKS[name], NAMES[name]
    own = tuple(0.1 * n for n in range(len(names))) if name == "action_units" else 0.4
    assert task.abstain_threshold(own, None, names) == own
    assert task.abstain_threshold(own, 0.2, names) == threshold_of(name, 0.2)
    assert task.threshold_warning(own, names) == ""
    assert "no threshold" in task.threshold_warning(threshold_of(name, None), names)


# --- panel and video --------------------------------------------------------------------------


def drawn(name, one, threshold=NEVER, **size):
    limit = threshold_of(name, threshold)
    return annotate.draw_frame(picture(**size), None, one, NAMES[name], limit, name)


@pytest.mark.parametrize("width, height", [(256, 256), (640, 360), (1280, 720), (361, 643)])
@every_task
def test_panel_stands_beside_the_picture(name, width, height):
    image = drawn(name, row(name), width=width, height=height)
    tall, wide = image.shape[:2]
    beside = round(width * max(1, 360 / min(width, height)))
    assert tall % 2 == 0 and wide % 2 == 0 and min(tall, wide) >= 360
    assert (image[:, : beside - 2] == 120).all()  # nothing is drawn over the picture
    assert 0.6 < (wide - beside) / min(beside, tall) < 1.1
    assert (image[:, -6:] == image[0, -1]).all()  # the margin stays free


@every_task
def test_panel_has_a_colour_for_unsure_and_none_without_a_face(name):
    sure, unsure = drawn(name, row(name)), drawn(name, row(name, ALWAYS), ALWAYS)
    assert share(sure, SURE) > 0 == share(sure, UNSURE)
    assert share(unsure, UNSURE) > 0 and share(unsure, SURE) < 0.01 * share(sure, SURE)
    none = drawn(name, faceless(name))
    assert share(none, SURE) == share(none, UNSURE) == 0


@every_task
def test_panel_of_a_group_picture_says_whose_it_is(name):
    still = row(name) | {"start": None, "end": None}
    alone, first, second = (
        drawn(name, still | {"person": person, "several": several})
        for person, several in ((1, False), (1, True), (2, True))
    )
    assert (alone != first).any() and (first != second).any()
    np.testing.assert_array_equal(alone, drawn(name, still | {"person": 2}))


@every_task
def test_clip_becomes_video_and_figure(name, tmp_path):
    source, spool = clip()
    table = table_of(name, 3, gap=(2,))
    table.attrs["faces"] = [0, 0, None]
    video, figure = tmp_path / "out.mp4", tmp_path / "new folder" / "out.png"
    annotate.draw_clip(
        source, table, NAMES[name], threshold_of(name, NEVER), spool, task=name, annotate=video,
        figure=figure,
    )  # fmt: skip
    capture = cv2.VideoCapture(str(video))
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 6
    assert cv2.imread(str(figure)).shape[1] >= 270  # 9 inches


# --- timeline and terminal --------------------------------------------------------------------


@pytest.mark.parametrize("windows", [1, 2, 30, 600])
@every_task
def test_timeline_is_legible(name, windows):
    pictures = [np.full((60, 60, 3), 30 * n, np.uint8) for n in range(min(windows, 8))]
    rows, limit = table_of(name, windows, gap=(11, 12)), threshold_of(name, 0.5)
    texts = check_legible(TASKS[name].draw_timeline(rows, NAMES[name], limit, pictures, "a.mp4"))
    assert {"a.mp4", *NAMES[name]} <= set(texts)


@every_task
@pytest.mark.parametrize("width", (84, 110, 160))
def test_terminal_table_fits(name, width, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(tables, "_PIPE_WIDTH", width)
    monkeypatch.setattr("sys.stdout", stream)
    tables.print_table(table_of(name, 70, gap=(1,)), NAMES[name], name)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    assert NO_FACE in text and "and 10 more windows" in text


# --- what a finished run leaves ---------------------------------------------------------------

every_kind = pytest.mark.parametrize("kind", PREPARED)


@every_kind
def test_report_shows_every_figure_and_inference_mode(kind, finished_run):
    run = finished_run(kind)
    named = re.findall(r"!\[.*\]\(figures/(\w+)\.png\)", run.report)
    assert len(named) == len(set(named)) >= 5 and set(named) == run.figures
    content = json.loads((run.workdir / "metrics.json").read_text())
    assert run.report.startswith(f"# {content['name']}\n\n{content['clips_evaluated']} of ")
    task = json.loads((run.workdir / "config.json").read_text())["task"]
    lines = report.headline(task, content)
    assert [line.split()[0] for line in lines] == list(content["inference_modes"])
    assert {"stored", "recalibrated", "mc_dropout"} == set(content["inference_modes"])
    assert "risk-coverage curve" in run.report


@every_kind
def test_table_has_a_row_for_every_evaluated_clip(kind, finished_run):
    run = finished_run(kind)
    table, metrics = run.table, run.metrics
    assert list(table)[:3] == ["clip", "subject", "fold"]
    assert len(table) == metrics["clips_evaluated"] == table["clip"].nunique()
    assert metrics["params_total"] >= metrics["params_without_U"] > 0
