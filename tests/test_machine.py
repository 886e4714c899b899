"""Files that are whole or not there, and names that a terminal does not obey."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax.machine import printable, whole_file, write_whole


def test_file_is_replaced_only_when_it_is_complete(tmp_path):
    file = tmp_path / "new" / "table.csv"
    write_whole(file, "old")
    with pytest.raises(OSError), whole_file(file) as partial:
        partial.write_text("to")
        assert partial.suffix == ".csv" and file.read_text() == "old"
        raise OSError
    with pytest.raises(KeyboardInterrupt), whole_file(file):
        raise KeyboardInterrupt
    assert file.read_text() == "old" and os.listdir(file.parent) == ["table.csv"]
    write_whole(file, b"new")
    assert file.read_bytes() == b"new" and os.listdir(file.parent) == ["table.csv"]


@pytest.mark.parametrize(
    "text, shown",
    [("a é 漢.mp4", "a é 漢.mp4"), ("\x1b[2J", "\\x1b[2J"), ("a\nb\r\t", "a\\nb\\r\\t"),
     ("\udcff", "\\udcff"), ("\u202egnp.exe", "\\u202egnp.exe"), ("\x9b2J", "\\x9b2J")],
)  # fmt: skip
def test_control_characters_are_escaped(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters(blacklist_categories=())))
def test_any_text_is_printable(text):
    assert printable(text).isprintable()
    printable(text).encode()


@pytest.mark.parametrize("in_the_way", ["a.csv", "a.partial.csv"])
def test_error_of_a_replaced_file_names_it_and_not_the_one_beside(tmp_path, in_the_way):
    (tmp_path / in_the_way).mkdir()
    with pytest.raises(OSError, match="Is a directory") as caught:
        write_whole(tmp_path / "a.csv", "text")
    assert caught.value.filename == str(tmp_path / "a.csv")
    assert sorted(tmp_path.iterdir()) == [tmp_path / in_the_way]
