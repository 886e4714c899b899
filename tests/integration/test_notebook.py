"""The quickstart notebook runs from top to bottom, on a bundle made here."""

import pathlib

import pytest

from fer_jax.synthetic.clips import CLASSES
from tests.bundles import LANDMARKS, write_bundle

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


@pytest.mark.parametrize("threshold", [None, 0.0])
def test_notebook_runs_headless(stored, tmp_path, monkeypatch, threshold):
    how = {"rule": "uniform", "seconds": 2.0}
    write_bundle(tmp_path / "model", LANDMARKS, CLASSES, threshold, **how)
    monkeypatch.setenv("FER_JAX_BUNDLE", str(tmp_path / "model"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    done = nbclient.NotebookClient(stored, timeout=300, resources=place).execute()

    outputs = {cell.id: cell.outputs for cell in done.cells if cell.cell_type == "code"}
    said = [output for cell in outputs.values() for output in cell if "name" in output]
    assert [output.text for output in said if output.name == "stderr"] == []
    for figure in ("certain-figure", "uncertain-figure", "risk"):
        assert any("image/png" in output.get("data", {}) for output in outputs[figure]), figure
    for mode in ("stored", "recalibrated", "MC dropout"):
        assert mode in outputs["modes"][0].data["text/html"]
    table = outputs["abstain"][-1].data["text/html"]
    withheld = table.count("<tr") - 1
    # Above nothing at all every clip is unsure; without a threshold the least certain fifth is.
    assert withheld == (28 if threshold == 0.0 else 6)
