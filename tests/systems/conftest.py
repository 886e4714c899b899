"""What the tests of systems share."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """PyTorch on one thread: arrays here are small, threads that wait for each other cost most."""
    try:
        import torch
    except ImportError:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
