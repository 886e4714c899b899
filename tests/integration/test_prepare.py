"""The whole command: `python -m preprocess` on good input, bad input, interrupted input."""

import collections
import csv
import json
import os
import pathlib
import resource
import shlex
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from fer_jax import storage
from fer_jax.faces.crop import cut_crop
from fer_jax.faces.landmarks import FRAMINGS, LEFT_EYE, RIGHT_EYE, load_graph
from fer_jax.synthetic.clips import make_clip, render, write_video
from preprocess.__main__ import main
from preprocess.store import INFO
from tests.official_trees import examples, write_openface

tfds = pytest.importorskip("tensorflow_datasets")
ROOT = pathlib.Path(__file__).parents[2]


def report_of(out) -> dict:
    return json.loads((out / "report.json").read_text())


def write_manifest(folder, rows, columns=("path", "subject", "label")):
    path = folder / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def write_face_csv(path, frames=6):
    return write_openface(path, make_clip(0, 0, 1, frames=max(frames, 2)).landmarks[:frames])


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "preprocess", *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options,
    )  # fmt: skip


def test_synthetic_dataset_is_ready_to_train_on(tmp_path, capsys):
    out = tmp_path / "synthetic"
    arguments = ["synthetic", "--out", str(out), "--subjects", "3", "--clips-per-subject", "7"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "21 kept, 0 dropped" in shown
    assert f"--config.data.path={out}" in shown.replace("\n", "")
    rows = examples(out)
    made = make_clip(0, 1, 4)
    row = rows[made.clip_id]
    np.testing.assert_array_equal(row["landmarks"], made.landmarks)
    np.testing.assert_array_equal(row["action_units"], made.action_units)
    info = tfds.builder_from_directory(out).info
    assert info.features["label"].names[row["label"]] == made.label
    assert info.splits["train"].num_examples == 7
    assert len(load_graph(out / "graph.json").edges) > 150
    assert report_of(out)["counts"]["kept"] == 21


def test_same_command_again_reads_nothing_and_another_is_refused(tmp_path, capsys):
    out = tmp_path / "synthetic"
    arguments = ["synthetic", "--out", str(out), "--subjects", "3", "--clips-per-subject", "2"]
    assert main(arguments) == 0
    before = examples(out)
    files = {f.name: f.stat().st_mtime_ns for f in (out / ".clips").iterdir()}
    assert main(arguments) == 0
    assert report_of(out)["counts"] == {
        "seen": 6, "kept": 6, "dropped": 0, "read": 0, "reused": 6,
    }  # fmt: skip
    assert {f.name: f.stat().st_mtime_ns for f in (out / ".clips").iterdir()} == files
    assert examples(out).keys() == before.keys()
    assert main([*arguments, "--seed", "1"]) == 1
    assert "prepared differently (other options)" in " ".join(capsys.readouterr().err.split())
    assert main([*arguments, "--seed", "1", "--overwrite"]) == 0
    assert report_of(out)["counts"]["reused"] == 0
    assert len(list((out / ".clips").iterdir())) == 6


def hostile_source(folder):
    """One good video, one good CSV, a folder with a hole, and ten ways to be useless."""
    clip = make_clip(0, 0, 1, frames=12)
    frames = list(render(clip.true_landmarks, clip.identity))
    write_video(folder / "gut ü.mp4", frames, clip.fps)
    write_video(folder / "long.avi", frames * 3, clip.fps)
    whole = (folder / "long.avi").read_bytes()
    (folder / "long.avi").write_bytes(whole[: len(whole) // 2])
    write_video(folder / "empty_room.avi", [np.full_like(frames[0], 90)] * 5, clip.fps)
    (folder / "frames").mkdir()
    for index in (3, 7, 10):
        image = cv2.cvtColor(frames[index], cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / "frames" / f"f{index}.png"), image)
    (folder / "frames" / "f5.png").write_bytes(b"broken")
    cv2.imwrite(str(folder / "still.png"), cv2.cvtColor(frames[6], cv2.COLOR_RGB2BGR))
    write_face_csv(folder / "face.csv")
    write_face_csv(folder / "rowless.csv", frames=0)
    (folder / "other.csv").write_text("a,b\n1,2\n")
    (folder / "nothing.mp4").touch()
    (folder / "letter.mp4").write_text("dear reader\n" * 200)
    (folder / "vacant").mkdir()
    names = [
        "gut ü.mp4", "long.avi", "frames", "still.png", "face.csv", "empty_room.avi", "rowless.csv",
        "other.csv", "nothing.mp4", "letter.mp4", "vacant", "missing.mp4", "./face.csv",
    ]  # fmt: skip
    rows = [(name, f"p{k % 3}", "joy" if k % 2 else "fear") for k, name in enumerate(names)]
    return write_manifest(folder, [*rows, ("still.png", "p1", "")])


def test_bad_clips_are_listed_and_good_ones_kept(tmp_path, capsys):
    pytest.importorskip("dlib")
    manifest, out = hostile_source(tmp_path), tmp_path / "out"
    assert main(["manifest", "--source", str(manifest), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "non-commercial" in shown
    report = report_of(out)
    rows = {row["clip_id"]: row for row in report["clips"]}
    assert len(rows) == report["counts"]["seen"] == 14
    kept = {name for name, row in rows.items() if row["kept"]}
    assert kept == {"gut ü.mp4", "long.avi", "frames", "still.png", "face.csv"}
    assert examples(out).keys() == kept
    assert report["dropped"] == {
        "no face": 1, "no frames": 2, "no landmark columns": 1, "unreadable": 2, "missing file": 1,
        "duplicate path": 1, "empty label": 1,
    }  # fmt: skip
    assert rows["long.avi"]["note"].startswith("cut off after frame")
    assert 0 < rows["long.avi"]["frames"] < 36
    assert rows["frames"]["note"] == "unreadable frames skipped: 1"
    assert examples(out)["frames"]["frame_index"].tolist() == [3, 7, 10]
    assert rows["gut ü.mp4"]["detected"] == 12
    assert all(row["detail"] for row in rows.values() if not row["kept"])


def test_dry_run_lists_and_writes_nothing(tmp_path, capsys):
    for name in ("a", "b", "c"):
        write_face_csv(tmp_path / f"{name}.csv")
    rows = [
        ("a.csv", "p1", "joy"),
        ("b.csv", "p2", "joy"),
        ("c.csv", "p2", "fear"),
        ("d", "p", "x"),
    ]
    manifest = write_manifest(tmp_path, rows)
    before = sorted(tmp_path.rglob("*"))
    assert main(["manifest", "--source", str(manifest), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "3 of 4 clips would be read" in shown
    assert "p2 2" in shown
    assert "d: missing file" in shown
    assert sorted(tmp_path.rglob("*")) == before


def test_names_may_hold_brackets_and_colons(tmp_path, capsys):
    folder = tmp_path / "my [/study] :smile:"  # a folder in a folder
    (folder / "a[").mkdir(parents=True)
    for name in ("a[/x].csv", "b.csv"):
        write_face_csv(folder / name)
    rows = [
        ("a[/x].csv", "p[/x]", "joy [/b]", "train"),
        ("b.csv", "p[/x]", "[bold]fear", "test"),
        ("[/c].csv", "p[/x]", "joy [/b]", "[/d]"),
    ]
    manifest = write_manifest(folder, rows, ("path", "subject", "label", "split"))
    arguments = ["manifest", "--source", str(manifest)]
    assert main([*arguments, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("p[/x] 2", "joy [/b]", "[bold]fear", "[/c].csv"))
    assert main([*arguments, "--out", str(folder / "[/out]")]) == 0
    shown = capsys.readouterr().out
    assert "joy [/b] 1" in shown and "p[/x] (test, train)" in shown
    assert f"Prepared in {folder / '[/out]'}." in shown
    assert main([*arguments[:2], str(folder / "[/none].csv"), "--dry-run"]) == 1
    assert "[/none].csv does not exist" in " ".join(capsys.readouterr().err.split())


def prepare_faces(folder, rows, columns=("path", "subject", "label"), out="out"):
    for row in rows:
        if not row[0].startswith("bad"):
            write_face_csv(folder / row[0])
    (folder / "bad.csv").write_text("a,b\n1,2\n")
    manifest = write_manifest(folder, rows, columns)
    assert main(["manifest", "--source", str(manifest), "--out", str(folder / out)]) == 0
    return report_of(folder / out)


def test_what_stands_in_the_way_of_training_is_noted(tmp_path, capsys):
    rows = [("a.csv", "p1", "joy"), ("bad.csv", "p1", "fear"), ("bad2.csv", "p2", "calm")]
    notes = prepare_faces(tmp_path, rows)["notes"]
    assert notes == [
        "class calm: no clip is left, 1 dropped",
        "class fear: no clip is left, 1 dropped; it stays in the list of classes",
        "one class only (joy): training needs at least two",
    ]
    shown = capsys.readouterr().out
    assert all(f"note: {note}" in shown for note in notes)


def test_people_in_two_splits_are_noted(tmp_path, capsys):
    rows = [
        ("a.csv", "p1", "joy", "train"),
        ("b.csv", "p2", "fear", "train"),
        ("c.csv", "p2", "joy", "val"),
    ]
    columns = ("path", "subject", "label", "split")
    (note,) = prepare_faces(tmp_path, rows, columns)["notes"]
    assert "p2 (train, validation)" in note and "p1" not in note
    capsys.readouterr()
    assert main(["manifest", "--source", str(tmp_path / "manifest.csv"), "--dry-run"]) == 0
    assert f"note: {note}" in capsys.readouterr().out


@pytest.mark.parametrize("split", [None, "validation"])
def test_next_command_fits_the_data(tmp_path, capsys, monkeypatch, split):
    monkeypatch.chdir(ROOT)
    rows = [("a.csv", "p1", "joy", ""), ("b.csv", "p2", "fear", split or "")]
    prepare_faces(tmp_path, rows, ("path", "subject", "label", "split"), out="my study")
    command = capsys.readouterr().out.split("Next:")[1]
    assert shlex.split(command) == [
        "python", "run.py", "--config", "stbln_manifest:my study",
        f"--config.data.path={tmp_path / 'my study'}",
        *(["--config.protocol.name=holdout"] if split else []),
    ]  # fmt: skip


def test_known_dataset_keeps_its_config(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    prepare_faces(tmp_path, [("a.csv", "p1", "joy"), ("b.csv", "p2", "fear")], out="ckplus")
    assert capsys.readouterr().out.split("Next:")[1].split() == [
        "python", "run.py", "--config", "stbln_ckplus",
        f"--config.data.path={tmp_path / 'ckplus'}",
    ]  # fmt: skip


def test_interrupted_dry_run_ends_quietly(monkeypatch, capsys):
    def interrupted(source, options):
        raise KeyboardInterrupt

    monkeypatch.setattr("preprocess.datasets.manifest.clips", interrupted)
    assert main(["manifest", "--source", "clips.csv", "--dry-run"]) == 130
    assert capsys.readouterr().out.strip() == "Stopped."


def test_longer_list_costs_only_its_new_clips(tmp_path):
    for name in ("a", "b", "c"):
        write_face_csv(tmp_path / f"{name}.csv")
    rows = [("a.csv", "p1", "joy"), ("b.csv", "p2", "fear")]
    arguments = ["manifest", "--source", str(write_manifest(tmp_path, rows)), "--out"]
    assert main([*arguments, str(tmp_path / "out")]) == 0
    rows = [("a.csv", "p1", "relief"), ("c.csv", "p2", "fear")]
    write_manifest(tmp_path, rows)
    assert main([*arguments, str(tmp_path / "out")]) == 0
    assert report_of(tmp_path / "out")["counts"]["reused"] == 1
    assert report_of(tmp_path / "out")["classes"] == {"fear": 1, "relief": 1}
    assert examples(tmp_path / "out").keys() == {"a.csv", "c.csv"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["manifest", "--source", "nowhere.csv"], 1, "manifest nowhere.csv does not exist"),
        (["manifest"], 2, "--source is missing"),
        (["ravdess"], 2, "Zenodo record 3255102"),
        (["synthetic", "--subjects", "1"], 2, "make at least 3"),
        (["synthetic", "--framing", "eyes"], 2, "--framing eyes is of face crops: give --crops"),
        (["ferplus", "--framing", "box"], 2, "the pictures of ferplus are taken as they are"),
    ],
)
def test_wrong_command_says_what_to_do(tmp_path, capsys, arguments, code, message):
    assert main([*arguments, "--out", str(tmp_path / "out")]) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_nothing_usable_is_an_error(tmp_path, capsys):
    (tmp_path / "a.mp4").touch()
    manifest = write_manifest(tmp_path, [("a.mp4", "p", "joy")])
    out = tmp_path / "out"
    pytest.importorskip("dlib")
    assert main(["manifest", "--source", str(manifest), "--out", str(out)]) == 1
    assert "none of the 1 clips can be used" in capsys.readouterr().err
    assert not (out / "dataset_info.json").exists()


def test_command_without_a_folder_for_the_result_is_wrong(capsys):
    assert main(["synthetic"]) == 2
    assert "--out is missing" in capsys.readouterr().err


def test_second_preparation_into_a_folder_names_the_first(tmp_path, capsys):
    arguments = ["synthetic", "--out", str(tmp_path), "--subjects", "3"]
    arguments += ["--clips-per-subject", "2", "--workers", "1"]
    with storage.lock(tmp_path):
        assert main(arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
    assert f"process {os.getpid()} on " in line and str(tmp_path) in line
    assert main(arguments) == 0
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".clips", ".lock"]


@pytest.mark.parametrize("largest", [2_000, 60_000])
def test_full_disk_ends_in_one_line_and_resumes(tmp_path, largest):
    """A limit of the size of files makes writing fail: of a clip's, then of a shard."""
    arguments = ["synthetic", "--out", tmp_path / "out", "--subjects", "3"]
    arguments += ["--clips-per-subject", "7", "--workers", "1"]
    process = command(*arguments)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest, largest))
    shown = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "Traceback" not in shown
    (line,) = [line for line in shown.splitlines() if "error" in line]
    assert "File too large: raise the limit of file sizes, or name another --out" in line
    assert str(tmp_path / "out") in line
    # one at most: of the worker, which may be ended as it writes
    assert len(list(tmp_path.glob("out/.clips/*.partial"))) <= 1
    assert not (tmp_path / INFO).exists()
    assert main(list(map(str, arguments))) == 0
    reused = report_of(tmp_path / "out")["counts"]["reused"]
    assert reused == (21 if largest > 50_000 else 0)


def test_damaged_clip_in_the_cache_is_read_again(tmp_path):
    arguments = ["synthetic", "--out", str(tmp_path), "--subjects", "3", "--clips-per-subject", "2"]
    assert main([*arguments, "--workers", "1"]) == 0
    before = examples(tmp_path)
    files = sorted((tmp_path / ".clips").iterdir())
    for file, place in zip(files, (30, 0.3, 0.6, -40, -3), strict=False):
        content = bytearray(file.read_bytes())
        content[int(place * len(content)) if isinstance(place, float) else place] ^= 16
        file.write_bytes(content)
    assert main([*arguments, "--workers", "1"]) == 0
    assert 1 <= report_of(tmp_path)["counts"]["reused"] <= 3  # some bytes of an archive are unused
    for name, row in examples(tmp_path).items():
        np.testing.assert_array_equal(row["landmarks"], before[name]["landmarks"])


def slow_source(folder, clips=6):
    """Videos that take about half a second each."""
    clip = make_clip(0, 0, 1, frames=10)
    frames = list(render(clip.true_landmarks, clip.identity)) * 8
    write_video(folder / "0.avi", frames, clip.fps)
    for index in range(1, clips):
        (folder / f"{index}.avi").write_bytes((folder / "0.avi").read_bytes())
    return write_manifest(folder, [(f"{n}.avi", f"p{n}", "ab"[n % 2]) for n in range(clips)])


def wait_for_clips(out, index: int, process) -> int:
    for _ in range(400):
        finished = len(list(out.glob(".clips/*.npz")))
        if finished >= index or process.poll() is not None:
            return finished
        time.sleep(0.05)
    raise TimeoutError("no clip was finished in 20 seconds")


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_stopped_run_resumes(tmp_path, sent):
    pytest.importorskip("dlib")
    out = tmp_path / "out"
    workers = 2 if sent == signal.SIGINT else 1
    arguments = ["manifest", "--source", slow_source(tmp_path), "--out", out, "--workers", workers]
    process = command(*arguments)
    wait_for_clips(out, 2, process)
    os.kill(process.pid, sent)
    shown = process.communicate(timeout=10)[0]
    assert process.returncode == (130 if sent == signal.SIGINT else -sent), shown
    if sent == signal.SIGINT:
        assert "give the same command again" in " ".join(shown.split())
        assert "Traceback" not in shown
    finished = {f.name: f.stat().st_mtime_ns for f in out.glob(".clips/*.npz")}
    assert 2 <= len(finished) < 6
    assert not (out / "dataset_info.json").exists()
    assert main([str(argument) for argument in arguments]) == 0
    counts = report_of(out)["counts"]
    assert counts["kept"] == 6
    assert len(finished) <= counts["reused"] < 6
    assert {f: (out / ".clips" / f).stat().st_mtime_ns for f in finished} == finished
    assert len(examples(out)) == 6


def crop_of(row, frame: int):
    """Decodes one crop, RGB; None where there is none."""
    start, end = row["crop_offsets"][frame : frame + 2]
    file = row["crops"][start:end]
    return cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1] if len(file) else None


def eyes_of(points) -> list:
    return [points[eye].mean(0) for eye in (RIGHT_EYE, LEFT_EYE)]


def test_rendered_faces_are_found_and_cropped(tmp_path, capsys):
    pytest.importorskip("dlib")
    out = tmp_path / "rendered"
    arguments = ["synthetic", "--subjects", "3", "--clips-per-subject", "1", "--out", str(out)]
    assert main([*arguments, "--crops", "48"]) == 0
    report = report_of(out)
    rows = report["clips"]
    assert sum(r["detected"] for r in rows) >= 0.95 * sum(r["frames"] for r in rows)
    assert report["request"]["crop_size"] == 48 and report["request"]["options"]["render"]
    assert "48 x 48 pixels" in capsys.readouterr().out
    assert tfds.builder_from_directory(out).info.metadata["crop_size"] == 48
    sides = {row["clip_id"]: row["crop_side"] for row in rows}
    stored = examples(out)
    for clip_id, row in stored.items():
        assert len(row["action_units"]) == len(row["landmarks"]), clip_id
        assert len(row["crop_offsets"]) == len(row["detected"]) + 1
        assert row["crop_offsets"][-1] == len(row["crops"])
        assert np.array_equal(np.diff(row["crop_offsets"]) > 0, row["detected"])
        assert 100 < sides[clip_id] < 200
        for frame in np.flatnonzero(row["detected"])[::9]:
            crop, (right, left) = crop_of(row, frame), eyes_of(row["crop_landmarks"][frame])
            assert crop.shape == (48, 48, 3)
            np.testing.assert_allclose(left - right, [0.4 * 48, 0], atol=1e-3)
            lips, chin = row["crop_landmarks"][frame][[57, 8]]
            assert redness(crop, lips - [0, 1]) > redness(crop, (lips + chin) / 2)
    # asked for in other words, it is the same; with other crops, or without, it is not
    assert main([*arguments, "--crops", "48", "--render"]) == 0
    assert report_of(out)["counts"]["reused"] == 3
    for name, row in examples(out).items():
        assert np.array_equal(row["crops"], stored[name]["crops"])
    capsys.readouterr()
    for other in (["--crops", "64"], ["--render"]):
        assert main([*arguments, *other]) == 1
        assert "prepared differently (other crop_size)" in " ".join(capsys.readouterr().err.split())


def redness(crop, point) -> float:
    x, y = np.round(point).astype(int)
    red, green, _ = crop[y, x].astype(float)
    return red / max(green, 1)


def test_pictures_are_cropped_and_landmark_files_are_drawn_first(tmp_path, capsys):
    pytest.importorskip("dlib")
    clip = make_clip(0, 0, 1, frames=2)
    image = next(render(clip.true_landmarks, clip.identity))
    cv2.imwrite(str(tmp_path / "edge.png"), image[:, 85:, ::-1])  # without ear and cheek
    write_face_csv(tmp_path / "face.csv", frames=5)
    rows = [("edge.png", "p1", "joy"), ("face.csv", "p2", "fear")]
    arguments = ["manifest", "--source", str(write_manifest(tmp_path, rows)), "--crops", "256"]
    arguments += ["--workers", "1"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "face.csv: no pictures: landmarks alone" in capsys.readouterr().out
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "dropped: face.csv: no pictures: landmarks alone" in shown and "--render" in shown
    report = report_of(tmp_path / "out")
    assert report["dropped"] == {"no pictures": 1}
    assert any("crops are enlarged" in note for note in report["notes"])
    assert "--crops 256 adds no detail" in shown
    (row,) = examples(tmp_path / "out").values()
    crop, points = crop_of(row, 0), row["crop_landmarks"][0]
    enlarged = 256 / report["clips"][0]["crop_side"]
    border = int(points[27, 0] - enlarged * (row["landmarks"][0, 27, 0] + 0.5))
    assert border > 20, "a tilt of a few degrees moves it by 10 pixels"
    assert crop[:, : border - 10].max() < 12 and crop[80:160, border + 10].max(-1).min() > 30
    right, left = eyes_of(points)
    np.testing.assert_allclose(left - right, [0.4 * 256, 0], atol=1e-2)

    assert main([*arguments, "--render", "--out", str(tmp_path / "drawn")]) == 0
    report = report_of(tmp_path / "drawn")
    assert report["counts"]["kept"] == 2
    row = examples(tmp_path / "drawn")["face.csv"]
    assert row["frame_size"].tolist() == [256, 256] and row["detected"].all()
    assert len(row["crop_offsets"]) == 6 and crop_of(row, 4).shape == (256, 256, 3)


@pytest.mark.parametrize("framing", ["eyes", "box"])
def test_framing_of_crops_is_stored_and_reaches_prediction(tmp_path, capsys, framing):
    """The same picture is cut alike in preparation and in prediction."""
    pytest.importorskip("dlib")
    clip = make_clip(0, 0, 1, frames=2)
    image = next(render(clip.true_landmarks, clip.identity))
    cv2.imwrite(str(tmp_path / "face.png"), image[..., ::-1])
    arguments = ["manifest", "--source", str(write_manifest(tmp_path, [("face.png", "p1", "joy")]))]
    arguments += ["--crops", "64", "--workers", "1", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--framing", framing]) == 0
    (row,) = examples(tmp_path / "out").values()
    crop, points = crop_of(row, 0), row["crop_landmarks"][0]
    wanted, inside = cut_crop(image, row["landmarks"][0], 64, FRAMINGS[framing])
    np.testing.assert_allclose(points, inside, atol=0.1)  # of the stored landmarks, rounded
    assert np.abs(crop.astype(int) - wanted).mean() < 4  # a JPEG
    other, _ = cut_crop(image, row["landmarks"][0], 64)
    assert np.abs(crop.astype(int) - other).mean() > 8
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["framing"] == FRAMINGS[framing]._asdict()
    assert main(arguments) == 1  # cut otherwise
    assert "prepared differently (other framing_of_crops)" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize("size", ["16", "1000", "big", "-64", "6.4"])
def test_impossible_crop_size_is_refused_at_once(capsys, size):
    with pytest.raises(SystemExit):
        main(["synthetic", "--out", "nowhere", f"--crops={size}"])
    assert "give 32 to 512 pixels" in " ".join(capsys.readouterr().err.split())


def test_real_landmark_files(tmp_path, real_data):
    source = real_data / "buhmap" / "manifest.csv"
    out = tmp_path / "buhmap"
    rows = list(csv.DictReader(source.read_text().splitlines()))[::12]
    listed = [(source.parent / r["path"], r["subject"], r["label"]) for r in rows]
    manifest = write_manifest(tmp_path, listed)
    assert main(["manifest", "--source", str(manifest), "--out", str(out)]) == 0
    assert report_of(out)["counts"] == {
        "seen": 30, "kept": 30, "dropped": 0, "read": 30, "reused": 0,
    }  # fmt: skip
    stored = collections.Counter(row["subject"].decode() for row in examples(out).values())
    assert stored == collections.Counter(r["subject"] for r in rows)


def test_real_motion_becomes_video(tmp_path, real_data):
    pytest.importorskip("dlib")
    source = real_data / "buhmap" / "manifest.csv"
    rows = list(csv.DictReader(source.read_text().splitlines()))[3::180]
    listed = [(source.parent / r["path"], r["subject"], r["label"]) for r in rows]
    manifest, out = write_manifest(tmp_path, listed), tmp_path / "out"
    arguments = ["manifest", "--source", str(manifest), "--out", str(out)]
    assert main([*arguments, "--crops", "64", "--render"]) == 0
    report = report_of(out)
    assert report["counts"]["kept"] == 2
    assert sum(r["detected"] for r in report["clips"]) > 0.95 * sum(
        r["frames"] for r in report["clips"]
    )


def test_real_videos(tmp_path, real_data):
    pytest.importorskip("dlib")
    videos = sorted(p for p in (real_data / "videos").iterdir() if "cap12" not in p.name)
    listed = [(path, "p", "joy") for path in videos]
    out = tmp_path / "videos"
    manifest = write_manifest(tmp_path, listed)
    assert main(["manifest", "--source", str(manifest), "--out", str(out)]) == 0
    rows = {pathlib.Path(row["clip_id"]).stem: row for row in report_of(out)["clips"]}
    assert not rows["corrupt_truncated_half"]["kept"]
    assert rows["rotated90_pixels"]["rotation"] == 270
    assert rows["pyfeat_multi_face"]["other_faces"] >= 2
    assert rows["intel_head-pose-face-detection-female-and-male"]["other_faces"] == 1
    for whole in ("pyfeat_single_face", "intel_asl_help", "intel_head-pose-face-detection-male"):
        assert rows[whole]["detected"] == rows[whole]["frames"]
    stored = {pathlib.Path(name).stem: row for name, row in examples(out).items()}
    gone = stored["pyfeat_face_noface"]["detected"]
    assert gone[:72].all(), "the first 72 frames show a face"
    assert not gone[72:].any(), "the rest shows a sky"
    upright, turned = (
        stored[name]["landmarks"] for name in ("pyfeat_single_face", "rotated90_pixels")
    )
    assert np.median(np.linalg.norm(upright - turned, axis=-1)) < 1.5
