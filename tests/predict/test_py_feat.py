"""Prediction of py-feat's tables: times, sizes and people; the models are faked, one is tiny."""

import numpy as np
import pandas as pd
import pytest

import fer_jax
from fer_jax.faces.landmarks import MEAN_FACE
from fer_jax.predict import api
from fer_jax.synthetic.clips import CLASSES, make_clip
from tests.bundles import LANDMARKS, write_bundle
from tests.official_trees import write_openface
from tests.py_feat import COLUMNS, Row, write_py_feat

LEFT, RIGHT = (MEAN_FACE * 40 + [x, 240] for x in (300, 500))


@pytest.mark.parametrize("version", COLUMNS)
def test_table_is_predicted_at_the_stated_rate(predictor, tmp_path, version):
    rows = [Row(n, None if n in (41, 42) else LEFT) for n in range(30, 50)]
    path, said = write_py_feat(tmp_path / "a.csv", rows, version, size=(640, 480)), []
    table = api.predict_clips(predictor, path, fps=10.0, stride=1.0, say=said.append)
    assert table[["start", "end"]].to_numpy().tolist() == [[3.0, 4.0], [4.0, 5.0]]
    assert table["face_share"].tolist() == [1.0, 0.8] and (table["fit"] == 0.99).all()
    assert any("10 frames a second assumed (--fps)" in line for line in said)


@pytest.mark.parametrize("names", [("Person_0", "Person_1"), ("", ""), ("Person_0", "Person_0")])
def test_all_people_of_a_table_have_rows(predictor, tmp_path, names):
    rows = [Row(n, LEFT, names[0]) for n in range(20)]
    rows += [Row(n, RIGHT, names[1], 0.7) for n in range(5, 20)]
    path = write_py_feat(tmp_path / "a.csv", sorted(rows, key=lambda row: row.frame))
    said = []
    main = api.predict_clips(predictor, path, fps=10.0, stride=1.0, say=said.append)
    assert (main["person"] == 1).all() and (main["box_left"] < 400).all() and len(main) == 2
    assert any("1 other faces in the file" in line for line in said)
    everyone = api.predict_clips(predictor, path, fps=10.0, stride=1.0, people="all")
    second = everyone[everyone["person"] == 2]
    assert second["face_share"].tolist() == [0.5, 1.0] and (second["box_left"] > 400).all()
    assert len(everyone) == 4 and (second["fit"] == 0.7).all()


def test_folder_holds_tables_of_both_programs(predictor, tmp_path):
    for name in ("a", "b"):
        write_py_feat(tmp_path / f"{name}.csv", [Row(n, LEFT) for n in range(25)])
    write_openface(tmp_path / "c.csv", np.repeat([LEFT], 25, 0), frame=np.arange(1, 26))
    table = api.predict_clips(predictor, tmp_path, say=lambda text: None)
    assert table["clip"].unique().tolist() == [str(tmp_path / f"{name}.csv") for name in "abc"]
    one, two = (table[table["clip"] == str(tmp_path / f"{name}.csv")] for name in "ac")
    np.testing.assert_array_equal(one[["start", "end", "joy"]], two[["start", "end", "joy"]])


@pytest.mark.parametrize("features", ["position", "motion", "normalised_motion"])
def test_model_answers_as_for_openface(tmp_path, features):
    points = make_clip(0, 1, 3, frames=30).landmarks * 2
    bundle = write_bundle(
        tmp_path / "model", LANDMARKS, CLASSES, 0.5, rule="ends", seconds=0.8, features=features
    )
    one = write_openface(tmp_path / "a.csv", points, frame=np.arange(1, 31))
    rows = [Row(n, face) for n, face in enumerate(points)]
    other = write_py_feat(tmp_path / "b.csv", rows, "2.0", size=(640, 480))
    model = fer_jax.load_model(bundle)
    tables = [
        api.predict_clips(model, path, mc_samples=4, width=640, say=lambda text: None)
        for path in (one, other)
    ]
    numbers = ["start", "end", *CLASSES, "entropy"]
    assert len(tables[0]) > 1 and tables[0][list(CLASSES)].notna().all(axis=None)
    np.testing.assert_allclose(tables[0][numbers], tables[1][numbers], atol=1e-4)
    assert not pd.concat(tables)["abstained"].isna().any()
