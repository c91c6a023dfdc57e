"""Random weights, and the Keras model that has them."""

from pathlib import Path

import keras
import pytest

from worker.engine.model import load_vgg19
from worker.engine.weights.sources import Weights


@pytest.fixture(scope="module")
def weights(random_weights: Path) -> Weights:
    return Weights("path", random_weights, "")


@pytest.fixture(scope="module")
def vgg19(random_weights: Path) -> keras.Model:
    return load_vgg19(random_weights)
