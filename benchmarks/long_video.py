"""Memory and speed of `fer-jax predict` on hours of video.

    python -m benchmarks.long_video [CLIP] [--model BUNDLE] [--minutes 2 60]

Makes videos of these lengths, 640 x 360 pixels at 30 frames a second: the clip, forwards and
backwards so that nothing jumps, is encoded once, and its packets are repeated. Each is predicted by
a process of its own. Memory is flat if a long video needs no more than a short one. Without CLIP: a
face of $FER_JAX_REAL_DATA or ../shared/data; without --model: a small bundle, trained in RUNS.
"""

from __future__ import annotations

import argparse
import fractions
import os
import pathlib
import tempfile

import av
import cv2

from benchmarks import child
from fer_jax.faces.video import open_frames

WIDTH, HEIGHT, FPS = 640, 360, 30
CLIP = "videos/pyfeat_single_face.mp4"
RUNS = pathlib.Path("runs/faults")


def encode_loop(clip: pathlib.Path, out: pathlib.Path) -> None:
    """Encodes a clip forwards and backwards, without frames that depend on later ones."""
    images = [cv2.resize(image, (WIDTH, HEIGHT)) for _, image in open_frames(clip)]
    with av.open(str(out), "w") as container:
        stream = container.add_stream("h264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.max_b_frames = 0
        for image in images + images[-2:0:-1]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def repeat(loop: pathlib.Path, out: pathlib.Path, frames: int) -> None:
    """Writes a video of `frames` frames by repeating the packets of a loop; decodes nothing."""
    with av.open(str(loop)) as source, av.open(str(out), "w") as container:
        template = source.streams.video[0]
        packets = [bytes(packet) for packet in source.demux(template) if packet.size]
        keys = [index == 0 for index in range(len(packets))]
        stream = container.add_stream_from_template(template)
        for index in range(frames):
            packet = av.Packet(packets[index % len(packets)])
            packet.stream, packet.time_base = stream, fractions.Fraction(1, FPS)
            packet.pts = packet.dts = index
            packet.duration, packet.is_keyframe = 1, keys[index % len(packets)]
            container.mux(packet)


def predict(bundle: pathlib.Path, clip: pathlib.Path) -> tuple[int, float, float]:
    """Predicts a video by the command; returns its rows, its seconds and its peak memory, MiB."""
    table = clip.with_suffix(".csv")
    command = ["-m", "fer_jax", "predict", str(bundle), str(clip), "--out", str(table)]
    cost = child.run(command)
    rows = len(table.read_text().splitlines()) - 1
    return rows, cost.seconds, cost.mebibytes


def _default_clip() -> pathlib.Path:
    for data in (os.environ.get("FER_JAX_REAL_DATA"), "../shared/data"):
        if data and (pathlib.Path(data) / CLIP).exists():
            return pathlib.Path(data) / CLIP
    raise SystemExit("error: name a CLIP, a video of a face")


def _small_bundle() -> pathlib.Path:
    from benchmarks.faults import material

    return material.make(RUNS.absolute()).bundle


def main() -> None:
    """Prints a line of a Markdown table for every length."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", nargs="?", type=pathlib.Path, metavar="CLIP")
    parser.add_argument("--model", type=pathlib.Path, metavar="BUNDLE")
    parser.add_argument("--minutes", type=float, nargs="+", default=[2, 60])
    options = parser.parse_args()
    bundle, clip = options.model or _small_bundle(), options.clip or _default_clip()
    print("| minutes | frames | rows | seconds | frames/s | peak memory, MiB |", flush=True)
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        loop, video = pathlib.Path(folder) / "loop.mp4", pathlib.Path(folder) / "video.mp4"
        encode_loop(clip, loop)
        for minutes in options.minutes:
            frames = round(60 * FPS * minutes)
            repeat(loop, video, frames)
            rows, seconds, memory = predict(bundle, video)
            speed = frames / seconds
            line = f"{minutes:g} | {frames} | {rows} | {seconds:.0f} | {speed:.0f} | {memory:.0f}"
            print(f"| {line} |", flush=True)


if __name__ == "__main__":
    main()
