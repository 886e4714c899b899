"""How fast `fer-jax live` answers the pictures of a camera, and how late.

    python -m benchmarks.live
    python -m benchmarks.live faces gestures --faces 1 2 --seconds 30
    python -m benchmarks.live --browser

The camera is a made video of 640 x 360 pixels at 30 frames a second, with so many people side by
side, cut out of the videos of $FER_JAX_REAL_DATA or ../shared/data, or drawn. It is played in real
time: a picture that comes while another is looked at replaces the one that waits. The delay is the
time from a picture to what is seen in it, its rows included: median, 95th percentile, maximum.

With --browser the video is the camera of Chromium, which shares the cores, and the delay ends when
the boxes are drawn over the picture. That needs chromium and playwright.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time

import numpy as np

from benchmarks import browser
from benchmarks.end_to_end import write
from benchmarks.identity import default_clips, people_of
from benchmarks.shipped import use_cores

HEAD = ("model", "faces", "pictures/s", "of", "delay, ms", "95%", "most", "rows/s", "compiling, s")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("models", nargs="*", metavar="MODEL",
                        help="of `fer-jax models`, or folders (default: faces)")  # fmt: skip
    parser.add_argument("--faces", nargs="+", type=int, default=[1, 2], help="default: 1 2")
    parser.add_argument("--seconds", type=float, default=20.0, help="of video (default 20)")
    parser.add_argument("--mc-samples", type=int, default=100, help="default: 100")
    parser.add_argument("--cores", type=int, default=2, help="to run on (default: 2)")
    parser.add_argument("--browser", action="store_true", help="the page in Chromium instead")
    options = parser.parse_args(arguments)
    use_cores(options.cores)
    import fer_jax

    people = people_of(default_clips())
    head = HEAD[:-2] if options.browser else HEAD
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for count in options.faces:
            clip = pathlib.Path(folder) / f"{count}.mp4"
            write(clip, people, count, round(30 * options.seconds))
            for name in options.models or ["faces"]:
                model = fer_jax.load_model(name)
                if options.browser:
                    cells = browser.measure(model, clip, options.mc_samples, options.seconds)
                else:
                    cells = measure(model, clip, options.mc_samples)
                print(f"| {name} | {count} | {' | '.join(cells)} |", flush=True)


def measure(model, clip: pathlib.Path, mc_samples: int) -> list[str]:
    """Cells of a row of the table, see `HEAD`."""
    from fer_jax.live.camera import Camera
    from fer_jax.live.engine import Engine
    from fer_jax.live.warm_up import warm_up

    started = time.perf_counter()
    warm_up(model, mc_samples)
    compiling = time.perf_counter() - started
    camera, engine, delays, shot = Camera(str(clip)), Engine(model, mc_samples=mc_samples), [], None
    while (newest := camera.newest()) is not None:
        shot = newest
        engine.look(shot.picture, shot.seconds)
        delays.append(1000 * (camera.clock() - shot.seconds))
    engine.close()
    camera.close()
    middle, late, most = np.percentile(delays, [50, 95, 100])
    rates = len(delays) / shot.seconds, shot.number / shot.seconds
    return [
        *(f"{rate:.1f}" for rate in rates),
        *(f"{delay:.0f}" for delay in (middle, late, most)),
        f"{len(engine.rows()) / shot.seconds:.1f}",
        f"{compiling:.1f}",
    ]


if __name__ == "__main__":
    main()
