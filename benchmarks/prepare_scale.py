"""Preparation of very many clips: core time, memory, megabytes; on paper, of a million videos.

    python -m benchmarks.prepare_scale                            # half an hour on 2 CPU cores
    python -m benchmarks.prepare_scale --clips 10000 --videos 100 --folder /scratch

Landmark clips of drawn people are read (`--shard 1/1`) and made a dataset (`--merge`) as an array
job does it, a tenth of them first: what grows faster than the number of clips shows. Videos are
links to a few drawn ones of 640 x 360 pixels and two seconds, prepared with crops of 64 pixels.
Where the extra `cluster` is installed, tasks that do nothing go to two dask workers: what they cost
the command limits how many workers it can keep busy. The last lines follow from these numbers by
the rule of three; see docs/data/cluster.md.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import cv2
from rich.console import Console
from rich.table import Table

from fer_jax.synthetic.clips import make_clip, render, write_video
from preprocess.workers.cluster import Cluster

DRAWN, FRAMES, SIDE = 10, 50, 64  # videos, frames of each, pixels of their crops
CLIPS_EACH = 10  # of a drawn person
MILLION = 10**6
LONG = 250  # frames of a video on paper: 10 seconds
CORES = (16, 256, 2048)
TASKS = 1000
LOCAL = """
import distributed
with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as local:
    print(local.scheduler_address, flush=True)
    input()
"""
FIELDS = re.compile(r"(?m)^VmHWM:\s+(\d+)")


class Measured(NamedTuple):
    """A command: core seconds, and peak memory of its process and of the largest it started, MiB.

    Time on cores, not on the clock: other work on the machine changes little in it.
    """

    seconds: float
    own: float
    largest: float


def peak(process: int) -> float:
    """Peak memory of a process so far, MiB; 0 if it has ended."""
    with contextlib.suppress(OSError):
        if found := FIELDS.search(pathlib.Path(f"/proc/{process}/status").read_text()):
            return int(found[1]) / 1024
    return 0.0


def time_of_children() -> float:
    """Core seconds of all processes that have ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def children(process: int) -> list[int]:
    """Processes that a process started, without their own."""
    with contextlib.suppress(OSError):
        tasks = pathlib.Path(f"/proc/{process}/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return []


def run(*arguments) -> Measured:
    """Runs a preparation and watches its memory."""
    command = [sys.executable, "-m", "preprocess", *map(str, arguments)]
    before, own, largest = time_of_children(), 0.0, 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            own = max(own, peak(process.pid))
            largest = max([largest, *map(peak, children(process.pid))])
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Measured(time_of_children() - before, own, largest)


def megabytes(folder: pathlib.Path, pattern: str) -> float:
    return sum(file.stat().st_size for file in folder.glob(pattern)) / 1e6


class Row(NamedTuple):
    """A dataset that was prepared: clips, the two commands, and megabytes."""

    what: str
    clips: int
    reading: Measured
    merging: Measured
    cache: float
    shards: float
    report: float


def prepared(what: str, clips: int, out: pathlib.Path, *command) -> Row:
    """Prepares a dataset in two commands."""
    reading = run(*command, "--out", out, "--shard", "1/1")
    merging = run(*command, "--out", out, "--merge")
    sizes = (megabytes(out, each) for each in (".clips/*.npz", "*.array_record-*", "report.json"))
    return Row(what, clips, reading, merging, *sizes)


def landmark_clips(folder: pathlib.Path, clips: int) -> Row:
    people = ["--subjects", clips // CLIPS_EACH, "--clips-per-subject", CLIPS_EACH]
    return prepared("landmarks", clips, folder / f"landmarks{clips}", "synthetic", *people)


def video_clips(folder: pathlib.Path, clips: int) -> Row:
    """Prepares videos with crops; files with the same content have different names."""
    videos = folder / f"videos{clips}"
    videos.mkdir()
    for person in range(min(DRAWN, clips)):
        clip = make_clip(0, person, 1, frames=FRAMES)
        images = render(clip.true_landmarks, clip.identity, size=360)
        wide = (cv2.copyMakeBorder(i, 0, 0, 140, 140, cv2.BORDER_REPLICATE) for i in images)
        write_video(videos / f"{person}.mp4", wide, clip.fps)
    with (videos / "clips.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "subject", "label"])
        for number in range(clips):
            if number >= DRAWN:
                os.link(videos / f"{number % DRAWN}.mp4", videos / f"{number}.mp4")
            rows.writerow([f"{number}.mp4", f"p{number % 100}", ("joy", "fear")[number % 2]])
    command = ["manifest", "--source", videos / "clips.csv", "--crops", SIDE]
    return prepared("videos, crops", clips, folder / f"crops{clips}", *command)


def tasks_a_second() -> float | None:
    """Tasks that a command hands to dask workers in a second of one core; None without dask."""
    try:
        import distributed
    except ImportError:
        return None
    command = [sys.executable, "-c", LOCAL]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        address = started.stdout.readline().strip()
        with distributed.Client(address, set_as_default=False) as client:
            workers = Cluster(client, str, print)
            list(workers.each(len, ["a"] * 10))
            before = time.process_time()
            list(workers.each(len, ["a"] * TASKS))
            seconds = time.process_time() - before
        started.communicate("end")
    return TASKS / seconds


def measured_table(rows: list[Row]) -> Table:
    table = Table("", "clips", "reading, ms", "making the dataset, ms",
                  "memory of the command, MiB", "largest of its processes, MiB", "cache, MB",
                  "shards, MB", "report.json, MB")  # fmt: skip
    for row in rows:
        both = (row.reading, row.merging)
        table.add_row(
            row.what,
            f"{row.clips:,}",
            *(f"{1e3 * each.seconds / row.clips:.1f}" for each in both),
            f"{both[0].own:.0f} / {both[1].own:.0f}",
            f"{both[0].largest:.0f} / {both[1].largest:.0f}",
            *(f"{size:,.1f}" for size in row[-3:]),
        )
    return table


def paper(few: Row, many: Row, videos: Row, tasks: float | None) -> list[str]:
    """Lines about a million videos of ten seconds, by the rule of three."""
    longer = LONG / FRAMES
    core_seconds = videos.reading.seconds / videos.clips * longer
    writing = videos.merging.seconds / videos.clips * longer
    per_clip = (many.reading.own - few.reading.own) / (many.clips - few.clips)
    merging = (many.merging.own - few.merging.own) / (many.clips - few.clips)
    scale = MILLION / videos.clips * longer / 1e6  # megabytes -> terabytes
    hours = {n: MILLION * core_seconds / n / 3600 for n in CORES}
    lines = [
        f"A million videos of {LONG} frames, 640 x 360 pixels, crops of {SIDE} pixels:",
        f"  reading: {core_seconds:.1f} core seconds a video; "
        + ", ".join(f"{value:,.1f} h on {n} cores" for n, value in hours.items()),
        f"  making the dataset: {MILLION * writing / 3600:,.0f} core hours",
        f"  disk: {videos.cache * scale:.1f} TB of finished clips in {MILLION:,} files, "
        f"{videos.shards * scale:.1f} TB of shards",
        f"  memory of the command: {MILLION * per_clip / 1024:.1f} GB reading, "
        f"{MILLION * merging / 1024:.1f} GB making the dataset; report.json "
        f"{many.report / many.clips * MILLION / 1024:.1f} GB",
    ]
    if tasks:
        lines.append(
            f"  one core hands {tasks:.0f} tasks/s to dask workers: enough for "
            f"{tasks * core_seconds:,.0f} of them"
        )
    return lines


def main() -> None:
    """Prints what was measured, and what follows from it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare_scale", description=__doc__)
    parser.add_argument("--clips", type=int, default=100_000, help="of landmarks")
    parser.add_argument("--videos", type=int, default=1000, help="with crops")
    parser.add_argument("--folder", type=pathlib.Path, help="where to write (default: temporary)")
    options = parser.parse_args()
    console = Console(width=150)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = pathlib.Path(name)
        few, many = (landmark_clips(folder, n) for n in (options.clips // 10, options.clips))
        videos = video_clips(folder, options.videos)
        console.print(measured_table([few, many, videos]))
        for line in paper(few, many, videos, tasks_a_second()):
            console.print(line, highlight=False)
    console.print("times are of one core, for each clip; pairs are reading / making the dataset")


if __name__ == "__main__":
    main()
