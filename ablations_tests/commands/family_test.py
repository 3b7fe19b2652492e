"""docs/families.md, word for word: SqueezeNet from one file; and what is said where its class is not there."""

import hashlib
import json
import math
import re
import shlex
from pathlib import Path

import jax
from flax import nnx

from ablations.config import imports
from ablations.networks.family import FAMILIES
from ablations.networks.network import Network
from ablations_tests.conftest import ROOT, configure, here

PAGE = (ROOT / "docs" / "families.md").read_text()
TINY = (
    "recipe.batch_size=16",
    "recipe.total_steps=2",
    "recipe.evaluate_every=2",
    "recipe.bn_statistics=running",
    "hydra/launcher=basic",
)
COMMANDS = re.findall(r"^ablations (.*)$", PAGE, re.MULTILINE)


def write(folder: Path) -> Path:
    [text] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    path = folder / text.partition("\n")[0].removeprefix("# ")
    path.write_text(text)
    return path


def test_the_pages_network_is_trained_recorded_and_read_again(tmp_path, forgotten):
    file, elsewhere = write(tmp_path), tmp_path / "elsewhere"
    done = here(*shlex.split(COMMANDS[0], comments=True), *TINY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [path] = tmp_path.glob("runs/single/*/seed=0/record.json")
    record = json.loads(path.read_text())
    assert record["config"]["model"] == {"name": "squeezenet", "family": "squeezenet", "small": True}
    assert record["config"]["activation"]["name"] == "without_bn" and record["config"]["shortcut"]["name"] == "none"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert record["model_class"] == {"name": "SqueezeNet", "file": str(file), "sha256": digest}
    assert "shortcut_class" not in record

    done = here("train", "--help", cwd=tmp_path)
    assert "squeezenet" in done.stdout
    del FAMILIES["squeezenet"]  # as in a process that did not import it
    done = here("eval", f"run={path.parent}", cwd=tmp_path)
    said = "record.json cannot be read: family squeezenet is not defined here: add --import squeezenet.py"
    assert done.returncode and said in done.stderr
    elsewhere.mkdir()
    write(elsewhere)
    done = here("eval", f"run={path.parent}", "--import", "elsewhere/squeezenet.py", cwd=tmp_path)
    assert done.returncode == 0 and "its record: test error" in done.stdout, done.stderr


def test_the_pages_other_commands(tmp_path, forgotten):
    write(tmp_path)
    for line, chosen in zip(COMMANDS[1:], (("without_bn", "identity"), ("original", "none")), strict=True):
        command, *words = shlex.split(line, comments=True)
        done = here(command, "--cfg", "job", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        shortcut, order = re.findall(r"^(?:shortcut|activation):\n  name: (\w+)", done.stdout, re.MULTILINE)
        assert (order, shortcut) == chosen and "small: true" in done.stdout


def test_squeezenet_has_the_published_number_of_parameters(tmp_path, forgotten):
    """Iandola et al. 2016, and torchvision. Its "simple bypass" stands around fire modules 3, 5, 7 and 9."""
    imports.load(str(write(tmp_path)))
    config = configure("model=squeezenet", "data=imagenet", "recipe=imagenet")
    architecture = config.model.architecture()

    def made():
        made_of = {"classes": 1000, "image_channels": 3, "rngs": nnx.Rngs(0)}
        return Network(architecture, config.activation, config.shortcut, **made_of)

    network = nnx.eval_shape(made)
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(network, nnx.Param))) == 1_248_424
    assert architecture.smallest_map(224) == 13
    changes = [i == 0 and stack.changes for stack in architecture.stacks for i in range(len(stack.units))]
    assert [fire for fire, changed in enumerate(changes, 2) if not changed] == [3, 5, 7, 9]
