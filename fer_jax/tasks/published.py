"""Published results, for comparison with our own."""

from __future__ import annotations

CROSS = "{} (cross-database)"  # evaluated on this dataset, trained on others

# ST-BLN paper (Heidari & Iosifidis, MMSP 2021), tables I to III, percent: with Monte Carlo dropout
# and without. Its AFEW rows evaluate 252 of the 383 validation clips; DGNN's AFEW and CK+ rows are
# quoted there from Ngoc, Lee & Song (Electronics 2020).
ACCURACY = {
    "ST-BLN": {"afew": (36.11, 34.13), "oulu": (83.54, 82.08), "ckplus": (95.47, 93.19)},
    "PST-BLN": {"afew": (33.33, 30.15), "oulu": (79.79, 78.74), "ckplus": (93.34, 93.10)},
    "ST-GCN": {"afew": (None, 28.17), "oulu": (None, 77.08), "ckplus": (None, 93.64)},
    "AGCN": {"afew": (None, 24.21), "oulu": (None, 75.62), "ckplus": (None, 94.18)},
    "DGNN": {"afew": (None, 32.64), "oulu": (None, 81.46), "ckplus": (None, 96.02)},
    # FER-GCN paper (Liu, Zhang & Zhou, ICPR 2020), tables V and VI.
    "FER-GCN": {
        "afew": (None, 55.67), "oulu": (None, 91.04), "ckplus": (None, 99.54), "mmi": (None, 85.89),
    },
    "VGG16": {"oulu": (None, 85.83), "ckplus": (None, 97.78), "mmi": (None, 80.75)},
    "VGG16 + 1 module": {"oulu": (None, 88.33), "ckplus": (None, 98.39), "mmi": (None, 84.37)},
    "VGG16 + 2 modules": {"oulu": (None, 89.79), "ckplus": (None, 99.09), "mmi": (None, 84.64)},
    "VGG16 + 3 modules": {"oulu": (None, 87.71), "ckplus": (None, 99.00), "mmi": (None, 83.07)},
    # STC-NLSTM paper (Yu, Liu, Liu & Deng, Neurocomputing 2018): CK+ without contempt, 10 folds in
    # 4 repeats, divided by sequence as it seems.
    "STC": {"ckplus": (None, 98.9), "oulu": (None, 84.72), "mmi": (None, 74.84)},
    "STC-LSTM": {"ckplus": (None, 99.3), "oulu": (None, 88.98), "mmi": (None, 80.39)},
    "STC-SLSTM": {"ckplus": (None, 99.4), "oulu": (None, 90.12), "mmi": (None, 81.92)},
    "DenseNet": {"ckplus": (None, 97.6), "oulu": (None, 87.28), "mmi": (None, 77.68)},
    "STC-NLSTM": {"ckplus": (None, 99.8), "oulu": (None, 93.45), "mmi": (None, 84.53)},
    # 3D Inception-ResNet paper (Hasani & Mahoor, CVPRW 2017), tables 1 and 2: 5 subject folds (one
    # division without landmarks; the 2D column is quoted there), and across datasets.
    "2D Inception-ResNet": {"ckplus": (None, 85.77), "mmi": (None, 55.83), "fera": (None, 49.64)},
    "3D Inception-ResNet": {
        "ckplus": (None, 89.50), "mmi": (None, 67.50), "fera": (None, 67.74),
        "disfa": (None, 51.35),
    },
    "3D Inception-ResNet + landmarks": {
        "ckplus": (None, 93.21), "mmi": (None, 77.50), "fera": (None, 77.42),
        "disfa": (None, 58.00), CROSS.format("ckplus"): (None, 67.52),
        CROSS.format("mmi"): (None, 54.76), CROSS.format("fera"): (None, 41.93),
        CROSS.format("disfa"): (None, 40.51),
    },
}  # fmt: skip

# Bilinear CNN paper (Zhou et al., arXiv 1805.01024), test images of FER+: root mean square error,
# mean absolute error and Pearson's r by dimension; percent within T = 1, T for 71.16%.
ERRORS = {
    ("VGG16 global", 2): (
        {"valence": (0.92381, 0.66761, 0.89536), "arousal": (0.69702, 0.50194, 0.85973)},
        81.90, 0.781,
    ),
    ("VGG16 bilinear", 2): (
        {"valence": (0.87395, 0.61468, 0.90713), "arousal": (0.65678, 0.46290, 0.87674)},
        84.75, 0.718,
    ),
    ("ResNet50 global", 2): (
        {"valence": (0.84067, 0.59136, 0.91488), "arousal": (0.66772, 0.47654, 0.87444)},
        85.60, 0.702,
    ),
    ("ResNet50 bilinear", 2): (
        {"valence": (0.74111, 0.50712, 0.93418), "arousal": (0.57488, 0.39182, 0.90796)},
        89.26, 0.582,
    ),
    ("VGG16 global", 3): (
        {"valence": (0.95684, 0.69693, 0.88706), "arousal": (0.72218, 0.52767, 0.84867),
         "dominance": (0.71722, 0.53520, 0.81796)},
        81.03, 0.786,
    ),
    ("VGG16 bilinear", 3): (
        {"valence": (0.90108, 0.63394, 0.90054), "arousal": (0.67111, 0.47746, 0.87071),
         "dominance": (0.68155, 0.48778, 0.83787)},
        85.00, 0.719,
    ),
    ("ResNet50 global", 3): (
        {"valence": (0.86386, 0.61081, 0.90916), "arousal": (0.68851, 0.49335, 0.86440),
         "dominance": (0.67653, 0.48890, 0.84289)},
        84.72, 0.707,
    ),
    ("ResNet50 bilinear", 3): (
        {"valence": (0.74420, 0.50908, 0.93361), "arousal": (0.57892, 0.39557, 0.90696),
         "dominance": (0.60678, 0.42085, 0.87661)},
        89.98, 0.576,
    ),
}  # fmt: skip


def errors(method: str, dataset: str, dimensions) -> dict | None:
    """Published errors of a dimensional model, None where there are none.

    Args:
      method: name as in the configs, e.g. "VGG16 bilinear".
      dataset: name under which the dataset is prepared.
      dimensions: names, in the order of the model.

    Returns:
      `dimensions`: by name `rmse`, `mae` and `pearson`; `accuracy` at T = 1, 0 to 1;
      `threshold_for_kaggle`.
    """
    if dataset != "ferplus" or (method, len(dimensions)) not in ERRORS:
        return None
    rows, percent, threshold = ERRORS[method, len(dimensions)]
    if list(rows) != list(dimensions):
        return None
    names = ("rmse", "mae", "pearson")
    return {
        "dimensions": {name: dict(zip(names, row, strict=True)) for name, row in rows.items()},
        "accuracy": percent / 100,
        "threshold_for_kaggle": threshold,
    }


def accuracy(method: str, dataset: str) -> tuple[float | None, float | None]:
    """Published accuracy with and without MC dropout, percent; None where there is none.

    Args:
      method: name as in the papers, e.g. "PST-BLN".
      dataset: name under which the dataset is prepared, e.g. "ckplus".
    """
    return ACCURACY.get(method, {}).get(dataset, (None, None))
