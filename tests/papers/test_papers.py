"""The papers as data: cells as printed, experiments that exist, figures looked up by protocol."""

import pathlib
import re

import pytest

from fer_jax.experiments import configs
from fer_jax.papers import PAPERS, protocols
from fer_jax.papers.paper import PaperFigure, PaperTable, number, quoted
from fer_jax.tasks import published

ITEMS = [(paper, item) for paper in PAPERS.values() for item in paper.items]
RUNS = {run: None for _, item in ITEMS for run in item.runs}


def cell(paper, table, row, column):
    found = PAPERS[paper].item(table)
    (texts,) = (each.texts for each in found.rows if each.texts[0] == row)
    return texts[found.columns.index(column)]


@pytest.mark.parametrize(
    ("paper", "table", "row", "column", "text"),
    [
        ("st_bln", "table1", "C3D-GRU [26]", "Acc(%)", "49.87"),
        ("st_bln", "table1", "DGNN [14]", "#Params", "538k"),
        ("st_bln", "table1", "PST-BLN w/MCD", "Acc(%)", "33.33"),
        ("st_bln", "table2", "DGNN [14]", "#Params", "535,7k"),
        ("st_bln", "table2", "PST-BLN wo/MCD", "#Params", "7.59k"),
        ("st_bln", "table2", "DTGN [22]", "Data type", "Landmark"),
        ("st_bln", "table3", "AGCN [8]", "Acc(%)", "94.18"),
        ("st_bln", "table3", "PST-BLN wo/MCD", "Acc(%)", "93.1"),
        ("fer_gcn", "table1", "GCNet [34]", "MMI", "81.53%"),
        ("fer_gcn", "table1", "Ours", "Oulu", "91.04%"),
        ("fer_gcn", "table2", "Su", "Co", "1%"),
        ("fer_gcn", "table3", "Sa", "Di", "4%"),
        ("fer_gcn", "table4", "Fe", "Su", "20%"),
        ("fer_gcn", "table5", "VGG16 + graph based spatial-temporal module × 3", "MMI", "83.07%"),
        ("fer_gcn", "table6", "VGG-Face-LSTM [38]", "Accuracy", "53.91%"),
        ("bilinear_cnn", "table4", "Maxim Milakov", "Accuracy", "68.82%"),
        ("bilinear_cnn", "table1", "SEMAINE [60]", "Studies", "[33]"),
        ("stc_nlstm", "table1", "MMI", "Fe", "28"),
        ("stc_nlstm", "table2", "conv4", "Input size", "18×16×16×64"),
        ("stc_nlstm", "table3", "STC-NLSTM", "Average accuracy", "99.8 ± 0.2"),
        ("stc_nlstm", "table4", "Sa", "Fe", "0.57"),
        ("stc_nlstm", "table5", "ARDfee [54]", "Average accuracy", "89.60"),
        ("stc_nlstm", "table6", "Su", "Fe", "3.95"),
        ("stc_nlstm", "table7", "DenseNet", "Average accuracy", "77.68"),
        ("stc_nlstm", "table8", "Fe", "Su", "11.63"),
        ("stc_nlstm", "table9", "CNN+BLSTM [25]", "F1 Scores", "0.52"),
        ("inception_resnet_3d", "table1", "DISFA", "2D Inception-ResNet", "-"),
        ("inception_resnet_3d", "table2", "MMI", "3D Inception-ResNet + landmarks", "54.76"),
    ],
)
def test_cells_are_as_printed(paper, table, row, column, text):
    assert cell(paper, table, row, column) == text


@pytest.mark.parametrize(
    ("paper", "tables", "figures"),
    [("st_bln", 3, 3), ("fer_gcn", 6, 4), ("bilinear_cnn", 4, 8), ("stc_nlstm", 9, 10),
     ("inception_resnet_3d", 2, 5)],
)  # fmt: skip
def test_every_table_and_figure_is_there(paper, tables, figures):
    names = [item.key for item in PAPERS[paper].items]
    expected = [f"figure{n}" for n in range(1, figures + 1)]
    assert names == [*expected, *(f"table{n}" for n in range(1, tables + 1))]


@pytest.mark.parametrize(("paper", "item"), ITEMS, ids=lambda each: each.key)
def test_an_item_is_made_or_says_why_not(paper, item):
    if isinstance(item, PaperFigure):
        assert bool(item.drawing) != bool(item.reason)
    else:
        assert bool(item.runs) != bool(item.reason)
        widths = {len(row.texts) for row in item.rows}
        assert widths == {len(item.columns)}
        assert all(column < len(item.columns) for row in item.rows for column in row.ours)


@pytest.mark.parametrize("table", [item for _, item in ITEMS if "onfusion" in item.title])
def test_rows_of_a_confusion_matrix_sum_to_100(table):
    if not isinstance(table, PaperTable):
        return
    for row in table.rows:
        assert sum(map(number, row.texts[1:])) == pytest.approx(100, abs=1.01), row.texts


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.config} {run.suffix}".strip())
def test_an_experiment_is_a_config_of_this_method_and_dataset(run):
    config = configs.load(run.config, run.overrides)
    assert (config.method, config.data.dataset) == (run.method, run.dataset)
    assert bool(run.overrides) == bool(run.suffix)


@pytest.mark.parametrize(
    ("text", "value"),
    [("535,7k", 535_700), ("7.59k", 7590), ("99.54%", 99.54), ("93.21±2.32", 93.21), ("-", None),
     ("6.8m", 6.8), ("", None)],
)  # fmt: skip
def test_numbers_of_cells(text, value):
    assert number(text) == value


def test_quoted_rows():
    assert [row.texts for row in quoted("\n a [1] | - | 5\n b | 2 | 6\n")] == [
        ("a [1]", "-", "5"), ("b", "2", "6")
    ]  # fmt: skip


LONG = r"\d\d\.\d\d|\.\d{5}"  # numbers that stand for nothing else


def test_configs_and_pages_name_tables_instead_of_figures():
    """A number that a paper prints for its own method stands in fer_jax.papers alone."""
    own = {
        text
        for _, item in ITEMS
        if isinstance(item, PaperTable)
        for row in item.rows
        for column in row.ours
        for text in re.findall(LONG, row.texts[column])
    }
    assert "95.47" in own and len(own) > 100
    root = pathlib.Path(__file__).parents[2]
    for file in [*(root / "configs").rglob("*.py"), root / "docs/reproduce.md"]:
        assert not own & set(re.findall(LONG, file.read_text())), file
    for file in (root / "docs/papers").glob("*.md"):
        listed = file.read_text().partition("## Published results")[2]
        assert not own & set(re.findall(LONG, listed)), file


def test_figures_of_one_experiment_agree_between_tables():
    found = {}
    for figure in published.figures():
        run = figure.ours.run
        key = (run.method, run.config, run.protocol, figure.ours.measure.removesuffix(" ±"))
        if not figure.ours.measure.startswith("confusion"):
            assert found.setdefault(key, figure.value) == figure.value, key


TEN, FIVE = protocols.BY_PERSON.format(10), protocols.BY_PERSON.format(5)
SHARED = protocols.BY_CLIP.format(10)


@pytest.mark.parametrize(
    ("method", "dataset", "protocol", "pair"),
    [
        ("PST-BLN", "oulu", TEN, (79.79, 78.74)),
        ("ST-GCN", "afew", protocols.HOLDOUT, (None, 28.17)),
        ("ST-BLN", "buhmap", TEN, (None, None)),
        ("FER-GCN", "mmi", TEN, (None, 85.89)),
        ("STC-NLSTM", "ckplus", SHARED, (None, 99.8)),
        ("STC-NLSTM", "ckplus", TEN, (None, None)),
        ("3D Inception-ResNet + landmarks", "ckplus", FIVE, (None, 93.21)),
        ("3D Inception-ResNet + landmarks", "ckplus", protocols.CROSS, (None, 67.52)),
        ("3D Inception-ResNet + landmarks", "ckplus", protocols.CROSS_HELD_OUT, (None, None)),
        ("3D Inception-ResNet", "ckplus", FIVE, (None, None)),
    ],
)
def test_published_accuracies_are_of_one_protocol(method, dataset, protocol, pair):
    assert published.accuracy(method, dataset, protocol) == pair


@pytest.mark.parametrize(
    ("method", "dataset", "protocol", "words"),
    [
        ("STC-NLSTM", "ckplus", TEN, r"99\.80 with 10 folds of clips.*\(STC-NLSTM paper, table 3"),
        ("3D Inception-ResNet + landmarks", "fera", protocols.CROSS_HELD_OUT,
         r"77\.42 with 5 folds.*; 41\.93 with trained on everyone"),
        ("2D Inception-ResNet", "mmi", FIVE, r"55\.83 with a protocol that the paper does not say"),
    ],
)  # fmt: skip
def test_a_footnote_names_figures_of_other_protocols(method, dataset, protocol, words):
    assert re.search(words, published.other_protocols(method, dataset, protocol))
    assert published.accuracy(method, dataset, protocol) == (None, None)


def test_published_errors():
    found = published.errors("VGG16 bilinear", "ferplus", ("valence", "arousal"), protocols.HOLDOUT)
    assert found["dimensions"]["arousal"] == {"rmse": 0.65678, "mae": 0.4629, "pearson": 0.87674}
    assert (found["accuracy"], found["threshold_for_kaggle"]) == (pytest.approx(0.8475), 0.718)
    for dataset, dimensions, protocol in (
        ("own", ("valence", "arousal"), protocols.HOLDOUT),
        ("ferplus", ("arousal", "valence"), protocols.HOLDOUT),
        ("ferplus", ("valence", "arousal"), TEN),
    ):
        assert published.errors("VGG16 bilinear", dataset, dimensions, protocol) is None
