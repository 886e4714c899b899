"""Tables of documents: Markdown, CSV and LaTeX that parses."""

import csv
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_jax import tables
from fer_jax.tables import Cell, Table

TABLE = Table(
    "Accuracy on 100% of CK+",
    ("Method", "Acc(%)", "#Params"),
    (
        ("[24] & others", "46.48", "-"),
        (Cell("ST-BLN", bold=True), Cell("36.11", ("other clips",)), "132.3k"),
        ("ours", Cell("35.00", ("other clips", "2 epochs_only")), Cell("535,7k")),
    ),
    ("Means of 10 folds ± their deviation.",),
    (1,),
)


def cells_of(latex: str) -> list[list[str]]:
    """Parses the LaTeX of a table as TeX reads it: balanced groups, equal rows.

    Returns:
      The cells of each row, the headings first.
    """
    assert latex.isascii()
    text = re.sub(r"(?<!\\)%.*", "", latex)
    depth, open_math, stack = 0, False, []
    for token in re.findall(r"\\(?:[A-Za-z]+|.|\n)|[{}$^_#~&]|[^\\]", text):
        depth += (token == "{") - (token == "}")
        assert depth >= 0, "a group is closed that is not open"
        open_math ^= token == "$"
        assert token not in ("^", "_", "#") or open_math, f"{token} outside of mathematics"
    assert depth == 0 and not open_math
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        stack.append(name) if what == "begin" else None
        assert what == "begin" or stack.pop() == name
    assert not stack
    column = r"[lr]|p\{(0\.\d\d)\\linewidth\}"
    columns, body = re.search(
        rf"\\begin\{{tabular\}}\{{((?:{column})+)\}}\n(.*)\\end\{{tabular\}}", text, re.S
    ).group(1, 3)
    count = len(re.findall(column, columns))
    assert sum(map(float, filter(None, re.findall(column, columns)))) <= 1
    body = re.sub(r"\\raggedright |^\\\w+rule\n", "", body, flags=re.M)
    rows = re.findall(r"^(.*) \\tabularnewline$", body, re.M)
    assert not any(row.startswith(("[", "*")) for row in rows), "an argument of the row before"
    found = [re.split(r"(?<!\\)&", row) for row in rows]
    assert {len(row) for row in found} == {count}
    return [[cell.strip() for cell in row] for row in found]


def test_markdown():
    assert tables.markdown(TABLE) == (
        "**Accuracy on 100% of CK+**\n\n"
        "| Method | Acc(%) | #Params |\n|---|---|---|\n"
        "| [24] & others | 46.48 | - |\n"
        "| **ST-BLN** | 36.11<sup>1</sup> | 132.3k |\n"
        "| ours | 35.00<sup>1,2</sup> | 535,7k |\n\n"
        "<sup>1</sup> other clips.  \n<sup>2</sup> 2 epochs_only.  \n\n"
        "Means of 10 folds ± their deviation.\n"
    )


def test_latex():
    text = tables.latex(TABLE, "st_bln table 1")
    assert r"\caption{Accuracy on 100\% of CK+}" in text and r"\label{tab:st-bln-table-1}" in text
    assert r"\begin{tabular}{lrr}" in text
    assert cells_of(text) == [
        ["Method", r"Acc(\%)", r"\#Params"],
        [r"{}[24] \& others", "46.48", "-"],
        [r"\textbf{ST-BLN}", r"36.11\textsuperscript{1}", "132.3k"],
        ["ours", r"35.00\textsuperscript{1,2}", "535,7k"],
    ]
    assert r"\textsuperscript{2}~2 epochs\_only." in text
    assert r"Means of 10 folds $\pm$ their deviation.\par" in text
    assert text.index(r"\midrule" + "\n" + r"\textbf{ST-BLN}") > 0


@settings(max_examples=30)
@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=50)), max_size=4))
def test_latex_of_any_text_parses(rows):
    table = Table("é|%\n", ("#", "_{}"), tuple((Cell(a, (b,)), b) for a, b in rows), ("\\",))
    assert len(cells_of(tables.latex(table, "a_b$"))) == len(rows) + 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("93.21±2.32", r"93.21$\pm$2.32"), ("Özbeý", r'\"{O}zbe\'{y}'), ("表", "[U+8868]"),
     ("a\\b", r"a\textbackslash{}b"), ("--out -- ---", r"-{}-out -{}- -{}-{}-"),
     ("RMSE ↓", r"RMSE $\downarrow$"),
     ("a\nb", r"a\textbackslash{}nb")],
)  # fmt: skip
def test_characters_of_latex(text, wanted):
    assert tables.escape(text) == wanted


def test_a_wide_table_is_broken_into_lines():
    words = "a text that is much longer than all the numbers beside it, three lines of a page " * 3
    row = ("C&A", *["0.95684"] * 8, words)
    text = tables.latex(Table("wide", tuple(f"RMSE {n}" for n in range(10)), (row,)), "wide")
    assert r"\scriptsize" in text and r"\begin{tabular}{lrrrrrrrrp{0." in text
    assert len(cells_of(text)[1]) == 10
    narrow = tables.latex(Table("narrow", ("a", "b"), (("1", "2"),)), "narrow")
    assert r"\begin{tabular}{rr}" in narrow and "size" not in narrow


def test_files(tmp_path):
    files = tables.write(TABLE, tmp_path / "new", "table1")
    assert [file.name for file in files] == ["table1.md", "table1.csv", "table1.tex"]
    assert files[0].read_text() == tables.markdown(TABLE)
    assert files[2].read_text() == tables.latex(TABLE, "new-table1")
    with files[1].open() as file:
        rows = list(csv.DictReader(file))
    assert rows[2] == {
        "Method": "ours", "Acc(%)": "35.00", "#Params": "535,7k",
        "notes": "other clips; 2 epochs_only",
    }  # fmt: skip


def test_headings_that_occur_twice_stay_apart_in_csv():
    (row,) = tables.records(Table("", ("a", "ours", "b", "ours"), (("1", "2", "3", "4"),)))
    assert row == {"a": "1", "ours": "2", "b": "3", "ours (2)": "4"}


def test_rows_have_as_many_cells_as_the_table_columns():
    with pytest.raises(ValueError, match="has 1 cells, but the table 2 columns"):
        Table("t", ("a", "b"), (("1",),))
