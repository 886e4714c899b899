"""Unfamiliar inputs: how far the features of an example are from those of the training examples.

A network may be sure of an input unlike all it was trained on, so entropy cannot tell; its features
may still lie where no training example had any. Features are whitened, so that the classes are
spheres of radius 1, and an example is as far as the nearest of a few points: the means of the
classes (Mahalanobis distance, Lee et al., NeurIPS 2018), or training examples (Sun et al., ICML
2022).

The covariance within the classes is shrunk (Ledoit & Wolf, Journal of Multivariate Analysis 2004).
Of many features only the directions along which they vary most are kept apart; the others count
together, as in probabilistic PCA (Tipping & Bishop, JRSS B 1999), so that little is stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from fer_jax.uncertainty.people import equal_weights

MOST_DIRECTIONS = 64
MOST_ENTRIES = 2**14  # of float32 directions, 64 KiB; twice as many of float16
MOST_POINTS = 128  # training examples that are kept
POINTS = ("classes", "examples")
_SMALLEST = 1e-30  # rest or threshold of any network
_ROUNDING = 1e-9  # an example at the limit is within it
_LEAST = 1e-6  # smallest variance, beside the largest


@dataclasses.dataclass(frozen=True)
class Familiarity:
    """Where the features of the training examples lie. At most 100 KB of arrays.

    Attributes:
      centre: `[D]` float32, their mean.
      directions: `[D, d]` float32 or, of many features, float16: orthonormal.
      whitening: `[d, d]` float32, which makes the classes spheres of radius 1.
      rest: standard deviation along each of the other D - d directions; 0: there are none.
      points: `[P, d]` float32, whitened.
      threshold: largest distance of a familiar example; infinite: none was chosen.
    """

    centre: np.ndarray
    directions: np.ndarray
    whitening: np.ndarray
    rest: float
    points: np.ndarray
    threshold: float = float("inf")

    def score(self, features) -> np.ndarray:
        """Distance of features `[B, D]` to the nearest point, `[B]`, in standard deviations.

        Of familiar examples it is near the root of D.

        Raises:
          ValueError: the number of features differs.
        """
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != len(self.centre):
            raise ValueError(
                f"features must be [B, {len(self.centre)}], not {list(features.shape)}"
            )
        own, rest = _coordinates(features - self.centre, self.directions)
        own = own @ self.whitening
        squared = np.square(own[:, None] - self.points).sum(-1).min(1)
        return np.sqrt(squared + (rest / self.rest**2 if self.rest else 0.0))

    def is_unfamiliar(self, features) -> np.ndarray:
        """Whether examples `[B, D]` are further away than the threshold, `[B]`; NaN is."""
        return ~(self.score(features) <= self.threshold)

    def with_threshold(self, scores, people, share: float = 0.95) -> Familiarity:
        """Chooses the threshold under which a share of other people's examples is familiar.

        Args:
          scores: `[N]`, of examples of people it was not fitted to; those of several folds, each
            of its own fold's, may be joined.
          people: `[N]` whose example it is. Every person counts alike.
          share: of familiar examples, above 0 and at most 1.

        Raises:
          ValueError: there are no scores, or the share makes no sense.
        """
        return dataclasses.replace(self, threshold=_quantile(scores, people, share))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Its content for a file; `from_arrays` reads it."""
        return {
            field.name: np.asarray(getattr(self, field.name)) for field in dataclasses.fields(self)
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Familiarity:
        """Reads what `to_arrays` made.

        Raises:
          ValueError: a field is missing, unknown, or makes no sense.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if set(arrays) != names:
            odd = sorted(set(arrays) ^ names)[0]
            raise ValueError(f"familiarity: the field {odd!r} is missing or unknown")
        arrays = {name: np.asarray(value) for name, value in arrays.items()}
        _check(arrays)
        scalars = {name: float(arrays[name]) for name in ("rest", "threshold")}
        return cls(**arrays | scalars)


def joint_thresholds(
    familiarities: Sequence[Familiarity], scores: Sequence, people, share: float = 0.95
) -> list[Familiarity]:
    """Chooses thresholds of several kinds of features, within all of which that share lies.

    Each kind takes the threshold under which the share lies, as if it was alone; then all are
    multiplied by the same factor, until that share lies within all. An example is as unfamiliar as
    the largest of its scores over their thresholds.

    Args:
      familiarities: one of each kind, at least one.
      scores: `[N]` of each kind; see `Familiarity.with_threshold`.
      people, share: see there.

    Returns:
      Those of `familiarities` with their thresholds.

    Raises:
      ValueError: see `Familiarity.with_threshold`.
    """
    alone = [_quantile(own, people, share) for own in scores]
    over = [np.asarray(own) / max(each, _SMALLEST) for own, each in zip(scores, alone, strict=True)]
    wider = _quantile(np.max(over, 0), people, share) * (1 + _ROUNDING)
    return [
        dataclasses.replace(each, threshold=max(own, _SMALLEST) * wider)
        for each, own in zip(familiarities, alone, strict=True)
    ]


def _quantile(scores, people, share: float) -> float:
    """The score within which a share of the examples of people lies, each counting alike."""
    scores, people = np.asarray(scores, np.float64), np.asarray(people)
    if not len(scores) or scores.shape != people.shape:
        raise ValueError(f"{len(scores)} scores do not go with {len(people)} people")
    if not 0 < share <= 1:
        raise ValueError(f"the share of familiar examples is {share}: above 0, at most 1")
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(equal_weights(people)[order])
    place = np.searchsorted(below, share - 1e-9)
    return float(scores[order][min(place, len(scores) - 1)])


def fit_familiarity(features, labels=None, *, points: str = "classes") -> Familiarity:
    """Fits where the features of training examples lie.

    Args:
      features: `[N, D]`, of `activation_spread` or `last_layer_inputs`; at least three examples,
        not augmented.
      labels: `[N]` classes; None: all are of one class, as for action units and dimensions.
      points: "classes": distances are to the means of the classes; "examples": to training
        examples, at most `MOST_POINTS`, an equal share of each class.

    Raises:
      ValueError: features are not finite or too few, or labels do not go with them.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 3 or not np.isfinite(features).all():
        raise ValueError(f"features must be finite [N, D], N at least 3: {list(features.shape)}")
    if points not in POINTS:
        raise ValueError(f"points {points!r} are unknown: use one of {', '.join(POINTS)}")
    labels = np.zeros(len(features), int) if labels is None else np.asarray(labels)
    if labels.shape != (len(features),):
        raise ValueError(f"labels must be [{len(features)}], not {list(labels.shape)}")
    centre = features.mean(0).astype(np.float32)
    centred = features - centre
    names, own = np.unique(labels, return_inverse=True)
    means = np.stack([centred[own == index].mean(0) for index in range(len(names))])
    directions, rest = _leading(centred)
    own_space = _coordinates(centred, directions)[0]
    whitening = _whitening(_coordinates(centred - means[own], directions)[0])
    kept = _coordinates(means, directions)[0]
    if points == "examples":
        kept = own_space[_chosen_examples(own, len(names))]
    return Familiarity(centre, directions, whitening, rest, (kept @ whitening).astype(np.float32))


def _coordinates(centred: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths along the directions, `[N, d]`, and the squared length of what is left, `[N]`."""
    directions = directions.astype(np.float64)
    own = centred @ directions
    return own, np.square(centred - own @ directions.T).sum(-1)


def _leading(centred: np.ndarray) -> tuple[np.ndarray, float]:
    """Directions along which the examples vary most, and the deviation along each of the others."""
    rows = np.linalg.svd(centred, full_matrices=False)[2]
    count = centred.shape[1]
    # what is left of few examples must tell the deviation of what is left of others
    kept = max(1, min(count, MOST_DIRECTIONS, 2 * MOST_ENTRIES // count, len(centred) // 4))
    kind = np.float32 if count * kept <= MOST_ENTRIES else np.float16
    directions = rows[:kept].T.astype(kind)
    if kept == count:
        return directions, 0.0
    rest = _coordinates(centred, directions)[1].mean() / (count - kept)
    return directions, float(np.sqrt(max(rest, _LEAST * np.square(centred).mean())))


def _whitening(residuals: np.ndarray) -> np.ndarray:
    """The inverse root of the covariance within the classes, shrunk."""
    from sklearn.covariance import ledoit_wolf

    values, vectors = np.linalg.eigh(ledoit_wolf(residuals, assume_centered=True)[0])
    if not values[-1] > 0:
        raise ValueError("the features do not vary within a class, so distances have no unit")
    return (vectors / np.sqrt(np.maximum(values, _LEAST * values[-1]))).astype(np.float32)


def _chosen_examples(own: np.ndarray, classes: int) -> np.ndarray:
    """Indices of at most `MOST_POINTS` examples, evenly from each class."""
    share = max(1, MOST_POINTS // classes)
    rng, chosen = np.random.default_rng(0), []
    for index in range(classes):
        members = np.flatnonzero(own == index)
        chosen.append(rng.permutation(members)[:share])
    return np.concatenate(chosen)[:MOST_POINTS]


def _check(arrays: dict[str, np.ndarray]) -> None:
    """Refuses arrays that no `Familiarity` has."""
    directions, points = arrays["directions"], arrays["points"]
    features, count = directions.shape if directions.ndim == 2 else (0, 0)
    if not (0 < count <= min(features, MOST_DIRECTIONS) and 0 < points.size <= MOST_POINTS * count):
        raise ValueError("familiarity: directions and points have no such shapes")
    single, either = (np.float32,), (np.float32, np.float16)
    expected = {
        "centre": ((features,), single),
        "directions": ((features, count), either),
        "whitening": ((count, count), single),
        "rest": ((), (np.float64,)),
        "points": ((points.size // count, count), single),
        "threshold": ((), (np.float64,)),
    }
    for name, (shape, kinds) in expected.items():
        value = arrays[name]
        if value.shape != shape or value.dtype not in kinds:
            raise ValueError(
                f"familiarity: {name} must be {np.dtype(kinds[0])} {list(shape)}, not "
                f"{value.dtype} {list(value.shape)}"
            )
        if np.isnan(value).any() or (name != "threshold" and not np.isfinite(value).all()):
            raise ValueError(f"familiarity: {name} holds NaN or infinity")
    # distances are divided by both
    if 0 != arrays["rest"] < _SMALLEST or arrays["threshold"] < _SMALLEST:
        raise ValueError("familiarity: rest must be at least 0, threshold above 0")
