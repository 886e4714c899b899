"""Rules by which `auto` could choose a calibrator, each judged in a cross-validation over people.

    python -m benchmarks.trust.rules runs/A runs/B      # predictions of finished runs
    python -m benchmarks.trust.rules                    # drawn people, some hundred calibrators

Each fold's calibrator is fitted on the people of the other folds. The rules:

- none, temperature, vector: the same for all;
- fold, 1 SE: every fold chooses its method for itself, on the other folds;
- once, 1 SE: the method is chosen once, on all people (what training does);
- once, 2 SE: the same, for a gain of two standard errors.

NLL is the mean over people, as the fit has it; AURC and AUGRC order the clips of all folds. Drawn
people, right and wrong in `KINDS` of ways, have as well the NLL of the bundle's calibrator for 200
new people, whom the cross-validation stands for: where it gains more against the fixed methods than
the bundle, it is optimistic. The bundle of "fold" is that of "once".
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from fer_jax import uncertainty
from fer_jax.tasks.report_lines import table
from fer_jax.uncertainty.people import equal_weights, other_people

RULES: dict[str, Callable] = {
    "none": lambda losses: "none",
    "temperature": lambda losses: "temperature",
    "vector": lambda losses: "vector",
    "fold, 1 SE": uncertainty.best_method,
    "once, 1 SE": uncertainty.best_method,
    "once, 2 SE": lambda losses: uncertainty.best_method(losses, 2.0),
}
# The true logits of drawn people times a factor, plus a bias that rises from class to class.
KINDS = {
    "right": (1.0, 0.0), "too sure": (2.0, 0.0), "a bit too sure": (1.3, 0.0),
    "too careful": (0.4, 0.0), "a bit too careful": (0.8, 0.0), "biased": (1.0, 1.0),
    "biased and too careful": (0.4, 0.4),
}  # fmt: skip
CLASSES, CLIPS, NEW = 6, 40, 200
_NUMBERS = ("NLL", "ECE", "AURC", "AUGRC")


def calibrated(p, labels, people, folds) -> dict[str, np.ndarray]:
    """Probabilities `[N, C]` by each rule, those of a fold calibrated on the others."""
    found = {rule: np.empty_like(p) for rule in RULES}
    whole = uncertainty.losses_left_out(p, labels, people)
    for own, rest in other_people(people, folds):
        given, fitted = (p[rest], labels[rest], people[rest]), {}
        for rule, choose in RULES.items():
            method = choose(
                uncertainty.losses_left_out(*given) if rule.startswith("fold") else whole
            )
            if method not in fitted:
                fitted[method] = uncertainty.fit_calibrator(*given, method).apply(p[own])
            found[rule][own] = fitted[method]
    return found


def measured(p, labels, people) -> tuple[float, ...]:
    """`_NUMBERS` of probabilities `[N, C]`."""
    doubt, right = uncertainty.entropy(p), p.argmax(-1) == labels
    own = np.take_along_axis(p, labels[:, None], -1)[:, 0]
    return (
        float(-(equal_weights(people) * np.log(np.maximum(own, 1e-12))).sum()),
        uncertainty.expected_calibration_error(p, labels),
        uncertainty.area_under_risk_coverage(doubt, right),
        uncertainty.area_under_generalised_risk(doubt, right),
    )


def read(workdir: pathlib.Path) -> tuple[np.ndarray, ...]:
    """Probabilities before calibration, labels, people and folds of a run of a classifier."""
    found = pd.read_csv(workdir / "predictions.csv")
    columns = [name for name in found if name.startswith("p_")]
    p = found[columns].to_numpy(float)
    labels = found["label"].map({name[2:]: index for index, name in enumerate(columns)})
    return p / p.sum(1, keepdims=True), labels.to_numpy(), *found[["subject", "fold"]].to_numpy().T


def draw(rng: np.random.Generator, people: int, scale: float, bias: float) -> tuple:
    """Predictions for people of whom some are easier, each by a network of its own."""
    clips = rng.integers(CLIPS // 2, CLIPS * 3 // 2, people)
    who = np.repeat(np.arange(people), clips)
    labels = rng.integers(CLASSES, size=len(who))
    skill = 2.2 + 0.6 * rng.standard_normal(people)[who]
    sure = rng.standard_normal((len(who), CLASSES)) + skill[:, None] * np.eye(CLASSES)[labels]
    scale = scale * np.exp(0.1 * rng.standard_normal(people))[who]
    logits = 2.2 * scale[:, None] * sure + bias * np.linspace(-1, 1, CLASSES)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True), labels, who


def rows_of_drawn(people: int, draws: int) -> Iterator[list[str]]:
    """A row for each rule, mean over kinds and draws."""
    found = {rule: [] for rule in RULES}
    for (scale, bias), seed in itertools.product(KINDS.values(), range(draws)):
        given = draw(np.random.default_rng(seed), people, scale, bias)
        new = draw(np.random.default_rng(10_000 + seed), NEW, scale, bias)
        losses = uncertainty.losses_left_out(*given)
        for rule, own in calibrated(*given, given[-1]).items():
            bundle = uncertainty.fit_calibrator(*given, RULES[rule](losses))
            later = measured(bundle.apply(new[0]), *new[1:])
            found[rule].append((*measured(own, *given[1:]), later[0]))
    for rule, numbers in found.items():
        yield [f"{people} people", rule, *_cells(np.mean(numbers, 0))]


def _cells(numbers) -> list[str]:
    return [f"{number:.4f}" for number in numbers]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trust.rules",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workdirs", nargs="*", type=pathlib.Path, metavar="RUN")
    parser.add_argument("--people", nargs="+", type=int, default=[5, 9], help="drawn ones")
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    heading, body = ["run", "rule", *_NUMBERS], []
    for workdir in options.workdirs:
        p, labels, people, folds = read(workdir)
        for rule, own in calibrated(p, labels, people, folds).items():
            body.append([workdir.name, rule, *_cells(measured(own, labels, people))])
    if not options.workdirs:
        heading.append("NLL of the bundle, new people")
        for people in options.people:
            body += rows_of_drawn(people, options.draws)
    print("\n".join(table(" | ".join(heading), body)))


if __name__ == "__main__":
    main()
