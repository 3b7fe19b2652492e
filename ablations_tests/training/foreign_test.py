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
    steps = restore.blank(config)
    return config, steps, steps.init(draw=False)


def state_dict(network, seed=0):
    """Random numbers under other names, in the order of the computation: linear layers of SE as 1x1 convolutions."""
    config, _, state = network
    random = np.random.default_rng(seed)
    expected = weights.named_tensors(state.params, state.others, config.model.architecture())
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
    theirs = foreign.read(file, auxiliary=False)
    first = theirs["layer0.weight"]
    np.testing.assert_array_equal(filled.params["stem"]["kernel"], first.transpose(2, 3, 1, 0))
    np.testing.assert_allclose(weights.normalization(ours)["mean"], [0.485, 0.456, 0.406])
    assert weights.configuration(ours).model == config.model
    foreign.named_as(ours, file, again)
    written = torch.load(again, weights_only=True)
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(written[name].numpy(), tensor)


def test_auxiliary_classifiers_are_read_if_the_network_has_them(tmp_path):
    file, out, again = tmp_path / "theirs.pth", tmp_path / "ours.safetensors", tmp_path / "again.pth"
    small = ("model=googlenet_digits", "data=digits", "model.modules=1", "model.widths=[16,16]")
    config = configure(*small, "model.auxiliary=torchvision")
    steps = restore.blank(config)
    helped = config, steps, steps.init(draw=False)
    ours = names.tensors(config.model.architecture(), config.activation)
    tensors = {
        f"aux1.{name}" if ours[int(name[5:].partition(".")[0])].startswith("auxiliary.") else name: tensor
        for name, tensor in state_dict(helped).items()
    }
    torch.save(tensors, file)
    foreign.convert(file, out, *helped)
    filled = weights.load(out, *helped[1:])
    (linear,) = [tensor for tensor in tensors.values() if tensor.shape == (1024, 2048)]
    # It sees the 4x4 cells in PyTorch's order: channel, row, column.
    expected = linear.reshape(1024, 128, 4, 4).permute(2, 3, 1, 0).reshape(2048, 1024)
    np.testing.assert_array_equal(filled.params["auxiliary"][0]["hidden"][0]["kernel"], expected)
    foreign.named_as(out, file, again)
    written = torch.load(again, weights_only=True)
    assert list(written) == [name for name in tensors if "num_batches" not in name]
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in written.items())

    config = configure(*small)  # the same file for the network without them
    steps = restore.blank(config)
    foreign.convert(file, out, config, steps, steps.init(draw=False))
    assert not [name for name in weights.tensors(out) if name.startswith("auxiliary.")]
    torch.save({name: tensor for name, tensor in tensors.items() if not name.startswith("aux1.")}, file)
    with pytest.raises(UserError, match=r"it has no auxiliary classifiers: add model.auxiliary=none"):
        foreign.convert(file, out, *helped)


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
        foreign.read(file, auxiliary=False)
    with pytest.raises(UserError, match="there is no such file"):
        foreign.read(tmp_path / "missing.pth", auxiliary=False)
    assert not out.exists()


def test_a_shortcut_that_no_file_has_is_refused(network, tmp_path):
    config = configure(*SMALL, "shortcut=conv1x1")
    torch.save(state_dict(network), tmp_path / "theirs.pth")
    with pytest.raises(UserError, match="shortcut=conv1x1: has layers that no other program's file has"):
        foreign.convert(tmp_path / "theirs.pth", tmp_path / "out", config, *network[1:])
