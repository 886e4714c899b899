"""Three synthetic databases beside the default, for cross-database experiments.

They differ as real databases do: in people, drawing, light, camera, film, time course and classes.
Each has one class that the others lack (contempt, neutral, relief), and `cartoon` calls happiness
joy.
"""

from __future__ import annotations

import dataclasses

from fer_jax.faces.labels import CKPLUS_CLASSES
from fer_jax.synthetic.camera import PLAIN, Style
from fer_jax.synthetic.face_model import CLASSES


@dataclasses.dataclass(frozen=True)
class Camera:
    """Position of the camera; the default is in front of the face.

    Attributes:
      frame_size: (width, height), pixels.
      fps: frames per second.
      scale: smallest and largest size of a face, pixels per face unit (`face_model`).
      yaw, pitch: degrees by which people look past the camera: yaw above 0 to the right of the
        image, pitch above 0 below it, so that the camera looks down on them.
      position: the head's centre of rotation, as fractions of width and height.
    """

    frame_size: tuple[int, int] = (256, 256)
    fps: float = 25.0
    scale: tuple[float, float] = (52, 62)
    yaw: float = 0.0
    pitch: float = 0.0
    position: tuple[float, float] = (0.5, 0.54)


@dataclasses.dataclass(frozen=True)
class Database:
    """One synthetic database; its defaults are those of `EMBEDDED`.

    Attributes:
      stream: distinguishes the random numbers of databases with the same seed.
      prefix: of its subject names.
      subjects, clips_per_subject: default numbers.
      classes: class name -> expression in `face_model.RECIPES`.
      frames: lengths of the shortest and longest clip.
      ends_at_apex: whether clips end at the apex; else the face relaxes.
      camera: see `Camera`.
      style: see `camera.Style`.
    """

    stream: tuple[int, ...] = ()
    prefix: str = "s"
    subjects: int = 30
    clips_per_subject: int = 28
    classes: dict[str, str] = dataclasses.field(default_factory=lambda: _named(CLASSES))
    frames: tuple[int, int] = (40, 60)
    ends_at_apex: bool = False
    camera: Camera = Camera()
    style: Style = PLAIN

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes in the order of their ids."""
        return tuple(self.classes)


def _named(expressions) -> dict[str, str]:
    return {name: name for name in expressions}


EMBEDDED = Database()

DATABASES = {
    # Posed from rest to apex before a plain wall, in colour, seen from the front; labelled as CK+.
    "studio": Database(
        stream=(2,),
        prefix="studio",
        subjects=24,
        clips_per_subject=14,
        classes=_named(CKPLUS_CLASSES),
        frames=(18, 30),
        ends_at_apex=True,
        camera=Camera(frame_size=(320, 240), fps=30.0, scale=(48, 56)),
    ),
    # Grey and grainy, hard light from the left, from the side and further away; the time course of
    # MMI, the classes of DISFA.
    "film": Database(
        stream=(3,),
        prefix="film",
        subjects=24,
        clips_per_subject=14,
        frames=(36, 52),
        camera=Camera(frame_size=(360, 288), scale=(44, 50), yaw=14.0, position=(0.45, 0.52)),
        style=Style(
            backdrop=(2, 30), contrast=0.3, brightness=0.75, side_light=0.55, blur=0.5,
            vignette=0.3, grain=9.0, grey=True,
        ),
    ),
    # Inked and flat, over a bad connection, from a laptop on the table; the classes of GEMEP-FERA.
    "cartoon": Database(
        stream=(4,),
        prefix="cartoon",
        subjects=24,
        clips_per_subject=15,
        classes={
            "anger": "anger", "fear": "fear", "joy": "happiness", "relief": "relief",
            "sadness": "sadness",
        },
        frames=(20, 34),
        camera=Camera(
            frame_size=(320, 240), fps=15.0, scale=(56, 64), yaw=-4.0, pitch=-11.0,
            position=(0.53, 0.54),
        ),
        style=Style(
            backdrop=(3, 4), contrast=0.25, brightness=1.1, shade_step=20, outline=0.03,
            grain=2.0, resolution=0.6, jpeg=35,
        ),
    ),
}  # fmt: skip
