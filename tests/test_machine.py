"""Files that are whole or not there, and names that a terminal does not obey."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_jax import machine
from fer_jax.machine import printable, usable_cores, usable_memory, whole_file, write_whole


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


def limited(folder, monkeypatch, group: str, **files: str) -> None:
    """Gives this process control groups with these files, `parent__cpu_max` for parent/cpu.max."""
    own = folder / "cgroup"
    own.write_text(f"4:memory:/v1\n0::{group}\n")
    for name, text in files.items():
        file = folder.joinpath(*name.replace("_max", ".max").split("__"))
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(machine, "_GROUPS", folder)
    monkeypatch.setattr(machine, "_OWN_GROUP", own)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("group", "files", "cores"),
    [
        ("/", {}, 8),
        ("/", {"cpu_max": "max 100000\n"}, 8),
        ("/", {"cpu_max": "250000 100000\n"}, 3),
        ("/", {"cpu_max": "5000 100000\n"}, 1),
        ("/", {"cpu_max": "9900000 100000\n"}, 8),
        ("/job/step", {"job__cpu_max": "200000 100000\n"}, 2),
        ("/../elsewhere", {}, 8),
    ],
)
def test_cores_are_those_of_the_container(tmp_path, monkeypatch, group, files, cores):
    limited(tmp_path, monkeypatch, group, **files)
    assert usable_cores() == cores


def test_memory_is_that_of_the_job(tmp_path, monkeypatch):
    limited(tmp_path, monkeypatch, "/job/step")
    whole = usable_memory()
    assert whole == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limited(tmp_path, monkeypatch, "/job/step", memory_max="max\n", job__memory_max="1048576\n")
    assert usable_memory() == 2**20


def test_system_without_control_groups_has_the_whole_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_OWN_GROUP", tmp_path / "missing")
    assert usable_cores() >= 1 and usable_memory() > 2**20
