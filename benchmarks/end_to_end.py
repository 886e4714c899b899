"""How fast a video is predicted from file to table, with MC dropout, and where the time goes.

    python -m benchmarks.end_to_end faces synthetic --faces 1 4

The videos are made: 640 x 360 pixels, 30 frames a second, with so many people side by side, cut out
of the videos of $FER_JAX_REAL_DATA or ../shared/data, or drawn. Every person is predicted, by the
model's own windows and 100 MC samples. Milliseconds a frame: reading the video, what finding and
following the faces (with their crops) adds to that, and what the network adds, which runs while
faces are searched in the frames to come. Medians of `--repeats` runs after one that compiles.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time

import av
import numpy as np

from benchmarks.identity import HEIGHT, WIDTH, default_clips, draw, people_of
from benchmarks.shipped import use_cores

FPS = 30
HEAD = ("model", "faces", "frames/s", "1st, 3rd quartile", "reading, ms", "faces, ms",
        "network, ms", "rows")  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("models", nargs="+", metavar="MODEL",
                        help="names of `fer-jax models`, or folders of models")  # fmt: skip
    parser.add_argument("--faces", nargs="+", type=int, default=[1, 4], help="default: 1 4")
    parser.add_argument("--seconds", type=float, default=10.0, help="of video (default 10)")
    parser.add_argument("--repeats", type=int, default=5, help="default: 5")
    parser.add_argument("--mc-samples", type=int, default=100, help="default: 100")
    parser.add_argument("--cores", type=int, default=2, help="to run on (default: 2)")
    options = parser.parse_args(arguments)
    use_cores(options.cores)
    import fer_jax

    people = people_of(default_clips())
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    with tempfile.TemporaryDirectory() as folder:
        for count in options.faces:
            clip = pathlib.Path(folder) / f"{count}.mp4"
            write(clip, people, count, round(options.seconds * FPS))
            for name in options.models:
                model = fer_jax.load_model(name)
                cells = measure(model, clip, options.mc_samples, options.repeats)
                print(f"| {name} | {count} | {' | '.join(cells)} |", flush=True)


def write(path: pathlib.Path, people: list, count: int, frames: int) -> None:
    """Writes a video of `count` people who stay where they are, side by side."""
    places = [((2 * n + 1) * WIDTH / (2 * count), HEIGHT / 2) for n in range(count)]
    standing = [(n % len(people), place) for n, place in enumerate(places)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for image in draw([standing] * frames, people):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def measure(model, clip: pathlib.Path, mc_samples: int, repeats: int) -> list[str]:
    """Cells of a row of the table, see `HEAD`."""
    from fer_jax.faces.video import open_frames
    from fer_jax.predict.options import Options
    from fer_jax.predict.sources import open_source
    from fer_jax.predict.windows import predict_source

    options, said = Options(people="all", mc_samples=mc_samples), []

    def read() -> int:
        return sum(1 for _ in open_frames(clip))

    def find() -> int:
        return sum(1 for _ in open_source(model, clip, options, said.append).frames)

    def predict() -> int:
        source = open_source(model, clip, options, said.append)
        return len(predict_source(model, source, options, said.append))

    rows, frames = predict(), read()
    times = np.array([[_seconds(each) for each in (read, find, predict)] for _ in range(repeats)])
    reading, finding, whole = np.median(times, 0)
    rates = frames / np.percentile(times[:, 2], [75, 25])
    stages = (reading, finding - reading, whole - finding)
    return [
        f"{frames / whole:.0f}",
        f"{rates[0]:.0f}, {rates[1]:.0f}",
        *(f"{1000 * stage / frames:.1f}" for stage in stages),
        str(rows),
    ]


def _seconds(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
