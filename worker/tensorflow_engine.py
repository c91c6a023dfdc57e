"""The engine that renders: worker.engine with this process's weights and device, as worker.protocols.Engine."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import structlog

from shared.recipe import Recipe
from shared.settings import Settings
from worker.devices.device import configure_tensorflow, environment
from worker.engine import Iterate, restore_iterate, stylize
from worker.engine.cache import Cache
from worker.engine.weights.sources import Weights, expected_seconds, resolve_weights
from worker.protocols import ReportPreparation

log = structlog.get_logger(__name__)


class TensorFlowEngine:
    """Implements Engine. Weights are found or learned on first use and kept for the process's lifetime."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded_weights: Weights | None = None
        configure_tensorflow(settings.threads)
        self._cache = Cache()  # looks for a GPU, so after the configuration

    def device(self) -> str:
        """See Engine."""
        about = environment()
        return about["gpus"][0] if about["gpus"] else f"cpu:{about['threads']}"

    def environment(self) -> Mapping[str, Any]:
        """See Engine."""
        return environment()

    def weights_seconds(self) -> float:
        """See Engine."""
        return 0.0 if self._loaded_weights else expected_seconds(self._settings.weights, cache=self._settings.cache)

    def weights(self, report: ReportPreparation) -> Mapping[str, str]:
        """See Engine."""
        weights = self._weights(report)
        return {"source": weights.source, "sha256": weights.sha256}

    def stylize(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        recipe: Recipe,
        state: Mapping[str, Any] | None,
        *,
        init_image: np.ndarray | None = None,
        masks: Sequence[np.ndarray] = (),
    ) -> Iterator[Iterate]:
        """See Engine."""
        weights = self._weights() if recipe.steps else None
        options: dict[str, Any] = {"weights": weights, "state": state, "cache": self._cache}
        return stylize(content, styles, recipe, **options, init_image=init_image, masks=masks)

    def restore_iterate(
        self, content: np.ndarray, recipe: Recipe, state: Mapping[str, Any], *, masks: Sequence[np.ndarray] = ()
    ) -> Iterate:
        """See Engine."""
        return restore_iterate(content, recipe, state, masks)

    def needs_restart(self) -> bool:
        """See Engine."""
        return self._cache.needs_restart

    def _weights(self, report: ReportPreparation | None = None) -> Weights:
        if self._loaded_weights is None:
            cache = self._settings.cache
            self._loaded_weights = resolve_weights(self._settings.weights, cache=cache, progress=report)
            log.info("weights_loaded", weights=self._loaded_weights.describe())
        return self._loaded_weights
