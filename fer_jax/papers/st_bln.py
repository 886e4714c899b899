"""Heidari & Iosifidis, MMSP 2021: ST-BLN and PST-BLN with Monte Carlo dropout."""

from fer_jax.papers.paper import Ours, Paper, PaperFigure, PaperTable, Row, Run, quoted
from fer_jax.papers.protocols import BY_PERSON, HOLDOUT

COLUMNS = ("Method", "Acc(%)", "#Params", "Data type")
# dataset -> protocol, clips and people evaluated. All accuracies measured on AFEW are multiples of
# 1 / 252.
DATASETS = {
    "afew": (HOLDOUT, 252, 0),
    "oulu": (BY_PERSON.format(10), 480, 80),
    "ckplus": (BY_PERSON.format(10), 327, 118),
}
# method in the paper -> config, method in ours, inference mode
METHODS = {
    "ST-GCN [7]": ("stgcn:{}", "ST-GCN", "stored"),
    "AGCN [8]": ("agcn:{}", "AGCN", "stored"),
    "DGNN [14]": ("dgnn:{}", "DGNN", "stored"),
    "ST-BLN w/MCD": ("stbln_{}", "ST-BLN", "mc_dropout"),
    "ST-BLN wo/MCD": ("stbln_{}", "ST-BLN", "stored"),
    "PST-BLN w/MCD": ("pstbln_{}", "PST-BLN", "mc_dropout"),
    "PST-BLN wo/MCD": ("pstbln_{}", "PST-BLN", "stored"),
}
PARAMETERS = (
    "#Params: without the learnable graph matrices; of PST-BLN the mean over the folds that were "
    "searched."
)
DGNN = "The paper quotes the accuracy of DGNN from Ngoc, Lee & Song (Electronics 2020)."


def run(method: str, dataset: str) -> Run:
    config, name, _ = METHODS[method]
    protocol, clips, people = DATASETS[dataset]
    return Run(config.format(dataset), name, dataset, protocol, clips, people)


def rows(dataset: str, video: str, own: str) -> tuple[Row, ...]:
    found = list(quoted(video))
    for (name,), line in zip(
        ((method,) for method in METHODS), own.strip().splitlines(), strict=True
    ):
        accuracy, parameters = line.split()
        ours = run(name, dataset)
        found.append(
            Row(
                (name, accuracy, parameters, "Landmark"),
                {1: Ours(ours, f"accuracy {METHODS[name][2]}"), 2: Ours(ours, "parameters")},
            )
        )
    return tuple(found)


TABLE1 = PaperTable(
    "table1",
    "Comparison of video/image-based and landmark-based methods on the validation set of AFEW "
    "dataset",
    COLUMNS,
    rows(
        "afew",
        """
        SSE-HoloNet [24] | 46.48 | - | Video
        VGG-LSTM [25] | 48.60 | - | Video
        C3D-LSTM [25] | 43.20 | - | Video
        C3D-GRU [26] | 49.87 | - | Video
        """,
        """
        28.17 131.3k
        24.21 143.7k
        32.64 538k
        36.11 132.3k
        34.13 132.3k
        33.33 10.8k
        30.15 10.8k
        """,
    ),
    (4,),
    f"{PARAMETERS} {DGNN} The paper's clips are apparently 252 (arithmetic on its accuracies).",
)
TABLE2 = PaperTable(
    "table2",
    "Comparison of video-based and landmark-based methods on Oulu-CASIA dataset using 10-fold "
    "cross validation",
    COLUMNS,
    rows(
        "oulu",
        """
        DTAN [22] | 74.38 | - | Video
        DTGN [22] | 74.17 | 177.6k | Landmark
        DTAGN [22] | 81.46 | - | Video + Landmark
        PPDN [27] | 84.59 | 6.8m | Video
        PHRNN-MSCNN [23] | 86.25 | 1.6m | Video + Landmark
        DCPN [28] | 86.23 | - | Video
        CDLM [29] | 91.67 | 2.7m | Video
        """,
        """
        77.08 131.3k
        75.62 143.7k
        81.46 535,7k
        83.54 132.3k
        82.08 132.3k
        79.79 7.59k
        78.74 7.59k
        """,
    ),
    (7,),
    PARAMETERS,
)
TABLE3 = PaperTable(
    "table3",
    "Comparison of the video-based and landmark-based methods on CK+ dataset using 10-fold cross "
    "validation",
    COLUMNS,
    rows(
        "ckplus",
        """
        DTAN [22] | 91.44 | - | Video
        DTGN [22] | 92.35 | 177.6k | Landmark
        DTAGN [22] | 97.25 | - | Video + Landmark
        PPDN [27] | 99.3 | 6.8m | Video
        PHRNN-MSCNN [23] | 98.5 | 1.6m | Video + Landmark
        DCPN [28] | 99.6 | - | Video
        CDLM [29] | 98.47 | 2.7m | Video
        """,
        """
        93.64 131.3k
        94.18 143.7k
        96.02 535,7k
        95.47 132.3k
        93.19 132.3k
        93.34 9.79k
        93.1 9.79k
        """,
    ),
    (7,),
    f"{PARAMETERS} {DGNN}",
)
AFEW = (("ST-BLN, AFEW", run("ST-BLN w/MCD", "afew")),)
PAPER = Paper(
    "st_bln",
    "ST-BLN paper",
    "N. Heidari and A. Iosifidis, Progressive Spatio-Temporal Bilinear Network with Monte Carlo "
    "Dropout for Landmark-based Facial Expression Recognition with Uncertainty Estimation, MMSP "
    "2021",
    (
        PaperFigure(
            "figure1", "The spatio-temporal bilinear layer", reason="a drawing of the architecture"
        ),
        PaperFigure(
            "figure2",
            "Distribution of 100 classification accuracies of ST-BLN w/MCD on AFEW",
            "sample_accuracies",
            AFEW,
        ),
        PaperFigure(
            "figure3",
            "A clip of AFEW (surprise) with its landmarks, and the distribution of 100 predictions "
            "for each class",
            "class_distributions",
            AFEW,
            remark="The paper does not name its clip: choose one with --clip; without it the least "
            "certain one of surprise is drawn.",
            shown_class="surprise",
        ),
        TABLE1,
        TABLE2,
        TABLE3,
    ),
)
