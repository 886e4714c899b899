"""Flicker and delay of a model of still images over video, smoothed in time and frame by frame.

    python -m benchmarks.flicker faces VIDEO... [--faces data/ferplus] [--seconds 0 0.2 0.3 0.5]

A row for every video and time constant (0: frame by frame). With a prepared dataset of voted still
faces also sequences spliced of its validation images: one face for three seconds, then another
whose votes have another class, every frame shifted, turned, scaled, lit and compressed at random.
So it is known what is right and when it changes. There the mean that `predict` uses is compared
with one that never forgets faster and with a hidden Markov model; then sequences without shaking,
whose second face is there at once or fades in over a second, for the delay. Needs the `preprocess`
extra for videos, `train` for the dataset.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

import fer_jax
from fer_jax.data.clips import Clips
from fer_jax.data.load import load_clips
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.predict import sources
from fer_jax.predict.options import SMOOTHING, Options
from fer_jax.predict.windows import Face, at_rate, predict_windows
from fer_jax.tasks.distribution.scores import NO_CLASS, classes_of
from fer_jax.uncertainty import Smoother, bhattacharyya, entropy, prediction_sets

FPS, SECONDS = 25.0, 3.0  # of a spliced sequence: of each of its two faces
SETTLED = 1.0  # seconds after a change from which a face is held
PAUSE = 0.5  # seconds between two rows over which nothing is counted
# Standard deviations, from frame to frame: shares of the side, degrees, factor, gray levels.
SHIFT, TURN, ZOOM, LIGHT, NOISE = 0.02, 3.0, 0.03, 8.0, 5.0
JPEG = 40  # quality
POINTS = MEAN_FACE * 40 + 100  # of a face that the tracker follows


class Stretch(NamedTuple):
    """Rows of one person that are not withheld, frame by frame.

    Attributes:
      times: `[T]` seconds at which each row is there.
      shares: `[T, C]` calibrated probabilities.
      truth: `[T]` classes of the face shown, None where nobody knows.
      change: seconds at which the face becomes another, or None.
    """

    times: np.ndarray
    shares: np.ndarray
    truth: np.ndarray | None = None
    change: float | None = None


def mean(times, shares, seconds: float, distance=bhattacharyya) -> np.ndarray:
    """What `predict` does."""
    smoother = Smoother(seconds, distance)
    return np.stack([smoother.update(0, *each) for each in zip(times, shares, strict=True)])


def mean_by_age(times, shares, seconds: float) -> np.ndarray:
    """The same without forgetting faster what is contradicted."""
    return mean(times, shares, seconds, None)


def markov(times, shares, seconds: float) -> np.ndarray:
    """Filters with a hidden Markov model: a face shows one class, for `seconds` on average.

    Its likelihood is the prediction over a uniform prior.
    """
    belief, found, before = np.full(shares.shape[1], 1 / shares.shape[1]), [], times[0]
    for time, own in zip(times, shares, strict=True):
        stays = np.exp((before - time) / seconds)
        belief = (stays * belief + (1 - stays) / len(own)) * own
        belief = belief / belief.sum()
        found.append(belief)
        before = time
    return np.stack(found)


FILTERS = {"mean": mean, "by age alone": mean_by_age, "hidden Markov model": markov}


def stretches(predictor, frames, how: Options, fps: float, width: int) -> Iterator[Stretch]:
    """Predicts the faces of frames one by one, every person for itself."""
    found = collections.defaultdict(list)
    for row, track in predict_windows(predictor, frames, how, fps=fps, width=width):
        if row["reason"] in ("", "ambiguous"):
            found[track].append(row)
    for rows in found.values():
        shares = np.array([[row[name] for name in predictor.classes] for row in rows])
        yield Stretch(np.array([row["end"] for row in rows]), shares)


class Spliced(NamedTuple):
    """Faces whose votes agree on a class.

    Attributes:
      crops: `[N, S, S, 3]` uint8.
      classes: `[N]`.
    """

    crops: np.ndarray
    classes: np.ndarray

    @classmethod
    def read(cls, path: pathlib.Path, names) -> Spliced:
        """Reads the validation images of a prepared dataset."""
        clips: Clips = load_clips(
            path, 1, "middles", crop_size=0, classes=names, target="distribution"
        )
        classes = classes_of(clips.labels)
        kept = np.flatnonzero((classes != NO_CLASS) & (np.array(clips.splits) == "validation"))
        crops = np.concatenate([clips.crops.frames.clip(index) for index in kept])
        return cls(crops, classes[kept])

    def sequences(
        self, predictor, how: Options, count: int, *, shaken: float = 0.0, fading: float = 0.0
    ) -> Iterator[Stretch]:
        """Predicts sequences of two faces of different classes, see the module.

        Args:
          predictor, how: of `stretches`.
          count: of the sequences.
          shaken: factor of all disturbances.
          fading: seconds in which the second face comes.
        """
        draw = np.random.default_rng(0)
        while count:
            pair = draw.integers(len(self.classes), size=2)
            if self.classes[pair[0]] == self.classes[pair[1]]:
                continue
            count, frames = count - 1, round(SECONDS * FPS)
            order, crops = np.arange(2 * frames) - frames, self.crops[pair].astype(float)
            shares = np.clip(order / (fading * FPS), 0, 1) if fading else (order >= 0) * 1.0
            shown = [
                _frame((1 - share) * crops[0] + share * crops[1], draw, shaken) for share in shares
            ]
            for own in stretches(predictor, at_rate(shown, FPS), how, FPS, 0):
                middle = own.times - (how.window or predictor.spec.window_seconds) / 2
                truth = self.classes[pair[(middle >= SECONDS).astype(int)]]
                yield own._replace(truth=truth, change=SECONDS)


def _frame(crop: np.ndarray, draw: np.random.Generator, shaken: float) -> dict[int, Face]:
    """The face of a frame, disturbed."""
    side = len(crop)
    if shaken:
        turn, zoom = draw.normal(0, [TURN, ZOOM]) * shaken
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn, 1 + zoom)
        matrix[:, 2] += draw.normal(0, SHIFT * side * shaken, 2)
        crop = cv2.warpAffine(crop, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
        crop += draw.normal(0, LIGHT * shaken) + draw.normal(0, NOISE * shaken, crop.shape)
    crop = np.clip(np.round(crop), 0, 255).astype(np.uint8)
    if shaken:
        written = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, JPEG])[1]
        crop = cv2.imdecode(written, cv2.IMREAD_COLOR)
    return {0: Face(POINTS, crop)}


def figures(predictor, found: list[Stretch], smooth: Callable, seconds: float) -> dict[str, str]:
    """Measures some stretches, smoothed."""
    kept = [own for own in found if len(own.times) > 1]
    smoothed = [smooth(own.times, own.shares, seconds) if seconds else own.shares for own in kept]
    changes = varied = lasted = 0.0
    for own, shares in zip(kept, smoothed, strict=True):
        steps = np.diff(own.times)
        labels, near = shares.argmax(-1), steps <= PAUSE
        changes += (np.diff(labels) != 0)[near].sum()
        varied += np.abs(np.diff(shares, axis=0)).sum(-1)[near].sum() / 2
        lasted += steps[near].sum()
    cells = {
        "label changes a second": f"{changes / lasted:.2f}",
        "variation a second": f"{varied / lasted:.2f}",
    }
    if predictor.threshold is not None:
        below = np.concatenate([entropy(shares) for shares in smoothed]) <= predictor.threshold
        cells["answered"] = f"{below.mean():.3f}"
    if kept and kept[0].truth is not None:
        cells |= _right(predictor, kept, smoothed)
    return cells


def _right(predictor, kept: list[Stretch], smoothed: list[np.ndarray]) -> dict[str, str]:
    """Accuracy, coverage and delay of spliced sequences."""
    shares, truth = np.concatenate(smoothed), np.concatenate([own.truth for own in kept])
    after = np.concatenate([own.times - own.change for own in kept])
    held, right = (after < 0) | (after >= SETTLED), shares.argmax(-1) == truth
    cells = {"accuracy, held": f"{right[held].mean():.3f}", "all": f"{right.mean():.3f}"}
    if predictor.trust.sets is not None:
        inside = prediction_sets(shares, predictor.trust.sets)
        holds = inside[np.arange(len(truth)), truth]
        cells["sets hold it, held"] = f"{holds[held].mean():.3f}"
        cells["changing"] = f"{holds[~held].mean():.3f}"
        cells["classes in a set, held"] = f"{inside[held].sum(-1).mean():.2f}"
    delays = [
        delay
        for own, each in zip(kept, smoothed, strict=True)
        if (delay := delay_of(own, each)) is not None
    ]
    middle, late = np.quantile(delays, [0.5, 0.9])
    cells["delay, median"], cells["90%"] = f"{middle:.2f} s", f"{late:.2f} s"
    return cells


def delay_of(own: Stretch, shares: np.ndarray) -> float | None:
    """Seconds from a change to the label of the new face, up to the end if it never comes.

    The labels are those that the model gives most of the held time, frame by frame; None if both
    faces have the same.
    """
    labels, after = own.shares.argmax(-1), own.times - own.change
    count = own.shares.shape[1]
    old, new = (
        np.bincount(labels[part], minlength=count).argmax()
        for part in (after < 0, after >= SETTLED)
    )
    if old == new:
        return None
    there = np.flatnonzero((after > 0) & (shares.argmax(-1) == new))
    return float(after[there[0]] if len(there) else after[-1])


def rows_of_videos(predictor, videos, seconds, how: Options) -> Iterator[tuple[str, dict]]:
    """Yields the name and the figures of every video and time constant, at last of all videos."""
    every: list[Stretch] = []
    for video in videos:
        source = sources.open_source(predictor, video, how, print)
        fps = source.fps if source.steady else 0.0
        found = list(stretches(predictor, source.frames, how, fps, source.width))
        every += found
        for each in seconds:
            yield f"{video.name}, {each:g} s", figures(predictor, found, mean, each)
    for each in seconds:
        yield f"all, {each:g} s", figures(predictor, every, mean, each)


def table(title: str, rows: dict[str, dict[str, str]]) -> None:
    """Prints rows with the same columns."""
    columns = list(next(iter(rows.values())))
    print(f"\n| {' | '.join([title, *columns])} |\n|{'---|' * (len(columns) + 1)}")
    for name, cells in rows.items():
        print(f"| {' | '.join([name, *cells.values()])} |", flush=True)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, path = parser.add_argument, pathlib.Path
    add("bundle", help="a name of `fer-jax models`, or the folder of a model")
    add("videos", nargs="*", type=path, metavar="VIDEO")
    add("--faces", type=path, help="prepared dataset of voted still faces, such as data/ferplus")
    add("--sequences", type=int, default=100, help="how many are spliced (default 100)")
    add("--seconds", type=float, nargs="+", default=[0.0, 0.2, SMOOTHING, 1.0])
    add("--window", type=float, help="see `fer-jax predict`")
    add("--stride", type=float, help="see `fer-jax predict`")
    options = parser.parse_args()
    predictor = fer_jax.load_model(options.bundle)
    how = Options(people="all", smoothing=0, window=options.window, stride=options.stride)
    if options.videos:
        table("videos", dict(rows_of_videos(predictor, options.videos, options.seconds, how)))
    if options.faces is None:
        return
    faces = Spliced.read(options.faces, predictor.classes)
    count = options.sequences
    shaken = list(faces.sequences(predictor, how, count, shaken=1.0))
    rows = {"frame by frame": figures(predictor, shaken, mean, 0.0)}
    for name, smooth in FILTERS.items():
        for seconds in filter(None, options.seconds):
            rows[f"{name}, {seconds:g} s"] = figures(predictor, shaken, smooth, seconds)
    table("shaken faces", rows)
    for title, fading in (("still faces", 0.0), ("faces that fade over a second", 1.0)):
        found = list(faces.sequences(predictor, how, count, fading=fading))
        table(title, {
            f"{seconds:g} s": figures(predictor, found, mean, seconds)
            for seconds in options.seconds
        })  # fmt: skip


if __name__ == "__main__":
    main()
