"""A million videos on paper follow from what was measured."""

import re

from benchmarks.prepare_scale import Measured, Row, paper

FEW = Row("landmarks", 10, Measured(1, 100, 80), Measured(1, 120, 90), 1, 1, 0.1)
MANY = Row("landmarks", 1010, Measured(99, 102, 80), Measured(99, 123, 90), 99, 99, 10.1)
VIDEOS = Row("videos, crops", 1000, Measured(500, 90, 80), Measured(10, 90, 80), 200, 100, 9)


def numbers(line: str) -> list[float]:
    return [float(each.replace(",", "")) for each in re.findall(r"\d[\d,]*(?:\.\d+)?", line)]


def test_a_million_videos_follow_by_the_rule_of_three():
    _, reading, making, disk, memory, tasks = map(numbers, paper(FEW, MANY, VIDEOS, 400.0))
    # five times as many frames as measured
    assert reading == [2.5, 43.4, 16, 2.7, 256, 0.3, 2048]
    assert making == [14]
    assert disk == [1.0, 1_000_000, 0.5]
    assert memory == [2.0, 2.9, 9.8]  # 2 and 3 kB more for each further clip, 10 kB of report
    assert tasks == [400, 1000]
    assert len(paper(FEW, MANY, VIDEOS, None)) == 5
