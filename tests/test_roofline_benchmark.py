"""The share of the machine's peak: every row refers to the peak that is printed."""

import re

import pytest

pytest.importorskip("torch", reason="the PyTorch mirrors need torch: pip install torch")

from benchmarks import roofline, sides  # noqa: E402
from benchmarks.rows import Row  # noqa: E402

NUMBERS = re.compile(
    r"(?m)^\| ST-BLN, toy, \w+ \| ([\d.]+) \| ([\d.e+-]+) \(([\d.]+) to ([\d.]+)\) "
    r"\| (\d+) \| (\d+)% \|$"
)


def test_shares_are_of_the_printed_peak(monkeypatch, capsys):
    options = {"frames": 5, "edges": 60, "widths": (16,)}
    rows = [Row("ST-BLN", "toy", what, 256, options) for what in ("forward", "mc")]
    monkeypatch.setattr(roofline, "ROWS", {"st_bln": rows})
    monkeypatch.setattr(roofline, "SIDE", 64)
    monkeypatch.setattr(roofline, "LONG", 2**10)
    monkeypatch.setattr(sides, "SAMPLES", 2)
    roofline.main(["st_bln", "--repeats", "3"])
    text = capsys.readouterr().out
    peak = int(re.search(r"Peak of the matrix product: (\d+) GFLOP/s", text)[1])
    found = [tuple(map(float, each)) for each in NUMBERS.findall(text)]
    assert len(found) == len(rows) and found[1][0] > found[0][0] > 0
    for work, middle, low, high, rate, share in found:
        assert low <= middle <= high
        assert rate == pytest.approx(1e3 * work / middle, abs=1 + 0.005e3 / middle)
        assert share == pytest.approx(100 * rate / peak, abs=1 + 100 * (rate + peak) / peak**2)
