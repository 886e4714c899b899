"""The short page of `python -m benchmarks.trust`: rows, targets met, cost; from figures alone."""

import pandas as pd
import pytest

from benchmarks.trust import __main__ as command
from benchmarks.trust import summary, tables
from benchmarks.trust.measures import Figure
from tests.docs.pages import ROOT

QUALITY = [
    Figure("d", "before", "NLL", 0.42),
    Figure("d", "before", "ECE", 0.238),
    Figure("d", "after", "accuracy", 0.947, 0.902, 0.984, 9),
    Figure("d", "after", "NLL", 0.201, 0.068, 0.376, 9),
    Figure("d", "after", "ECE", 0.026, people=9),
    Figure("d", "after", "AUGRC", 0.00487, people=9),
    Figure("a", "entropy", "Spearman", 0.567, 0.5, 0.6, 9),
]
HELD = [
    Figure("c", "LAC 0.9", "coverage", 0.95, 0.9, 0.99, 9),
    Figure("c", "LAC 0.9", "worst person", 0.8, people=9),
    Figure("c", "LAC 0.9", "mean size", 1.234, people=9),
    *(
        Figure("e", "target 0.95", name, value, people=9)
        for name, value in (("kept", 0.2), ("broken", 0.12), ("refused", 0.68))
    ),
]
DOUBTS = [
    Figure("b", "all kinds, unfamiliarity", "strength 3", 0.93),
    Figure("b", "all kinds, entropy", "strength 3", 0.49),
    Figure("b", "jitter, entropy", "strength 3", 0.11),
    Figure("b", "lse, unfamiliarity", "AUROC", 0.893),
    Figure("b", "lse, entropy", "AUROC", 0.772),
]


def cost(seconds, size):
    return [
        Figure("f", "run", "training, minutes", seconds / 60),
        Figure("f", "run", "predict, ms", 3),
        Figure("f", "run", "bundle, MB", size),
    ]


def joined(*given):
    """Of `(dataset, method, seed, figures)` each."""
    return pd.concat([tables.rows(*each) for each in given], ignore_index=True)


def test_a_row_has_the_figures_of_a_dataset_and_method():
    text = "\n".join(
        summary.lines(
            joined(("buhmap", "laplace", 0, QUALITY + HELD), ("buhmap", "laplace", 1, QUALITY[:2]))
        )
    )
    assert (
        "| buhmap | laplace | 1 to 2 | 9 | 0.947 [0.902, 0.984] | 0.420 | 0.201 [0.068, 0.376]"
        " | 0.238 | 0.026 | | 0.0049 | 0.567 |" in text
    )
    assert (
        "| buhmap | laplace | 1 | 9 | 0.950 [0.900, 0.990] | 0.800 | 1.23 | 0.20 | 0.12 | 0.68 | |"
        in text
    )
    assert "## Cost" not in text and "## Unlike" not in text


def test_targets_are_counted_and_refusing_breaks_nothing():
    given = [("buhmap", "none", 0, HELD), ("lse", "none", 0, QUALITY)]
    refused = [Figure("e", "target 0.95", "broken", 0.0), Figure("e", "target 0.95", "refused", 1)]
    text = "\n".join(summary.lines(joined(*given, ("lse", "swa", 0, refused))))
    assert "| what | target | buhmap | lse |" in text
    assert "| broken of target * | at most 0.1 | 0 of 1 | 1 of 1 |" in text
    assert "| ECE of after | at most 0.03 | | 1 of 1 |" in text
    assert "| coverage of * 0.9 | at least 0.88 and at most 0.94 | 0 of 1 | |" in text
    assert "AUROC" not in text  # nothing was measured


def test_methods_stand_side_by_side_where_clips_are_told_apart():
    drawn = [each._replace(value=each.value + 0.05) for each in DOUBTS]
    drawn.append(Figure("b", "lse, mutual information", "AUROC", 0.811))
    text = "\n".join(
        summary.lines(joined(("buhmap", "none", 0, DOUBTS), ("buhmap", "mc_dropout", 0, drawn)))
    )
    assert "| dataset | clips | seeds | unfamiliarity | none | mc_dropout |" in text
    assert "| buhmap | damaged, strength 3 | 1 | 0.93 to 0.98 | 0.49 | 0.54 |" in text
    assert "| buhmap | lse | 1 | 0.89 to 0.94 | 0.77 | 0.82 / 0.81 |" in text
    assert "jitter" not in text


def test_intervals_of_dimensions_have_a_row_for_each_kind():
    held = [
        Figure("c", f"{kind} {level}", name, value + level, people=40)
        for kind, level in (("total", 0.8), ("total", 0.9), ("total", 0.95),
                            ("quantile", 0.8), ("quantile", 0.9), ("quantile", 0.95))
        for name, value in (("coverage", 0.001), ("mean size", 1), ("worst person", 0))
    ]  # fmt: skip
    told = [Figure("b", "no faces, unfamiliarity", "AUROC", 0.98),
            Figure("b", "no faces, uncertainty", "AUROC", 0.61)]  # fmt: skip
    text = "\n".join(summary.lines(joined(("ferplus_dimensions", "laplace", 0, held + told))))
    assert f"| {' | '.join(summary.OF_INTERVALS)} |" in text
    row = "0.801, 1.80 | 0.901, 1.90 | 0.951, 1.95 |"
    assert f"| ferplus_dimensions | laplace | quantile | 1 | 40 | {row}" in text
    assert text.count("| ferplus_dimensions | laplace | total |") == 1
    assert "| ferplus_dimensions | no faces | 1 | 0.98 | 0.61 |" in text
    assert "## Sets" not in text
    last = [each for each in held if each.what == "total 0.95"]  # of one level, in its own column
    text = "\n".join(summary.lines(joined(("ferplus_dimensions", "none", 0, last))))
    assert "| ferplus_dimensions | none | total | 1 | 40 | | | 0.951, 1.95 |" in text


def test_cost_is_that_of_the_same_seed():
    found = joined(
        ("lse", "none", 0, cost(10, 0.9)), ("lse", "none", 1, cost(5, 0.9)),
        ("lse", "ensemble", 0, cost(40, 4.2)), ("lse", "ensemble", 1, cost(30, 4.2)),
        ("lse", "swag", 1, cost(6, 1.8)), ("buhmap", "swa", 0, cost(6, 1.8)),
    )  # fmt: skip
    text = "\n".join(summary.lines(found))
    assert "| method | buhmap | lse |" in text
    assert "| none | | 7.5 s, 0.9 MB |" in text
    assert "| ensemble | | 4.0 to 6.0 times, 4.2 MB |" in text
    assert "| swag | | 1.2 times, 1.8 MB |" in text
    assert "| swa | 1.8 MB | |" in text  # nothing to compare with


@pytest.mark.parametrize("datasets", [("lse",), ("lse", "ferplus")])
def test_the_page_is_written_from_files_of_figures(datasets, tmp_path):
    for dataset in datasets:
        file = tmp_path / "figures" / f"{dataset}_none_seed0_d.csv"
        tables.save(file, tables.rows(dataset, "none", 0, QUALITY))
    tables.save(tmp_path / "figures" / "lse_none_seed0_a.csv", tables.rows("lse", "none", 0, []))
    assert command.write(tmp_path)
    text = (tmp_path / "trust_summary.md").read_text()
    assert text.startswith("# Trust, in short") and text.endswith("|\n\n")
    assert all(f"| {dataset} | none | 1 | 9 |" in text for dataset in datasets)


def test_the_page_of_results_has_the_tables_that_are_printed():
    page = (ROOT / "docs/trust_results.md").read_text(encoding="utf-8")
    for columns in (summary.QUALITY, summary.HELD):
        titles = " | ".join(["dataset", "method", "seeds", "people", *(c.title for c in columns)])
        assert f"| {titles} |" in page
    assert f"| {' | '.join(summary.OF_INTERVALS)} |" in page
    for target in tables.TARGETS:
        assert f"| {target.name()} | {target.text()} |" in page
