"""People, pictures and how clips are given."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import shutil
import threading
from collections.abc import Iterator

import numpy as np

import fer_jax
from benchmarks.field.inputs import SAMPLES, Answer, Inputs, Row, command, line_with, same_rows
from fer_jax.faces.video import open_frames

BAD_NUMBERS = (
    {"fps": 0}, {"fps": -25}, {"fps": math.nan}, {"fps": "25"}, {"window": -1}, {"window": 0},
    {"stride": 0}, {"stride": "x"}, {"mc_samples": 0}, {"mc_samples": 2.5}, {"width": -1},
    {"people": "everybody"},
)  # fmt: skip


def _threads(inputs: Inputs) -> Answer:
    files = [inputs.data / "cut.mp4", inputs.data / "vfr.mp4"]
    alone = [inputs.predict(file)[0] for file in files]
    together: dict[int, object] = {}

    def work(place: int) -> None:
        together[place] = inputs.predict(files[place % 2])[0]

    workers = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    async def served():
        return await asyncio.gather(*(asyncio.to_thread(inputs.predict, file) for file in files))

    others = [table for table, _ in asyncio.run(served())]
    found = [together.get(place) for place in range(4)] + others
    equal = sum(t is not None and same_rows(t, alone[p % 2]) for p, t in enumerate(found))
    return Answer(f"{equal} of {len(found)} tables as one after the other", equal == len(found))


def _cut(inputs: Inputs) -> Answer:
    table, _ = inputs.predict(inputs.data / "cut.mp4", people="all")
    _, notes = inputs.predict(inputs.data / "cut.mp4")
    people = table.groupby("person")["box_left"]
    moved = float((people.max() - people.min()).max())
    frames = table.groupby("start")["frames"].sum() - _frames_of(table)
    said = f"{len(people)} people, each moves {moved:.0f} pixels; {line_with(notes, 'faces')}"
    right = len(people) == 2 and moved < 60 and (frames <= 0).all() and "2 faces" in notes
    return Answer(said, bool(right))


def _frames_of(table):
    """Frames of each window, from the share of one person."""
    rows = table.groupby("start").first()
    return (rows["frames"] / rows["face_share"]).round()


def _late_on_its_side(inputs: Inputs) -> Answer:
    table, notes = inputs.predict(inputs.data / "late_side.mp4")
    upright, _ = inputs.predict(inputs.data / "late_upright.mp4")
    seen = [(t["frames"] > 0).tolist() for t in (table, upright)]
    said = f"a face in {sum(seen[0])} of {len(table)} windows; {line_with(notes, 'turned')}"
    return Answer(said, seen[0] == seen[1] and 0 < sum(seen[0]) < len(table) and "turned" in notes)


def _face_ids(inputs: Inputs) -> Answer:
    file = inputs.data / "csvs" / "face_id.csv"
    table, notes = inputs.predict(file)
    stamp = float(file.read_text().splitlines()[-1].split(",")[2])
    end = table["end"].iloc[-1]
    said = f"rows end at {end:.2f} s of {stamp:.2f}; {line_with(notes, 'face_id')}"
    return Answer(said, 0 <= end - stamp < 0.1)


def _colon(inputs: Inputs) -> Answer:
    name = "10:33:12.mp4"
    shutil.copy(inputs.data / "cut.mp4", inputs.folder / name)
    with contextlib.chdir(inputs.folder):
        table, _ = inputs.predict(name)
    whole, _ = inputs.predict(inputs.data / "cut.mp4")
    return Answer(f"{len(table)} rows", len(table) > 0 and same_rows(table, whole))


def _refused(inputs: Inputs, options: dict, frames: bool) -> bool:
    try:
        if frames:
            options = {"mc_samples": SAMPLES, **options}
            next(fer_jax.predict_frames(inputs.predictor, _images(inputs, 1), **options))
        else:
            fer_jax.predict_clips(inputs.predictor, inputs.data / "cut.mp4", **options)
    except ValueError as error:
        return next(iter(options)) in str(error) or str([*options.values()][-1]) in str(error)
    return False


def _bad_numbers(inputs: Inputs) -> Answer:
    calls = [(o, f) for o in BAD_NUMBERS for f in (True, False) if not (f and "width" in o)]
    refused = sum(_refused(inputs, dict(options), frames) for options, frames in calls)
    clip = inputs.data / "cut.mp4"
    pairs = (pair for options in BAD_NUMBERS for pair in options.items())
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in pairs]
    flags.remove("--fps=25")  # text is how the command line has it
    ended = [command("predict", inputs.bundle, clip, flag) for flag in flags]
    two = sum(code == 2 and "Traceback" not in text for code, text in ended)
    said = f"ValueError {refused} of {len(calls)}, exit code 2 {two} of {len(flags)}"
    return Answer(said, refused == len(calls) and two == len(flags))


def _images(inputs: Inputs, count: int) -> Iterator[np.ndarray]:
    frames = open_frames(inputs.data / "cut.mp4")
    for (_, image), _ in zip(frames, range(count), strict=False):
        yield image


def _dropped_frame(inputs: Inputs) -> Answer:
    first, last = _images(inputs, 2)
    rows = list(fer_jax.predict_frames(inputs.predictor, [first, None, last], fps=25,
                                       mc_samples=SAMPLES))  # fmt: skip
    frames, share = rows[0]["frames"], rows[0]["face_share"]
    said = f"{frames} frames with the face, share {share:.2f}, to {rows[0]['end']:.2f} s"
    return Answer(said, abs(share - 2 / 3) < 0.01 and math.isclose(rows[0]["end"], 3 / 25))


def _bits(kind: str, white: str, inputs: Inputs) -> Answer:
    table, notes = inputs.predict(inputs.data / kind)
    note = line_with(notes, "taken for white")
    said = f"a face in {table['frames'].iloc[0]} of 3 pictures; {note}"
    return Answer(said, table["frames"].iloc[0] == 3 and f"{white} is taken" in note)


def _folder_of_videos(inputs: Inputs) -> Answer:
    folder = inputs.scratch("videos")
    for name in ("cut.mp4", "vfr.mp4"):
        shutil.copy(inputs.data / name, folder)
    shutil.copy(next((inputs.data / "dump_suffix").iterdir()), folder / "one.jpg")
    table, notes = inputs.predict(folder)
    whole, _ = inputs.predict(inputs.data / "cut.mp4", inputs.data / "vfr.mp4")
    said = f"rows of {table['clip'].nunique()} clips; {line_with(notes, 'holds')}"
    return Answer(said, same_rows(table, whole) and "its videos are predicted (2)" in notes)


ROWS = [
    Row("threads", "several threads", "four threads, asyncio.to_thread", _threads),
    Row("cut", "cut from one person to another", "cut.mp4", _cut),
    Row("late_side", "a face on its side after an empty room", "late_side.mp4", _late_on_its_side),
    Row("face_id", "face_id changes", "face_id.csv", _face_ids),
    Row("colon", "colon in a name", "10:33:12.mp4 without a folder", _colon),
    Row("numbers", "impossible numbers", "fps 0, negative windows, text", _bad_numbers),
    Row("dropped", "a frame the camera dropped", "predict_frames([image, None, image])",
        _dropped_frame),
    Row("i16_12bit", "12 bits in 16", "i16_12bit/", functools.partial(_bits, "i16_12bit", "4095")),
    Row("i_float", "pictures of floats", "i_float/", functools.partial(_bits, "i_float", "1")),
    Row("folder", "a folder of videos", "two videos and a JPG", _folder_of_videos),
]  # fmt: skip
