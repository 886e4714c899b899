"""The command that measures speed: its rows can be built, and another checkout can be asked."""

import pytest

pytest.importorskip("torch", reason="the PyTorch mirrors need torch: pip install torch")

from benchmarks import against, rows, speed  # noqa: E402
from benchmarks.pairs import SYSTEMS  # noqa: E402

OLD = """
class Ours:
    def __init__(self, *sizes):
        self.sizes = sizes

    def step(self):
        return float(sum(self.sizes))
"""
NEW = """
def make_ours(row, dtype):
    return row

"""
ROW = """
class Row:
    def __init__(self, batch, **_):
        self.batch = batch

    def step(self):
        return self.batch / 2
"""


@pytest.mark.parametrize("system", rows.ROWS)
def test_every_row_has_a_network_and_a_name_of_its_own(system):
    found = rows.ROWS[system]
    assert len({row.name for row in found}) == len(found)
    for row in found:
        if row.what != "search":
            SYSTEMS[row.system](**row.options).make("float32", False)
            SYSTEMS[row.system](**row.options | row.mirror)
        assert set(row.ways) <= set(rows.WAYS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["agcn"], "no system agcn"), (["st_bln", "--rows", "T=5"], "no row has T=5")],
)
def test_unknown_systems_and_rows_end_before_any_work(arguments, message, capsys):
    with pytest.raises(SystemExit):
        speed.main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"speed.py": OLD}, 128 + 4 + 309 + 100),  # before the harness: batch, T, edges, samples
        ({"speed.py": NEW, "rows.py": ROW}, 64),
    ],
)
def test_another_checkout_times_a_row(tmp_path, files, expected):
    (tmp_path / "benchmarks").mkdir()
    for name, text in files.items():
        (tmp_path / "benchmarks" / name).write_text(text)
    row = rows.ROWS["st_bln"][0]
    with against.Checkout(tmp_path, row, "float32") as other:
        assert [other.step(), other.step()] == [expected, expected]


def test_checkout_that_cannot_time_a_row_says_so(tmp_path, capfd):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "speed.py").write_text(OLD)
    with (
        against.Checkout(tmp_path, rows.ROWS["fer_gcn"][0], "float32") as other,
        pytest.raises(SystemExit, match="the other checkout failed"),
    ):
        other.forward()
    assert "cannot time FER-GCN" in capfd.readouterr().err
