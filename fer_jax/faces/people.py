"""The people of a clip: whose face counts as a person, and the number that each has."""

from __future__ import annotations

from collections.abc import Mapping

FLEETING = 3  # frames; who is seen in fewer is a mistake of the detector, or passes by


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
