"""Annotated frames and videos: landmarks, sizes, the window of each frame."""

import io
import pickle

import av
import cv2
import numpy as np
import pandas as pd
import pytest

from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.faces.video import open_frames
from fer_jax.plotting.panel import FAINT, label_and_time, mixed
from fer_jax.predict import annotate
from fer_jax.predict.windows import Source, at_rate, columns
from fer_jax.tasks.classification.timeline import draw_timeline

CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


def row(label="happiness", chance=0.7, abstained=False, start=0.0, end=1.0):
    rest = (1 - chance) / (len(CLASSES) - 1)
    probabilities = {name: chance if name == label else rest for name in CLASSES}
    p = np.array(list(probabilities.values()))
    return {
        "clip": "clip.mp4", "start": start, "end": end, **probabilities, "label": label,
        "entropy": float(-(p * np.log(p)).sum()), "mutual_information": 0.1, "agreement": 0.93,
        "frames": 20, "abstained": abstained, "person": 1,
        "reason": "ambiguous" if abstained else "",
    }  # fmt: skip


def picture(width, height):
    return np.full((height, width, 3), 120, np.uint8)


def share(image, colour):
    """Share of the pixels that have a colour."""
    return (np.abs(image.astype(int) - colour).max(-1) < 40).mean()


def test_landmarks_are_drawn_where_they_are():
    points = (MEAN_FACE * 60 + [300, 150]).astype(np.float32)
    image = annotate.draw_frame(picture(640, 360), points, row(), CLASSES, None)
    spots = image[tuple(points.round().astype(int).T[::-1])].astype(int)
    assert (np.abs(spots - annotate.SURE).max(-1) < 40).mean() > 0.9  # some touch their neighbours
    assert (image[:60, :200] == 120).all()


def test_small_pictures_grow_and_their_landmarks_with_them():
    points = (MEAN_FACE * 20 + [64, 50]).astype(np.float32)
    image = annotate.draw_frame(picture(128, 120), points, row(), CLASSES, None)
    x, y = (points[30] + 0.5) * 3 - 0.5
    spot = image[round(float(y)), round(float(x))]
    assert np.abs(spot.astype(int) - annotate.SURE).max() < 40


def test_set_of_several_classes_stands_in_place_of_the_label():
    several = row() | {"set": "happiness|surprise", "set_level": 0.9}
    assert label_and_time(several, False)[0] == "happiness or surprise"
    assert label_and_time(several, False)[2].startswith("90% set")
    one = row() | {"set": "happiness", "set_level": 0.9}
    assert label_and_time(one, False) == label_and_time(row(), False)
    still = several | {"start": None, "end": None}
    assert label_and_time(still, False)[2] == "90% set · one picture"
    grouped = still | {"person": 3, "several": True}
    assert label_and_time(grouped, False)[2] == "90% set · person 3"
    unsure = row(abstained=True) | {"set": "happiness|surprise", "set_level": 0.9}
    title, _, detail = label_and_time(unsure, False)
    assert title == "ambiguous" and detail.startswith("perhaps happiness or surprise")
    panels = [
        annotate.draw_frame(picture(360, 360), None, each, CLASSES, None) for each in (one, several)
    ]
    assert (panels[0] != panels[1]).any()


def test_bars_of_the_classes_in_a_set_are_lit():
    def lit(names):
        one = row("anger", 0.3) | {"set": names, "set_level": 0.9}
        image = annotate.draw_frame(picture(640, 360), None, one, CLASSES, None)
        return share(image[80:270, 740:], mixed(annotate.SURE, 0.6))

    alone, two, four = (lit("|".join(CLASSES[:count])) for count in (1, 2, 4))
    assert four - alone == pytest.approx(3 * (two - alone), rel=0.1) and two - alone > 0.002


def test_many_classes_of_a_set_are_counted():
    many = row() | {"set": "|".join(CLASSES), "set_level": 0.9}
    assert label_and_time(many, False)[0] == "anger or disgust or 5 more"
    three = row() | {"set": "|".join(CLASSES[:3]), "set_level": 0.9}
    assert label_and_time(three, False)[0] == "anger or disgust or fear"


def test_longer_bar_for_a_larger_probability():
    images = [
        annotate.draw_frame(picture(640, 360), None, row(chance=chance), CLASSES, None)
        for chance in (0.4, 0.8)
    ]
    bars = [image[80:270, 740:] for image in images]  # below the heading, above the gauge
    assert 1.6 < share(bars[1], annotate.SURE) / share(bars[0], annotate.SURE) < 2.4


def test_many_classes_and_long_names_fit():
    classes = tuple(f"a rather long name of class {index}" for index in range(40))
    crowded = row() | {name: 1 / 40 for name in classes} | {"label": classes[3]}
    image = annotate.draw_frame(picture(320, 240), None, crowded, classes, 2.0)
    assert image.shape[0] == 360


def test_single_class_leaves_nothing_to_be_unsure_of(tmp_path):
    only = row() | {"happiness": 1.0, "entropy": 0.0, "mutual_information": 0.0}
    for threshold in (None, 0.0, 1.2):
        image = annotate.draw_frame(picture(640, 360), None, only, CLASSES[3:4], threshold)
        assert image.shape[0] == 360
    rows = pd.DataFrame([only])
    figure = draw_timeline(rows, CLASSES[3:4], 0.5)
    assert figure.axes[-1].get_ylim()[1] > 0.5


def clip(pictures, fps=10.0):
    faces = [{0: (MEAN_FACE * 60 + [300, 150]).astype(np.float32)} for _ in pictures]
    spool = io.BytesIO()
    for index, frame in enumerate(faces):
        pickle.dump((index / fps, (index + 1) / fps, frame), spool)
    spool.seek(0)
    stream = at_rate(faces, fps)
    source = Source("clip.mp4", stream, lambda: iter(pictures), fps, 640, len(pictures))
    return source, spool


def table(*rows):
    content = pd.DataFrame(list(rows), columns=columns(CLASSES))
    content.attrs["faces"] = [0 if one["frames"] else None for one in rows]
    return content


def test_video_reads_back_frame_for_frame(tmp_path):
    source, spool = clip([picture(640, 360)] * 20)
    rows = table(row(abstained=True), row(start=1.0, end=2.0))
    seen = []
    file = tmp_path / "new folder" / "out.mp4"
    annotate.draw_clip(
        source, rows, CLASSES, 1.2, spool, annotate=file, advance=lambda: seen.append(1)
    )
    capture = cv2.VideoCapture(str(file))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    frames = []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    assert len(frames) == len(seen) == 20
    assert frames[0].shape == (360, 940, 3)
    # the first window speaks for the first second, the second one for the rest
    assert share(frames[8], annotate.UNSURE) > 0.005 > share(frames[8], annotate.SURE)
    assert share(frames[11], annotate.SURE) > 0.005 > share(frames[11], annotate.UNSURE)


@pytest.mark.parametrize("times", [[0, 0.033, 0.067, 0.5, 0.6, 2.0], [7.0, 7.04, 8.0]])
def test_frames_of_a_variable_rate_last_as_long_as_in_the_source(tmp_path, times):
    spool, edges = io.BytesIO(), [*times, times[-1] + 0.25]
    for start, end in zip(edges, edges[1:], strict=False):
        pickle.dump((start, end, {}), spool)
    spool.seek(0)
    pictures = [picture(640, 360)] * len(times)
    source = Source(
        "clip.mp4", (), lambda: iter(pictures), len(times) / (edges[-1] - times[0]), 640, 0, False
    )
    rows = table(row(start=times[0], end=edges[-1]))
    annotate.draw_clip(source, rows, CLASSES, None, spool, annotate=tmp_path / "out.mp4")
    frames = open_frames(tmp_path / "out.mp4")
    starts = [frames.span(index)[0] for index, _ in frames]
    np.testing.assert_allclose(starts, np.array(times) - times[0], atol=0.001)
    with av.open(tmp_path / "out.mp4") as container:
        stream = container.streams.video[0]
        length = float(stream.duration * stream.time_base)
    assert length == pytest.approx(edges[-1] - times[0], abs=0.002)


def test_frames_of_other_sizes_do_not_get_lost(tmp_path):
    source, spool = clip([picture(640, 360), picture(400, 400), picture(640, 360)])
    annotate.draw_clip(source, table(row()), CLASSES, None, spool, annotate=tmp_path / "out.mp4")
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 3


def test_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    source, spool = clip([picture(640, 360)])
    with pytest.raises(OSError, match="file"):
        annotate.draw_clip(
            source, table(row()), CLASSES, None, spool, annotate=tmp_path / "file" / "out.mp4"
        )


@pytest.mark.parametrize("kind", ["annotate", "figure"])
def test_failure_keeps_the_file_that_was_there(tmp_path, kind):
    file = tmp_path / {"annotate": "out.mp4", "figure": "out.png"}[kind]
    file.write_bytes(b"of an earlier command")
    (tmp_path / f"{file.stem}.partial{file.suffix}").mkdir()  # cannot be written
    source, spool = clip([picture(640, 360)])
    with pytest.raises(OSError, match="out"):
        annotate.draw_clip(source, table(row()), CLASSES, None, spool, **{kind: file})
    assert file.read_bytes() == b"of an earlier command"


def test_video_that_is_stopped_keeps_the_one_that_was_there(tmp_path):
    def stopped():
        yield picture(640, 360)
        raise KeyboardInterrupt

    (tmp_path / "out.mp4").write_bytes(b"of an earlier command")
    source, spool = clip([picture(640, 360)] * 3)
    source.pictures = stopped
    with pytest.raises(KeyboardInterrupt):
        annotate.draw_clip(
            source, table(row()), CLASSES, None, spool, annotate=tmp_path / "out.mp4"
        )
    assert [f.read_bytes() for f in tmp_path.iterdir()] == [b"of an earlier command"]


def test_every_person_is_drawn_and_named(tmp_path):
    places = {1: [150, 150], 2: [450, 150]}
    faces = {n: (MEAN_FACE * 60 + place).astype(np.float32) for n, place in places.items()}
    spool = io.BytesIO()
    for index in range(20):
        pickle.dump((index / 10, (index + 1) / 10, faces), spool)
    spool.seek(0)
    source = Source("clip.mp4", (), lambda: iter([picture(640, 360)] * 20), 10.0, 640, 20)
    starts = (0.0, 1.0)
    rows = [
        row(start=start, end=start + 1, abstained=n == 2) | {"person": n, "face_size": 100.0 / n}
        for start in starts
        for n in faces
    ]
    content = pd.DataFrame(rows, columns=columns(CLASSES))
    content.attrs["faces"] = [1, 2, 1, 2]
    files = {"annotate": tmp_path / "out.mp4", "figure": tmp_path / "out.png"}
    annotate.draw_clip(source, content, CLASSES, 1.2, spool, **files)
    image = cv2.cvtColor(cv2.VideoCapture(str(files["annotate"])).read()[1], cv2.COLOR_BGR2RGB)
    left, right = image[:, :300], image[:, 300:640]
    assert share(left, annotate.SURE) > 0.002 > 4 * share(left, annotate.UNSURE)
    assert share(right, annotate.UNSURE) > 0.002 > 4 * share(right, annotate.SURE)
    bare = annotate.draw_frame(picture(640, 360), faces[1], rows[0], CLASSES, 1.2)
    assert (image[40:75, 80:600] < 50).all(-1).mean() > 0.05  # the grounds of two names
    assert not (bare[40:75, 80:600] < 50).all(-1).any()
    one = tmp_path / "one.png"
    spool.seek(0)
    alone = content[content["person"] == 1].reset_index(drop=True)
    alone.attrs["faces"] = [1, 1]
    annotate.draw_clip(source, alone, CLASSES, 1.2, spool, figure=one)
    heights = [cv2.imread(str(file)).shape[0] for file in (files["figure"], one)]
    assert heights[0] == pytest.approx(2 * heights[1], rel=0.05)


def test_figure_of_a_picture_is_the_picture_with_a_panel_for_each_person(tmp_path):
    def figure_of(source, rows, spool):
        spool.seek(0)
        annotate.draw_clip(source, rows, CLASSES, 1.2, spool, figure=tmp_path / "out.png")
        return cv2.cvtColor(cv2.imread(str(tmp_path / "out.png")), cv2.COLOR_BGR2RGB)

    source, spool = clip([picture(640, 360)])
    alone = row(end=0.1)
    image = figure_of(source, table(alone), spool)
    timeless = alone | {"start": None, "end": None}
    face = (MEAN_FACE * 60 + [300, 150]).astype(np.float32)
    assert (image == annotate.draw_frame(picture(640, 360), face, timeless, CLASSES, 1.2)).all()
    assert (image != annotate.draw_frame(picture(640, 360), face, alone, CLASSES, 1.2)).any()
    spool = io.BytesIO()
    pickle.dump((0.0, 0.1, {0: face, 1: face + [200, 0]}), spool)
    rows = pd.DataFrame([
        alone | {"person": number, "face_size": 100.0 / number} for number in (1, 2)
    ], columns=columns(CLASSES))  # fmt: skip
    rows.attrs["faces"] = [0, 1]
    both = figure_of(source, rows, spool)
    assert both.shape == (2 * len(image), *image.shape[1:])
    assert (both[: len(image)] != both[len(image) :]).any()  # each frames its own person
    rows["face_size"] = rows["face_size"][::-1].to_numpy()  # the second person is the larger one
    assert (figure_of(source, rows, spool) == both).all()


@pytest.mark.parametrize("places", [([300, 150], [340, 150]), ([610, 150], [20, 40])])
def test_names_of_neighbours_stay_apart_and_inside(places):
    wide = row() | {"set": "happiness|surprise|fear", "set_level": 0.9}
    faces = [(MEAN_FACE * 60 + place).astype(np.float32) for place in places]
    (first, second), names = faces, []
    image = picture(640, 360)
    for person, face in enumerate((first, second), 1):
        image = annotate._draw_name(image, face, wide | {"person": person}, 1.0, names, False)
    (_, _, _, low), (_, high, _, _) = sorted(names, key=lambda box: box[1])
    apart = low < high or names[0][2] < names[1][0] or names[1][2] < names[0][0]
    assert apart and all(box[0] >= 0 and box[1] >= 0 and box[2] <= 640 for box in names)
    assert [name[2] - name[0] > 150 for name in names] == [True, True]


def test_single_pass_claims_no_agreement():
    sampled, single = (
        annotate.draw_frame(picture(360, 360), None, row() | fields, CLASSES, None)[325:, 360:]
        for fields in ({}, {"agreement": 1.0, "mutual_information": 2e-16})
    )
    assert share(sampled[:, 150:], FAINT) > 0.005 > share(single[:, 240:], FAINT) == 0


def test_thumbnails_of_an_absent_person_show_the_nearest_moment_of_presence():
    places = {1: [80, 80], 2: [240, 80]}
    faces = {n: (MEAN_FACE * 30 + place).astype(np.float32) for n, place in places.items()}
    there = {1: range(20), 2: [5, 6, 14]}
    frames = [
        (n / 10, (n + 1) / 10, np.full((160, 320, 3), 12 * n, np.uint8), [
            (faces[p] if n in there[p] else None, {"person": p, "abstained": False}) for p in faces
        ])
        for n in range(20)
    ]  # fmt: skip
    frames[9][3].pop()  # no row in this window
    thumbnails = {1: [], 2: [], 3: []}
    wanted = np.array([0.1, 0.6, 0.9, 1.2, 1.95])
    passed = list(annotate._with_thumbnails(iter(frames), thumbnails, wanted))
    assert len(passed) == 20
    shown = {p: [int(own[0, 0, 0]) // 12 for own in thumbnails[p]] for p in thumbnails}
    assert shown == {1: [0, 5, 8, 11, 19], 2: [5, 5, 6, 14, 14], 3: [0, 5, 8, 11, 19]}


def test_thumbnails_of_one_person_show_the_clip_also_while_nobody_is_there(tmp_path, monkeypatch):
    face = (MEAN_FACE * 60 + [300, 150]).astype(np.float32)
    pictures = [picture(640, 360)] * 10 + [np.zeros((360, 640, 3), np.uint8)] * 10
    source, spool, drawn = (
        Source("clip.mp4", (), lambda: iter(pictures), 10.0, 640, 20),
        io.BytesIO(),
        [],
    )
    for index in range(20):
        pickle.dump((index / 10, (index + 1) / 10, {1: face} if index < 10 else {}), spool)
    spool.seek(0)
    gone = row(start=1.0, end=2.0, abstained=True) | {"person": 0, "frames": 0}
    content = pd.DataFrame([row(end=1.0) | {"face_size": 90.0}, gone], columns=columns(CLASSES))
    content.attrs["faces"] = [1, None]
    draw = annotate._thumbnail
    monkeypatch.setattr(annotate, "_thumbnail", lambda *a: drawn.append(draw(*a)) or drawn[-1])
    annotate.draw_clip(source, content, CLASSES, 1.2, spool, figure=tmp_path / "out.png")
    kept = [each.any() for each in drawn[-4:]]
    assert drawn[0].any() and not any(kept)


def test_person_who_is_alone_for_a_while_keeps_the_number(tmp_path):
    face = (MEAN_FACE * 60 + [300, 150]).astype(np.float32)
    source = Source("clip.mp4", (), lambda: iter([picture(640, 360)] * 20), 10.0, 640, 20)
    shown = {}
    for people in ((1, 2), (1, 1)):
        spool = io.BytesIO()
        for index in range(20):
            pickle.dump((index / 10, (index + 1) / 10, {people[index // 10]: face}), spool)
        spool.seek(0)
        rows = [row(start=n, end=n + 1) | {"person": people[n], "face_size": 90.0} for n in (0, 1)]
        content = pd.DataFrame(rows, columns=columns(CLASSES))
        content.attrs["faces"] = list(people)
        file = tmp_path / f"{people}.mp4"
        annotate.draw_clip(source, content, CLASSES, 1.2, spool, annotate=file)
        image = cv2.cvtColor(cv2.VideoCapture(str(file)).read()[1], cv2.COLOR_BGR2RGB)
        shown[people] = (image[40:75, 200:500] < 50).all(-1).mean()
    assert shown[1, 2] > 0.05 and shown[1, 1] == 0


@pytest.mark.parametrize(("end", "time"), [(0.04, "0.00–0.04 s"), (2.16, "0.0–2.2 s")])
def test_ends_of_a_window_differ(end, time):
    assert label_and_time(row(end=end), faceless=False)[2] == time
