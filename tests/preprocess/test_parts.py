"""Parts of a dataset that are prepared separately make the dataset that one command makes."""

import argparse
import json
import subprocess
import sys
import time

import pytest

from fer_jax import storage
from fer_jax.synthetic.clips import make_clip
from preprocess import datasets, parts
from preprocess.__main__ import main
from preprocess.clip import Clip
from preprocess.read import needs_detection
from tests.conftest import ROOT
from tests.official_trees import stored, write_openface
from tests.preprocess.test_pipeline import clips_of


def manifest(folder, names=(*"abcdef", "missing"), column="", cell=""):
    """Seven clips of landmarks, or others; one is missing, one is no table."""
    folder.mkdir()
    for person, name in enumerate("abcde"):
        write_openface(folder / f"{name}.csv", make_clip(0, person, 1).landmarks)
    (folder / "f.csv").write_text("no table")
    rows = [
        f"{name if '.mp4' in name else f'{name}.csv'},p{place % 2},{('joy', 'fear')[place % 2]},"
        f"640,{cell}"
        for place, name in enumerate(names)
    ]
    (folder / "clips.csv").write_text("\n".join([f"path,subject,label,width,{column}", *rows]))
    return ["manifest", "--source", str(folder / "clips.csv"), "--workers", "1"]


def report_of(out) -> dict:
    """What became of the clips, whether read now or before."""
    report = json.loads((out / "report.json").read_text())
    for row in report["clips"]:
        del row["reused"]
    counts = {key: report["counts"][key] for key in ("seen", "kept", "dropped")}
    return {**report, "counts": counts}


def test_merged_shards_are_the_dataset_of_one_command(tmp_path, capsys):
    command, one, out = manifest(tmp_path / "raw"), tmp_path / "one", tmp_path / "many"
    assert main([*command, "--out", str(one)]) == 0
    capsys.readouterr()
    merge = [*command, "--out", str(out), "--merge"]
    assert main(merge) == 1
    assert "no shard has ended" in capsys.readouterr().err
    for shard in ("1/3", "3/3"):
        assert main([*command, "--out", str(out), "--shard", shard]) == 0
        assert f"shard {shard} is done" in capsys.readouterr().out
    assert not (out / "report.json").exists()
    assert main(merge) == 1
    error = capsys.readouterr().err
    assert "2 of 7 clips have not been read with these options (b.csv, e.csv)" in error
    assert "; shards that have not ended: 2/3" in error
    assert main([*command, "--out", str(out), "--shard", "2/3"]) == 0
    assert main(merge) == 0
    said = capsys.readouterr().out
    assert "looking for finished clips: 7/7, 5 found" in said and "Prepared in" in said
    assert stored(out) == stored(one)
    assert report_of(out) == report_of(one)
    assert not list((out / ".clips").glob("shard*"))


def test_merge_finds_what_shards_did_not_look_at(tmp_path):
    """Missing clips, and the same file twice, in another shard."""
    names = ["gone.mp4", "a", "./a", "a", "missing", "b", "c"]
    command, one, out = manifest(tmp_path / "raw", names), tmp_path / "one", tmp_path / "many"
    assert main([*command, "--out", str(one)]) == 0
    for more in (["--shard", "1/2"], ["--shard", "2/2"], ["--merge"]):
        assert main([*command, "--out", str(out), *more]) == 0
    assert stored(out) == stored(one)
    assert report_of(out) == report_of(one)
    assert report_of(out)["counts"] == {"seen": 7, "kept": 3, "dropped": 4}


@pytest.mark.parametrize(
    ("names", "column", "looked_at"),
    [
        ("abcdef", "", "be"),
        ("abcdef", "note", "be"),
        ("abcdef", "person", "abcdef"),
        ("abcdef", "action_units", "abcdef"),
        (["x.mp4", "a", "y.mp4", "b", "c", "z.mp4"], "", ["x.mp4", "a", "y.mp4", "c", "z.mp4"]),
    ],
)
def test_shard_looks_at_its_own_files(tmp_path, monkeypatch, names, column, looked_at):
    looked, original = [], datasets.manifest.resolved
    monkeypatch.setattr(
        datasets.manifest,
        "resolved",
        lambda path, missing: looked.append(path.name) or original(path, missing),
    )
    command = manifest(tmp_path / "raw", names, column)
    assert main([*command, "--out", str(tmp_path / "out"), "--shard", "2/3"]) == 0
    assert looked == [n if ".mp4" in n else f"{n}.csv" for n in looked_at]
    looked.clear()
    assert main([*command, "--shard", "2/3", "--dry-run"]) == 0
    assert len(looked) == 6


def test_one_video_that_is_there_decides_for_all_shards(tmp_path):
    """Whether a model of landmarks is in use, which is part of how clips are read."""
    manifest(tmp_path / "raw", ["gone.mp4", "x.mp4", "a", "y.mp4", "b", "z.mp4"])
    for name in "xyz":
        (tmp_path / "raw" / f"{name}.mp4").touch()
    how = {"dry_run": False, "people": "", "render": False}
    looked = {}
    for index in (1, 2, 3):
        options = argparse.Namespace(shard=parts.Part(index, 3), **how)
        clips = list(datasets.manifest.clips(tmp_path / "raw" / "clips.csv", options))
        looked[index] = [clip.problem is None for clip in clips]
        assert any(map(needs_detection, clips))
    assert looked == {index: [False, *[True] * 5] for index in (1, 2, 3)}


def test_shard_of_very_many_is_named_soon(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    parts.Part(2, 10**9).write_record(cache, [], [])
    unread = [parts.Outcome(parts.UNREAD)]
    with pytest.raises(parts.SourceError, match="1/1000000000, 3/1000000000, .*, ...:"):
        parts.merged(cache, clips_of(tmp_path, a=""), unread, [cache / "a.npz"])


def test_clips_that_fail_in_a_shard_are_not_missing(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    cache.mkdir()
    clips = clips_of(tmp_path, a="", b="error")
    files = [cache / "a.npz", cache / "b.npz"]
    files[0].write_text("")
    outcomes = [parts.Outcome(), parts.Outcome("failed", "decoder went mad")]
    parts.Part(1, 1).write_record(cache, outcomes, files)
    found = [parts.Outcome(), parts.Outcome(parts.UNREAD)]
    assert parts.merged(cache, clips, found, files) == outcomes
    parts.Part(1, 1).record(cache).write_text('{"b.npz": ')  # damaged
    with pytest.raises(parts.SourceError, match="1 of 2 clips .*no shard has ended"):
        parts.merged(cache, clips, found, files)


def test_every_clip_is_in_one_part_and_people_of_a_file_are_together(tmp_path):
    clips = [Clip(f"c{n}", "p", "joy", tmp_path / f"{n // 3}.mp4", person=n % 3) for n in range(20)]
    chosen = [parts.Part(index, 4).of(clips) for index in range(1, 5)]
    assert sorted(clip.clip_id for part in chosen for clip in part) == sorted(
        clip.clip_id for clip in clips
    )
    for clip in clips:
        if clip.person:
            together = [c for c in clips if c.source == clip.source and c.person]
            assert [set(together) <= set(part) for part in chosen].count(True) == 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "-1/3", "1/3/5"])
def test_impossible_part_is_refused(text, capsys):
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 to N"):
        parts.part(text)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shard", "1/2", "--merge"], "prepare every shard, then merge"),
        (["--shard", "1/2", "--cluster", "tcp://a:1"], "omit it, or --cluster"),
        (["--cluster", "tcp://a:1", "--workers", "2"], "has its own"),
    ],
)
def test_contradicting_options_are_refused(tmp_path, capsys, more, message):
    assert main(["synthetic", "--out", str(tmp_path / "out"), *more]) == 2
    assert message in capsys.readouterr().err


def test_shards_run_side_by_side_and_keep_others_out(tmp_path, capsys):
    out = tmp_path / "out"
    sizes = ["--subjects", "8", "--clips-per-subject", "40", "--workers", "1"]
    command = ["synthetic", "--out", str(out), *sizes]
    shards = [
        subprocess.Popen(
            [sys.executable, "-m", "preprocess", *command, "--shard", f"{index}/2"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        for index in (1, 2)
    ]
    deadline = time.monotonic() + 60
    while len(list((out / ".clips").glob("*.npz"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    for refused, said in (
        (["--merge"], f"{out} is in use by another process: wait"),
        (["--shard", "1/2"], f"shard 1/2 of {out} is in use by process {shards[0].pid} on "),
    ):
        assert main([*command, *refused]) == 1
        assert said in (error := capsys.readouterr().err)
    assert error.endswith("wait until it has ended, or give another --shard\n")
    for shard in shards:
        text, _ = shard.communicate(timeout=60)
        assert shard.returncode == 0 and "160 kept, 0 dropped" in text, text
    with storage.lock(out):
        assert main([*command, "--shard", "1/2"]) == 1
    assert "is in use by process" in capsys.readouterr().err
    assert main([*command, "--merge"]) == 0
