"""Augmentation: mirror, rotation about the nose, shares of the paper's 14 variants."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fer_jax.data import augment, model_inputs
from fer_jax.faces import landmarks as lm
from fer_jax.systems.graph_baselines.st_gcn import STGCN
from tests.quick import quick

NOISE, DEGREES = 10.0, 18.0


def faces(count=3, frames=2):
    rng = np.random.default_rng(0)
    clips = 60 * lm.MEAN_FACE + rng.normal(0, 3, (count, frames, 68, 2)) + [250, 200]
    return jnp.asarray(clips, jnp.float32)


def test_mirror_swaps_sides_about_the_nose():
    clip = faces()
    mirrored = augment.mirror(clip)
    nose = clip[..., lm.NOSE_68, :]
    np.testing.assert_allclose(mirrored[..., lm.NOSE_68, :], nose)
    # The mirrored right mouth corner is where the left one was, on the other side of the nose.
    np.testing.assert_allclose(mirrored[..., 48, 0] - nose[..., 0], nose[..., 0] - clip[..., 54, 0],
                               atol=1e-4)  # fmt: skip
    np.testing.assert_allclose(mirrored[..., 48, 1], clip[..., 54, 1])
    np.testing.assert_allclose(augment.mirror(mirrored), clip, atol=1e-4)


def test_mirror_of_a_symmetric_face_is_itself():
    np.testing.assert_allclose(augment.mirror(jnp.asarray(lm.MEAN_FACE)), lm.MEAN_FACE, atol=1e-6)


def test_normalised_motion_of_a_mirrored_clip_is_mirrored():
    """Also the head's motion, which the paper's variants leave as it is."""
    clips = faces(frames=5) + 8 * jnp.arange(5.0)[:, None, None] * jnp.array([1.0, 0.5])
    seen = model_inputs.normalised_motion(clips)
    swapped = lm.MIRROR_68[lm.INNER] - lm.INNER.start
    expected = (seen * jnp.array([-1.0, 1.0]))[:, :, swapped]

    def mirrored(head):
        copy = functools.partial(augment.fixed_copy, jax.random.key(0), 7, head=head)
        varied = jax.vmap(lambda clip: copy(clip, noise=0.0, degrees=0.0))(clips)
        return model_inputs.normalised_motion(varied.landmarks)

    np.testing.assert_allclose(mirrored(True), expected, atol=1e-4)
    assert np.abs(mirrored(False) - expected).max() > 0.1


def test_rotation_turns_about_the_nose_and_keeps_distances():
    clip = faces()
    turned = quick(augment.rotate)(clip, 90.0)
    nose = clip[..., lm.NOSE_68, None, :]
    x, y = np.moveaxis(np.asarray(clip - nose), -1, 0)
    np.testing.assert_allclose(turned - nose, np.stack([-y, x], -1), atol=1e-3)
    turn = quick(augment.rotate)
    back = turn(turn(clip, 17.0), -17.0)
    np.testing.assert_allclose(back, clip, atol=1e-3)


@pytest.mark.parametrize(("cut", "warp"), [(0.0, 0.0), (0.2, 0.0), (0.0, 0.5), (0.2, 0.5)])
def test_retimed_clips_show_the_same_course_cut_and_warped(cut, warp):
    """A point that moves evenly from 0 to 1 shows which time of the clip each frame is of."""
    times = jnp.linspace(0, 1, 9)[:, None, None] * jnp.ones((68, 2))
    keys = jax.random.split(jax.random.key(0), 500)
    drawn = quick(jax.vmap(lambda key: augment.retime(key, times, cut, warp)))(keys)
    assert np.ptp(drawn, axis=(2, 3)).max() < 1e-6  # all points alike
    shown = np.asarray(drawn[:, :, 0, 0])
    assert (np.diff(shown, axis=1) > 0).all()
    first, last = shown[:, 0], 1 - shown[:, -1]
    for end in (first, last):
        assert end.min() >= -1e-6 and end.max() <= cut + 1e-6
        assert end.mean() == pytest.approx(cut / 2, abs=0.01)
    middle = (shown[:, 4] - first) / (1 - first - last)
    power = np.log(middle) / np.log(0.5)
    assert np.abs(np.log(power)).max() <= warp + 1e-3
    assert np.log(power).std() == pytest.approx(warp / 3**0.5, abs=0.02)


@pytest.fixture(scope="module")
def drawn():
    """4,000 draws for one clip, told apart by what each did: (mirrored, noisy, angle)."""
    face = 60 * lm.MEAN_FACE + np.linspace(0, 4, 68)[:, None]  # not symmetric
    clip = jnp.asarray(np.stack([face, face]), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 4000)
    draw = quick(jax.vmap(lambda key: augment.augment_clip(key, clip, 0.01, DEGREES).landmarks))
    return clip, draw(keys)


def angle_of(clips):
    """Angle of the line through the eyes, degrees."""
    offset = clips[..., lm.LEFT_EYE, :].mean(-2) - clips[..., lm.RIGHT_EYE, :].mean(-2)
    return np.rad2deg(np.arctan2(offset[..., 1], offset[..., 0]))


def test_augment_clip_draws_the_variants_of_the_paper(drawn):
    clip, clips = drawn
    clips = np.asarray(clips)
    plain, mirrored = np.asarray(clip), np.asarray(augment.mirror(clip))
    change = np.minimum(*(np.abs(clips - which).max((1, 2, 3)) for which in (plain, mirrored)))
    unchanged = change < 1e-3  # rounding; the noise is 0.01
    assert unchanged.mean() == pytest.approx(2 / 14, abs=0.02)
    straight = [angle_of(plain)[0], angle_of(mirrored)[0]]
    tilt = np.abs(angle_of(clips)[:, 0, None] - straight).min(1)
    assert (tilt > 0.1).mean() == pytest.approx(6 / 14, abs=0.03)

    def left_is_wider(faces):  # a rotation cannot change that, a mirror does
        nose = faces[..., lm.NOSE_68, :]
        right, left = (np.linalg.norm(faces[..., k, :] - nose, axis=-1) for k in (36, 45))
        return left > right

    same_side = left_is_wider(clips[:, 0]) == left_is_wider(plain[0])
    assert same_side.mean() == pytest.approx(0.5, abs=0.03)


def test_rotation_draws_one_uniform_angle_per_clip(drawn):
    clip, clips = drawn
    angles = angle_of(np.asarray(clips))
    np.testing.assert_allclose(angles[:, 0], angles[:, 1], atol=0.2)  # both frames alike
    own = angle_of(np.asarray(clip))[0]
    turned = angles[:, 0][np.abs(np.abs(angles[:, 0]) - abs(own)) > 0.1]
    assert np.abs(turned).max() <= DEGREES + abs(own) + 0.1
    assert turned.std() == pytest.approx(2 * DEGREES / 12**0.5, rel=0.1)


def test_noise_has_its_standard_deviation():
    clip = faces(1)[0]
    keys = jax.random.split(jax.random.key(1), 600)
    clips = quick(jax.vmap(lambda key: augment.augment_clip(key, clip, NOISE, 0.0).landmarks))(keys)
    distance = jnp.minimum(
        jnp.square(clips - clip).mean((1, 2, 3)),
        jnp.square(augment.mirror(clips) - clip).mean((1, 2, 3)),
    )
    noisy = np.asarray(distance)[np.asarray(distance) > 1]
    assert len(noisy) / 600 == pytest.approx(12 / 14, abs=0.05)
    assert noisy.mean() ** 0.5 == pytest.approx(NOISE, rel=0.2)


def test_augment_clip_depends_on_its_key():
    clip = faces(1)[0]
    draw = quick(lambda key: augment.augment_clip(key, clip, NOISE, DEGREES).landmarks)
    first = draw(jax.random.key(0))
    np.testing.assert_array_equal(first, draw(jax.random.key(0)))
    assert len({float(draw(jax.random.key(seed)).sum()) for seed in range(6)}) > 3


def test_time_reverse_plays_backwards_instead_of_mirroring():
    clip = faces(1)[0]
    clip = clip + jnp.arange(len(clip))[:, None, None]
    keys = jax.random.split(jax.random.key(0), 40)
    draw = jax.vmap(lambda key: augment.augment_clip(key, clip, 0.0, 0.0, time_reverse=True))
    drawn, nose = map(np.asarray, quick(draw)(keys))
    np.testing.assert_allclose(nose, drawn[:, :, lm.NOSE_68], atol=1e-3)  # there is no noise
    backwards = (np.abs(drawn - clip[::-1]) < 1e-3).all((1, 2, 3))
    forwards = (np.abs(drawn - clip) < 1e-3).all((1, 2, 3))
    assert (backwards ^ forwards).all() and 0.2 < backwards.mean() < 0.8


def copies(clip, key=0, noise=NOISE, degrees=DEGREES, **options):
    """The 14 fixed copies of a clip, `[14, T, 68, 2]`, relative to their noses before the noise."""

    def one(copy):
        varied = augment.fixed_copy(jax.random.key(key), copy, clip, noise, degrees, **options)
        return varied.landmarks - varied.nose[:, None]

    return np.asarray(quick(jax.vmap(one))(jnp.arange(augment.COPIES)))


def test_fixed_copies_are_the_published_fourteen():
    clip = faces(1)[0]
    plain = np.asarray(clip - clip[:, lm.NOSE_68, None])
    made = copies(clip)
    np.testing.assert_allclose(made[0], plain, atol=1e-4)
    noises = made[1:4] - plain
    assert noises.std() == pytest.approx(NOISE, rel=0.1)
    assert abs(np.corrcoef(noises.reshape(3, -1))[np.triu_indices(3, 1)]).max() < 0.25
    for noisy, turned in zip(made[1:4], made[4:7], strict=True):  # one noise, another angle
        products = (turned[..., None] * noisy[..., None, :]).sum((0, 1))
        angle = np.arctan2(products[0, 1] - products[1, 0], products.trace())
        assert 0 < abs(np.rad2deg(angle)) <= DEGREES
        cosine, sine = np.cos(angle), np.sin(angle)
        np.testing.assert_allclose(turned, noisy @ [[cosine, -sine], [sine, cosine]], atol=1e-3)
    np.testing.assert_allclose(made[7:], (made[:7] * [-1, 1])[:, :, lm.MIRROR_68], atol=1e-3)
    backwards = copies(clip, time_reverse=True)
    np.testing.assert_allclose(backwards[7:], made[:7, ::-1], atol=1e-3)
    np.testing.assert_array_equal(copies(clip), made)
    assert (copies(clip, key=1)[1:7] != made[1:7]).any((1, 2, 3)).all()


@pytest.mark.parametrize(
    ("features", "expected"), [("position", NOISE), ("motion", 2**0.5 * NOISE)]
)
def test_noise_of_nodes_is_independent(features, expected):
    """Centred first, then noisy: each node has a noise of its own, the nose as well."""
    clip = faces(1, frames=3)[0]

    def nodes(key):
        varied = augment.fixed_copy(key, 1, clip, NOISE, 0.0)
        batch = {"landmarks": varied.landmarks[None], "nose": varied.nose[None]}
        return model_inputs.batch_inputs(batch, STGCN(3), None, features)[0]

    drawn = quick(jax.vmap(nodes))(jax.random.split(jax.random.key(2), 2000))
    clean = model_inputs.model_inputs(clip[None], None, "nodes", features)[0]
    change = (np.asarray(drawn) - np.asarray(clean))[:, -1].reshape(2000, -1)  # the last frame
    np.testing.assert_allclose(change.std(0), expected, rtol=0.08)
    correlation = np.corrcoef(change.T) - np.eye(2 * 51)
    assert np.abs(correlation).max() < 5 / 2000**0.5
    assert np.abs(correlation).mean() < 1 / 2000**0.5


def test_noise_of_edges_is_that_of_their_ends():
    clip, edges = faces(1)[0], np.array([[0, 1], [0, 2], [3, 4]])

    def features(key):
        varied = augment.fixed_copy(key, 1, clip, NOISE, 0.0)
        return model_inputs.model_inputs(varied.landmarks[None], edges, nose=varied.nose[None])[0]

    drawn = np.asarray(quick(jax.vmap(features))(jax.random.split(jax.random.key(2), 2000)))
    assert drawn[:, 0].std(0) == pytest.approx(np.full((3, 2), 2**0.5 * NOISE), rel=0.08)
    first, second, apart = drawn[:, 0, :, 0].T
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.5, abs=0.06)  # they share an end
    assert np.corrcoef(first, apart)[0, 1] == pytest.approx(0, abs=0.1)


# Face crops


def dotted(side=48, frames=3, seed=0):
    """Crops with a bright dot at one landmark of each frame, and the landmarks."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(side * 0.35, side * 0.65, (frames, 68, 2)).round()
    images = np.zeros((frames, side, side, 3), np.uint8)
    for image, (x, y) in zip(images, points[:, 8].astype(int), strict=True):
        image[y - 1 : y + 2, x - 1 : x + 2] = 200
    return images, points.astype(np.float32)


def dot(image):
    """Centre of what is bright."""
    weight = np.asarray(image, float).sum(-1)
    y, x = np.mgrid[: len(image), : len(image)]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


DARK = {"brightness": 0.0, "contrast": 0.0}  # light stays as it is
STILL = {"flip": False, **DARK}
crop_and_turn = quick(functools.partial(augment.augment_crops, size=40, degrees=15.0, **DARK))


def drawn_crops(count, images, points, **options):
    """Frames and landmarks of many draws of one clip."""
    draw = jax.vmap(lambda key: augment.augment_crops(key, images, points, **options))
    frames, moved = quick(draw)(jax.random.split(jax.random.key(0), count))
    return np.asarray(frames), np.asarray(moved)


@pytest.mark.parametrize("seed", range(6))
def test_crops_and_landmarks_move_together(seed):
    images, points = dotted(seed=seed)
    frames, moved = crop_and_turn(jax.random.key(seed), images, points)
    assert frames.shape == (3, 40, 40, 3) and frames.dtype == np.float32
    for image, point in zip(frames, moved[:, 8], strict=True):
        np.testing.assert_allclose(dot(image), point, atol=0.35)


def test_mirrored_crops_swap_left_and_right():
    points = (20 * lm.MEAN_FACE + 24)[None]
    mirrored = augment.mirror_in_crop(points, 48)
    np.testing.assert_allclose(mirrored[0, 36], [47 - points[0, 45, 0], points[0, 45, 1]], 1e-5)
    np.testing.assert_allclose(augment.mirror_in_crop(mirrored, 48), points, 1e-5)


def test_augment_crops_changes_all_frames_alike():
    images, points = dotted(frames=1)
    images, points = np.repeat(images, 5, 0), np.repeat(points, 5, 0)
    change = quick(functools.partial(augment.augment_crops, size=40, degrees=10.0))
    for seed in range(4):
        frames, moved = change(jax.random.key(seed), images, points)
        for frame in range(1, 5):
            np.testing.assert_array_equal(frames[frame], frames[0])
            np.testing.assert_array_equal(moved[frame], moved[0])


def test_light_changes_within_its_range_and_clips_differ():
    images = np.full((2, 8, 8, 3), 100, np.uint8)
    points = np.zeros((2, 68, 2), np.float32)
    levels = drawn_crops(40, images, points)[0].mean((1, 2, 3, 4))
    assert 80 <= levels.min() < 90 and 110 < levels.max() <= 120


def test_light_stays_within_0_to_255():
    bright, points = np.full((1, 8, 8, 3), 250, np.uint8), np.zeros((1, 68, 2), np.float32)
    frames, _ = drawn_crops(20, bright, points, brightness=0.5, contrast=0.0)
    assert frames.max() == 255 and frames.min() > 100


def test_contrast_spreads_a_clip_about_its_own_mean():
    rng = np.random.default_rng(0)
    levels = rng.integers(60, 180, (2, 16, 16, 3)).astype(np.uint8)
    levels[1] = levels[0] // 2 + 40  # frames of other means: one mean for the clip, not a frame
    points = np.zeros((2, 68, 2), np.float32)
    options = {"flip": False, "brightness": 0.0, "contrast": 0.4}
    spread, factors = quick(functools.partial(augment.augment_crops, **options)), set()
    for seed in range(8):
        frames, _ = spread(jax.random.key(seed), levels, points)
        mean = levels.astype(float).mean()
        ratio = (np.asarray(frames) - mean) / (levels - mean)
        np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-2, atol=1e-3)
        factors.add(round(float(np.median(ratio)), 3))
    assert len(factors) > 5 and 0.6 <= min(factors) < 0.9 and 1.1 < max(factors) <= 1.4


def test_crops_are_mirrored_half_the_time_and_cut_everywhere():
    image = np.zeros((1, 6, 6, 3), np.uint8)
    image[0, :, :, 0] = np.arange(6) * 10
    image[0, :, :, 1] = np.arange(6)[:, None] * 10
    points = np.zeros((1, 68, 2), np.float32)
    crops = drawn_crops(400, image, points, size=4, **DARK)[0][:, 0]
    mirrored = crops[:, 0, 0, 0] > crops[:, 0, 1, 0]
    assert 160 <= mirrored.sum() <= 240
    left = np.where(mirrored, crops[:, 0, -1, 0], crops[:, 0, 0, 0]) / 10
    top = crops[:, 0, 0, 1] / 10
    assert {(int(x), int(y)) for x, y in zip(left, top, strict=True)} == {
        (x, y) for x in range(3) for y in range(3)
    }


rotate = quick(augment.rotate_crops)
ANGLES = (-7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5)


def test_angles_are_drawn_from_the_list_alike_for_all_frames():
    image = jnp.zeros((2, 9, 9, 3), jnp.uint8)
    points = np.asarray(20 * lm.MEAN_FACE + 4, np.float32)
    points[[48, 54], 1] = 30.0  # the corners of the mouth, level
    points = np.stack([points, points + 1])

    moved = drawn_crops(2800, image, points, angles=ANGLES, **DARK)[1]
    across = moved[:, :, 54] - moved[:, :, 48]
    degrees = np.rad2deg(np.arctan2(across[..., 1], across[..., 0]))
    np.testing.assert_allclose(degrees[:, 0], degrees[:, 1], atol=1e-3)
    nearest = np.abs(degrees[:, :1] - ANGLES)
    assert nearest.min(1).max() < 1e-2
    shares = np.bincount(nearest.argmin(1), minlength=7) / len(degrees)
    np.testing.assert_allclose(shares, 1 / 7, atol=0.03)


def test_landmarks_turn_with_the_crops_of_one_angle():
    images, points = dotted()
    change = quick(functools.partial(augment.augment_crops, angles=(30.0,), **STILL))
    frames, moved = change(jax.random.key(0), images, points)
    expected, at = rotate(images, points, 30.0)
    np.testing.assert_allclose(frames, expected, atol=1e-4)
    np.testing.assert_allclose(moved, at, atol=1e-4)
    assert np.abs(moved - points).max() > 1
    for image, point in zip(frames, moved[:, 8], strict=True):
        np.testing.assert_allclose(dot(image), point, atol=0.35)


def test_augment_crops_draws_all_fourteen_variants():
    image = jnp.asarray(np.random.default_rng(0).integers(0, 255, (1, 12, 12, 3)), jnp.uint8)
    points = np.zeros((1, 68, 2), np.float32)
    drawn = drawn_crops(400, image, points, angles=ANGLES, **DARK)[0][:, 0]
    wanted = [np.asarray(rotate(image, points, angle)[0])[0] for angle in ANGLES]
    wanted += [turned[:, ::-1] for turned in wanted]
    distance = np.array([[np.abs(each - other).max() for other in wanted] for each in drawn])
    assert distance.min(1).max() < 1e-2
    assert np.bincount(distance.argmin(1), minlength=14).min() >= 10


def test_light_that_is_off_changes_nothing_and_is_not_computed():
    images, points = dotted()
    images[0, 0, 0] = 255
    change = quick(functools.partial(augment.augment_crops, **STILL))
    frames, moved = change(jax.random.key(0), images, points)
    np.testing.assert_array_equal(frames, images)
    np.testing.assert_array_equal(moved, points)
    cost = {}
    for name, light in (("off", 0.0), ("on", 0.2)):
        options = {"flip": False, "brightness": light, "contrast": light}
        lowered = quick(
            lambda key, options=options: augment.augment_crops(key, images, points, **options)[0]
        ).lower(jax.random.key(0))
        cost[name] = lowered.compile().cost_analysis().get("flops", 0.0)
    assert cost["off"] < images.size < cost["on"]


@pytest.mark.parametrize("zoom", [0.8, 1.0, 1.25])
def test_zoomed_crops_keep_their_centre_and_their_landmarks(zoom):
    images, points = dotted(side=49)
    frames, moved = rotate(images, points, 20.0, zoom)
    turned = rotate(images, points, 20.0)[1]
    np.testing.assert_allclose(moved - 24, (turned - 24) * zoom, atol=1e-4)
    for image, point in zip(frames, moved[:, 8], strict=True):
        np.testing.assert_allclose(dot(image), point, atol=0.35)


def test_zoom_is_uniform_about_one():
    image, points = jnp.zeros((1, 9, 9, 3), jnp.uint8), np.zeros((1, 68, 2), np.float32)
    points[:, 0] = 8.0  # a corner, 4 pixels from the centre
    moved = drawn_crops(500, image, points, zoom=0.25, flip=False, **DARK)[1]
    factor = (moved[:, 0, 0, 0] - 4) / 4
    assert 0.75 < factor.min() < 0.78 and 1.22 < factor.max() < 1.25
    assert abs(factor.mean() - 1) < 0.02


def test_erased_squares_are_gray_and_lie_anywhere():
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.integers(0, 255, (2, 20, 20, 3)), jnp.uint8)
    points = np.zeros((2, 68, 2), np.float32)
    frames, moved = drawn_crops(300, image, points, erase=0.5, flip=False, **DARK)
    changed = np.abs(frames - np.asarray(image)).max(-1) > 0
    assert frames[changed] == pytest.approx(float(image.mean()), abs=1e-3)
    shares = changed.mean((1, 2, 3))
    assert 0.2 < shares.max() <= 0.26 and (shares < 0.01).mean() > 0.1  # at most 10 x 10 of 20 x 20
    assert changed.any(0).all() and (moved == 0).all()
    rows, columns = changed[:, 0].any(2).sum(1), changed[:, 0].any(1).sum(1)
    assert (changed[:, 0].sum((1, 2)) == rows * columns).all()  # rectangles, cut by the border
    assert (changed[:, 0] == changed[:, 1]).mean() > 0.99  # alike in all frames


def test_rotate_crops_by_nothing_and_by_a_quarter():
    images, points = dotted(side=21)
    same, still = rotate(images, points, 0.0)
    np.testing.assert_array_equal(same, images)
    np.testing.assert_allclose(still, points, atol=1e-5)
    turned, moved = rotate(images, points, 90.0)
    np.testing.assert_allclose(turned, np.rot90(images, -1, (1, 2)), atol=1e-3)
    for image, point in zip(turned, moved[:, 8], strict=True):
        np.testing.assert_allclose(dot(image), point, atol=1e-3)
