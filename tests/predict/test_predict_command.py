"""The command line of prediction: options, messages, exit codes, going on after a kill."""

import os
import pathlib
import tempfile

import pandas as pd
import pytest

from fer_jax import progress
from fer_jax.commands import predict
from fer_jax.experiments.bundle import Record
from fer_jax.predict import api, sources
from fer_jax.predict.tables import SavedRows
from fer_jax.storage import lock
from fer_jax.uncertainty import WeightDraws
from tests.predict.fakes import run, write_faces

FULL = pathlib.Path("/dev/full")


def test_exit_code_tells_whether_anything_was_predicted(monkeypatch, predictor, tmp_path, capsys):
    good = write_faces(tmp_path / "a.csv")
    assert run(monkeypatch, predictor, good, tmp_path / "missing.mp4") == 0
    assert "missing.mp4" in capsys.readouterr().err
    assert run(monkeypatch, predictor, tmp_path / "missing.mp4") == 1
    assert "none of the clips" in capsys.readouterr().err


def test_says_when_nothing_can_abstain(monkeypatch, predictor, tmp_path, capsys):
    predictor.threshold = None
    clip = write_faces(tmp_path / "a.csv", x=200)
    run(monkeypatch, predictor, clip)
    captured = capsys.readouterr()
    assert "no threshold" in captured.err and "ambiguous" not in captured.out
    run(monkeypatch, predictor, clip, "--threshold", 0.1)
    captured = capsys.readouterr()
    assert "no threshold" not in captured.err and "ambiguous (" in captured.out


def test_note_on_scale_goes_when_the_width_is_given(monkeypatch, predictor, tmp_path, capsys):
    predictor.record = Record(dataset={"scaled": True})
    clips = [write_faces(tmp_path / f"{name}.csv") for name in "ab"]
    assert run(monkeypatch, predictor, *clips) == 0
    assert capsys.readouterr().err.count("--width") == 1
    assert run(monkeypatch, predictor, *clips, "--width", 640) == 0
    assert "--width" not in capsys.readouterr().err


def test_skipped_clips_are_counted_and_the_compilation_is_named(
    monkeypatch, predictor, tmp_path, capsys
):
    monkeypatch.setattr(progress, "SILENCE", 0.0)  # a line at every update
    predictor.is_compiled = lambda mc_samples: False
    clips = [write_faces(tmp_path / f"{name}.csv") for name in "ab"]
    assert run(monkeypatch, predictor, *clips) == 0
    said = capsys.readouterr().err
    assert "reading a.csv: 10/25, compiling the network" in said and "skipped" not in said
    assert said.splitlines()[-1].endswith(", done")
    assert run(monkeypatch, predictor, *clips, tmp_path / "missing.csv") == 0
    *_, last, count = capsys.readouterr().err.splitlines()
    assert last.endswith("reading missing.csv ..., skipped")
    assert count == "2 of 3 clips predicted, 1 skipped"


def test_networks_that_are_drawn_first_are_named(monkeypatch, predictor, tmp_path, capsys):
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    predictor.is_compiled = lambda mc_samples: False
    predictor.draws = (WeightDraws({}, {}, 4, 0),) * 5  # of five members
    assert run(monkeypatch, predictor, write_faces(tmp_path / "a.csv")) == 0
    assert "reading a.csv: 10/25, drawing 20 networks, compiling" in capsys.readouterr().err


def test_missing_bundle_is_one_line(tmp_path, capsys):
    clip = write_faces(tmp_path / "a.csv")
    assert predict.main([str(tmp_path / "nothing"), str(clip)]) == 1
    assert "not a model bundle" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["t.csv", "t.json"])
@pytest.mark.parametrize("before", [None, "the table before"])
def test_interrupt_keeps_what_was_finished(monkeypatch, predictor, tmp_path, capsys, before, name):
    clips = [write_faces(tmp_path / f"{name}.csv") for name in "ab"]
    original, out = sources.open_source, tmp_path / name
    if before:
        out.write_text(before)

    def interrupted(predictor, path, *rest):
        if pathlib.Path(path).name == "b.csv":
            raise KeyboardInterrupt
        return original(predictor, path, *rest)

    def clips_in_table():
        table = pd.read_csv(out) if name == "t.csv" else pd.read_json(out)
        return table["clip"].unique().tolist()

    with monkeypatch.context() as patched:
        patched.setattr(sources, "open_source", interrupted)
        assert run(patched, predictor, *clips, "--out", out) == 130
    said = capsys.readouterr().err
    assert "give the same command again to go on" in said
    assert (f"{out} is kept as it was, their rows are in {name}.partial" in said) == bool(before)
    if before:
        assert out.read_text() == before
    else:
        assert clips_in_table() == [str(clips[0])]
    assert run(monkeypatch, predictor, *clips, "--out", out) == 0
    assert f"predicted before: {clips[0]}" in capsys.readouterr().err
    assert clips_in_table() == list(map(str, clips))


def test_table_that_another_run_writes_is_refused(monkeypatch, predictor, tmp_path, capsys):
    clip, out = write_faces(tmp_path / "a.csv"), tmp_path / "new" / "t.csv"
    out.parent.mkdir()
    with lock(out):
        assert run(monkeypatch, predictor, clip, "--out", out) == 1
        assert run(monkeypatch, predictor, clip, "--out", out.with_name("other.csv")) == 0
    (error,) = (line for line in capsys.readouterr().err.splitlines() if "error" in line)
    assert error.startswith(f"error: {out} is in use by process {os.getpid()} on ")
    assert error.endswith("wait until it has ended, or name another file (--out)")
    assert [file.name for file in out.parent.iterdir()] == ["other.csv"]


@pytest.mark.parametrize("beside", ["b.mp4", "b.png"])
def test_csvs_beside_other_clips_are_named(monkeypatch, predictor, tmp_path, capsys, beside):
    folder = tmp_path / "clips"
    folder.mkdir()
    write_faces(folder / "a.csv")
    (folder / beside).write_bytes(b"no clip")
    run(monkeypatch, predictor, folder)
    kind = "videos" if beside == "b.mp4" else "pictures"
    notes = [line for line in capsys.readouterr().err.splitlines() if "CSV" in line]
    assert notes == [
        f"note: the CSVs in {folder} are not read (1), only its {kind}: give each CSV, or a folder "
        "of them alone"
    ]


def test_killed_prediction_resumes(monkeypatch, predictor, tmp_path, capsys):
    clips = [write_faces(tmp_path / f"{name}.csv", frames=20) for name in "abc"]
    out, partial = tmp_path / "t.csv", tmp_path / "t.csv.partial"
    run(monkeypatch, predictor, *clips, "--out", tmp_path / "whole.csv")
    original, read = sources.open_source, []

    def open_source(predictor, path, *rest):
        read.append(pathlib.Path(path).name)
        if pathlib.Path(path).name == "c.csv" and not out.exists() and len(read) == 3:
            raise SystemExit  # as a kill: nothing is saved any more
        return original(predictor, path, *rest)

    monkeypatch.setattr(sources, "open_source", open_source)
    with pytest.raises(SystemExit):
        run(monkeypatch, predictor, *clips, "--out", out)
    assert not out.exists() and len(partial.read_text().splitlines()) == 3
    with partial.open("a") as file:
        file.write('{"sha256": "to')  # torn
    saved = partial.read_bytes()

    read.clear()
    assert run(monkeypatch, predictor, *clips, "--out", out) == 0
    assert read == ["c.csv"] and capsys.readouterr().err.count("predicted before: ") == 2
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes() and not partial.exists()

    for change in ("options", "clip", "flip"):
        partial.write_bytes(saved)
        if change == "clip":
            os.utime(clips[0])
        if change == "flip":
            head, rows = saved.split(b"\n", 1)
            partial.write_bytes(head + b"\n" + rows.replace(b"joy", b"jox", 1))
        read.clear()
        seed = ["--seed", 3] if change == "options" else []
        assert run(monkeypatch, predictor, *clips, "--out", out, *seed) == 0
        assert read == {"options": ["a.csv", "b.csv", "c.csv"]}.get(change, ["a.csv", "c.csv"])
        assert ("begins anew" in capsys.readouterr().err) == (change == "options")


@pytest.mark.parametrize(
    "file", ["model.json", "weights.msgpack", "weights-member1.msgpack", "posterior.msgpack"]
)
def test_rows_of_another_model_or_other_columns_are_not_taken_up(tmp_path, file):
    """A bundle may have no checksums, so that `model.json` does not tell its other files."""
    clip, bundle, said = write_faces(tmp_path / "a.csv"), tmp_path / "model", []
    bundle.mkdir()
    (bundle / file).write_bytes(b"1")

    def saved(*names):
        return SavedRows(tmp_path / "t.csv", bundle, {"columns": list(names)}, said.append)

    saved("clip").add(clip, pd.DataFrame({"clip": ["a"]}))
    assert saved("clip").find(clip, {}) is not None and not said
    assert saved("clip", "unfamiliarity").find(clip, {}) is None and "begins anew" in said.pop()
    saved("clip").add(clip, pd.DataFrame({"clip": ["a"]}))
    (bundle / file).write_bytes(b"2")
    assert saved("clip").find(clip, {}) is None and "begins anew" in said[-1]


def test_rows_of_a_folder_that_cannot_be_listed_any_more_are_not_taken_up(tmp_path, monkeypatch):
    folder, bundle = tmp_path / "frames", tmp_path / "model"
    for made in (folder, bundle):
        made.mkdir()
    write_faces(folder / "a.csv")
    saved = SavedRows(tmp_path / "t.csv", bundle, {}, pytest.fail)
    saved.add(folder, pd.DataFrame({"clip": ["frames"]}))
    saved = SavedRows(tmp_path / "t.csv", bundle, {}, pytest.fail)
    assert saved.find(folder, {}) is not None

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(pathlib.Path, "iterdir", refused)
    assert saved.find(folder, {}) is None


def test_nothing_is_left_beside_a_table_that_never_came(monkeypatch, predictor, tmp_path):
    out, clip = tmp_path / "t.csv", write_faces(tmp_path / "a.csv")
    assert run(monkeypatch, predictor, tmp_path / "missing.mp4", "--out", out) == 1
    assert not list(tmp_path.glob("t.csv*"))
    monkeypatch.setattr(SavedRows, "finish", lambda saved: None)  # as if killed
    assert run(monkeypatch, predictor, clip, "--out", out) == 0
    monkeypatch.undo()
    assert run(monkeypatch, predictor, tmp_path / "missing.mp4", "--out", out) == 1
    assert len((tmp_path / "t.csv.partial").read_text().splitlines()) == 2  # rows of a.csv


def test_drawing_that_fails_ends_with_its_own_code(monkeypatch, predictor, tmp_path, capsys):
    clip = write_faces(tmp_path / "a.csv")
    (tmp_path / "file").write_text("no folder")
    out = ["--out", tmp_path / "t.csv", "--figure", tmp_path / "file" / "a.png"]
    assert run(monkeypatch, predictor, clip, *out) == 2
    assert "not drawn: " in capsys.readouterr().err and len(pd.read_csv(tmp_path / "t.csv")) == 4
    assert run(monkeypatch, predictor, clip, "--out", tmp_path / "t.xlsx") == 2


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
def test_full_folder_for_temporary_files_is_named(monkeypatch, predictor, tmp_path, capsys):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: FULL.open("rb+", buffering=0))
    clip, folder = write_faces(tmp_path / "a.csv"), tempfile.gettempdir()
    assert run(monkeypatch, predictor, clip, "--figure", tmp_path / "a.png") == 1
    said = (
        f"skipped: {clip}: {folder}: No space left on device: free some space, or set TMPDIR to a "
        "folder on another disk"
    )
    assert said in capsys.readouterr().err.splitlines()
    assert run(monkeypatch, predictor, clip) == 0  # what draws nothing needs no such file


@pytest.mark.parametrize(
    "argument",
    ["--mc-samples=0", "--mc-samples=2.5", "--window=-1", "--window=0", "--stride=x",
     "--stride=nan", "--fps=inf", "--fps=0", "--fps=-25", "--width=-5", "--threshold=nan",
     "--seed=x", "--fps=90000", "--fps=1e-9", "--seed=99999999999999999999",
     "--stride=1e-6", "--window=1e-9", "--smoothing=-0.1", "--smoothing=nan", "--smoothing=x",
     "--smoothing=inf"],
)  # fmt: skip
def test_wrong_options_are_refused_alike_in_python(predictor, argument, capsys):
    with pytest.raises(SystemExit, match="2"):
        predict.main(["bundle", "clip.mp4", argument])
    name, _, text = argument.partition("=")
    line = capsys.readouterr().err
    assert line.startswith(f"error: {name} is ") and line.count("\n") == 1
    kind = float if name in ("--window", "--stride", "--fps", "--threshold", "--smoothing") else int
    try:
        value = kind(text)
    except ValueError:
        value = text
    option = {name[2:].replace("-", "_"): value}
    with pytest.raises(ValueError, match=f"^{next(iter(option))} is "):
        api.predict_clips(predictor, "clip.mp4", **option)
    if name != "--width":
        with pytest.raises(ValueError, match=f"^{next(iter(option))} is "):
            api.predict_frames(predictor, [], **option)


def test_unknown_option_is_named(capsys):
    with pytest.raises(SystemExit, match="2"):
        predict.main(["bundle", "clip.mp4", "--any"])
    assert "--any" in capsys.readouterr().err
