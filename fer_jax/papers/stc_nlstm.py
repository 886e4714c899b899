"""Yu, Liu, Liu & Deng, Neurocomputing 317, 2018: STC-NLSTM."""

from fer_jax.papers.fer_gcn import BASIC
from fer_jax.papers.paper import Ours, Paper, PaperFigure, PaperTable, Row, Run, confusion, quoted
from fer_jax.papers.protocols import BY_CLIP, HOLDOUT

# dataset -> name, clips evaluated
DATASETS = {"ckplus": ("CK+", 309), "oulu": ("Oulu-CASIA", 480), "mmi": ("MMI", 205)}
# method -> variant
METHODS = {
    "STC": ":stc", "STC-LSTM": ":lstm", "STC-SLSTM": ":slstm", "DenseNet": ":densenet",
    "STC-NLSTM": "",
}  # fmt: skip
BY_SEQUENCE = ("protocol.name=by_sequence",)
REMARK = (
    "The paper divides the clips, apparently not the people, into 10 groups, 4 times: a person may "
    "be in training and evaluation. ±: standard deviation over the repeats, over the folds if "
    "there is one repeat."
)


def run(dataset: str, variant: str = "", method: str = "STC-NLSTM") -> Run:
    protocol = BY_CLIP.format(10)
    config, clips = f"stcnlstm_{dataset}{variant}", DATASETS[dataset][1]
    return Run(config, method, dataset, protocol, clips, 0, BY_SEQUENCE, "by_sequence")


def own_rows(dataset: str, line: str, best: str) -> tuple[Row, ...]:
    rows = []
    for (method, variant), text in zip(METHODS.items(), (*line.split(), best), strict=True):
        measure = "accuracy stored ±" if "±" in text else "accuracy stored"
        rows.append(Row((method, text), {1: Ours(run(dataset, variant, method), measure)}))
    return tuple(rows)


def accuracies(key: str, dataset: str, others: str, line: str, best: str) -> PaperTable:
    rows = quoted(others)
    return PaperTable(
        key,
        f"Classification accuracies on {DATASETS[dataset][0]}. The numbers for STC, STC-LSTM, "
        "STC-SLSTM and STC-NLSTM are averaged from 40 trials",
        ("Method", "Average accuracy"),
        (*rows, *own_rows(dataset, line, best)),
        (len(rows),),
        REMARK,
    )


def matrix(key: str, dataset: str, lines: str) -> PaperTable:
    return PaperTable(
        key,
        f"Confusion matrix of STC-NLSTM for {DATASETS[dataset][0]}. The labels in the leftmost and "
        "topmost columns denote the ground truth and prediction results, respectively",
        ("", *BASIC),
        confusion(run(dataset), BASIC, lines),
        remark="Percent of the row.",
    )


def counted(name: str, line: str, dataset: str) -> Row:
    classes = [*BASIC.values(), "all"]
    own = run(dataset)
    return Row(
        (name, *line.split()),
        {column: Ours(own, f"clips {label}") for column, label in enumerate(classes, 1)},
    )


TABLE1 = PaperTable(
    "table1",
    "The number of image sequences in each of the six basic emotion classes: anger (An), disgust "
    "(Di), fear (Fe), happiness (Ha), sadness (Sa) and surprise (Su)",
    ("", *BASIC, "All"),
    (
        counted("CK+", "45 59 25 69 28 83 309", "ckplus"),
        counted("Oulu", "80 80 80 80 80 80 480", "oulu"),
        counted("MMI", "32 31 28 42 32 40 205", "mmi"),
    ),
    remark="Ours: the prepared clips; nothing is trained for it.",
)
TABLE2 = PaperTable(
    "table2",
    "Detailed configurations of the network for CK+",
    ("Type", "Patch size/stride", "Input size"),
    quoted("""
    conv1 | 3×3×3/1×1×1 | 18×64×64×3
    mspp1 | [8,4,2] | 18×5376
    pool1 | 1×2×2/1×2×2 | 18×32×32×64
    conv2 | 3×3×3/1×1×1 | 18×32×32×64
    mspp2 | [8,4,2] | 18×5376
    pool2 | 1×2×2/1×2×2 | 18×16×16×64
    conv3 | 3×3×3/1×1×1 | 18×16×16×64
    mspp3 | [8,4,2] | 18×5376
    conv4 | 3×3×3/1×1×1 | 18×16×16×64
    mspp4 | [8,4,2] | 18×5376
    pool4 | 1×2×2/1×2×2 | 18×8×8×64
    conv5 | 3×3×3/1×1×1 | 18×8×8×64
    mspp5 | [8,4,2] | 18×5376
    """),
    reason="the network's layers, no result: it is printed as quoted; ours has the same sizes",
)
TABLE3 = accuracies(
    "table3",
    "ckplus",
    """
    3DCNN-DAP [49] | 92.4
    STM-ExpLet [17] | 94.2
    LOmo [43] | 95.1
    IDT+FV [56] | 95.8
    FN2EN [55] | 96.9
    DTAGN [16] | 97.3
    ARDfee [54] | 98.7
    PPDN [26] | 99.3
    DCPN [57] | 99.6
    """,
    "98.9 99.3 99.4 97.6",
    "99.8 ± 0.2",
)
TABLE4 = matrix(
    "table4",
    "ckplus",
    """
    100 0 0 0 0 0
    0.15 99.68 0 0 0.17 0
    0 0 99.71 0 0.29 0
    0 0 0.11 99.89 0 0
    0 0.29 0.57 0 99.14 0
    0 0 0 0 0 100
    """,
)
TABLE5 = accuracies(
    "table5",
    "oulu",
    """
    STM-ExpLet [17] | 74.59
    DTAGN [16] | 81.64
    LOmo [43] | 82.10
    PPDN [26] | 84.59
    DCPN [57] | 86.23
    FN2EN [55] | 87.71
    ARDfee [54] | 89.60
    """,
    "84.72 88.98 90.12 87.28",
    "93.45 ± 0.43",
)
TABLE6 = matrix(
    "table6",
    "oulu",
    """
    89.82 6.20 0.75 0 3.23 0
    1.38 95.20 0.30 0.95 2.17 0
    0 0 96.14 0.50 0.65 2.71
    0 0.90 3.83 94.78 0.49 0
    4.4 2.38 0.56 0 92.66 0
    0 0 3.95 0 0 96.05
    """,
)
TABLE7 = accuracies(
    "table7",
    "mmi",
    """
    3DCNN-DAP [49] | 63.4
    3DSIFT [53] | 64.39
    DTAGN [16] | 70.24
    CSPL [20] | 73.53
    STM-ExpLet [17] | 75.12
    ST-RBM [58] | 81.63
    """,
    "74.84 80.39 81.92 77.68",
    "84.53 ± 0.67",
)
TABLE8 = matrix(
    "table8",
    "mmi",
    """
    83.24 9.04 0 5.36 1.24 1.12
    6.72 88.21 0 2.74 2.33 0
    4.34 0 81.24 1.23 1.56 11.63
    3.62 0 3.16 93.22 0 0
    1.55 1.12 9.18 1.18 85.77 1.20
    2.64 0 8.66 3.41 0 85.29
    """,
)
BP4D = Run(
    "stcnlstm_bp4d", "STC-NLSTM", "bp4d", HOLDOUT,
    note="the paper evaluates the test partition, whose labels are not public; ours the "
    "development partition",
)  # fmt: skip
TABLE9 = PaperTable(
    "table9",
    "Performance (F1 scores) comparison on BP4D Test set",
    ("Method", "F1 Scores"),
    (
        *quoted("""
        LGBP [40] | 0.44
        GDNN [25] | 0.48
        DLE [62] | 0.51
        CNN+BLSTM [25] | 0.52
        """),
        Row(("STC-NLSTM", "0.58"), {1: Ours(BP4D, "f1 stored")}),
    ),
)
LAYERS = {"3": ":layers3", "4": ":layers4", "5": "", "6": ":layers6"}


def by_class(key: str, dataset: str) -> PaperFigure:
    name = DATASETS[dataset][0]
    return PaperFigure(
        key,
        f"STC-NLSTM, STC, STC-LSTM and STC-SLSTM on each of the six emotion classes in {name}",
        "recalls",
        tuple(
            (method, run(dataset, METHODS[method], method))
            for method in ("STC", "STC-LSTM", "STC-SLSTM", "STC-NLSTM")
        ),
        remark="The paper prints no numbers beside its bars.",
    )


PAPER = Paper(
    "stc_nlstm",
    "STC-NLSTM paper",
    "Z. Yu, G. Liu, Q. Liu and J. Deng, Spatio-temporal convolutional features with nested LSTM "
    "for facial expression recognition, Neurocomputing 317, 2018",
    (
        PaperFigure(
            "figure1",
            "Maps of the layers of the 3D CNN for a clip of surprise",
            "layer_maps",
            (("CK+", run("ckplus")),),
            remark="The paper names neither its clip nor how a map is made: ours is the mean of "
            "the channels at each step, of the clip of --clip, or the clearest of surprise.",
            shown_class="surprise",
        ),
        PaperFigure("figure2", "STC-NLSTM", reason="a drawing of the architecture"),
        PaperFigure("figure3", "The 3D CNN", reason="a drawing of the architecture"),
        PaperFigure("figure4", "The nested LSTM", reason="a drawing of the architecture"),
        PaperFigure(
            "figure5",
            "Images of CK+, Oulu-CASIA and MMI",
            reason="licensed images that the paper does not name",
        ),
        PaperFigure(
            "figure6",
            "Faces found in CK+, Oulu-CASIA and MMI",
            reason="licensed images that the paper does not name",
        ),
        by_class("figure7", "ckplus"),
        by_class("figure8", "oulu"),
        by_class("figure9", "mmi"),
        PaperFigure(
            "figure10",
            "Accuracy as a function of the number of convolutional layers in STC-NLSTM",
            "layers",
            tuple(
                (f"{DATASETS[dataset][0]}, {layers}", run(
                    dataset, variant, "STC-NLSTM" + (f", {layers} layers" if variant else "")
                ))
                for dataset in DATASETS
                for layers, variant in LAYERS.items()
            ),
        ),
        TABLE1, TABLE2, TABLE3, TABLE4, TABLE5, TABLE6, TABLE7, TABLE8, TABLE9,
    ),
)  # fmt: skip
