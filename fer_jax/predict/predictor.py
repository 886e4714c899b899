"""The predictor: a trained model with everything needed to use it."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from fer_jax import uncertainty
from fer_jax.data import frame_selection, model_inputs
from fer_jax.data.records import scale_to_reference
from fer_jax.experiments.bundle import InputSpec, Record
from fer_jax.experiments.stored_trust import StoredTrust
from fer_jax.faces.landmarks import ALIGNED
from fer_jax.layers.batch_norm import find_folds, fold
from fer_jax.layers.build import has_dropout
from fer_jax.tasks import TASKS
from fer_jax.tasks.base import check_finite

_SIDE_BY_SIDE = 16  # clips, which bounds the memory of `predict_each`
_COMPILING = threading.Lock()  # of the tables of compiled programs


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model with everything needed to use it.

    Attributes:
      name: name of the experiment.
      task: key of `tasks.TASKS`: what the outputs mean.
      classes: names of classes, action units or dimensions.
      spec: how a clip becomes the model's input: frames, landmark graph, face crops.
      threshold: largest entropy (of dimensions: uncertainty) without abstaining, or None; for
        action units one each.
      module: the Flax module.
      variables: `{"params", "batch_stats"}` as trained; MC dropout uses them.
      recalibrated: the same with BatchNorm statistics re-estimated without dropout;
        deterministic prediction uses them.
      record: where the model comes from: metrics, dataset, config.
      ensemble: `(variables, recalibrated)` of all members of a deep ensemble, whose first is the
        above, with a leading axis M; None: it is a single network.
      familiarity, turns: where features, and mean yaw and pitch (degrees), of training clips lie.
      trust: calibrators, what makes prediction sets, and what is promised of the threshold.
      draws: of each member from its posterior (SWAG, Laplace), which predict instead of MC dropout;
        (): there are none.
    """

    name: str
    task: str
    classes: tuple[str, ...]
    spec: InputSpec
    threshold: float | None | tuple[float | None, ...]
    module: nn.Module
    variables: dict
    recalibrated: dict
    record: Record
    ensemble: tuple[dict, dict] | None = None
    familiarity: uncertainty.Familiarity | None = None
    turns: uncertainty.Familiarity | None = None
    trust: StoredTrust = StoredTrust()
    draws: tuple[uncertainty.WeightDraws | uncertainty.LayerDraws, ...] = ()

    def __repr__(self) -> str:
        """One line for notebooks, without the weights."""
        known = TASKS[self.task].has_probabilities
        said = f"; {self.trust.calibrated(self.classes)}" if known else ""
        return (
            f"Predictor({self.name!r}: {type(self.module).__name__} for {self.task}, "
            f"{', '.join(self.classes)}; {self.spec.frames} frames, threshold {self.threshold}"
            f"{said})"
        )

    def select(self, detected, times=None) -> np.ndarray:
        """Chooses the `[T]` frames of a clip of L frames.

        Args:
          detected: `[L]` bool, frames in which a face was found.
          times: `[L]` seconds at which they begin; None if unknown.
        """
        spec = self.spec
        detected = frame_selection.thin_frames(detected, times, spec.frames_per_second)
        return frame_selection.select_frames(detected, spec.frames, spec.frame_rule, times)

    @property
    def takes_crops(self) -> bool:
        """Whether the model takes face crops instead of landmarks alone."""
        return model_inputs.takes_crops(self.module)

    def features(self, clips, frame_width: int = 0) -> jax.Array:
        """Makes the model inputs of clips whose frames `select` chose.

        Args:
          clips: landmarks `[B, T, 68, 2]`, source pixels. For a model that `takes_crops`: face
            crops `[B, T, S, S, 3]`, RGB, 0..255, made by `fer_jax.faces.crop.cut_crop` with
            `spec.framing`. For a module that takes "faces": `{"frames": crops, "crop_landmarks":
            [B, T, 68, 2]}`, the landmarks in pixels of the crops, also made by `cut_crop`.
          frame_width: width of the source frame, pixels; 0 does not scale the landmarks.

        Raises:
          ValueError: another shape, or landmarks that are not finite.
        """
        if self.takes_crops:
            return self._crop_features(clips)
        landmarks, spec = np.asarray(clips, np.float32), self.spec
        if landmarks.ndim != 4 or landmarks.shape[1:] != (spec.frames, 68, 2):
            raise ValueError(
                f"{self.name} takes landmarks [B, {spec.frames}, 68, 2], got "
                f"{list(landmarks.shape)}: choose the frames with select()"
            )
        if not np.isfinite(landmarks).all():
            raise ValueError("landmarks hold NaN or infinity: leave such frames out in select()")
        batch = {"landmarks": scale_to_reference(landmarks, frame_width)}
        return jnp.asarray(
            model_inputs.batch_inputs(batch, self.module, spec.graph.edges, spec.features)
        )

    def _crop_features(self, clips):
        frames, size, batch = self.spec.frames, self.spec.prepared_size, clips
        if self.module.inputs == "frames":
            batch = {"frames": clips}
        elif not isinstance(clips, dict) or sorted(clips) != ["crop_landmarks", "frames"]:
            raise ValueError(
                f"{self.name} takes face crops with landmarks: give a dict of frames [B, "
                f"{frames}, {size}, {size}, 3] and crop_landmarks [B, {frames}, 68, 2]"
            )
        batch = {name: np.asarray(values) for name, values in batch.items()}
        crops = batch["frames"]
        if crops.shape[1:] != (frames, size, size, 3):
            framing = "" if self.spec.framing == ALIGNED else ", model.spec.framing"
            raise ValueError(
                f"{self.name} takes face crops [B, {frames}, {size}, {size}, 3], got "
                f"{list(crops.shape)}: choose the frames with select(), cut faces with "
                f"fer_jax.faces.crop.cut_crop(image, landmarks, {size}{framing})"
            )
        inputs = model_inputs.batch_inputs(batch, self.module, None, crop_size=self.spec.crop_size)
        return jax.tree.map(jnp.asarray, inputs)

    def samples(self, clips, *, mc_samples: int = 100, seed: int = 0, frame_width: int = 0):
        """Probabilities, or values, `[S, B, C]` of S MC samples, see `features`; not calibrated.

        The members of an ensemble share the samples, each as many: S may be a little larger. One
        without dropout has a sample each. A bundle with draws from a posterior predicts with those,
        whatever the seed; S is at most their number.

        Raises:
          NonFiniteOutputError: an output is NaN or infinite; names the clip.
        """
        inputs = self.features(clips, frame_width)
        networks = self._folded("sampled", inputs)
        return _checked(self._sampled(mc_samples)(networks, inputs, jax.random.key(seed)))

    def predict(
        self, clips, *, mc_samples: int = 100, seed: int = 0, frame_width: int = 0,
        smooth: Callable | None = None,
    ):  # fmt: skip
        """Predicts B clips by MC dropout: `uncertainty.Summary` or, of dimensions, `Spread`.

        The mean and its entropy are calibrated, if the bundle has a calibrator; `smooth`: see
        `summarise`.
        """
        return self.summarise(
            self.samples(clips, mc_samples=mc_samples, seed=seed, frame_width=frame_width), smooth
        )

    def predict_each(self, clips, *, mc_samples: int = 100, seed: int = 0, frame_width: int = 0):
        """`predict` of B clips, each as if it was alone: all have the same dropout masks."""
        inputs = self.features(clips, frame_width)
        networks, key = self._folded("sampled", inputs), jax.random.key(seed)
        return self.summarise(_checked(self._sampled(mc_samples, each=True)(networks, inputs, key)))

    def summarise(self, samples, smooth: Callable | None = None):
        """Makes of MC samples `[S, B, C]` what `predict` gives.

        Args:
          samples: of `samples`.
          smooth: takes the samples of a moment and, after them, their calibrated mean,
            `[S + 1, B, C]`, and returns the same smoothed over time; None: nothing is smoothed.
        """
        task, calibration = TASKS[self.task], self.trust.calibration
        summary = task.summarise(samples)
        mean = summary.mean
        if calibration is not None:
            mean = task.calibrate(mean, calibration["predict"])
        if smooth is not None:
            # after calibration: means of calibrated distributions are calibrated
            both = smooth(np.concatenate([samples, mean[None]]))
            summary, mean = task.summarise(both[:-1]), both[-1]
        if calibration is not None:
            summary = task.with_mean(summary, mean)
        intervals = self.record.metrics.get("intervals")  # of dimensions only
        if intervals is None:
            return summary
        return summary._replace(residual=np.asarray(intervals["residual_variance"], float))

    def deterministic(self, clips, *, frame_width: int = 0) -> np.ndarray:
        """Predicts `[B, C]` without dropout, with recalibrated BatchNorm statistics.

        Calibrated, if the bundle has a calibrator for it, which is another than that of `predict`.

        Raises:
          NonFiniteOutputError: an output is NaN or infinite; names the clip.
        """
        inputs = self.features(clips, frame_width)
        outputs = [self._plain(network, inputs) for network in self._folded("plain", inputs)]
        outputs = _checked(outputs[0] if len(outputs) == 1 else np.mean(outputs, 0))
        if self.trust.calibration is None:
            return outputs
        return TASKS[self.task].calibrate(outputs, self.trust.calibration["deterministic"])

    @property
    def members(self) -> int:
        """Number of networks."""
        return 1 if self.ensemble is None else len(jax.tree.leaves(self.ensemble)[0])

    def _networks(self) -> list[dict]:
        """Variables of each network for outputs without dropout."""
        if self.ensemble is None:
            return [self.recalibrated]
        return [uncertainty.member(self.ensemble[1], index) for index in range(self.members)]

    def unfamiliarity(self, clips, *, frame_width: int = 0) -> np.ndarray | None:
        """Distance of B clips from those of training, in thresholds: above 1 they are unfamiliar.

        With `turns` that of the head, if it is larger. None: the bundle cannot tell.
        """
        if self.familiarity is None:
            return None
        spread = self._spread(self.recalibrated, self.features(clips, frame_width))
        distance = self.familiarity.score(spread) / self.familiarity.threshold
        return distance if self.turns is None else np.maximum(distance, self._turned(clips))

    def _turned(self, clips) -> np.ndarray:
        from fer_jax.faces.quality import mean_turn  # loads OpenCV

        return self.turns.score(mean_turn(clips)) / self.turns.threshold

    @functools.cached_property
    def _spread(self):
        return jax.jit(functools.partial(uncertainty.activation_spread, self.module))

    @functools.cached_property
    def _plain(self):
        def plain(variables, inputs):
            outputs = self.module.apply(variables, inputs, train=False)
            return TASKS[self.task].probabilities(outputs)

        return jax.jit(plain)

    @functools.cached_property
    def _compiled(self) -> dict:
        return {}

    def _folded(self, use: str, inputs):
        """Variables with BatchNorm folded: `_sampled_from`, or the networks of "plain" outputs."""
        with _COMPILING:
            if use not in self._compiled:
                folds = find_folds(self.module, self.variables, inputs)
                given = self._networks() if use == "plain" else self._sampled_from
                match given:
                    case list():
                        made = [fold(each, folds) for each in given]
                    case (networks, heads):
                        made = fold(networks, folds), heads
                    case _:
                        made = fold(given, folds)
                self._compiled[use] = made
            return self._compiled[use]

    @property
    def _sampled_from(self):
        """Variables that samples are drawn from, or networks that were drawn, leading axis S."""
        if not self.draws:
            return self.variables if self.ensemble is None else self.ensemble[0]
        recalibrated = jax.tree.map(lambda leaf: leaf[None], self.recalibrated)
        recalibrated = recalibrated if self.ensemble is None else self.ensemble[1]
        if isinstance(self.draws[0], uncertainty.LayerDraws):
            return recalibrated, jnp.stack([draws.heads for draws in self.draws])
        return uncertainty.drawn_networks(self.draws, recalibrated)

    def is_compiled(self, mc_samples: int) -> bool:
        """Whether `predict` has compiled the network for this number of MC samples."""
        with _COMPILING:
            return mc_samples in self._compiled

    def _sampled(self, mc_samples: int, each: bool = False):
        key = (mc_samples, "each") if each else mc_samples
        with _COMPILING:  # threads that start together share one program
            if key not in self._compiled:
                sample = self._make_sample(mc_samples)
                self._compiled[key] = jax.jit(_of_each(sample) if each else sample)
            return self._compiled[key]

    def _make_sample(self, mc_samples: int):
        """Makes `(variables, inputs, key) -> [S, B, C]`, see `_sampled_from`."""
        probabilities, share = TASKS[self.task].probabilities, -(-mc_samples // self.members)
        if self.draws and isinstance(self.draws[0], uncertainty.LayerDraws):
            return functools.partial(self._sample_layers, share)
        draw, count = uncertainty.sample, mc_samples
        if self.draws:
            return functools.partial(self._sample_networks, mc_samples)
        if self.ensemble is not None:
            draw, count = uncertainty.sample_ensemble, share if has_dropout(self.module) else 0
        return functools.partial(draw, self.module, mc_samples=count, probabilities=probabilities)

    def _sample_networks(self, count: int, networks, inputs, key) -> jax.Array:
        """Predicts with the first drawn networks, dropout off."""
        chosen = jax.tree.map(lambda leaf: leaf[:count], networks)
        return uncertainty.sample_ensemble(
            self.module, chosen, inputs, key, probabilities=TASKS[self.task].probabilities
        )

    def _sample_layers(self, count: int, given, inputs, key) -> jax.Array:
        """Predicts with the first drawn last layers of each member, dropout off."""
        del key
        layer = uncertainty.locate_last_layer(self.module, self.recalibrated, inputs)

        def of_member(each):
            variables, heads = each
            return uncertainty.predict_by_layers(
                self.module, variables, inputs, layer, heads[:count],
                probabilities=TASKS[self.task].probabilities,
            )  # fmt: skip

        samples = jax.lax.map(of_member, given)  # [M, S, B, C]
        return samples.reshape(-1, *samples.shape[2:])


def _of_each(sample):
    """Makes a function that samples clips one by one, several at a time, with the same masks."""

    def sample_each(variables, inputs, key) -> jax.Array:
        alone = jax.tree.map(lambda leaf: leaf[:, None], inputs)
        each = functools.partial(sample, variables, key=key)
        samples = jax.lax.map(each, alone, batch_size=_SIDE_BY_SIDE)
        return jnp.moveaxis(samples[:, :, 0], 0, 1)  # [S, B, C]

    return sample_each


def _checked(outputs) -> np.ndarray:
    """Returns finite outputs `[..., B, C]`; refuses others, see `tasks.base.check_finite`."""
    outputs = np.asarray(outputs)
    check_finite(outputs, [f"clip {index} of the batch" for index in range(outputs.shape[-2])])
    return outputs
