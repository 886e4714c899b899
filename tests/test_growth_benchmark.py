"""Exponents of costs, and the measurements behind them."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks import child, exponents, growth

SIZES = (16, 32, 64, 128, 256)


def costs_of(exponent: float, fixed: float, deviation: float = 0.0, seed: int = 0) -> np.ndarray:
    """Costs whose growing part is 10 at the largest size, with relative noise."""
    noise = np.random.default_rng(seed).standard_normal(len(SIZES))
    return (fixed + 10 * (np.array(SIZES) / SIZES[-1]) ** exponent) * (1 + deviation * noise)


@pytest.mark.parametrize("fixed", [0, 5])
@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5, 2.0])
def test_fit_finds_exponent_and_fixed_part(exponent, fixed):
    found = exponents.fit(SIZES, costs_of(exponent, fixed))
    assert found.exponent == pytest.approx(exponent)
    assert found.low <= exponent <= found.high
    assert (found.fixed, found.growing) == pytest.approx((fixed, 10), abs=1e-6)
    assert found.rise == pytest.approx((10 - 10 / 16**exponent) / (fixed + 10))
    np.testing.assert_allclose(found.at(SIZES), costs_of(exponent, fixed))


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_range_holds_the_exponent_of_noisy_costs(exponent):
    found = [exponents.fit(SIZES, costs_of(exponent, 5, 0.03, seed)) for seed in range(200)]
    assert np.mean([each.low <= exponent <= each.high for each in found]) >= 0.9
    worse = np.mean([each.worse_than_linear for each in found])
    assert worse <= 0.05 if exponent == 1.0 else worse >= 0.9


def test_costs_that_do_not_rise_above_the_noise_have_no_exponent():
    flat = [exponents.fit(SIZES, 20 + 0.02 * costs_of(1, 0, 0.5, seed)) for seed in range(50)]
    assert all(each.exponent is None and each.growing == 0 for each in flat)
    assert flat[0].at([16, 1000]).tolist() == [flat[0].fixed] * 2
    rising = exponents.fit(SIZES, costs_of(1, 5))
    assert rising.exponent is not None
    assert exponents.fit(SIZES, costs_of(1, 5), noise=0.5).exponent is None


def test_falling_costs_have_no_exponent():
    assert exponents.fit(SIZES, costs_of(1, 5)[::-1]).exponent is None


def test_three_values_are_too_few():
    with pytest.raises(ValueError, match="4 different values, not 3"):
        exponents.fit((1, 2, 4), (1, 2, 4))


def test_cost_of_a_process_is_its_time_and_memory():
    hold = "import time; held = bytearray(200 * 2**20); time.sleep(0.3)"
    little, much = (child.run(["-c", code]) for code in ("pass", hold))
    assert much.mebibytes - little.mebibytes == pytest.approx(200, rel=0.05)
    assert much.seconds > 0.3 and 0 < little.core_seconds < 0.3
    with pytest.raises(SystemExit, match="(?s)broken.*python -c .* ended with 1"):
        child.run(["-c", "raise SystemExit('broken')"])
    assert child.run(["-c", "import os; os.environ['MARK']"], {"MARK": "1"}).seconds > 0


def test_stopped_measurement_leaves_no_process(tmp_path):
    code = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); "
    outer = f"from benchmarks import child; child.run(['-c', {code + 'time.sleep(60)'!r}])"
    process = subprocess.Popen([sys.executable, "-c", outer], stderr=subprocess.DEVNULL)
    while not (tmp_path / "pid").exists() or not (text := (tmp_path / "pid").read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) != 0
    for _ in range(100):  # a process that was killed vanishes when its parent's heir looks
        state = pathlib.Path(f"/proc/{text}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("it sleeps on")


@pytest.mark.parametrize(
    "line",
    ["abc", "[]", '{"stage": 1}', '{"stage": "prepare", "sizes": {}, "seconds": "x"}', "\xff"],
)
def test_damaged_measurements_are_named(tmp_path, line):
    file = tmp_path / "points.jsonl"
    growth.Points(file).add("made", {"clips": 1}, child.Cost(1.0, 1.0, 1.0))
    with file.open("ab") as out:
        out.write(line.encode("latin-1") + b"\n")
    with pytest.raises(SystemExit, match="error: line 2 of .*points.jsonl is no measurement"):
        growth.Points(file)


def test_interrupted_measurements_say_how_to_go_on(tmp_path, monkeypatch, capsys):
    def interrupt(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(growth, "measure", interrupt)
    monkeypatch.setattr(growth, "use_cores", lambda count: None)
    with pytest.raises(SystemExit) as caught:
        growth.main(["--out", str(tmp_path)])
    assert caught.value.code == 130
    assert "give the same command again to resume" in capsys.readouterr().out


def stage_of(cost, name="made", axis="clips") -> dict[str, growth.Stage]:
    return {name: growth.Stage(cost, {"clips": 8, "people": 2}, {axis: (4, 8, 16, 32)})}


def test_points_that_are_there_are_not_measured_again(tmp_path, capsys):
    asked = []

    def cost(work, sizes):
        asked.append(sizes["clips"])
        if len(asked) == 3:
            raise KeyboardInterrupt
        return child.Cost(1.0 + sizes["clips"], 1.0, 100.0)

    stages, file = stage_of(cost), tmp_path / "points.jsonl"
    with pytest.raises(KeyboardInterrupt):
        growth.measure(stages, growth.Points(file), tmp_path, 1)
    assert len(file.read_text().splitlines()) == 2
    file.write_text(file.read_text() + '{"stage": "ma')  # stopped while a line was written
    growth.measure(stages, growth.Points(file), tmp_path, 1)
    assert asked == [4, 8, 16, 16, 32]
    growth.measure(stages, growth.Points(file), tmp_path, 2)
    assert asked[5:] == [4, 8, 16, 32]
    rows = list(map(json.loads, file.read_text().splitlines()))
    assert len(rows) == 8 and all(row["sizes"]["people"] == 2 for row in rows)
    assert "[8/8] made: clips=32 people=2: 33.0 s, 100 MiB" in capsys.readouterr().out
    growth.write(tmp_path, stages, growth.Points(file), 2)
    (row,) = (
        line for line in (tmp_path / "growth.md").read_text().splitlines() if "made |" in line
    )
    assert "| 4, 8, 16, 32 | 5.0, 9.0, 17.0, 33.0 | 1.00" in row and row.endswith("| flat | - |")
    assert (tmp_path / "growth.png").stat().st_size > 0


def test_cost_in_proportion_to_the_square_is_bold(tmp_path):
    def cost(work, sizes):
        return child.Cost(sizes["clips"] ** 2 / 16, 1.0, 50.0 + sizes["clips"])

    stages, points = stage_of(cost), growth.Points(tmp_path / "points.jsonl")
    growth.measure(stages, points, tmp_path, 1)
    (line,) = exponents.table(growth.curves(stages, points))[2:]
    seconds, memory = line.split(" | ")[4], line.split(" | ")[7]
    assert seconds.startswith("**2.00 (") and not memory.startswith("**")


def test_sizes_of_one_are_singular(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(growth, "usable_cores", lambda: 1)
    base = dict.fromkeys(growth.TRAINING, 1) | {"frames": 2}
    stages = {"made": growth.Stage(lambda work, sizes: child.Cost(1.0, 1.0, 1.0), base,
                                   {"clips": (1, 2, 4, 8)})}  # fmt: skip
    points = growth.Points(tmp_path / "points.jsonl")
    growth.measure(stages, points, tmp_path, 1)
    growth.write(tmp_path, stages, points, 1)
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "Sizes that stay: made: 1 clip, 2 frames, 1 person, 1 class, 1 fold, 1 MC sample, "
        "1 device.",
        "1 CPU core; medians of 1.",
    ]


def test_footer_says_how_far_repeated_measurements_are_apart(tmp_path, capsys):
    seconds = iter((1.0, 4.0, 2.0, 2.0, 1.1, 5.0, 2.0, 2.0))
    stages = stage_of(lambda work, sizes: child.Cost(next(seconds), 1.0, 100.0))
    points = growth.Points(tmp_path / "points.jsonl")
    growth.measure(stages, points, tmp_path, 2)
    growth.write(tmp_path, stages, points, 2)
    footer = capsys.readouterr().out.splitlines()[-1]
    assert footer.endswith(
        "medians of 2; the slowest took 5% longer than the fastest (median), 25% at most."
    ), footer


def test_every_stage_starts_at_sizes_that_its_axes_hold():
    for name, stage in growth.STAGES.items():
        for axis, values in stage.axes.items():
            assert stage.base[axis] in values, (name, axis)
            assert len(values) >= 4
            assert [2 * n for n in values[:-1]] == list(values[1:])
        points = list(stage.points())
        assert len(points) == 1 + sum(len(values) - 1 for values in stage.axes.values())


def test_commands_are_measured_on_drawn_clips(tmp_path):
    sizes = {"clips": 8, "frames": 4, "people": 2, "classes": 2}
    started = time.monotonic()
    cost = growth.prepare(tmp_path, sizes)
    assert 0 < cost.seconds < time.monotonic() - started and cost.mebibytes > 50
    (folder,) = tmp_path.glob("data-*")
    assert json.loads((folder / "report.json").read_text())["counts"]["kept"] == 8
    assert not list(tmp_path.glob("*.partial"))
    assert len(list((tmp_path / "clips-clips8-frames4-people2-classes2/files").iterdir())) == 8
