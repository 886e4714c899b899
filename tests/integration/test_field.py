"""The rows of `python -m benchmarks.field` that need no training, on real inputs."""

import pytest

from benchmarks.field.__main__ import FAULTS, FIELD, answer_of, main
from benchmarks.field.inputs import Answer, Inputs, Row

# those that the tests of their rooms have on inputs of their own take longest here
LEFT_OUT = {
    "threads", "late_side", "folder", "numbers", "colon", "dump_epoch", "dump_suffix", "F8", "F9",
    "F12b",
}  # fmt: skip
QUICK = [row for row in FIELD + FAULTS if not row.slow and row.name not in LEFT_OUT]


@pytest.fixture(scope="module")
def inputs(real_data, finished_run, tmp_path_factory):
    pytest.importorskip("dlib")
    folder = tmp_path_factory.mktemp("field")
    return Inputs(real_data / "field", folder, folder, finished_run("landmarks").bundle)


@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.name)
def test_row_is_right(row, inputs):
    answer = answer_of(row, inputs)
    assert answer.right, answer.said


def test_wrong_answer_is_told_by_the_exit_code(tmp_path, monkeypatch, capsys):
    def fails(inputs):
        raise ValueError("no face | here")

    rows = [Row("a", "kind", "given", lambda inputs: Answer("fine", True)),
            Row("b", "kind", "given", fails),
            Row("c", "kind", "given", fails, slow=True)]  # fmt: skip
    monkeypatch.setattr("benchmarks.field.__main__.FIELD", rows)
    monkeypatch.setattr("benchmarks.field.__main__.FAULTS", [])
    assert main([str(tmp_path), "--quick"]) == 1
    shown = capsys.readouterr().out
    assert "| a | kind | given | fine | yes |" in shown and "1 of 2 right" in shown
    assert "| b | kind | given | ValueError: no face / here | NO |" in shown
    assert main([str(tmp_path), "--row", "a"]) == 0
