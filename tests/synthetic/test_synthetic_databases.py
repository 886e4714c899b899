"""The three synthetic databases: own people, looks, cameras and classes; one face model."""

import itertools

import numpy as np
import pytest

from fer_jax.faces.landmarks import eye_distance
from fer_jax.synthetic import face_model
from fer_jax.synthetic.clips import (
    ACTION_UNITS,
    DATABASES,
    EMBEDDED,
    make_clip,
    make_dataset,
    make_identity,
    render,
    splits,
)
from preprocess import __main__ as command
from preprocess import pipeline, prepare
from preprocess.clip import SourceError
from preprocess.datasets import synthetic as prepared
from tests.official_trees import options_of

EVERY = pytest.mark.parametrize("database", DATABASES.values(), ids=DATABASES)
PAIRS = list(itertools.combinations([EMBEDDED, *DATABASES.values()], 2))


def intensity(clip, unit):
    return clip.action_units[:, ACTION_UNITS.index(unit)]


def drawn(clip, database, frame=0, seed=1):
    landmarks = clip.true_landmarks[frame : frame + 1]
    manner = {"frame_size": clip.frame_size, "style": database.style}
    return next(render(landmarks, clip.identity, seed=seed, **manner))


def test_databases_each_have_a_class_of_their_own():
    """Every direction of a cross-database experiment then has clips to leave out."""
    canonical = {name: set(database.classes.values()) for name, database in DATABASES.items()}
    own = {
        name: shown - set().union(*(canonical[other] for other in canonical if other != name))
        for name, shown in canonical.items()
    }
    assert own == {"studio": {"contempt"}, "film": {"neutral"}, "cartoon": {"relief"}}
    assert DATABASES["cartoon"].classes["joy"] == "happiness"
    assert all("joy" not in DATABASES[name].labels for name in ("studio", "film"))


@EVERY
def test_classes_are_sorted_and_can_be_shown_and_confused(database):
    shown = list(database.classes.values())
    assert list(database.labels) == sorted(database.labels)
    assert set(shown) <= set(face_model.RECIPES)
    assert all(set(face_model.CONFUSABLE[name]) & set(shown) for name in shown)
    assert database.clips_per_subject % len(shown) == 0  # balanced


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_databases_share_no_person(one, other):
    assert one.stream != other.stream and one.prefix != other.prefix
    assert not set(splits(9, one)["train"]) & set(splits(9, other)["train"])
    first, second = make_identity(0, 1, one), make_identity(0, 1, other)
    assert np.abs(first.shape - second.shape).max() > 0.02
    assert first.appearance != second.appearance


@EVERY
def test_clips_are_of_their_database(database):
    low, high = database.frames
    width, height = database.camera.frame_size
    for index in range(len(database.labels)):
        clip = make_clip(0, 1, index, database=database, difficulty=0.0)
        assert clip.label == database.labels[index]
        assert clip.mixture.argmax() == index and clip.mixture.shape == (len(database.labels),)
        assert clip.subject == f"{database.prefix}001" and clip.clip_id.startswith(clip.subject)
        assert low <= len(clip.landmarks) <= high
        assert (clip.fps, clip.frame_size) == (database.camera.fps, (width, height))
        assert clip.true_landmarks.min() > 0
        assert (clip.true_landmarks.max((0, 1)) < [width, height]).all()
        frame = drawn(clip, database)
        assert frame.shape == (height, width, 3) and frame.dtype == np.uint8
        for unit, (probability, _, _) in face_model.RECIPES[database.classes[clip.label]].items():
            assert probability < 1 or intensity(clip, unit).max() > 0.15


@EVERY
def test_make_clip_repeats_a_clip_of_the_dataset(database):
    clips = list(make_dataset(subjects=2, clips_per_subject=2, database=database))
    again = make_clip(0, 1, 1, database=database)
    assert np.array_equal(again.landmarks, clips[3].landmarks)
    assert np.array_equal(drawn(again, database), drawn(clips[3], database))


def test_studio_ends_at_the_apex_and_the_others_relax():
    for name, database in DATABASES.items():
        for subject in range(4):
            index = list(database.classes.values()).index("happiness")
            smile = intensity(make_clip(0, subject, index, database=database, difficulty=0.0), 12)
            assert smile[0] < 0.05 and smile.max() > 0.4
            held = smile[-1] > 0.98 * smile.max()
            assert held if name == "studio" else smile[-1] < 0.25 * smile.max()


def test_contempt_lifts_one_corner_of_the_mouth():
    database, sides, ratios = DATABASES["studio"], set(), {"contempt": [], "happiness": []}
    for subject, label in itertools.product(range(8), ratios):
        index = database.labels.index(label)
        clip = make_clip(0, subject, index, database=database, difficulty=0.0)
        assert intensity(clip, 14 if label == "contempt" else 12)[-1] > 0.3
        faces = clip.true_landmarks[[0, -1]]
        faces = faces - faces[:, 27:36].mean(1, keepdims=True)
        right, left = np.linalg.norm(faces[1] - faces[0], axis=-1)[[48, 54]]
        ratios[label].append(max(right, left) / min(right, left))
        sides.add((label, bool(left > right)))
    assert np.median(ratios["contempt"]) > 2 > np.median(ratios["happiness"])
    assert {("contempt", True), ("contempt", False)} <= sides


def test_cameras_differ_in_size_and_direction_of_the_face():
    turned, raised, share = {}, {}, {}
    for name, database in DATABASES.items():
        points = [make_clip(0, s, 0, database=database).true_landmarks.mean(0) for s in range(8)]
        points = np.mean(points, axis=0)
        eyes = eye_distance(points[None])[0]
        turned[name] = (points[30, 0] - (points[0, 0] + points[16, 0]) / 2) / eyes
        raised[name] = (points[33, 1] - points[36:48, 1].mean()) / eyes
        share[name] = eyes / database.camera.frame_size[1]
    assert turned["film"] > 0.1 > abs(turned["studio"])
    assert raised["cartoon"] < raised["studio"] - 0.04
    assert share["cartoon"] > share["studio"] > share["film"]


def test_pictures_differ_in_colour_light_and_detail():
    frames = {}
    for name, database in DATABASES.items():
        clips = [make_clip(0, subject, 0, database=database) for subject in range(4)]
        frames[name] = [drawn(clip, database).astype(float) for clip in clips]
    colour = {name: np.ptp(np.stack(f), axis=-1).mean() for name, f in frames.items()}
    assert colour["film"] == 0 < 10 < min(colour["studio"], colour["cartoon"])

    def roughness(frame):  # in a corner, where there is only the backdrop
        corner = frame[:40, :40].mean(-1)
        return np.abs(np.diff(corner, n=2, axis=0)).mean()

    rough = {name: np.mean([roughness(f) for f in pictures]) for name, pictures in frames.items()}
    assert rough["film"] > 2 * rough["studio"] > 4 * rough["cartoon"]


def test_lamp_of_the_film_lights_one_side():
    for name, darker in (("film", True), ("studio", False)):
        database = DATABASES[name]
        clip = make_clip(0, 2, 0, database=database)
        frame = drawn(clip, database).astype(float).mean(-1)
        left, right = clip.true_landmarks[0, [[1, 2, 31], [15, 14, 35]]].mean(1).round().astype(int)
        cheeks = [frame[y - 2 : y + 3, x - 2 : x + 3].mean() for x, y in (left, right)]
        assert (cheeks[1] < 0.85 * cheeks[0]) == darker


def test_frames_can_be_drawn_at_another_size():
    database = DATABASES["film"]
    clip = make_clip(0, 0, 0, database=database)
    manner = {"frame_size": clip.frame_size, "style": database.style}
    frame = next(render(clip.true_landmarks[:1], clip.identity, size=144, **manner))
    assert frame.shape == (144, 180, 3)


@pytest.mark.parametrize("name", [None, *DATABASES])
def test_preparation_lists_the_chosen_database(name):
    chosen = options_of(prepared, database=name, subjects=5, seed=3)
    clips = list(prepared.clips(None, chosen))
    database = DATABASES[name] if name else EMBEDDED
    assert len({clip.clip_id for clip in clips}) == 5 * database.clips_per_subject
    assert prepared.class_names(chosen) == database.labels
    assert {clip.label for clip in clips} == set(database.labels)
    assert {clip.split for clip in clips} == {"train", "validation", "test"}
    assert len({(clip.subject, clip.split) for clip in clips}) == 5  # one split per person
    made, last = clips[-1].source.make(), clips[-1]
    assert (made.clip_id, made.subject, made.label) == (last.clip_id, last.subject, last.label)
    sequence = clips[0].source.load()
    assert sequence.frame_size == database.camera.frame_size
    assert sequence.action_units.shape == (len(sequence.landmarks), len(prepared.ACTION_UNITS))
    assert sequence.action_units.max() <= 1


def test_crops_are_cut_from_rendered_faces():
    chosen = options_of(prepared, subjects=3, clips_per_subject=1, crops=64)
    assert all(hasattr(clip.source, "frames") for clip in prepared.clips(None, chosen))
    assert chosen.render  # --crops alone and with --render are the same request


@pytest.mark.parametrize("arguments", [{"subjects": 2}, {"difficulty": 1.5}])
def test_impossible_options_are_refused(arguments):
    with pytest.raises(SourceError):
        list(prepared.clips(None, options_of(prepared, **arguments)))


def test_rendered_clips_have_the_style_of_their_database():
    chosen = options_of(prepared, database="film", subjects=3, render=True)
    frames = next(iter(prepared.clips(None, chosen))).source.frames()
    _, image = next(iter(frames))
    assert frames.size == (360, 288) and image.shape == (288, 360, 3)
    assert np.ptp(image, axis=-1).max() == 0


def test_databases_have_requests_and_caches_of_their_own(tmp_path):
    requests, files = [], set()
    for name in (None, *DATABASES):
        own = ["--database", name] if name else []
        chosen = command._parser().parse_args(["synthetic", "--out", str(tmp_path), *own])
        clips = list(prepared.clips(None, chosen))
        requests.append(prepare.make_request(chosen, None))
        files |= {pipeline.cache_file(clip, tmp_path, "") for clip in clips[:5]}
    assert all(one != other for one, other in itertools.combinations(requests, 2))
    assert len(files) == 4 * 5


def test_request_fills_in_defaults(tmp_path):
    said = ["--subjects", "30", "--clips-per-subject", "28"]
    requests = []
    for arguments in ([], said):
        chosen = command._parser().parse_args(["synthetic", "--out", str(tmp_path), *arguments])
        list(prepared.clips(None, chosen))
        requests.append(prepare.make_request(chosen, None))
    assert requests[0] == requests[1]


def test_command_shows_and_checks_the_database(capsys):
    assert command.main(["synthetic", "--database", "cartoon", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "relief" in text and "joy" in text and "happiness" not in text
    with pytest.raises(SystemExit):
        command.main(["synthetic", "--database", "disk", "--dry-run"])
    assert "studio" in capsys.readouterr().err


@EVERY
def test_dlib_finds_nearly_all_faces(database):
    pytest.importorskip("dlib")
    detection = pytest.importorskip("benchmarks.synthetic_detection")
    try:
        find = detection.make_finder()
    except ImportError as error:
        pytest.skip(str(error))
    sequences = detection.synthetic_sequences(1, 0.1, 0, 3, database)
    errors = detection.measure(find, sequences, database)["errors"]
    assert np.isfinite(errors[:, 0]).mean() >= 0.9
    assert np.sqrt(np.nanmean(errors[:, 36:48])) < 0.06
