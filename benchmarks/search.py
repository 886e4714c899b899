"""Speed of the PST-BLN search against the same stages with the PyTorch mirror.

    python -m benchmarks.speed search

Both train the same topologies for the same epochs, every stage from the weights of the previous
one, on as many clips as a fold of CK+ has. The mirror uses the reference graph and needs no
compiling; ours uses the clean graph and compiles every stage (no cache). Whole epochs are timed,
including sampling the clips; the two take turns stage by stage.
"""

from __future__ import annotations

import statistics
import time

import jax
import numpy as np
import torch

from benchmarks.folds import CLASSES, FRAMES, make_clips
from benchmarks.torch_mirrors import st_bln as mirror
from configs import pstbln_ckplus
from fer_jax.data.folds import Fold
from fer_jax.faces import landmarks
from fer_jax.systems.st_bln import growth
from fer_jax.systems.st_bln.growth import show
from fer_jax.systems.st_bln.network import STBLN
from fer_jax.tasks import TASKS
from fer_jax.training import loop
from fer_jax.training.program import Run, compile_ahead, make_program, stack, unstack

REFERENCE_EDGES, CLIPS = 309, 294
PAPER_EPOCHS = 350  # of a stage, in the published code
# Some of the 20 stages or so up to the topology published for AFEW.
TOPOLOGIES = ((5,), (10,), (15, 5), (15, 10, 15), (15, 10, 15, 5, 5, 10))


class Ours:
    """The stages as `fer_jax.systems.st_bln.search` runs them."""

    def __init__(self, config):
        self.config, self.clips, self.variables = config, make_clips(CLIPS, CLIPS), {}
        self.run = Run(Fold("stage", np.arange(CLIPS), np.arange(0)), seed=0)
        self.depth = 0

    def features(self, batch):
        points = landmarks.centre(landmarks.inner(batch["landmarks"]))
        return landmarks.edge_features(points, self.clips.graph.edges)

    def stage(self, widths, epochs: int) -> tuple[float, list[float]]:
        """Returns the seconds of compiling (drawing weights included) and of every epoch."""
        started = time.perf_counter()
        module = STBLN(classes=CLASSES, widths=widths)
        program = make_program(
            module, TASKS["classification"], self.config, self.features, [self.run.fold]
        )
        deeper = len(widths) > self.depth
        state = growth.first_state(program, self.clips, 0, self.variables, deeper=deeper)
        states = jax.block_until_ready(stack([state]))
        program, _ = compile_ahead(program, states, self.clips)
        compiling, seconds = time.perf_counter() - started, []
        for epoch in range(1, epochs + 1):
            started = time.perf_counter()
            states, _, _ = loop.train_epoch(program, states, self.clips, [self.run], epoch)
            jax.block_until_ready(states)
            seconds.append(time.perf_counter() - started)
        self.variables = jax.tree.map(np.asarray, unstack(states.variables, 0))
        self.depth = len(widths)
        return compiling, seconds


class Mirror:
    """The same stages in PyTorch, on precomputed edge features."""

    def __init__(self, config):
        rng = np.random.default_rng(0)
        x = rng.normal(0, 20, (CLIPS, 2, FRAMES, REFERENCE_EDGES)).astype(np.float32)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.x = torch.tensor(x, device=self.device)
        self.y = torch.arange(CLIPS, device=self.device) % CLASSES
        self.batch, self.rate = config.train.batch_size, config.optimizer.learning_rate
        self.old: dict[str, torch.Tensor] = {}

    def stage(self, widths, epochs: int) -> tuple[float, list[float]]:
        started = time.perf_counter()
        model = mirror.STBLN(REFERENCE_EDGES, CLASSES, widths=widths).to(self.device)
        self.inherit(model)
        optimizer = mirror.make_optimizer(model, self.rate)
        building, seconds = time.perf_counter() - started, []
        for _ in range(epochs):
            started = time.perf_counter()
            order = torch.randperm(CLIPS, device=self.device)
            for first in range(0, CLIPS - self.batch + 1, self.batch):
                chosen = order[first : first + self.batch]
                loss = mirror.train_step(model, optimizer, self.x[chosen], self.y[chosen])
            float(loss)  # waits for a GPU
            seconds.append(time.perf_counter() - started)
        self.old = model.state_dict()
        return building, seconds

    def inherit(self, model) -> None:
        """Copies the weights of the previous stage into the leading corners."""
        with torch.no_grad():
            for name, leaf in model.state_dict().items():
                if name in self.old:
                    room = [slice(min(a, b)) for a, b in zip(self.old[name].shape, leaf.shape)]  # noqa: B905
                    leaf[tuple(room)] = self.old[name][tuple(room)]


def measure(epochs: int) -> None:
    """Prints the seconds of an epoch of every stage, then of all stages."""
    jax.config.update("jax_compilation_cache_dir", None)
    config = pstbln_ckplus.get_config()
    ours, theirs = Ours(config), Mirror(config)
    print(f"\n{CLIPS} clips, T={FRAMES}, B={config.train.batch_size}, {epochs} epochs a stage\n\n"
          "| topology | PyTorch, s an epoch | ours, s an epoch | ratio | compiling, s a stage |\n"
          "|---|---|---|---|---|")  # fmt: skip
    measured = np.zeros(2)  # seconds of both, as run
    rates, compiling = np.zeros(2), 0.0
    for widths in TOPOLOGIES:
        building, slow = theirs.stage(widths, epochs)
        compiled, fast = ours.stage(widths, epochs)
        measured += building + sum(slow), compiled + sum(fast)
        medians = statistics.median(slow), statistics.median(fast)
        rates += medians
        compiling += compiled
        print(f"| {show(widths)} | {medians[0]:.3f} | {medians[1]:.3f} "
              f"| {medians[0] / medians[1]:.2f} | {compiled:.1f} |", flush=True)  # fmt: skip
    theirs_long, ours_long = rates * PAPER_EPOCHS
    ours_long += compiling
    print(
        f"\nmeasured, {len(TOPOLOGIES)} stages of {epochs} epochs end to end: PyTorch "
        f"{measured[0]:.1f} s, ours {measured[1]:.1f} s ({compiling:.1f} s of it compiling), ratio "
        f"{measured[0] / measured[1]:.2f}\nextrapolated from the medians to {PAPER_EPOCHS} epochs "
        f"a stage: PyTorch {theirs_long:.0f} s, ours {ours_long:.0f} s "
        f"({compiling / ours_long:.1%} compiling), ratio {theirs_long / ours_long:.2f}; goal 3.0"
    )
