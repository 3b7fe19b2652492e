"""What `import ablations` offers, and what it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ablations as ab


def test_a_name_is_imported_when_it_is_used():
    code = (
        "import sys, ablations as ab; assert 'train' in dir(ab)\n"
        "print(sorted(m for m in sys.modules if m.startswith('ablations') or m in ('jax', 'numpy', 'hydra')))\n"
        "ab.UserError\n"
        "print(sorted(m for m in sys.modules if m.startswith('ablations') or m in ('jax', 'numpy', 'hydra')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["['ablations']", "['ablations', 'ablations.errors']"]


def test_records_and_tables_are_read_without_jax(finished):
    cwd, _ = finished
    code = (
        "import sys, ablations as ab\n"
        "runs = ab.records('runs'); runs.table()._repr_html_(), runs.flat(), runs[0]._repr_html_()\n"
        "print([m for m in ('jax', 'flax', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_type_checkers_see_what_is_there():
    tree = ast.parse(Path(ab.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.asname: (node.module, alias.name) for node in block.body for alias in node.names}
    there = {
        name: tuple((where if ":" in where else f"{where}:{name}").split(":")) for name, where in ab._MODULES.items()
    }
    assert seen == there and sorted(seen) == ab.__all__
    assert set(ab.__all__) <= set(dir(ab))


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(AttributeError, match="no attribute 'tarin'; it has Config, .* train"):
        _ = ab.tarin


@pytest.mark.parametrize("runs_dir", ["rö", "my, runs", "a (1)", "a=b", "[x", "it's"])
def test_a_keyword_s_text_needs_no_quotes(runs_dir):
    assert ab.configure(runs_dir=runs_dir).runs_dir == runs_dir


def test_a_keyword_s_text_may_be_in_hydras_syntax():
    config = ab.configure(runs_dir="'my runs'", **{"recipe.drop_fractions": "[0.5,0.7]"})
    assert config.runs_dir == "my runs" and config.recipe.drop_fractions == [0.5, 0.7]
