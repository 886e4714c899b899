"""Tables on the disk: no cell is a formula, numbers keep their digits, any name can be written."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax.tasks.csv_cells import save_csv

FORMULAS = ("=HYPERLINK(0)", "+1", "-1+2", "@SUM(A1)")


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_is_a_formula_gets_an_apostrophe(tmp_path, text):
    table = pd.DataFrame({text: [text, "joy", None], "x": pd.Categorical([text, "a", "b"])})
    save_csv(table, tmp_path / "t.csv")
    found = pd.read_csv(tmp_path / "t.csv")
    assert list(found) == [f"'{text}", "x"]
    assert found[f"'{text}"].tolist()[:2] == [f"'{text}", "joy"] and found["x"][0] == f"'{text}"


def test_numbers_stay_numbers(tmp_path):
    table = pd.DataFrame({"a": [-0.1 - 0.2, np.nan, -1e-17], "b": [True, False, True], "c": -3})
    save_csv(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == "-0.30000000000000004,True,-3"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), table, check_exact=False)


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_any_text_can_be_written_and_is_no_formula(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.csv"
    save_csv(pd.DataFrame({"clip": [text], "p": [0.5]}), file)
    rows = file.read_text("utf-8").split("\n")
    assert len(rows) == 3 and not rows[1].lstrip('"').startswith(("=", "+", "-", "@"))
    assert not any(ord(each) < 32 for each in rows[1])
