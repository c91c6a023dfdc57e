"""The secrets that sign each tenant's webhooks, derived from EASEL_WEBHOOK_SECRET: nothing is stored."""

import hmac
from base64 import b64decode, b64encode

from shared.jobs.job import DEFAULT_TENANT
from shared.settings import Settings

_PREFIX = "whsec_"


def webhook_secrets(settings: Settings, tenant: str) -> list[str]:
    """Return the tenant's secrets, one for each of EASEL_WEBHOOK_SECRET, in its order.

    HMAC-SHA256 of the tenant's name: from one tenant's secret, neither another's nor the service's can be computed.
    """
    services_own = (secret.get_secret_value() for secret in settings.webhook_secret)
    return [_derive(b64decode(secret.removeprefix(_PREFIX)), tenant) for secret in services_own]


def signing_secrets(settings: Settings, tenant: str) -> list[str]:
    """Return all secrets that sign the tenant's webhooks.

    For the tenant `default` also those of the service, which its receivers may have from the time before tenants had
    their own.
    """
    services_own = [secret.get_secret_value() for secret in settings.webhook_secret if tenant == DEFAULT_TENANT]
    return services_own + webhook_secrets(settings, tenant)


def _derive(key: bytes, tenant: str) -> str:
    return _PREFIX + b64encode(hmac.digest(key, f"easel webhooks of tenant {tenant}".encode(), "sha256")).decode()
