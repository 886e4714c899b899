"""The PyTorch mirror is the published model: its sizes, its shapes, its dropout."""

import pytest

torch = pytest.importorskip("torch", reason="the PyTorch mirror needs torch: pip install torch")

from benchmarks.torch_mirrors import st_bln as mirror  # noqa: E402

EDGES = 7


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Arrays here are tiny: threads that wait for each other on a busy machine cost most."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small_model(**options):
    torch.manual_seed(0)
    return mirror.STBLN(EDGES, 3, widths=(4, 4, 6, 6, 6), **options)


def random_batch(clips=4, frames=4):
    torch.manual_seed(1)
    return torch.randn(clips, 2, frames, EDGES) * 10, torch.arange(clips) % 3


def wake_bilinear_branch(model):
    """Undoes the 1e-6 start, under which the bilinear maps hardly reach the output."""
    for layer in model.layers:
        torch.nn.init.ones_(layer.bn_s.weight)


@pytest.mark.parametrize(
    ("edges", "classes", "widths", "total", "without_u"),
    [
        (312, 7, mirror.WIDTHS, 2_176_575, 132_351),
        (309, 6, mirror.WIDTHS, 2_137_375, 132_274),
        (303, 7, mirror.WIDTHS, 2_060_304, 132_315),
        (312, 7, (15, 10, 15, 5, 5, 10), 1_762_942, 10_750),
    ],
)
def test_published_parameter_counts(edges, classes, widths, total, without_u):
    model = mirror.STBLN(edges, classes, widths=widths)
    assert mirror.count_parameters(model) == (total, without_u)


@pytest.mark.parametrize(("frames", "last"), [(4, 2), (5, 3), (150, 75)])
@pytest.mark.parametrize("place", ["after", "before"])
def test_shapes(frames, last, place):
    model = small_model(dropout_place=place).eval()
    seen = []
    model.layers[-1].register_forward_hook(lambda _module, _args, out: seen.append(out.shape))
    logits = model(random_batch(clips=2, frames=frames)[0])
    assert logits.shape == (2, 3)
    assert seen == [(2, 6, last, EDGES)]


def test_bilinear_sum_matches_one_einsum():
    layer = small_model().layers[0].eval()
    x = random_batch()[0]
    seen = []
    layer.bn_s.register_forward_hook(lambda _module, args, _out: seen.append(args[0]))
    layer(x)
    weights = torch.stack([conv.weight[:, :, 0, 0] for conv in layer.conv])
    expected = torch.einsum("bite,sef,soi->botf", x, layer.u, weights)
    torch.testing.assert_close(seen[0], expected, rtol=1e-4, atol=1e-3)


def test_data_bn_uses_batch_and_time_of_each_edge_coordinate():
    model = small_model().train()
    x = random_batch()[0]
    seen = []
    model.layers[0].register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    model(x)
    mean = x.mean(dim=(0, 2), keepdim=True)
    var = x.var(dim=(0, 2), keepdim=True, unbiased=False)
    torch.testing.assert_close(seen[0], (x - mean) / (var + 1e-5).sqrt())
    torch.testing.assert_close(model.data_bn.running_mean, 0.1 * mean.squeeze().T.flatten())


def test_edge_order_does_not_matter_when_the_maps_follow():
    model = small_model().eval()
    wake_bilinear_branch(model)
    x = random_batch()[0]
    before = model(x)
    order = torch.randperm(EDGES)
    with torch.no_grad():
        for layer in model.layers:
            layer.u.copy_(layer.u[:, order][:, :, order])
    torch.testing.assert_close(model(x[..., order]), before, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model(x), before, rtol=1e-4, atol=1e-5)


def test_gradient_reaches_every_parameter():
    model = small_model(dropout=0.0)
    wake_bilinear_branch(model)
    x, y = random_batch()
    mirror.train_step(model, mirror.make_optimizer(model, 0.0), x, y)
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    # BatchNorm removes the mean, so the bias of a convolution in front of it has gradient 0.
    conv_biases = {
        f"{name}.bias"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }
    dead = {name for name, p in model.named_parameters() if not p.grad.abs().max() > 1e-12}
    assert dead <= conv_biases


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
    assert model.training == model.dropout.training == training
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_without_dropout_all_passes_agree():
    x = random_batch()[0]
    model = small_model(dropout=0.0)
    probabilities = mirror.mc_dropout(model, x, 3)
    assert torch.equal(probabilities, probabilities[:1].expand(3, -1, -1))
    torch.testing.assert_close(probabilities[0], model.eval()(x).softmax(-1))


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="dropout_place is 'middle'"):
        small_model(dropout_place="middle")
    with pytest.raises(ValueError, match="2 strides for 5 widths"):
        small_model(strides=(1, 2))
