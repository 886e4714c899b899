"""The quickstart notebook runs from top to bottom, on a bundle made here."""

import copy
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


def test_notebook_runs_headless(stored, tmp_path, monkeypatch):
    """On a bundle without a threshold and, in the same kernel, on one that is always unsure."""
    how = {"rule": "uniform", "seconds": 2.0}
    for name, threshold in (("model", None), ("unsure", 0.0)):
        write_bundle(tmp_path / name, LANDMARKS, CLASSES, threshold, **how)
    monkeypatch.setenv("FER_JAX_BUNDLE", str(tmp_path / "model"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    again = [copy.deepcopy(cell) for cell in stored.cells if cell.cell_type == "code"]
    for cell in again:
        cell.id += "-again"
    other = f"os.environ['FER_JAX_BUNDLE'] = {str(tmp_path / 'unsure')!r}"
    stored.cells += [nbformat.v4.new_code_cell(other), *again]
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    done = nbclient.NotebookClient(stored, timeout=300, resources=place).execute()

    outputs = {cell.id: cell.outputs for cell in done.cells if cell.cell_type == "code"}
    said = [output for cell in outputs.values() for output in cell if "name" in output]
    assert [output.text for output in said if output.name == "stderr"] == []
    # Above nothing at all every clip is unsure; without a threshold the least certain fifth is.
    for which, unsure in (("", 6), ("-again", 28)):
        for figure in ("certain-figure", "uncertain-figure", "risk"):
            shown = outputs[figure + which]
            assert any("image/png" in output.get("data", {}) for output in shown), figure
        for mode in ("stored", "recalibrated", "MC dropout"):
            assert mode in outputs["modes" + which][0].data["text/html"]
        table = outputs["abstain" + which][-1].data["text/html"]
        assert table.count("<tr") - 1 == unsure
