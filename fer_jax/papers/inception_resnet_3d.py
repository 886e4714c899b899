"""Hasani & Mahoor, CVPRW 2017: 3D Inception-ResNet with landmarks."""

from fer_jax.papers.paper import Ours, Paper, PaperFigure, PaperTable, Row, Run
from fer_jax.papers.protocols import BY_PERSON, CROSS, RANDOM_PEOPLE, UNKNOWN

# dataset -> name, people
DATASETS = {"ckplus": ("CK+", 118), "mmi": ("MMI", 0), "fera": ("FERA", 7), "disfa": ("DISFA", 27)}
# variant -> method, protocol of the paper
COLUMNS = {
    ":still": ("2D Inception-ResNet", UNKNOWN),
    ":plain": ("3D Inception-ResNet", RANDOM_PEOPLE.format(0.2)),
    "": ("3D Inception-ResNet + landmarks", BY_PERSON.format(5)),
}


def run(dataset: str, variant: str = "") -> Run:
    method, protocol = COLUMNS[variant]
    people = DATASETS[dataset][1] if not variant else 0
    clips = 327 if dataset == "ckplus" and not variant else 0
    config = f"ir3d_{dataset}{variant}"
    return Run(config, method, dataset, protocol, clips, people)


def cross(dataset: str) -> Run:
    return Run(
        f"ir3d_cross:{dataset}", COLUMNS[""][0], dataset, CROSS,
        overrides=("protocol.folds=0",), suffix="everyone",
    )  # fmt: skip


def row(dataset: str, others: str, line: str) -> Row:
    texts, ours = line.split(), {}
    for column, (variant, text) in enumerate(zip(COLUMNS, texts, strict=True), 2):
        measure = "accuracy stored ±" if "±" in text else "accuracy stored"
        ours[column] = Ours(run(dataset, variant), measure)
    return Row((DATASETS[dataset][0], others, *texts), ours)


TABLE1 = PaperTable(
    "table1",
    "Recognition rates (%) in subject-independent task",
    (
        "",
        "state-of-the-art methods",
        "2D Inception-ResNet",
        "3D Inception-ResNet",
        "3D Inception-ResNet + landmarks",
    ),
    (
        row(
            "ckplus",
            "84.1 [34], 84.4 [28], 88.5 [54], 92.0 [29], 93.2 [38], 92.4 [30], 93.6 [62]",
            "85.77 89.50 93.21±2.32",
        ),
        row(
            "mmi",
            "63.4 [30], 75.12 [31], 74.7 [29], 79.8 [54], 86.7 [47], 78.51 [36]",
            "55.83 67.50 77.50±1.76",
        ),
        row("fera", "56.1 [30], 55.6 [57], 76.7 [38]", "49.64 67.74 77.42±3.67"),
        row("disfa", "55.0 [38]", "- 51.35 58.00±5.77"),
    ),
    remark="The paper measures its network with landmarks on 5 folds of people (±: standard "
    "deviation over the folds), the one without on one random 20% of the people, and quotes the "
    "2D network from [20].",
)
TABLE2 = PaperTable(
    "table2",
    "Recognition rates (%) in cross-database task",
    ("", "state-of-the-art methods", "3D Inception-ResNet + landmarks"),
    tuple(
        Row((DATASETS[dataset][0], others, text), {2: Ours(cross(dataset), "accuracy stored")})
        for dataset, others, text in (
            ("ckplus", "47.1 [34], 56.0 [35], 61.2 [62], 64.2 [38]", "67.52"),
            ("mmi", "51.4 [34], 50.8 [47], 36.8 [35], 55.6 [38], 66.9 [62]", "54.76"),
            ("fera", "39.4 [38]", "41.93"),
            ("disfa", "37.7 [38]", "40.51"),
        )
    ),
    remark="Trained on all people of the three other datasets; classes that these lack are left "
    "out.",
)
PAPER = Paper(
    "inception_resnet_3d",
    "3D Inception-ResNet paper",
    "B. Hasani and M. H. Mahoor, Facial Expression Recognition Using Enhanced Deep 3D "
    "Convolutional Neural Networks, CVPR Workshops 2017",
    (
        PaperFigure("figure1", "The method", reason="a drawing of the architecture"),
        PaperFigure("figure2", "The network", reason="a drawing of the architecture"),
        PaperFigure(
            "figure3",
            "An image of MMI with its landmarks, and its filter in the network",
            "landmark_filters",
            (("MMI", run("mmi")),),
            remark="The paper does not name its clip: choose one with --clip; without it the "
            "clearest is drawn.",
        ),
        PaperFigure(
            "figure4",
            "Confusion matrices of 3D Inception-ResNet with landmarks for subject-independent task",
            "confusions",
            tuple((DATASETS[dataset][0], run(dataset)) for dataset in DATASETS),
            remark="Percent of the true class.",
        ),
        PaperFigure(
            "figure5",
            "Confusion matrices of 3D Inception-ResNet with landmarks for cross-database task",
            "confusions",
            tuple((DATASETS[dataset][0], cross(dataset)) for dataset in DATASETS),
            remark="Percent of the true class.",
        ),
        TABLE1,
        TABLE2,
    ),
)
