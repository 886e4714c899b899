"""The zoo: made by its command from real training, listed, loaded and used by name."""

import json
import shutil

import numpy as np
import pytest

import fer_jax
from fer_jax import shipped
from fer_jax.commands import main
from fer_jax.compare.chosen import load_config
from fer_jax.training.checkpoint import WeightsError, parse_weights, serialise_weights
from fer_jax.zoo import ZOO, card, make

TINY = {
    "model.stages": "((4,1),(6,1))", "train.epochs": 2,
    "train.batch_size": 8, "evaluation.mc_samples": 4,
}  # fmt: skip


def arguments(prepared, work, out) -> list[str]:
    """Of the command that makes a tiny `faces`."""
    fields = {"data.path": prepared} | TINY
    given = [f"--config.{name}={value}" for name, value in fields.items()]
    return ["faces", "--work", str(work), "--out", str(out), *given]


@pytest.fixture(scope="module")
def zoo(once, prepared_ferplus):
    """A folder with the work directory and the zoo of a tiny `faces`."""

    def write(out):
        assert make.main(arguments(prepared_ferplus, out / "work", out / "zoo")) == 0

    return once("zoo", write)


@pytest.fixture
def installed(zoo, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", zoo / "zoo")
    return zoo


def test_model_is_loaded_and_listed_by_name(installed, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.names() == ["faces"]
    assert fer_jax.load_model("faces").classes[1] == "happiness"
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert ZOO["faces"].terms in shown and "Not made in this copy: gestures, questions" in shown
    assert main(["models", "faces"]) == 0
    assert capsys.readouterr().out == (installed / "zoo/faces/CARD.md").read_text()
    (tmp_path / "faces").mkdir()
    with pytest.raises(FileNotFoundError, match="no model.json"):  # a folder here comes first
        fer_jax.load_model("faces")


@pytest.mark.parametrize("name", ["nosuch", "../zoo/faces", "gestures", "faces\x1b[2J", ""])
@pytest.mark.parametrize("made", [True, False])
def test_model_that_is_not_there_is_refused_in_one_line(
    zoo, tmp_path, monkeypatch, capsys, name, made
):
    monkeypatch.setattr(shipped, "FOLDER", zoo / "zoo" if made else tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["models", name])
    said = capsys.readouterr().err.splitlines()[-1]
    remedy = "zoo.make gestures" if name == "gestures" else "fer-jax models lists all"
    assert ended.value.code == 2 and remedy in said and said.isprintable()


def test_models_without_card_or_entry_are_listed(zoo, tmp_path, monkeypatch, capsys):
    """As a stopped `zoo.make` or a hand may leave them."""
    for name in ("faces", "own"):
        shutil.copytree(zoo / "zoo/faces", tmp_path / name)
    (tmp_path / "faces/CARD.md").unlink()
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert main(["models"]) == 0
    assert "own  (" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["models", "faces"])
    assert "make it by python -m fer_jax.zoo.make faces" in capsys.readouterr().err


def test_half_precision_changes_little(installed, face_video):
    both = installed / "work/faces/model", "faces"
    whole, half = (
        fer_jax.predict_clips(fer_jax.load_model(path), [face_video], mc_samples=3) for path in both
    )
    classes = list(fer_jax.load_model("faces").classes)
    np.testing.assert_allclose(half[classes], whole[classes], atol=5e-3)
    assert np.isfinite(half[["valence", "std_arousal", "unfamiliarity"]]).all(axis=None)


def test_predict_takes_a_name(installed, face_video, tmp_path):
    out = tmp_path / "table.csv"
    assert main(["predict", "faces", str(face_video), "--mc-samples", "3", "--out", str(out)]) == 0
    assert "happiness" in out.read_text()


def test_card_tells_figures_terms_and_limits(installed):
    text = (installed / "zoo/faces/CARD.md").read_text()
    for said in (*ZOO["faces"].limits, ZOO["faces"].terms, "95% interval", "python -m fer_jax.zoo"):
        assert said in text
    assert "CCC of valence" in text and "Prediction sets" in text and "None" not in text


def test_model_is_made_again_without_traces_of_the_earlier(zoo, tmp_path, prepared_ferplus):
    work = shutil.copytree(zoo / "work", tmp_path / "work")
    old = shutil.copytree(zoo / "zoo", tmp_path / "zoo") / "faces"
    (old / "weights-member1.msgpack").write_bytes(b"of an ensemble")
    assert make.main(arguments(prepared_ferplus, work, tmp_path / "zoo")) == 0
    found, expected = (
        {file.name: file.read_bytes() for file in folder.iterdir()}
        for folder in (old, zoo / "zoo/faces")
    )
    assert found.keys() == expected.keys()
    assert found["weights.msgpack"] == expected["weights.msgpack"]


def test_place_without_room_and_ctrl_c_end_in_one_line(
    prepared_ferplus, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").write_text("no folder")
    work = tmp_path / "work"
    assert make.main(arguments(prepared_ferplus, work, tmp_path / "file")) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "a file is where a folder belongs" in said
    assert said.count("\n") == 1 and not work.exists()  # nothing was trained

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(make.systems, "run", interrupted)
    assert make.main(arguments(prepared_ferplus, work, tmp_path / "zoo")) == 130
    assert capsys.readouterr().err == "interrupted: the same command resumes\n"


def test_weights_beyond_half_precision_are_refused(tmp_path):
    variables = {"params": {"kernel": np.full((2, 2), 1e5, np.float32)}, "batch_stats": {}}
    with pytest.raises(WeightsError, match="kernel.*infinite"):
        serialise_weights(variables, {}, tmp_path, half=True)
    variables["params"]["kernel"] /= 1e5
    data = serialise_weights(variables, {}, tmp_path, half=True)
    (found, _) = parse_weights(data, tmp_path)
    assert found["params"]["kernel"].dtype == np.float32 and len(data) < 400


def test_card_of_action_units(finished_run):
    config = load_config("stbln_synthetic_units", [])
    metrics = json.loads((finished_run("action_units").workdir / "metrics.json").read_text())
    text = card.card("synthetic", ZOO["synthetic"], config, metrics)
    for unit, own in metrics["inference_modes"]["mc_dropout"]["units"].items():
        assert (f"| {unit} |" in text) == bool(own["known"])
    assert "mean F1" in text and "None" not in text and "nan" not in text
