"""What the models that come with the package cost: size, loading, one window on one core.

    python -m benchmarks.shipped
    python -m benchmarks.shipped faces --cores 2

A window is the model's input: one face of a model of still images, the landmarks of all frames of
a model of motion. Milliseconds are medians of 30 calls, in brackets the 10th and 90th percentile,
after a first one that compiles. Finding faces and landmarks in pictures is not in them.
"""

from __future__ import annotations

import argparse
import os
import time

CALLS = 30


def main() -> None:
    """Runs the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--cores", type=int, default=1, help="to run on (default: 1)")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # before JAX counts the cores; Linux alone has it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    from fer_jax import shipped

    print("| model | MB | loading, s | dropout off, ms | 100 MC samples, ms | unfamiliarity, ms |")
    print("|---|---|---|---|---|---|")
    for name in options.names or shipped.names():
        print(f"| {' | '.join(_row(name))} |", flush=True)


def _row(name: str) -> list[str]:
    import fer_jax
    from fer_jax import shipped

    started = time.perf_counter()
    model = fer_jax.load_model(name)
    loading = time.perf_counter() - started
    files = (shipped.FOLDER / name).iterdir()
    window, cost = _window(model), [f"{sum(file.stat().st_size for file in files) / 1e6:.1f}"]
    calls = [lambda: model.deterministic(window), lambda: model.predict(window)]
    if model.familiarity is not None:
        calls.append(lambda: model.unfamiliarity(window))
    cost += [f"{loading:.1f}", *(_milliseconds(call) for call in calls)]
    return [name, *cost, *[""] * (5 - len(cost))]


def _window(model):
    """Input of one window: the average face, a little noise in it."""
    import numpy as np

    from fer_jax.faces.landmarks import MEAN_FACE

    random = np.random.default_rng(0)
    frames, size = model.spec.frames, model.spec.prepared_size
    if model.takes_crops:
        crops = random.integers(0, 255, (1, frames, size, size, 3), np.uint8)
        if model.module.inputs == "frames":
            return crops
        places = np.tile((size / 2 + size / 4 * MEAN_FACE).astype(np.float32), (1, frames, 1, 1))
        return {"frames": crops, "crop_landmarks": places}
    return 128 + 60 * MEAN_FACE + random.standard_normal((1, frames, 68, 2)).astype(np.float32)


def _milliseconds(call) -> str:
    import numpy as np

    call()
    seconds = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    low, middle, high = 1000 * np.percentile(seconds, [10, 50, 90])
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main()
