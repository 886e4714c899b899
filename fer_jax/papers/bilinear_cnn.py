"""Zhou, Kong, Fowlkes, Chen & Lei, arXiv 1805.01024: bilinear CNN."""

from fer_jax.papers.paper import Ours, Paper, PaperFigure, PaperTable, Row, Run, quoted
from fer_jax.papers.protocols import HOLDOUT

DIMENSIONS = {"va": ("valence", "arousal"), "vad": ("valence", "arousal", "dominance")}
MEASURES = {"RMSE ↓": "rmse", "MAE ↓": "mae", "Corr. ↑": "pearson"}
# architecture and pooling -> variant, method
NETWORKS = {
    ("VGG16", "global"): ("vgg16,global", "VGG16 global"),
    ("VGG16", "bilinear"): ("vgg16,bilinear", "VGG16 bilinear"),
    ("ResNet50", "global"): ("resnet50,global", "ResNet50 global"),
    ("ResNet50", "bilinear"): ("resnet50,bilinear", "ResNet50 bilinear"),
}
WEIGHTS = (
    "The paper starts from VGG-Face (VGG16) and VGGFace2 (ResNet50), which --config.pretrained "
    "takes."
)


def run(network: tuple[str, str], dimensions: str) -> Run:
    variant, method = NETWORKS[network]
    config = f"bilinear_ferplus:{variant},{dimensions}"
    return Run(config, method, "ferplus", HOLDOUT, 3574)


def errors(dimensions: str, lines: str) -> tuple[Row, ...]:
    """Rows of table II or III: architecture, pooling, errors of each dimension."""
    rows = []
    names = [(name, measure) for name in DIMENSIONS[dimensions] for measure in MEASURES.values()]
    for network, line in zip(NETWORKS, lines.strip().splitlines(), strict=True):
        ours = {
            column: Ours(run(network, dimensions), f"{measure} {name}")
            for column, (name, measure) in enumerate(names, 2)
        }
        rows.append(Row((*network, *line.split()), ours))
    return tuple(rows)


def headings(dimensions: str) -> tuple[str, ...]:
    names = DIMENSIONS[dimensions]
    return ("Arch.", "pooling", *(f"{n.capitalize()} {each}" for n in names for each in MEASURES))


def shares(dimensions: str, lines: str) -> tuple[Row, ...]:
    """Rows of table IV: name, share within T = 1, threshold."""
    return tuple(
        Row(
            tuple(cell.strip() for cell in line.split("|")),
            {
                1: Ours(run(network, dimensions), "within stored"),
                2: Ours(run(network, dimensions), "threshold stored"),
            },
        )
        for network, line in zip(NETWORKS, lines.strip().splitlines(), strict=True)
    )


TABLE1 = PaperTable(
    "table1",
    "Summary of public facial expression databases",
    ("Database", "Facial Expressions", "Sample Details", "Type", "Studies"),
    quoted("""
    CK [46] | neutral, sadness, surprise, happiness, fear, anger, contempt, and disgust | \
593 image sequences of 123 subjects | Posed | [41] [42]
    CK+ [55] | neutral, sadness, surprise, happiness, fear, anger, contempt, and disgust | \
500 image sequences of 100 subjects | Posed | [6] [54]
    JAFFE [47] | neutral, sadness, surprise, happiness, fear, anger, and disgust | \
213 static images of 10 subjects | Posed | [6] [42]
    BU-3DEF [49] | neutral, anger, disgust, fear, happiness, sadness, and surprise | \
Set I: 2500 static images of 100 subjects; Set II: 606 3D video sequences of 100 subjects; \
Set III: 2D and 3D videos of 51 subjects | Set I and II: Posed; Set III: Spontaneous | \
Set I and II [48]; Set III [56]
    Bosphorus [50] | happiness, surprise, fear, sadness, anger, disgust | \
4652 3D images of 105 subjects | Posed | [50]
    NVIE [57] | happiness, disgust, fear, surprise, sadness, and anger; arousal and valence on a \
three-point scale | Spontaneous: Images of 105, 111, and 112 subjects under front, left and right \
illumination, respectively; Posed: 108 subjects | Spontaneous and posed | [58]
    AFEW/SFEW [52] | anger, disgust, fear, happy, sadness, surprise, and neutral | \
SFEW was extracted from AFEW; AFEW: 957 video clips; SFEW: 700 static images | Spontaneous | \
[51] [53]
    MMI https://mmifacedb.eu/ | happiness, surprise, fear, sadness, anger, disgust | \
2900 videos and high-resolution still images of 75 subjects | Posed | [59]
    SEMAINE [60] | Five affective dimensions and 27 associated categories | 150 participants, for \
a total of 959 conversations with individual artificial agent characters, lasting approximately 5 \
minutes each | Spontaneous (between human and artificial agent) | [33]
    FER-2013 [28] | neutral, sadness, surprise, happiness, fear, anger, contempt, and disgust | \
35887 static images of unknown subjects | Spontaneous | [12]
    FERG [61] | angry, disgust, fear, joy, neutral, sad, and surprise | \
55767 annotated face images of six stylized characters | Posed | [61]
    """),
    reason="a summary of other works: it is printed as quoted",
)
TABLE2 = PaperTable(
    "table2",
    "Testing results for the valence-arousal emotion model with two types of architecture (Arch.) "
    "and two pooling methods",
    headings("va"),
    errors("va", """
    0.92381 0.66761 0.89536 0.69702 0.50194 0.85973
    0.87395 0.61468 0.90713 0.65678 0.46290 0.87674
    0.84067 0.59136 0.91488 0.66772 0.47654 0.87444
    0.74111 0.50712 0.93418 0.57488 0.39182 0.90796
    """),
    remark=WEIGHTS,
)  # fmt: skip
TABLE3 = PaperTable(
    "table3",
    "Testing results for the valence-arousal-dominance emotion model with two architectures "
    "(Arch.) and two pooling methods",
    headings("vad"),
    errors("vad", """
    0.95684 0.69693 0.88706 0.72218 0.52767 0.84867 0.71722 0.53520 0.81796
    0.90108 0.63394 0.90054 0.67111 0.47746 0.87071 0.68155 0.48778 0.83787
    0.86386 0.61081 0.90916 0.68851 0.49335 0.86440 0.67653 0.48890 0.84289
    0.74420 0.50908 0.93361 0.57892 0.39557 0.90696 0.60678 0.42085 0.87661
    """),
    remark=WEIGHTS,
)  # fmt: skip
TABLE4 = PaperTable(
    "table4",
    "Comparisons with the top 3 performance teams from the Kaggle challenge",
    ("Models", "Accuracy", "Smallest threshold to achieve 71.16% accuracy"),
    (
        *quoted("""
        RBM | 71.16% | -
        Unsupervised | 69.27% | -
        Maxim Milakov | 68.82% | -
        """),
        *shares("va", """
        VGG16 Valence-Arousal (T = 1.00) | 81.90% | 0.781
        VGG16-bilinear Valence-Arousal (T = 1.00) | 84.75% | 0.718
        ResNet-50 Valence-Arousal (T = 1.00) | 85.60% | 0.702
        ResNet-50-bilinear Valence-Arousal (T = 1.00) | 89.26% | 0.582
        """),
        *shares("vad", """
        VGG16 Valence-Arousal-Dominance (T = 1.00) | 81.03% | 0.786
        VGG16-bilinear Valence-Arousal-Dominance (T = 1.00) | 85.00% | 0.719
        ResNet-50 Valence-Arousal-Dominance (T = 1.00) | 84.72% | 0.707
        ResNet-50-bilinear Valence-Arousal-Dominance (T = 1.00) | 89.98% | 0.576
        """),
    ),
    (3, 7),
    f"The Kaggle entries classify: their accuracy is another measure. {WEIGHTS}",
)  # fmt: skip
LABELS = {
    ("VGG16", "global"): "VGG16", ("VGG16", "bilinear"): "VGG16-bilinear",
    ("ResNet50", "global"): "ResNet50", ("ResNet50", "bilinear"): "ResNet50-bilinear",
}  # fmt: skip
BEST = run(("ResNet50", "bilinear"), "vad")
PAPER = Paper(
    "bilinear_cnn",
    "bilinear CNN paper",
    "F. Zhou, S. Kong, C. Fowlkes, T. Chen and B. Lei, Fine-grained Facial Expression Analysis "
    "Using Dimensional Emotion Model, arXiv 1805.01024, 2018",
    (
        PaperFigure(
            "figure1",
            "Valence and arousal of random frames of a video",
            reason="the video is not public; `predict VIDEO --figure` draws this of any video",
        ),
        PaperFigure(
            "figure2",
            "Eight images of FER-2013 to which people gave several labels",
            reason="licensed images that the paper does not name",
        ),
        PaperFigure(
            "figure3",
            "Words for emotions in the plane of valence and arousal",
            "words",
            remark="The paper's eight images and further words are not named: ours has the words "
            "that labels are made of.",
        ),
        PaperFigure(
            "figure4",
            "Distributions of valence, arousal and dominance ratings of the FER-2013 dataset",
            "ratings",
            (("FER+", BEST),),
            remark="All images that are prepared; no network is trained for it. The paper's "
            "dominance differs from its norms (docs/data/datasets.md).",
        ),
        PaperFigure("figure5", "The networks", reason="a drawing of the architecture"),
        PaperFigure(
            "figure6",
            "Prediction accuracy of various models with threshold from 0 to 2: (a) valence and "
            "arousal, (b) with dominance",
            "thresholds",
            tuple(
                (f"{LABELS[network]} ({panel})", run(network, dimensions))
                for panel, dimensions in (("a", "va"), ("b", "vad"))
                for network in NETWORKS
            ),
        ),
        PaperFigure(
            "figure7",
            "Best (a) and worst (b) predictions on the testing set and their feature maps",
            "feature_maps",
            (("ResNet50-bilinear", BEST),),
        ),
        PaperFigure(
            "figure8",
            "Bad predictions of faces with wrinkles",
            reason="two images picked by hand that the paper does not name; figure7 has the worst",
        ),
        TABLE1, TABLE2, TABLE3, TABLE4,
    ),
)  # fmt: skip
