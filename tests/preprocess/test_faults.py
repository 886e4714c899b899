"""A short part of the campaign of faults: the whole one is `python -m benchmarks.faults`."""

import os
import shutil

import pytest

from benchmarks.faults import material, preparation
from benchmarks.faults.__main__ import WELL
from fer_jax.faces.sequence import ClipError
from preprocess import annotations, pipeline, store
from preprocess.clip import Codes, SourceError
from preprocess.datasets import fer2013_images, mmi


@pytest.fixture
def small(prepared, tmp_path):
    """What is damaged: a small dataset and a landmark file."""
    made = material.Material(tmp_path)
    shutil.copytree(prepared, made.prepared, ignore=shutil.ignore_patterns(".*"))
    material.write_csv(made.csv)
    return made


@pytest.mark.parametrize(
    ("part", "count"),
    [
        (preparation.flips, 20),
        (preparation.landmark_files, 60),
        (preparation.manifests, 3),
        (preparation.media, 4),
    ],
)
def test_damage_is_refused_or_changes_nothing(small, part, count):
    if part is preparation.media:
        pytest.importorskip("dlib")
    cases = list(part(small, count, seed=1))
    assert len(cases) == count
    assert [case for case in cases if case.end not in WELL] == []
    ends = {case.end for case in cases}
    assert "refused" in ends or part in (preparation.manifests, preparation.media)


@pytest.mark.parametrize(
    "read",
    [
        lambda path: annotations.read_codes(Codes(path, ("AU01",))),
        lambda path: list(fer2013_images.read_cells(path, ["usage"])),
        lambda path: mmi._wanted(str(path)),
    ],
)
def test_pipe_in_place_of_a_table_is_refused(tmp_path, read):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises((ClipError, SourceError), match=r"a\.csv.* no regular file"):
        read(tmp_path / "a.csv")


def test_pipe_in_place_of_what_was_prepared_is_prepared_again(tmp_path):
    os.mkfifo(tmp_path / "report.json")
    assert store.read_report(tmp_path) == {}
    assert pipeline.load_outcome(tmp_path / "report.json") is None
