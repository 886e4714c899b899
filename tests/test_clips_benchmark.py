"""The table of what a model says to clips."""

import pytest

from benchmarks import clips
from fer_jax import shipped


def rows_of(capsys, *arguments: str) -> list[list[str]]:
    clips.main(list(arguments))
    lines = capsys.readouterr().out.splitlines()
    assert len({line.count("|") for line in lines}) == 1, "rows differ in cells"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_table_has_a_row_for_a_face_and_one_for_a_broken_file(tmp_path, capsys):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    face, other = rows_of(capsys, "faces", str(shipped.PORTRAIT), str(broken))
    assert face[:3] == ["portrait.jpg", "1", "1"]
    assert face[3:5] == ["1", "happiness 1.00"] and face[5] == "1.00"
    assert other[0] == "broken.mp4" and "not a video" in other[-1]
    assert str(tmp_path) not in other[-1]


def test_model_without_classes_is_refused():
    with pytest.raises(SystemExit, match="synthetic has no classes"):
        clips.main(["synthetic", str(shipped.PORTRAIT)])
