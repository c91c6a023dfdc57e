"""`easel-worker keys`: the API keys of tenants."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter, ValidationError
from rich.table import Table
from rich.text import Text

from easel.terminal.output import print_message, print_table, printable
from shared.errors import LedgerUnavailable, WebhooksDisabled
from shared.jobs.job import DEFAULT_TENANT
from shared.redis_client import connect
from shared.services import open_blobs
from shared.settings import Settings
from shared.signing_secret import SigningSecret
from shared.tenants.audit import AuditEntry, AuditLog
from shared.tenants.keys import Key, NewKey, StoredKey, TenantName, create_key, list_keys, revoke_key
from shared.tenants.webhook_secrets import rotate_webhook_secret, webhook_secrets
from shared.validation_messages import message_for

app = typer.Typer(help="Create, list and revoke the API keys of tenants.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_CALLER: Final = "easel-worker"  # in the audit log
_COLUMNS: Final = ("prefix", "tenant", "name", "scopes", "created", "expires", "state")


def check_tenant(name: str) -> str:
    """Return the name of a tenant. Raises typer.BadParameter."""
    try:
        return TypeAdapter[str](TenantName).validate_python(name)
    except ValidationError as error:
        raise typer.BadParameter(message_for(error.errors()[0], kind="option")) from error


Tenant = Annotated[str, typer.Option(help="Whose webhooks.", callback=check_tenant)]


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whose jobs the key can see and submit.")] = "default",
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help="jobs, read, metrics or admin; repeat it for several. Default: jobs.")
    ] = None,
    expires_days: Annotated[
        float | None, typer.Option(min=0.01, max=36_500, help="Days until the key expires. Default: never.")
    ] = None,
    as_json: Json = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Create a key and print it. It is shown only once."""
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    try:
        new = NewKey.model_validate(
            {"tenant": tenant, "name": name, "scopes": scope or ["jobs"], "expires_at": expires_at}
        )
    except ValidationError as error:
        problems = [f"{e['loc'][0]}: {message_for(e, kind='option')}" for e in error.errors()]
        raise typer.BadParameter("; ".join(problems)) from error
    settings = Settings()
    key, text = create_key(open_blobs(settings), new)
    _audit(settings, AuditEntry(action="key.created", caller=_CALLER, key=key.prefix))
    if as_json:
        print(json.dumps({**_plain(key), "key": text}))  # noqa: T201 - for scripts
        return
    print(text)  # noqa: T201 - for scripts: EASEL_API_KEY=$(easel-worker keys create)
    print_message(f"A key of tenant {key.tenant} for {settings.store_url}. Save it now: only its hash is stored.")


@app.command("list")
def list_all(
    tenant: Annotated[str | None, typer.Option(help="Only the keys of this tenant.")] = None,
    as_json: Json = False,  # noqa: FBT002 - the same
) -> None:
    """List the keys without their secrets."""
    found = [key for key in list_keys(open_blobs(Settings())) if tenant in {None, key.tenant}]
    if as_json:
        print(json.dumps([_plain(key) for key in found]))  # noqa: T201 - for scripts
        return
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for key in found:
        dates = key.created_at.date(), key.expires_at.date() if key.expires_at else ""
        name = Text(printable(key.name))  # no markup
        table.add_row(key.prefix, key.tenant, name, ", ".join(key.scopes), *map(str, dates), key.state())
    print_table(table)


@app.command()
def revoke(prefix: Annotated[str, typer.Argument(help="The public part of the key, after `easel_`.")]) -> None:
    """Revoke a key. It ends within five seconds, with its sessions and open streams."""
    settings = Settings()
    key = revoke_key(open_blobs(settings), prefix.removeprefix("easel_"))
    _audit(settings, AuditEntry(action="key.revoked", caller=_CALLER, key=key.prefix))
    print_message(f"Key {key.prefix} of tenant {key.tenant} is revoked.")


@app.command("rotate-secret")
def rotate_secret() -> None:
    """End all sessions of pages and all share links, by replacing the secret in Redis that signs them."""
    SigningSecret(connect(Settings().redis_url)).rotate()
    print_message("All sessions and share links have ended. API keys go on.")


@app.command("webhook-secret")
def webhook_secret(tenant: Tenant = DEFAULT_TENANT) -> None:
    """Print the secret that signs the webhooks of a tenant. During a rotation several, the newest last."""
    _print_webhook_secrets(Settings(), tenant)


@app.command("rotate-webhook-secret")
def rotate_webhook_secrets(
    tenant: Tenant = DEFAULT_TENANT,
    previous_hours: Annotated[
        float,
        typer.Option(
            min=0, max=168, help="Hours for which the last four earlier secrets sign too; 0 if one of them leaked."
        ),
    ] = 24,
) -> None:
    """Create a new secret of a tenant's webhooks and print all that sign, the new one last."""
    settings = Settings()
    if settings.webhook_secret:
        rotate_webhook_secret(open_blobs(settings), tenant, previous_hours * 3600)
        _audit(settings, AuditEntry(action="webhook_secret.rotated", caller=_CALLER, tenant=tenant))
    _print_webhook_secrets(settings, tenant)


def _print_webhook_secrets(settings: Settings, tenant: str) -> None:
    """Print the secrets, for scripts. Raises WebhooksDisabled."""
    secrets = webhook_secrets(settings, open_blobs(settings), tenant)
    if not secrets:
        raise WebhooksDisabled("EASEL_WEBHOOK_SECRET is not set. Set it as for the API and the reaper.")
    for secret in secrets:
        print(secret)  # noqa: T201 - for scripts


def _audit(settings: Settings, entry: AuditEntry) -> None:
    try:
        AuditLog(connect(settings.redis_url)).add(entry)
    except LedgerUnavailable:
        print_message("Redis is not available, so the audit log does not have this.")


def _plain(key: StoredKey) -> dict[str, object]:
    return Key.model_validate(key.model_dump()).model_dump(mode="json")
