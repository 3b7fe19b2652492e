"""Small parts of a batch are not spread over accelerators, and whoever asks for them is told."""

from dataclasses import replace

import jax
import pytest

from ablations.training import spread
from ablations_tests.conftest import configure

SMALL, LARGE = ("recipe.batch_size=256",), ("data=imagenet", "recipe=imagenet")


def test_each_device_gets_at_least_128_small_images():
    small = configure(*SMALL)
    assert [spread.worthwhile(small, available) for available in (1, 2, 3, 4, 8)] == [1, 2, 2, 2, 2]
    assert spread.worthwhile(configure(*LARGE), 8) == 8
    assert spread.worthwhile(configure("recipe.batch_size=100"), 8) == 1


@pytest.mark.parametrize("backend,asked,count", [("gpu", None, 2), ("tpu", 8, 8), ("cpu", None, None)])
def test_who_says_a_number_gets_it_and_a_cpu_has_no_default(backend, asked, count, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax, "local_device_count", lambda: 8)
    assert spread.over(replace(configure(*SMALL), devices=asked)) == count


def test_the_advice_names_the_number_to_choose():
    small = configure(*SMALL)
    assert spread.advice(small, "tpu", 2, 2) == spread.advice(small, "cpu", 2, 8) == ""
    assert spread.advice(configure(*LARGE), "tpu", 8, 8) == spread.advice(replace(small, devices=2), "tpu", 2, 8) == ""
    words = spread.advice(small, "tpu", 2, 8)
    assert words.startswith("devices=2: with 32 images on each of 8 devices") and words.endswith("devices=8 uses them")
    words = spread.advice(replace(small, devices=8), "tpu", 8, 8)
    assert words.endswith("devices=2 leaves the others to other runs")
