"""Tracks faces from frame to frame in a stream of frames.

Searching every frame costs ten times as much as tracking. So a face is searched once; in the next
frame its landmarks are fitted from their last position, and the detector only confirms them in a
small upright patch. If it does not, the frame is searched again.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterator

import cv2
import numpy as np

from fer_jax.faces.boxes.placed import Boxed
from fer_jax.faces.detector import Detector, Fit, inside, same, shrink, size_ratio
from fer_jax.faces.orientation import upright_rotation
from fer_jax.faces.people import KNOWN, SURELY_KNOWN, Person
from fer_jax.faces.video import Frames, open_frames

_SEARCH_EVERY = 30  # frames, for faces that enter while one is tracked
_SEARCH_AGAIN_EVERY = 10  # frames, while somebody was lost within a second or so
_LOOK_CLOSER_EVERY = 5  # frames without a face; finds faces below 80 pixels of SEARCH_WIDTH
_LOOK_FOR_MORE_EVERY = 150  # frames, for such faces beside others: costs 0.2 ms a frame
_MOST_FACES = 16  # tracked at a time; each costs about 4 ms a frame
_SIZE_CHANGE = 1.6  # a larger change of size between frames means another person

# Who is who: the likeness of two faces is the correlation of their views. Measured between frames
# of one person: 0.91 and more from one frame to the next, 0.7 where a hand comes before the face;
# to the nearest of the views seen so far 0.95. Two people at the same place and size, in front of
# the same wall: at most 0.82, drawn people 0.89.
_ALIKE = 0.92  # after a jump, a cut or an absence
_FOLLOWED = 0.62  # where nothing but the face may have changed
_SUDDEN = 0.75  # the same after frames of which each was nearly like the one before
_HIDDEN = 0.45  # where a neighbour may hide the face
_DOUBTED = 5  # frames for which a face this much alike waits: a hand may be before it
# Change of the picture from which more likeness is asked for, and up to which it reaches `_ALIKE`.
# Measured: below 0.08 within a clip, where people walk or wave; 0.1 and more at cuts.
_STEADY, _CUT = 0.06, 0.1
_JUMP, _GROWTH = 0.3, 1.25  # face sizes, factor: what nobody moves or grows from frame to frame
# Where one scene dissolves into the next within so many frames, faces change gradually: change of
# the picture over them, and likeness to the views before them, which two people do not have.
_DISSOLVE, _DISSOLVED, _STILL_ALIKE = 20, 0.25, 0.8
_BLINK = 25  # frames; who is back at the same place within them is followed
_NEW_VIEW = 0.95  # likeness below which a view is a new one
_NEARBY = 1.2  # face sizes within which somebody lost a moment ago is looked for by portrait
# At most: faces compared by portrait in `_BLINK` frames, and people with whom each is compared.
# Faces that flash up must not slow a video down.
_COMPARED = 3
_ALONE = 1.5  # face sizes; a closer neighbour may hide a face, so its view is not kept
_PEOPLE = 200  # remembered at most
_THUMBNAIL = 16, 9  # pixels


@dataclasses.dataclass(frozen=True)
class Face:
    """A face in one frame.

    Attributes:
      track: index of the track within the clip, constant for one face.
      landmarks: `[68, 2]` float32, pixels of the frame.
      side: side of the detector's box, pixels of the frame.
      fit: score of the detector at the landmarks: background is below 0, faces mostly above 0.4.
      boxed: of a face found without landmarks: these are then those of an average face, and it
        holds the rest, in pixels of the frame. None: they are the face's own.
    """

    track: int
    landmarks: np.ndarray
    side: float
    fit: float = float("nan")
    boxed: Boxed | None = None


class Tracker:
    """Tracks the faces of one clip frame by frame; holds only their last landmarks and few views.

    A face keeps its track as long as it moves and changes gradually. After a jump, a scene cut or
    an absence it gets the track of somebody seen before only if it looks very much alike; a new
    track is the lesser error.

    Args:
      model_path: a dlib 68-point model, see `detector.landmark_model`.
      every_frame: searches every frame and fits landmarks to what is found there, instead of
        following faces; as the ST-BLN paper did, and several times slower.
      detector: in place of dlib's, such as `boxes.network.BoxDetector`.
    """

    def __init__(self, model_path=None, every_frame: bool = False, detector=None):
        self._every_frame = every_frame
        self._detector = detector or Detector(model_path)
        self._live: dict[int, Person] = {}
        self._lost: dict[int, Person] = {}
        self._tracks = 0
        self._frame, self._image, self._scale = -1, None, 1.0
        self._thumbnails: collections.deque = collections.deque(maxlen=_DISSOLVE + 1)
        self._changes: collections.deque[float] = collections.deque(maxlen=_BLINK + 1)
        self._since_search = _SEARCH_EVERY
        self._without_face = 0
        self._compared = collections.deque([-_BLINK] * _COMPARED, _COMPARED)  # frames, by portraits
        self._waited = 0  # frames in which somebody is about to enter

    def step(self, image: np.ndarray) -> list[Face]:
        """Returns the faces in the next frame, `[H, W, 3]` uint8 RGB or `[H, W]` gray."""
        gray, scale = self._detector.shrink(image)
        self._image, self._scale = image, scale
        self._frame += 1
        few = shrink(gray[::4, ::4])[0]  # all pixels cost 0.3 ms
        small = cv2.resize(few, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(float)
        self._thumbnails.append(small - small.mean())
        self._changes.append(self._change(1))
        dropped = self._let_go() if self._every_frame else self._follow(gray)
        self._since_search += 1
        if (
            dropped
            or not self._live
            or self._waited
            or self._since_search >= self._search_interval()
        ):
            self._search(gray, closer=False)
        if self._every_frame:
            closer = True  # a small face is then in every frame or in none
        elif self._live:
            closer = self._frame % _LOOK_FOR_MORE_EVERY == 0
        else:
            closer = self._without_face % _LOOK_CLOSER_EVERY == 0
        if closer:
            self._search(gray, closer=True)
        self._without_face = 0 if self._live else self._without_face + 1
        faces = []
        for track, person in self._live.items():
            self._remember(person)
            person.weight += (person.fit.side * scale) ** 2
            faces.append(self._face(track, person.fit))
        self._image = None  # a stream may hold few frames
        return faces

    def _face(self, track: int, fit: Fit) -> Face:
        boxed = fit.boxed and Boxed(*map(self._of_source, fit.boxed))
        return Face(track, self._landmarks(fit), fit.side * self._scale, fit.score, boxed)

    def _landmarks(self, fit: Fit) -> np.ndarray:
        """Returns the landmarks `[68, 2]` of a face in pixels of the source."""
        return self._of_source(np.stack([fit.points.real, fit.points.imag], 1)).astype(np.float32)

    def _of_source(self, places: np.ndarray) -> np.ndarray:
        """Turns pixels of the reduced frame into those of the source: squares, not points."""
        return (places + 0.5) * self._scale - 0.5

    def main(self, faces: list[Face]) -> Face | None:
        """Returns the face of the track with the largest weight so far, None without a face."""
        return max(faces, key=lambda face: self._live[face.track].weight, default=None)

    def _change(self, frames: int) -> float:
        """Returns how much the picture has changed in so many frames, from 0: not at all."""
        if len(self._thumbnails) <= frames:
            return 0.0
        before, now = self._thumbnails[-1 - frames], self._thumbnails[-1]
        return float(np.abs(now - before).mean() / (now.std() + before.std() + 5))

    def _search_interval(self) -> int:
        lately = any(self._frame - person.seen <= _BLINK for person in self._lost.values())
        return _SEARCH_AGAIN_EVERY if lately else _SEARCH_EVERY

    def _let_go(self) -> bool:
        """Loses all faces, to be found in this frame anew; returns whether there were any."""
        dropped = bool(self._live)
        self._lost |= self._live
        self._live = {}
        self._forget()
        return dropped

    def _follow(self, gray) -> bool:
        """Fits the faces of the last frame in this one; returns whether one was lost."""
        found: dict[int, Fit] = {}
        for track, person in self._live.items():
            last = person.fit
            fit = self._detector.fit(gray, last)
            if abs(fit.centroid - last.centroid) > 0.05 * last.side:
                fit = self._detector.fit(gray, fit)
            if size_ratio(fit, last) > _SIZE_CHANGE:
                continue
            fit = self._detector.confirm(gray, fit)
            if fit and self._is_same(person, fit):
                found[track] = fit
        self._leave_apart(found)
        dropped = [track for track in self._live if track not in found]
        for track in dropped:
            self._lost[track] = self._live.pop(track)
        for track, fit in found.items():
            person = self._live[track]
            person.steps.append(float(person.fit.view @ fit.view))
            person.fit, person.seen = fit, self._frame
        self._forget()
        return bool(dropped)

    def _forget(self) -> None:
        """Forgets who was lost longest ago, of too many."""
        while len(self._lost) > _PEOPLE:
            del self._lost[next(iter(self._lost))]

    def _leave_apart(self, found: dict[int, Fit]) -> None:
        """Where two tracks end in one face, as two people cross, leaves it to the more alike."""
        for one, other in itertools.combinations(list(found), 2):
            if one in found and other in found and same(found[one], found[other]):
                first, second = (self._live[track].likeness(found[track]) for track in (one, other))
                del found[one if first < second else other]

    def _is_same(self, person: Person, fit: Fit) -> bool:
        """Returns whether a face is taken for a person seen before."""
        if person.alike(fit) < self._needed(person, fit):
            return False
        if self._change(_DISSOLVE) < _DISSOLVED:
            return True
        return person.likeness(fit, until=self._frame - _DISSOLVE) >= _STILL_ALIKE

    def _needed(self, person: Person, fit: Fit) -> float:
        """Returns the likeness at which a face is taken for a person seen before."""
        away, last = self._frame - person.seen, person.fit
        far = abs(fit.centroid - last.centroid) > _JUMP * last.side * max(1.0, away / 5)
        if away > _BLINK or far or size_ratio(fit, last) > _GROWTH:
            return _ALIKE
        change = max(list(self._changes)[-away:])
        least = _SUDDEN if person.is_calm else _FOLLOWED
        least = _HIDDEN if self._is_close(person, fit) else least
        return float(np.interp(change, [_STEADY, _CUT], [least, _ALIKE]))

    def _is_close(self, person: Person, fit: Fit) -> bool:
        """Returns whether somebody else is so near that one face may hide the other."""
        reach = _ALONE * fit.side
        others = (other.fit for other in self._live.values() if other is not person)
        return any(abs(fit.centroid - other.centroid) < reach for other in others)

    def _search(self, gray, closer: bool) -> None:
        self._since_search = 0
        for box, _ in self._detector.search(gray, closer)[:_MOST_FACES]:
            fit = self._detector.fit_box(gray, box)
            if len(self._live) >= _MOST_FACES or self._is_tracked(fit):
                continue
            if fit := self._detector.confirm(gray, fit):
                self._enter(fit, inside=inside(fit, gray))

    def _is_tracked(self, fit: Fit) -> bool:
        return any(same(fit, person.fit) for person in self._live.values())

    def _enter(self, fit: Fit, inside: bool) -> None:
        """Gives a new face the track of the lost person it is most alike to, else a new one.

        Who enters over the border of the picture is not yet alike to anybody: that waits a moment,
        and so does a face that a hand may hide.
        """
        alike = {t: p.likeness(fit) for t, p in self._lost.items() if self._is_same(p, fit)}
        if not alike and self._waits(fit, inside):
            self._waited += 1
            return
        if alike := alike or self._recognized(fit):
            track = max(alike, key=alike.get)
            person = self._lost.pop(track)
            person.fit, person.seen = fit, self._frame
            person.steps.clear()
        else:
            track, self._tracks = self._tracks, self._tracks + 1
            person = Person(fit, self._frame)
            person.keep(self._frame, self._portrait(fit))
        self._live[track], self._waited = person, 0

    def _recognized(self, fit: Fit) -> dict[int, float]:
        """Returns who was lost nearby a moment ago and has this face; the higher, the surer."""
        near = [(t, p) for t, p in self._lost.items() if self._is_nearby(p, fit)]
        if not near or self._frame - self._compared[0] < _BLINK:
            return {}
        self._compared.append(self._frame)
        dissolves = self._change(_DISSOLVE) >= _DISSOLVED
        until = self._frame - _DISSOLVE * dissolves
        portrait, known = self._portrait(fit), {}
        for track, person in near[-_COMPARED:]:
            distance = person.distance(portrait, until)
            if distance <= (SURELY_KNOWN if dissolves or person.is_calm else KNOWN):
                known[track] = -distance
        return known

    def _is_nearby(self, person: Person, fit: Fit) -> bool:
        """Returns whether a face is where a person was a moment ago, in the same scene."""
        away, last = self._frame - person.seen, person.fit
        if away > _BLINK or max(list(self._changes)[-away:]) >= _CUT:
            return False
        close = abs(fit.centroid - last.centroid) < _NEARBY * last.side
        return close and size_ratio(fit, last) < _SIZE_CHANGE

    def _waits(self, fit: Fit, inside: bool) -> bool:
        """Returns whether it is too early to say that a face is not that of a lost person."""
        if self._lost and not inside and self._waited < _BLINK:
            return True
        return self._waited < _DOUBTED and any(self._doubts(p, fit) for p in self._lost.values())

    def _doubts(self, person: Person, fit: Fit) -> bool:
        """Returns whether a face may be that of a person of a moment ago, hidden by a hand."""
        lately = self._frame - person.seen <= _DOUBTED and same(fit, person.fit)
        return lately and self._needed(person, fit) < _ALIKE and person.alike(fit) >= _HIDDEN

    def _remember(self, person: Person) -> None:
        """Keeps the view of a face that no neighbour may hide, if it is a new one."""
        if person.likeness(person.fit) < _NEW_VIEW and not self._is_close(person, person.fit):
            person.keep(self._frame, self._portrait(person.fit))

    def _portrait(self, fit: Fit):
        return self._detector.portrait(self._image, self._landmarks(fit))


@dataclasses.dataclass
class Followed:
    """A clip whose faces are tracked while it is read.

    Iterating yields `(frame_index, image, faces)`: the frame's number in the source, `[H, W, 3]`
    uint8 RGB upright, and its faces. `tracker.main(faces)` selects the main person.
    """

    frames: Frames
    tracker: Tracker

    def __iter__(self) -> Iterator[tuple[int, np.ndarray, list[Face]]]:
        for index, image in self.frames:
            yield index, image, self.tracker.step(image)


def follow(
    source, rotation: int | None = None, model_path=None, every_frame: bool = False, detector=None
) -> Followed:
    """Opens a clip and tracks the faces in it; memory does not grow with its length.

    Args:
      source: a source for `open_frames`.
      rotation: degrees clockwise to turn frames by; None detects it.
      model_path, every_frame, detector: see `Tracker`.

    Raises:
      ClipError: the source cannot be read.
      LandmarkModelError: dlib or its model is missing.
    """
    if rotation is None:
        rotation = upright_rotation(source, model_path, detector)
    return Followed(open_frames(source, rotation), Tracker(model_path, every_frame, detector))
