"""Settings that enable webhooks."""

import pytest
from support.fixtures.webhooks import SECRETS

from shared.settings import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Allow webhooks to this machine, with next to no delay between retries."""
    changes = {
        "webhook_secret": ",".join(SECRETS),
        "webhook_private": True,
        "webhook_backoff_factor": 1e-7,
        "queue_limit": 100,
    }
    return Settings.model_validate({**settings.model_dump(), **changes})
