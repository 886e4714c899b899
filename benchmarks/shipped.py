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
    use_cores(options.cores)
    from fer_jax import shipped

    print("| model | MB | loading, s | dropout off, ms | 100 MC samples, ms | unfamiliarity, ms |")
    print("|---|---|---|---|---|---|")
    for name in options.names or shipped.names():
        print(f"| {' | '.join(_row(name))} |", flush=True)


def use_cores(count: int) -> None:
    """Leaves this process so many cores, on Linux; must come before JAX counts them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def _row(name: str) -> list[str]:
    import fer_jax
    from fer_jax import shipped
    from fer_jax.live.warm_up import made_up_window

    started = time.perf_counter()
    model = fer_jax.load_model(name)
    loading = time.perf_counter() - started
    files = (shipped.FOLDER / name).iterdir()
    window, cost = (
        made_up_window(model),
        [f"{sum(file.stat().st_size for file in files) / 1e6:.1f}"],
    )
    calls = [lambda: model.deterministic(window), lambda: model.predict(window)]
    if model.familiarity is not None:
        calls.append(lambda: model.unfamiliarity(window))
    cost += [f"{loading:.1f}", *(_milliseconds(call) for call in calls)]
    return [name, *cost, *[""] * (5 - len(cost))]


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
