"""Settings with which there are webhooks."""

import pytest
from support.fixtures.webhooks import SECRETS

from shared.settings import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With webhooks to this machine, and hardly a pause between tries."""
    told = {"webhook_secret": ",".join(SECRETS), "webhook_private": True, "webhook_pace": 1e-7, "queue_limit": 100}
    return Settings.model_validate({**settings.model_dump(), **told})
