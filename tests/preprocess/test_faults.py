"""A short part of the campaign of faults: the whole one is `python -m benchmarks.faults`."""

import shutil

import pytest

from benchmarks.faults import material, preparation
from benchmarks.faults.__main__ import WELL


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
