"""Sessions: bounded in number, closed with their page or after a while, nothing left behind."""

import os
import time

import pytest

from fer_jax.live.visitors import Refused, Visitors


class Engine:
    def __init__(self):
        self.seen, self.closed = [], False

    def look(self, picture, seconds):
        self.seen.append(seconds)
        return picture

    def rows(self):
        return [{"start": seconds} for seconds in self.seen]

    def close(self):
        self.closed = True


@pytest.fixture
def made():
    return []


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def visitors(made, now, tmp_path):
    def make():
        made.append(Engine())
        return made[-1]

    visitors = Visitors(make, most=2, idle=100.0, folder=tmp_path / "all", clock=lambda: now[0])
    (tmp_path / "all").mkdir()
    yield visitors
    visitors.close()


def test_a_page_that_only_was_opened_takes_no_place(visitors, made):
    for key in "abcdef":
        visitors.arrive(key)
    assert len(visitors) == 0 and not made
    assert visitors.session("a").rows() == [] and not made
    assert visitors.session("a").look("picture", 1.5) == "picture"
    assert len(visitors) == len(made) == 1
    assert visitors.session("a").rows() == [{"start": 1.5}]


def test_visitors_are_told_apart(visitors):
    visitors.arrive("a")
    visitors.arrive("b")
    visitors.session("a").look(None, 1.0)
    visitors.session("b").look(None, 2.0)
    assert visitors.session("a").rows() != visitors.session("b").rows()


def test_too_many_are_refused_until_one_leaves(visitors, made):
    for key in "abc":
        visitors.arrive(key)
    visitors.session("a").look(None, 0.0)
    visitors.session("b")
    with pytest.raises(Refused, match="2 people use this page already.*try again"):
        visitors.session("c")
    visitors.leave("a")
    assert made[0].closed
    visitors.session("c").look(None, 0.0)
    with pytest.raises(Refused, match="reload the page"):
        visitors.session("a")


def test_a_page_that_was_never_opened_is_refused(visitors):
    with pytest.raises(Refused, match="reload the page"):
        visitors.session("guessed")


def test_leaving_removes_files_and_ends_what_still_runs(visitors, made):
    visitors.arrive("a")
    session = visitors.session("a")
    session.look(None, 0.0)
    first, second = session.new_folder(), session.new_folder()
    (second / "table.csv").write_text("rows")
    assert second.is_dir() and not first.exists()
    visitors.leave("a")
    assert made[0].closed and not second.exists()
    with pytest.raises(Refused, match="reload the page"):
        session.look(None, 1.0)
    visitors.leave("a")  # a second time, and a page without a session
    visitors.leave("unknown")


def test_idle_sessions_close_and_their_pages_may_begin_again(visitors, made, now):
    visitors.arrive("a")
    visitors.arrive("b")
    visitors.session("a").look(None, 0.0)
    now[0] = 90.0
    visitors.session("b").look(None, 0.0)
    now[0] = 110.0
    visitors.close_idle()
    assert [engine.closed for engine in made] == [True, False] and len(visitors) == 1
    visitors.session("a").look(None, 0.0)
    assert len(made) == 3


def test_closing_removes_everything(visitors, made, tmp_path):
    visitors.arrive("a")
    visitors.session("a").look(None, 0.0)
    visitors.session("a").new_folder()
    visitors.close()
    assert made[0].closed and len(visitors) == 0 and not (tmp_path / "all").exists()


def test_old_files_are_removed(visitors, tmp_path):
    old, new = tmp_path / "all" / "old.mp4", tmp_path / "all" / "hash" / "new.mp4"
    new.parent.mkdir()
    for file in (old, new):
        file.write_bytes(b"frames")
    os.utime(old, (time.time() - 101, time.time() - 101))
    visitors.remove_leftovers()
    assert not old.exists() and new.exists()
