"""Draws one face over its 68 landmarks: filled shapes, soft shading, folds of the skin.

All lengths are in eye distances; every shape depends only on the landmarks, so real sequences can
be drawn as well as synthetic ones. Edges are drawn where a detector trained on photographs expects
them, which can be a few hundredths of an eye distance away from the landmark.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from fer_jax.faces.landmarks import LEFT_EYE, RIGHT_EYE
from fer_jax.synthetic.camera import Style, in_steps, side_light
from fer_jax.synthetic.canvas import Pen, curve, curves, opencv, tone


@dataclasses.dataclass(frozen=True)
class Appearance:
    """Colours (RGB, 0..255) and hair of a drawn person; lengths in eye distances.

    Attributes:
      skin, lips, hair, brow, iris, clothes, background: colours.
      hairline: height of the hairline above the eyes.
      crown: height of the top of the head above the eyes.
      hair_length: how far the hair falls below the ears; 0 is short.
      parting: position of the parting, -1..1.
      brow_thickness: thickness of the brow at its inner end.
    """

    skin: tuple[float, float, float]
    lips: tuple[float, float, float]
    hair: tuple[float, float, float]
    brow: tuple[float, float, float]
    iris: tuple[float, float, float]
    clothes: tuple[float, float, float]
    background: tuple[float, float, float]
    hairline: float
    crown: float
    hair_length: float
    parting: float
    brow_thickness: float


@dataclasses.dataclass(frozen=True)
class _Frame:
    """One face: landmarks `[68, 2]`, eye distance, unit vectors to the head's right and down."""

    points: np.ndarray
    unit: float
    right: np.ndarray
    down: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray) -> _Frame:
        across = points[LEFT_EYE].mean(0) - points[RIGHT_EYE].mean(0)
        right = across / max(np.linalg.norm(across), 1e-6)
        # In a turned head the eyes are closer together, but the head keeps its size.
        long_way = np.linalg.norm(points[27] - points[8]) / 1.68
        unit = max(float(np.linalg.norm(across)), 0.85 * float(long_way), 1.0)
        return cls(points, unit, right, np.array([-right[1], right[0]]))

    def at(self, centre, x: float, y: float) -> np.ndarray:
        return np.asarray(centre) + self.unit * (x * self.right + y * self.down)


def _cranium(face: _Frame, height: float, wider: float) -> np.ndarray:
    """Returns an arc over the head from ear to ear, `[N, 2]`; `height` is above the eyes."""
    p = face.points
    middle, half = (p[0] + p[16]) / 2, (p[16] - p[0]) / 2
    angle = np.linspace(np.pi, 0, 21)[:, None]
    lift = face.unit * height + (middle - (p[27])) @ face.down
    bulge = 1 + wider * np.sin(angle)
    return middle + np.cos(angle) * bulge * half - np.sin(angle) ** 0.9 * lift * face.down


def _draw_back(pen: Pen, face: _Frame, look: Appearance):
    """Draws hair behind the head, shoulders, neck and ears."""
    p = face.points
    outer = _cranium(face, look.crown, 0.10)
    if look.hair_length > 0:
        fall = look.hair_length
        left = [face.at(p[16], 0.2, 0.1), face.at(p[15], 0.28, 0.5 * fall),
                face.at(p[14], 0.2, fall), face.at(p[13], -0.1, fall)]  # fmt: skip
        right = [face.at(p[3], 0.1, fall), face.at(p[2], -0.2, fall),
                 face.at(p[1], -0.28, 0.5 * fall), face.at(p[0], -0.2, 0.1)]  # fmt: skip
        outline = [outer, curve(np.array(left)), curve(np.array(right))]
        pen.fill(np.concatenate(outline), tone(look.hair, 0.75))
    chest = face.at(p[8], 0.0, 1.2)
    pen.ellipse(chest, face.right * face.unit * 2.1, face.down * face.unit, look.clothes)
    neck = [p[3], face.at(p[5], 0.06, 0.2), face.at(p[5], 0.02, 0.75), face.at(p[8], 0, 0.85),
            face.at(p[11], -0.02, 0.75), face.at(p[11], -0.06, 0.2), p[13]]  # fmt: skip
    pen.fill(curve(np.array(neck)), tone(look.skin, 0.5))
    for ear, outward in ((p[1], -1), (p[15], 1)):
        centre = face.at(ear, 0.05 * outward, -0.02)
        pen.ellipse(centre, face.right * face.unit * 0.12, face.down * face.unit * 0.26,
                    tone(look.skin, 0.82))  # fmt: skip


def _draw_head(pen: Pen, face: _Frame, look: Appearance):
    jaw = curve(_contour(face))
    pen.fill(np.concatenate([jaw, _cranium(face, look.crown - 0.08, 0.03)[::-1]]), look.skin)


def _contour(face: _Frame) -> np.ndarray:
    """Returns the jaw line to draw: detectors find the chin slightly below the visible edge."""
    lower = np.sin(np.linspace(0, np.pi, 17))[:, None]
    return face.points[:17] - 0.04 * face.unit * lower * face.down


def _draw_hair(pen: Pen, face: _Frame, look: Appearance):
    """Draws hair from a wavy hairline over the crown, with strands from the parting."""
    p = face.points
    outer, inner = _cranium(face, look.crown, 0.10), _cranium(face, look.hairline, -0.10)
    along = np.linspace(-1, 1, len(inner))[:, None]
    temple = 0.10 * np.exp(-(((np.abs(along) - 0.72) / 0.16) ** 2))
    lift = 0.14 * np.clip(1 - np.abs(along - look.parting) / 0.5, 0, 1) - temple
    inner = inner - face.unit * lift * face.down
    sideburns = [face.at(p[0], 0.03, 0.22)], [face.at(p[16], -0.03, 0.22)]
    rim = [face.at(p[0], -0.09, 0.05)], [face.at(p[16], 0.09, 0.05)]
    shape = [rim[0], outer, rim[1], sideburns[1], inner[1:-1][::-1], sideburns[0]]
    pen.fill(np.concatenate(shape), look.hair)
    root = outer[10] + (outer[15 if look.parting > 0 else 5] - outer[10]) * abs(look.parting)
    _draw_strands(pen, root, outer[1:-1], inner[1:-1], look)


def _draw_strands(pen: Pen, root, outer, inner, look: Appearance):
    """Draws thin lines of five shades from the parting to three depths above the hairline."""
    depth = np.array([0.15, 0.5, 0.85])[:, None, None]
    end = inner + (outer - inner) * depth
    bend = (root + end) / 2 + 0.3 * (outer - end)
    strands = np.stack([(root + bend) / 2, bend, end], axis=-2).reshape(-1, 3, 2)
    for first, shine in enumerate((0.78, 1.22, 0.92, 1.1, 0.85)):
        pen.lines(curves(strands[first::5]), tone(look.hair, shine), 1)


def _soft_shade(width: int, height: int, face: _Frame, light: float) -> np.ndarray:
    """Returns soft light and shadow, 128 is neutral; drawn at half size, as it is blurred."""
    cv2 = opencv()
    p, unit = face.points / 2, face.unit / 2
    face = _Frame(p, unit, face.right, face.down)
    pen = Pen(np.full((height // 2, width // 2), 128, np.uint8))
    middle = (p[2] + p[14] + p[27] * 2) / 4
    outline = np.concatenate([curve(_contour(face)), _cranium(face, 1.2, 0.0)[::-1]])
    pen.fill(outline, 104)
    pen.fill(middle + (outline - middle) * 0.80 + light * unit * 0.10 * face.right, 132)
    pen.ellipse(face.at(p[27], 0.1 * light, -0.55), face.right * unit * 0.5,
                face.down * unit * 0.2, 144)  # fmt: skip
    for eye, side in ((p[RIGHT_EYE], -1), (p[LEFT_EYE], 1)):
        centre = eye.mean(0)
        brow = p[17:22] if side < 0 else p[22:27]
        pen.fill(np.concatenate([brow, eye[3:4], eye[0:1]]), 104)
        pen.ellipse(centre, face.right * unit * 0.28, face.down * unit * 0.11, 104)
        cheek = face.at(centre, 0.08 * side, 0.52)
        pen.ellipse(cheek, face.right * unit * 0.2, face.down * unit * 0.16, 146)
    wings = np.concatenate([[p[27]], [face.at(p[31], -0.07, -0.05)], p[31:36],
                            [face.at(p[35], 0.07, -0.05)]])  # fmt: skip
    pen.fill(wings, 112)
    pen.line(np.array([p[27], p[28], p[29], p[30]]), 152, unit * 0.13)
    pen.ellipse(face.at(p[33], 0, 0.1), face.right * unit * 0.2, face.down * unit * 0.06, 100)
    under_lip = face.at(p[57], 0, 0.07)
    pen.ellipse(under_lip, face.right * unit * 0.22, face.down * unit * 0.06, 96)
    pen.ellipse(p[57] + 0.62 * (p[8] - p[57]), face.right * unit * 0.18,
                face.down * unit * 0.1, 142)  # fmt: skip
    soft = cv2.GaussianBlur(pen.image, (0, 0), max(unit * 0.075, 0.5))
    return cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)


def _draw_ink(pen: Pen, face: _Frame, look: Appearance, width: float):
    """Draws inked outlines of hair, jaw, nose and lips; `width` in eye distances."""
    p, ink, width = face.points, tone(look.hair, 0.3), width * face.unit
    pen.line(_cranium(face, look.crown, 0.10), ink, width)
    pen.line(curve(_contour(face)), ink, width)
    pen.line(curve(p[48:60], p[48:49]), tone(look.lips, 0.4), 0.7 * width)
    nose = [face.at(p[28], 0.06, 0), face.at(p[30], 0.1, -0.03), face.at(p[33], 0.06, -0.02)]
    pen.line(curve(np.array(nose)), tone(look.skin, 0.4), 0.7 * width)


def _draw_brows(pen: Pen, face: _Frame, look: Appearance):
    """Draws brows below their landmarks, which mark the upper edge."""
    taper = np.array([0.35, 0.75, 1.0, 1.05, 0.8])
    for row, thickness in ((face.points[17:22], taper), (face.points[22:27], taper[::-1])):
        width = (thickness * look.brow_thickness * face.unit)[:, None] * face.down
        row = row.mean(0) + 0.94 * (row - row.mean(0))
        pen.fill(np.concatenate([curve(row), curve(row + width)[::-1]]), look.brow)


def _draw_eye(pen: Pen, face: _Frame, eye: np.ndarray, look: Appearance):
    """Draws one eye `[6, 2]`: white, iris and pupil within the lids, lid lines and crease."""
    cv2 = pen.cv2
    outer = 0 if eye[0] @ face.right < face.points[27] @ face.right else 3
    eye = eye.copy()
    wide = eye[outer] - eye[3 - outer]
    eye[outer] += 0.15 * wide
    eye[3 - outer] -= 0.12 * wide
    upper, lower = curve(eye[:4]), curve(eye[3:], eye[:1])
    outline = np.concatenate([upper, lower])
    low = np.floor(outline.min(0) - 3).astype(int).clip(0)
    high = np.ceil(outline.max(0) + 3).astype(int)
    patch = pen.image[low[1] : high[1], low[0] : high[0]]
    if min(patch.shape[:2]) < 2:
        return
    inside = Pen(np.zeros(patch.shape[:2], np.uint8))
    inside.fill(outline - low, 255)
    ball = Pen(np.empty_like(patch))
    ball.image[:] = tone((232, 226, 222), min(1.0, 0.62 + 0.38 * look.skin[0] / 255))
    ball.fill(np.concatenate([upper, upper[::-1] + 0.05 * face.unit * face.down]) - low,
              (170, 160, 156))  # fmt: skip
    width = float(np.linalg.norm(eye[3] - eye[0]))
    centre = (eye[0] + eye[3]) / 2 + face.down * width * -0.02 - low
    ball.disc(centre, width * 0.235, tone(look.iris, 0.6))
    ball.disc(centre, width * 0.2, look.iris)
    ball.disc(centre, width * 0.1, (16, 14, 14))
    ball.disc(centre - face.unit * np.array([0.03, 0.03]), width * 0.05, (245, 245, 245))
    cv2.copyTo(ball.image, inside.image, patch)
    dark = tone(look.skin, 0.28)
    pen.line(lower, tone(look.skin, 0.6), face.unit * 0.015)
    pen.line(upper, dark, face.unit * 0.045)
    pen.disc(eye[outer], face.unit * 0.025, dark)
    crease = upper - face.unit * 0.055 * face.down
    pen.line(crease[3:-2], tone(look.skin, 0.78), face.unit * 0.015)


def _draw_nose(pen: Pen, face: _Frame, look: Appearance):
    p = face.points
    dark, darker = tone(look.skin, 0.66), tone(look.skin, 0.4)
    p = p.copy()
    p[31:36] -= 0.028 * face.unit * face.down
    p[31] += face.unit * (-0.045 * face.right - 0.02 * face.down)
    p[35] += face.unit * (0.045 * face.right - 0.02 * face.down)
    for corner, side in ((p[31], -1), (p[35], 1)):
        wing = [face.at(corner, 0.02 * side, -0.16), face.at(corner, 0.055 * side, -0.07), corner]
        pen.line(curve(np.array(wing)), dark, face.unit * 0.025)
    base = curve(p[31:36])
    pen.line(base, dark, face.unit * 0.03)
    for nostril, side in ((p[32], -1), (p[34], 1)):
        centre = face.at(nostril, 0.015 * side, -0.015)
        pen.ellipse(centre, face.right * face.unit * 0.05, face.down * face.unit * 0.025, darker)
    pen.disc(face.at(p[30], 0.0, -0.02), face.unit * 0.05, tone(look.skin, 1.1))


def _draw_mouth(pen: Pen, face: _Frame, look: Appearance):
    p = face.points
    p = p.copy()
    p[55:60] -= 0.03 * face.unit * face.down
    p[65:68] -= 0.015 * face.unit * face.down
    p[59] -= 0.02 * face.unit * face.right
    p[55] += 0.02 * face.unit * face.right
    p[[48, 60]] -= 0.02 * face.unit * face.right
    p[[54, 64]] += 0.02 * face.unit * face.right
    upper_out, lower_out = curve(p[48:55]), curve(p[54:60], p[48:49])
    upper_in, lower_in = curve(p[60:65]), curve(p[64:68], p[60:61])
    pen.fill(np.concatenate([upper_out, lower_out]), look.lips)
    pen.fill(np.concatenate([upper_out, upper_in[::-1]]), tone(look.lips, 0.86))
    gap = float(np.linalg.norm(p[66] - p[62]))
    hollow = np.concatenate([upper_in, lower_in])
    pen.fill(hollow, (60, 22, 24))
    if gap > 0.04 * face.unit:
        height = upper_in @ face.down
        edge = np.clip(height.min() + 0.11 * face.unit, height, lower_in[::-1] @ face.down)
        teeth = upper_in + (edge - height)[:, None] * face.down
        pen.fill(np.concatenate([upper_in, teeth[::-1]]), (205, 198, 188))
    line = (upper_in + lower_in[::-1]) / 2
    if gap < 0.05 * face.unit:
        pen.line(np.concatenate([p[48:49], line, p[54:55]]), tone(look.lips, 0.45),
                 face.unit * 0.02)  # fmt: skip
    for corner in (p[48], p[54]):
        pen.disc(corner, face.unit * 0.022, tone(look.lips, 0.5))
    pen.line(lower_out[5:-5], tone(look.lips, 0.75), face.unit * 0.015)


def _draw_creases(pen: Pen, face: _Frame, look: Appearance):
    """Draws skin folds that deepen with the expression: forehead, brows, beside the mouth."""
    p, unit = face.points, face.unit
    left_right = (p[22] - p[21]) @ face.right / unit
    frown = np.clip((0.36 - left_right) / 0.12, 0, 1)
    for brow, side in ((p[21], 1), (p[22], -1)):
        line = [face.at(brow, 0.07 * side, -0.07), face.at(brow, 0.05 * side, 0.03)]
        _crease(pen, np.array(line), look, frown, unit)
    raised = ((p[RIGHT_EYE] + p[LEFT_EYE]).mean(0) - p[19] - p[24]) @ face.down / (2 * unit)
    raised = np.clip((raised - 0.47) / 0.12, 0, 1)
    for height in (0.13, 0.22, 0.31):
        line = [face.at(p[18], 0.05, -height), face.at(p[21], 0.1, -height - 0.02),
                face.at(p[22], -0.1, -height - 0.02), face.at(p[25], -0.05, -height)]  # fmt: skip
        _crease(pen, curve(np.array(line)), look, 0.7 * raised, unit)
    for wing, corner, side in ((p[31], p[48], -1), (p[35], p[54], 1)):
        lifted = 0.36 - (corner - wing) @ face.down / unit
        stretched = side * (corner - wing) @ face.right / unit - 0.2
        depth = np.clip(0.25 + (lifted + 0.7 * stretched) / 0.16, 0.1, 1)
        line = [face.at(wing, 0.07 * side, -0.06), face.at(wing, 0.16 * side, 0.08),
                face.at(corner, 0.11 * side, -0.06)]  # fmt: skip
        _crease(pen, curve(np.array(line)), look, depth, unit)


def _crease(pen: Pen, line: np.ndarray, look: Appearance, depth: float, unit: float):
    if depth > 0.05:
        pen.line(line, tone(look.skin, 0.96 - 0.3 * depth), 0.02 * unit)


def draw_face(
    points: np.ndarray, look: Appearance, background, light: float, style: Style
) -> np.ndarray:
    """Draws one face on a copy of `background [H, W, 3]`; points `[68, 2]` in its pixels."""
    cv2 = opencv()
    height, width = background.shape[:2]
    face = _Frame.of(points)
    image = background.copy()
    pen = Pen(image)
    _draw_back(pen, face, look)
    _draw_head(pen, face, look)
    shade = _soft_shade(width, height, face, light)
    if style.shade_step:
        shade = in_steps(shade, style.shade_step)
    cv2.multiply(image, cv2.cvtColor(shade, cv2.COLOR_GRAY2RGB), image, 1 / 128)
    _draw_creases(pen, face, look)
    _draw_hair(pen, face, look)
    _draw_brows(pen, face, look)
    _draw_nose(pen, face, look)
    for eye in (RIGHT_EYE, LEFT_EYE):
        _draw_eye(pen, face, points[eye], look)
    _draw_mouth(pen, face, look)
    if style.outline:
        _draw_ink(pen, face, look, style.outline)
    if style.side_light:
        bridge = points[27:31].mean(0)
        lit = side_light(width, height, bridge, face.right / face.unit, style.side_light)
        cv2.multiply(image, cv2.cvtColor(lit, cv2.COLOR_GRAY2RGB), image, 1 / 128)
    return cv2.GaussianBlur(image, (0, 0), 0.012 * face.unit + 0.2)
