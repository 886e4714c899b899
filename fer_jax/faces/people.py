"""The people of a clip: what is kept of each, whose face counts, and the number that each has."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_jax.faces.detector import Fit, Portrait

CALM, STEPS = 0.95, 3  # how like, and how many; hands and turns of the head come more gradually
VIEWS = 16  # kept of a person at most
# Distance of portraits where a hand or a neighbour changed the view: of one person at most 0.37, of
# two people at least 0.48, of drawn ones, who are more alike, 0.22.
KNOWN, SURELY_KNOWN = 0.4, 0.2  # the second after calm, where cuts come
FLEETING = 3  # frames; who is seen in fewer is a mistake of the detector, or passes by


@dataclasses.dataclass
class Person:
    """A track: the last fit, frame of the last sighting, and views from which to know it again.

    `steps` holds how alike the last frames were, each to the one before.
    """

    fit: Fit
    seen: int
    views: collections.deque = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=VIEWS)
    )
    portraits: list[tuple[int, Portrait]] = dataclasses.field(default_factory=list)
    weight: float = 0.0  # summed areas
    steps: collections.deque = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=STEPS)
    )

    @property
    def is_calm(self) -> bool:
        return len(self.steps) == STEPS and min(self.steps) >= CALM

    def keep(self, frame: int, portrait: Portrait) -> None:
        """Keeps the view of this frame, and of the portraits the first and the last two."""
        self.views.append((frame, self.fit.view))
        self.portraits = [*self.portraits[:1], *self.portraits[1:][-1:], (frame, portrait)]

    def likeness(self, fit: Fit, until: float = math.inf) -> float:
        """Returns how alike a face is to the most similar view up to a frame, -1..1; 1: no view."""
        return max((float(v @ fit.view) for frame, v in self.views if frame <= until), default=1.0)

    def alike(self, fit: Fit) -> float:
        """The same with the last view, which is not kept where a neighbour may hide the face."""
        return max(self.likeness(fit), float(self.fit.view @ fit.view))

    def distance(self, portrait: Portrait, until: int) -> float:
        """Returns how far a face is from the nearest portrait up to a frame; infinite: none."""
        known = [each for frame, each in self.portraits if frame <= until]
        return min(map(portrait.distance, known), default=math.inf)


def lasting(seen: Mapping[int, int], frames: int) -> list[int]:
    """Returns the tracks that count as people, in the order in which they begin.

    Args:
      seen: track -> number of frames that show it; tracks are numbered as they begin.
      frames: number of frames of the clip.
    """
    return [track for track in sorted(seen) if seen[track] >= min(FLEETING, frames)]


def person_numbers(seen: Mapping[int, int], frames: int) -> dict[int, int]:
    """Numbers the people of a clip 1, 2, ... in the order in which they first appear.

    The numbers depend on the clip alone, so that a manifest may use those of a prediction. Tracks
    that do not last have the numbers after those of all people.

    Args:
      seen, frames: see `lasting`.

    Returns:
      Track -> number.
    """
    order = [*lasting(seen, frames), *sorted(seen)]
    return {track: number for number, track in enumerate(dict.fromkeys(order), 1)}
