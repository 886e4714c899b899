"""The benchmark of waiting for clips: it trains both ways, and its table has a row of each."""

import types

import pytest

from benchmarks import streaming


@pytest.mark.parametrize("kind", streaming.KINDS)
def test_clips_are_where_the_row_says(prepared_crops, tmp_path, monkeypatch, kind):
    from fer_jax.training import loop
    from tests.finished_runs import crops_config, write_config

    original, trained = loop.train_epochs, []

    def train_epochs(program, states, clips, *rest):
        trained.append(clips.streamed)
        return original(program, states, clips, *rest)

    monkeypatch.setattr(loop, "train_epochs", train_epochs)
    small = {"model.stages": ((4, 1),), "model.modules": 1}
    config, sent = write_config(tmp_path, crops_config("nowhere", **small)), []
    send = types.SimpleNamespace(send=sent.append)
    streaming.measure(config, str(prepared_crops), streaming.KINDS[kind], 2, send)
    assert trained == [kind == "streamed"]
    ((speed, waited, memory),) = sent
    assert speed > 0 and 0 <= waited < 1 and memory >= 0


def told(name: str, path: str, room: float, epochs: int, send) -> None:
    """Sends what it was given, in the place of `measure`; ends without a word of "fails"."""
    if name == "fails":
        raise SystemExit(1)
    send.send((room + 0.5, epochs / 10, len(path)))


def test_each_way_is_measured_in_a_process_of_its_own(monkeypatch, capsys):
    monkeypatch.setattr(streaming, "measure", told)
    streaming.main(["config", "--path", "data", "--epochs", "1"])
    *_, first, second = capsys.readouterr().out.splitlines()
    assert first == "| in memory | 1000.5 | 20.00% | 4.00 |"  # two epochs, one to warm up
    assert second == "| streamed | 0.5 | 20.00% | 4.00 |"
    with pytest.raises(SystemExit, match="error: training with clips in memory failed"):
        streaming.main(["fails"])
