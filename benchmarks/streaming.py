"""Waiting time of training steps for landmarks or face crops, in memory and streamed.

    python -m benchmarks.streaming [CONFIG] [--path data/synthetic_crops] [--epochs 3]

Trains the model of the config for some epochs with clips in memory and with clips that are read
ahead, landmarks from a file and crops from the dataset, and prints clips per second, the share of
time spent waiting and the growth of memory. The first epoch, a warm-up, is left out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile

KINDS = {"in memory": 1000.0, "streamed": 0.0}  # data.in_memory_gb


def measure(name: str, path: str, room: float, epochs: int, send) -> None:
    """Trains in a separate process, so that each way has its own memory."""
    from fer_jax import systems
    from fer_jax.compare.compare import load_config
    from fer_jax.experiments import setup
    from fer_jax.training import loop
    from fer_jax.training.program import Run, compile_ahead

    config = load_config(name)
    config.data.in_memory_gb = room
    if path:
        config.data.path = path
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as workdir:
        experiment = systems.prepare(config, workdir)
        clips, run = experiment.clips, Run(experiment.folds[0], 0)
        states = setup.fresh_states(experiment.program, clips, [0])
        program, _ = compile_ahead(experiment.program, states, clips)
        histories = [[]]
        for _ in loop.train_epochs(program, states, clips, [run], loop.Schedule(epochs), histories):
            pass
        rows = histories[0][1:]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    send.send(
        (
            statistics.median(row["clips_per_second"] for row in rows),
            statistics.median(row["waited_for_clips"] for row in rows),
            (peak - before) / 2**20,
        )
    )


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", default="configs/fergcn_synthetic.py")
    parser.add_argument("--path", default="", help="prepared dataset, default: the config's")
    parser.add_argument("--epochs", type=int, default=3, help="2 or more (default 3)")
    options = parser.parse_args(arguments)
    print("| clips | clips/s | waiting for clips (goal: under 10%) | memory, GiB |")
    print("|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for kind, room in KINDS.items():
        receive, send = context.Pipe(duplex=False)
        given = (options.config, options.path, room, max(2, options.epochs), send)
        process = context.Process(target=measure, args=given)
        process.start()
        send.close()
        try:
            speed, waited, memory = receive.recv()
        except EOFError:
            raise SystemExit(f"error: training with clips {kind} failed, see above") from None
        finally:
            process.join()
        print(f"| {kind} | {speed:.1f} | {waited:.2%} | {memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
