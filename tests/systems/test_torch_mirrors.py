"""The PyTorch mirrors as yardsticks: their published sizes, training and dropout of ST-BLN's."""

import pytest

torch = pytest.importorskip("torch", reason="the PyTorch mirrors need torch: pip install torch")

from benchmarks.torch_mirrors import fer_gcn, inception_resnet_3d, stc_nlstm  # noqa: E402
from benchmarks.torch_mirrors import st_bln as mirror  # noqa: E402

EDGES = 7


def small_model(**options):
    torch.manual_seed(0)
    return mirror.STBLN(EDGES, 3, widths=(4, 4, 6, 6, 6), **options)


def random_batch(clips=4, frames=4):
    torch.manual_seed(1)
    return torch.randn(clips, 2, frames, EDGES) * 10, torch.arange(clips) % 3


@pytest.mark.parametrize(
    ("network", "classes", "count"),
    [
        (fer_gcn.FERGCN, 7, 15_776_071),
        (stc_nlstm.STCNLSTM, 6, 15_462_790),
        (inception_resnet_3d.InceptionResNet3D, 6, 20_436_502),
    ],
)
def test_mirror_trains_as_many_parameters_as_published(network, classes, count):
    assert sum(p.numel() for p in network(classes).parameters() if p.requires_grad) == count
    assert mirror.count_parameters(mirror.STBLN(312, 7)) == (2_176_575, 132_351)


def test_training_lowers_the_loss():
    model = small_model(dropout=0.0)
    optimizer = mirror.make_optimizer(model, 0.01)
    x, y = random_batch(clips=6)
    losses = [mirror.train_step(model, optimizer, x, y).item() for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("training", [True, False])
def test_mc_dropout_leaves_the_model_as_it_was(training):
    model = small_model().train(training)
    x = random_batch()[0]
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    probabilities = mirror.mc_dropout(model, x, 5)
    assert probabilities.shape == (5, 4, 3)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(5, 4))
    assert (probabilities.std(dim=0) > 0).all()
    certain = small_model(dropout=0.0)
    once = certain.eval()(x).softmax(-1)
    torch.testing.assert_close(mirror.mc_dropout(certain, x, 3), once.expand(3, -1, -1))
    assert model.training == model.dropout.training == training
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="dropout_place is 'middle'"):
        small_model(dropout_place="middle")
