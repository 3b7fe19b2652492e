"""PyTorch's weights in and out again: files with torchvision's names, layouts and order."""

import numpy as np
import pytest

from ablations.errors import UserError
from ablations.networks import names
from ablations.training import foreign, restore, weights
from ablations_tests.conftest import configure

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

SMALL = ("model=mobilenet_v3_small", "data=digits", "model.stem_stride=1")


@pytest.fixture(scope="module")
def network():
    config = configure(*SMALL)
    return config, *restore.blank(config)


def state_dict(network, seed=0):
    """Random numbers under other names, in the order of the computation: linear layers of SE as 1x1 convolutions."""
    config, _, state = network
    random, head = np.random.default_rng(seed), config.model.architecture().head
    expected = weights.named_tensors(state.params, state.others, head)
    tensors = {}
    for i, name in enumerate(names.tensors(config.model.architecture(), config.activation)):
        shape = expected[name].shape
        shape = (*shape, 1, 1) if name.endswith(("squeeze.weight", "expand.weight")) else shape
        tensors[f"layer{i}.{name.rpartition('.')[2]}"] = torch.tensor(
            random.uniform(0.5, 1.5, shape), dtype=torch.float32
        )
        if name.endswith("running_var"):
            tensors[f"layer{i}.num_batches_tracked"] = torch.tensor(3)
    return tensors


def test_what_comes_in_goes_out_again(network, tmp_path):
    config, steps, state = network
    file, ours, again = tmp_path / "theirs.pth", tmp_path / "ours.safetensors", tmp_path / "again.pth"
    torch.save(state_dict(network) | {"aux1.conv.weight": torch.zeros(3)}, file)
    foreign.convert(file, ours, config, steps, state)
    filled = weights.load(ours, steps, state)
    first = foreign.read(file)["layer0.weight"]
    np.testing.assert_array_equal(filled.params["stem"]["kernel"], first.transpose(2, 3, 1, 0))
    np.testing.assert_allclose(weights.normalization(ours)["mean"], [0.485, 0.456, 0.406])
    assert weights.configuration(ours).model == config.model
    foreign.named_as(ours, file, again)
    written = torch.load(again, weights_only=True)
    for name, tensor in foreign.read(file).items():
        np.testing.assert_array_equal(written[name].numpy(), tensor)


def test_another_network_is_named_and_nothing_is_written(network, tmp_path):
    config, steps, state = network
    file, out = tmp_path / "theirs.pth", tmp_path / "ours.safetensors"
    tensors = state_dict(network)
    for changed, message in (
        ({"layer0.weight": torch.zeros(8, 1, 3, 3)}, r"layer0.weight has the shape \(8, 1, 3, 3\), and stem.weight"),
        ({"more.weight": torch.zeros(3)}, r"it has \d+ tensors, and that \d+"),
        ({"epoch": 3}, "holds no state_dict"),
    ):
        torch.save(tensors | changed, file)
        with pytest.raises(UserError, match=message):
            foreign.convert(file, out, config, steps, state)
    file.write_bytes(b"not a file of PyTorch")
    with pytest.raises(UserError, match="PyTorch cannot read it"):
        foreign.read(file)
    with pytest.raises(UserError, match="there is no such file"):
        foreign.read(tmp_path / "missing.pth")
    assert not out.exists()


def test_a_shortcut_that_no_file_has_is_refused(network, tmp_path):
    config = configure(*SMALL, "shortcut=conv1x1")
    torch.save(state_dict(network), tmp_path / "theirs.pth")
    with pytest.raises(UserError, match="shortcut=conv1x1: has layers that no other program's file has"):
        foreign.convert(tmp_path / "theirs.pth", tmp_path / "out", config, *network[1:])
