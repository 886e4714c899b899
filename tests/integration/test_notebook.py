"""The quickstart notebook runs from top to bottom; `.ci/smoke` runs it with the wheel."""

import pathlib

import pytest

nbclient = pytest.importorskip("nbclient", reason="needs the extra: pip install .[notebook]")
nbformat = pytest.importorskip("nbformat")

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks/quickstart.ipynb"


@pytest.fixture
def stored():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_stored_notebook_is_valid_and_clean(stored):
    nbformat.validate(stored)
    assert len({cell.id for cell in stored.cells}) == len(stored.cells)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)


def test_notebook_runs_headless(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    place = {"metadata": {"path": str(tmp_path)}}
    done = nbclient.NotebookClient(stored, timeout=300, resources=place).execute()

    outputs = {cell.id: cell.outputs for cell in done.cells if cell.cell_type == "code"}
    said = [output for cell in outputs.values() for output in cell if "name" in output]
    assert [output.text for output in said if output.name == "stderr"] == []
    assert outputs["install"] == []  # it is installed
    assert "happiness; the 90% set holds happiness" in outputs["faces"][0].text
    assert "image/jpeg" in outputs["faces"][-1].data
    blurring = outputs["trust"][-1].data["text/html"]
    places = [blurring.index(word) for word in ("False", "<td>unfamiliar<", "unreadable")]
    assert places == sorted(places)
    assert "accuracy 0.9" in outputs["mc"][0].text
    assert "image/png" in outputs["risk"][-1].data
    assert list(tmp_path.iterdir()) == []
