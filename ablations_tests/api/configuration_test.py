"""Settings from Python: values of other libraries, and what is none."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import ablations as ab


@pytest.mark.parametrize(
    "settings,changed",
    [
        ({"runs_dir": Path("runs/here")}, {"runs_dir": "runs/here"}),
        ({"seed": np.int64(3)}, {"seed": 3}),
        ({"force": np.bool_(True)}, {"force": True}),
        ({"recipe.learning_rate": np.float32(0.1)}, {"recipe.learning_rate": 0.1}),
        ({"recipe.learning_rate": jnp.float32(0.1)}, {"recipe.learning_rate": 0.1}),
        ({"recipe.drop_fractions": np.array([0.25, 0.5])}, {"recipe.drop_fractions": [0.25, 0.5]}),
        ({"recipe.drop_fractions": (np.float32(0.1), 0.5)}, {"recipe.drop_fractions": [0.1, 0.5]}),
    ],
)
def test_values_of_other_libraries_are_those_of_python(settings, changed):
    assert ab.configure(**settings) == ab.configure(**changed)


@pytest.mark.parametrize(
    "words,settings,message",
    [
        ([3], {}, r"^configure\(3\): settings are text or keywords, as configure\('seed=3'\)"),
        ([None], {}, r"^configure\(None\): settings are text or keywords"),
        ([], {"seed": object()}, "a setting's value is a text, a number, a bool, None, or a list of them"),
        ([], {"shortcut": 3}, "shortcut=3: a run has exactly one shortcut"),
    ],
)
def test_what_is_no_setting_is_refused(words, settings, message):
    with pytest.raises(ab.UserError, match=message):
        ab.configure(*words, **settings)
