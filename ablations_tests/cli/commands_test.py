"""What a command imports before it is asked to do anything."""

import json
import subprocess
import sys

SLOW = (
    *("jax", "jaxlib", "flax", "optax", "orbax", "hydra", "omegaconf", "numpy", "scipy", "sklearn"),
    *("matplotlib", "PIL", "rich", "wandb", "tensorflow_datasets", "grain"),
)

CODE = f"""
import json, sys
from ablations.cli import main
from ablations.cli.commands import COMMANDS

imported = {{}}
for command in ([], *([name] for name in COMMANDS)):
    sys.argv = ["ablations", *command, "--help"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, command
    imported[" ".join(command)] = [name for name in {SLOW} if name in sys.modules]
print(json.dumps(imported))
"""


def test_help_imports_nothing_slow():
    """One process asks for help on every command, so the first one that imports something is the one at fault."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    imported = json.loads(done.stdout.splitlines()[-1])
    assert len(imported) > 10 and not any(imported.values()), imported
