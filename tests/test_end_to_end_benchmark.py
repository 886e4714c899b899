"""The benchmark of a video from file to table, on a short one of the portrait."""

import cv2

from benchmarks import end_to_end, identity
from fer_jax import shipped


def test_table_has_a_row_for_each_number_of_faces(monkeypatch, capsys):
    picture = cv2.cvtColor(cv2.imread(str(shipped.PORTRAIT)), cv2.COLOR_BGR2RGB)
    person = identity.Person("portrait", [cv2.resize(picture, (220, 220))])
    monkeypatch.setattr(end_to_end, "people_of", lambda clips: [person])
    monkeypatch.setattr(end_to_end, "use_cores", lambda count: None)
    short = ["--seconds", "0.4", "--repeats", "2", "--mc-samples", "2"]
    end_to_end.main(["faces", "--faces", "1", "2", *short])
    head, _, *lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[:2] for row in rows] == [["faces", "1"], ["faces", "2"]]
    assert {len(row) for row in rows} == {len(end_to_end.HEAD)} == {head.count("|") - 1}
    for row in rows:
        low, high = map(float, row[3].split(", "))
        assert 0 < low <= float(row[2]) <= high
        assert float(row[4]) > 0  # reading takes time
    one, two = (int(row[-1]) for row in rows)
    assert one > 0 and two == 2 * one  # everybody has rows
