"""Reading many clips: finished ones are cached, bad ones listed, and none stops the others."""

import dataclasses
import os
import pathlib
import time

import numpy as np
import pytest

from fer_jax.faces.sequence import ClipError, Sequence
from preprocess import pipeline
from preprocess.clip import Clip, LandmarkSource
from preprocess.read import Reader
from preprocess.workers import processes
from preprocess.workers.processes import Processes
from tests.official_trees import put


@dataclasses.dataclass(frozen=True)
class Made(LandmarkSource):
    """A source of landmarks, or of trouble, that records when it is read."""

    folder: str
    name: str
    trouble: str = ""

    def first(self) -> bool:
        """Whether this is the first reading."""
        return times_read(pathlib.Path(self.folder), self.name) == 1

    def load(self) -> Sequence:
        with open(pathlib.Path(self.folder) / f"{self.name}.read", "a") as trace:
            trace.write("x")
        if self.trouble == "kill" or self.trouble == "kill once" and self.first():
            os.kill(os.getpid(), 9)
        if self.trouble == "error":
            raise RuntimeError("decoder went mad")
        if self.trouble == "clip":
            raise ClipError("unreadable", "nothing in it")
        frames = 3 + len(self.name)
        points = np.random.default_rng(frames).uniform(1, 200, (frames, 68, 2)).astype(np.float32)
        seen = np.full(frames, self.trouble != "faceless")
        indices = np.arange(frames, dtype=np.int32)
        return Sequence(points, seen, indices, 25.0, (320, 240), np.full((frames, 2), 0.5))


def clips_of(folder, **trouble) -> list[Clip]:
    return [Clip(n, "p", "joy", Made(str(folder), n, t)) for n, t in trouble.items()]


def run(clips, cache, workers=2):
    results = list(pipeline.read_all(clips, cache, workers=Processes(workers)))
    assert sorted(position for position, _, _ in results) == list(range(len(clips)))
    return {clips[p].clip_id: (outcome, file) for p, outcome, file in results}


def times_read(folder, name: str) -> int:
    trace = folder / f"{name}.read"
    return len(trace.read_text()) if trace.exists() else 0


def test_failures_are_listed_and_other_clips_read(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "START_METHOD", "spawn")  # as in a command
    clips = clips_of(tmp_path, a="", bb="clip", c="error", d="kill", e="faceless", ffff="")
    listed = Clip("g", "p", "joy", None, problem=ClipError("empty label", "line 7"))
    done = run([*clips, listed], tmp_path / "cache")
    reasons = {name: outcome.reason for name, (outcome, _) in done.items()}
    assert reasons == {
        "a": "", "bb": "unreadable", "c": "failed", "d": "crashed", "e": "no face", "ffff": "",
        "g": "empty label",
    }  # fmt: skip
    assert "decoder went mad" in done["c"][0].detail
    outcome, file = done["ffff"]
    assert (outcome.frames, outcome.detected) == (7, 7)
    stored, made = pipeline.load_sequence(file), clips[5].source.load()
    for field in dataclasses.fields(Sequence):
        np.testing.assert_array_equal(getattr(stored, field.name), getattr(made, field.name))


def test_finished_clips_are_not_read_again(tmp_path):
    clips = clips_of(tmp_path, a="", b="", c="clip")
    cache = tmp_path / "cache"
    first = run(clips[:2], cache)
    second = run(clips, cache)
    third = run(clips, cache)
    assert [times_read(tmp_path, name) for name in "abc"] == [1, 1, 1]
    assert not any(outcome.reused for outcome, _ in first.values())
    assert [second[name][0].reused for name in "abc"] == [True, True, False]
    assert [third[name][0].reused for name in "abc"] == [True, True, True]
    assert third["c"][0].reason == "unreadable"
    assert third["a"] == second["a"]


def test_half_written_and_unknown_failures_are_read_again(tmp_path):
    clips, cache = clips_of(tmp_path, a="", b="error"), tmp_path / "cache"
    file = run(clips, cache)["a"][1]
    file.write_bytes(file.read_bytes()[:200])
    again = run(clips, cache)
    assert again["a"][0].frames == 4
    assert [times_read(tmp_path, name) for name in "ab"] == [2, 2]


def test_number_of_workers_changes_nothing(tmp_path):
    clips = clips_of(tmp_path, a="", b="clip", ccc="", dddd="", e="")
    one, three = (run(clips, tmp_path / str(n), workers=n) for n in (1, 3))
    for name, (outcome, file) in one.items():
        assert three[name][0] == outcome
        if not outcome.reason:
            assert np.array_equal(
                pipeline.load_sequence(file).landmarks,
                pipeline.load_sequence(three[name][1]).landmarks,
            )


def test_another_file_is_another_clip(tmp_path):
    path = tmp_path / "a.csv"
    clip = Clip("a", "p", "joy", path)
    path.write_text("one")
    names = {pipeline.cache_file(clip, tmp_path, "")}
    path.write_text("other")
    names.add(pipeline.cache_file(clip, tmp_path, ""))
    os.utime(path, (time.time(), time.time() + 5))
    names.add(pipeline.cache_file(clip, tmp_path, ""))
    names.add(pipeline.cache_file(clip, tmp_path, "other_model.dat"))
    names.add(pipeline.cache_file(dataclasses.replace(clip, fps=25.0), tmp_path, ""))
    names.add(pipeline.cache_file(clip, tmp_path, "", 64))
    names.add(pipeline.cache_file(clip, tmp_path, "", 96))
    relabelled = dataclasses.replace(clip, label="fear", subject="q", split="test")
    assert len(names) == 7
    assert pipeline.cache_file(relabelled, tmp_path, "") == pipeline.cache_file(clip, tmp_path, "")


@dataclasses.dataclass(frozen=True)
class Wrapped:
    """A source of a dataset's own that reads a file."""

    path: pathlib.Path = dataclasses.field(repr=False)


def test_changed_file_behind_a_source_is_another_clip(tmp_path):
    clip = Clip("a", "p", "joy", Wrapped(tmp_path / "a.csv"))
    assert run([clip], tmp_path / "cache")["a"][0].reason == "missing file"
    clip.source.path.write_text("one")
    before = pipeline.cache_file(clip, tmp_path, "")
    clip.source.path.write_text("other")
    assert pipeline.cache_file(clip, tmp_path, "") != before


def test_new_frame_in_a_folder_is_another_clip(tmp_path):
    clip = Clip("a", "p", "joy", tmp_path / "frames")
    assert run([clip], tmp_path / "cache")["a"][0].reason == "missing file"
    put(clip.source / "1.png", "one")
    before = pipeline.cache_file(clip, tmp_path, "")
    put(clip.source / "2.png", "two")
    assert pipeline.cache_file(clip, tmp_path, "") != before


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_impossible_landmarks_drop_their_clip(tmp_path, monkeypatch, value):
    made = Made.load

    def damaged(self):
        sequence = made(self)
        sequence.landmarks[1, 5, 0] = value
        return sequence

    monkeypatch.setattr(Made, "load", damaged)
    clip = clips_of(tmp_path, a="")[0]
    assert pipeline._read(Reader(), clip)[0].reason == "impossible landmarks"


@pytest.mark.parametrize("value", [np.inf, -0.2, 5])
def test_impossible_action_units_drop_their_clip(tmp_path, monkeypatch, value):
    made = Made.load

    def coded(self, value):
        sequence = made(self)
        sequence.action_units[2, 1] = value
        return sequence

    monkeypatch.setattr(Made, "load", lambda self: coded(self, np.nan))  # unknown
    clip = clips_of(tmp_path, a="")[0]
    assert pipeline._read(Reader(), clip)[0].reason == ""
    monkeypatch.setattr(Made, "load", lambda self: coded(self, value))
    outcome, sequence = pipeline._read(Reader(), clip)
    assert outcome.reason == "impossible code" and sequence is None
    assert outcome.detail == f"action unit 2 of 2 is {value:g} in frame 2, not 0 to 1 or unknown"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"text"])
def test_damaged_cache_file_is_no_outcome(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    assert pipeline.load_outcome(tmp_path / "x.npz") is None
