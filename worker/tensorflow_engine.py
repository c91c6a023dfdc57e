"""The engine that paints: worker.engine with this process' weights and device, behind worker/protocols.py."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import structlog

from shared.recipe import Recipe
from shared.settings import Settings
from worker.devices.device import configure_tensorflow, environment
from worker.engine import Iterate, revive, stylize
from worker.engine.cache import Cache
from worker.engine.weights.sources import Weights, resolve_weights

log = structlog.get_logger(__name__)


class Vgg19:
    """Weights are found or learned at the first need, and kept for the life of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: Weights | None = None
        configure_tensorflow(settings.threads)
        self._cache = Cache()  # asks for a GPU, so after the configuration

    def device(self) -> str:
        """As Engine says."""
        found = environment()
        return found["gpus"][0] if found["gpus"] else f"cpu:{found['threads']}"

    def environment(self) -> Mapping[str, Any]:
        """As Engine says."""
        return environment()

    def weights(self) -> Mapping[str, str]:
        """As Engine says."""
        weights = self._weights()
        return {"source": weights.source, "sha256": weights.sha256}

    def stylize(
        self, content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe, state: Mapping[str, Any] | None
    ) -> Iterator[Iterate]:
        """As Engine says."""
        return stylize(content, styles, recipe, weights=self._weights(), state=state, cache=self._cache)

    def revive(self, recipe: Recipe, state: Mapping[str, Any]) -> Iterate:
        """As Engine says."""
        return revive(recipe, state)

    def worn(self) -> bool:
        """As Engine says."""
        return self._cache.needs_restart

    def _weights(self) -> Weights:
        if self._found is None:
            self._found = resolve_weights(self._settings.weights, cache=self._settings.cache)
            log.info("weights", which=self._found.describe())
        return self._found
