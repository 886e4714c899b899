"""The predictor: a trained model with everything needed to use it."""

from __future__ import annotations

import dataclasses
import functools
import threading

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
from fer_jax.layers.build import has_dropout
from fer_jax.tasks import TASKS
from fer_jax.tasks.base import check_finite

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
      familiarity: where the features of the training clips lie, or None.
      trust: calibrators, what makes prediction sets, and what is promised of the threshold.
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
    trust: StoredTrust = StoredTrust()

    def __repr__(self) -> str:
        """One line for notebooks, without the weights."""
        said = ""
        if TASKS[self.task].has_probabilities:
            said = f"; {self.trust.uncalibrated(self.classes) or 'calibrated'}"
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
        detected = frame_selection.thin_frames(detected, times, self.spec.frames_per_second)
        return frame_selection.select_frames(
            detected, self.spec.frames, self.spec.frame_rule, times
        )

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
        without dropout has a sample each.

        Raises:
          NonFiniteOutputError: an output is NaN or infinite; names the clip.
        """
        inputs = self.features(clips, frame_width)
        variables = self.variables if self.ensemble is None else self.ensemble[0]
        sampled = self._sampled(mc_samples)(variables, inputs, jax.random.key(seed))
        return _checked(sampled)

    def predict(self, clips, *, mc_samples: int = 100, seed: int = 0, frame_width: int = 0):
        """Predicts B clips by MC dropout: `uncertainty.Summary` or, of dimensions, `Spread`.

        The mean and its entropy are calibrated, if the bundle has a calibrator.
        """
        samples = self.samples(clips, mc_samples=mc_samples, seed=seed, frame_width=frame_width)
        summary = TASKS[self.task].summarise(samples)
        if self.trust.calibration is not None:
            summary = TASKS[self.task].calibrated(summary, self.trust.calibration["predict"])
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
        inputs, networks = self.features(clips, frame_width), [self.recalibrated]
        if self.ensemble is not None:
            networks = [uncertainty.member(self.ensemble[1], n) for n in range(self.members)]
        outputs = [self._plain(network, inputs) for network in networks]
        outputs = _checked(outputs[0] if len(outputs) == 1 else np.mean(outputs, 0))
        if self.trust.calibration is None:
            return outputs
        return TASKS[self.task].calibrate(outputs, self.trust.calibration["deterministic"])

    @property
    def members(self) -> int:
        """Number of networks."""
        return 1 if self.ensemble is None else len(jax.tree.leaves(self.ensemble)[0])

    def unfamiliarity(self, clips, *, frame_width: int = 0) -> np.ndarray | None:
        """Distance of B clips from those of training, in thresholds: above 1 they are unfamiliar.

        None: the bundle cannot tell.
        """
        if self.familiarity is None:
            return None
        spread = self._spread(self.recalibrated, self.features(clips, frame_width))
        return self.familiarity.score(spread) / self.familiarity.threshold

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

    def is_compiled(self, mc_samples: int) -> bool:
        """Whether `predict` has compiled the network for this number of MC samples."""
        with _COMPILING:
            return mc_samples in self._compiled

    def _sampled(self, mc_samples: int):
        with _COMPILING:  # threads that start together share one program
            if mc_samples not in self._compiled:
                draw, count = uncertainty.sample, mc_samples
                if self.ensemble is not None:
                    draw, share = uncertainty.sample_ensemble, -(-mc_samples // self.members)
                    count = share if has_dropout(self.module) else 0
                self._compiled[mc_samples] = jax.jit(
                    functools.partial(
                        draw,
                        self.module,
                        mc_samples=count,
                        probabilities=TASKS[self.task].probabilities,
                    )
                )
            return self._compiled[mc_samples]


def _checked(outputs) -> np.ndarray:
    """Returns finite outputs `[..., B, C]`; refuses others, see `tasks.base.check_finite`."""
    outputs = np.asarray(outputs)
    check_finite(outputs, [f"clip {index} of the batch" for index in range(outputs.shape[-2])])
    return outputs
