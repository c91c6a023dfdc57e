"""`easel-worker tenants`: the quotas of tenants."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.table import Table

from easel.terminal.output import print_table
from shared.errors import LedgerUnavailable
from shared.ledger.ledger import Ledger, connect
from shared.services import open_blobs
from shared.settings import Settings
from shared.tenants.keys import list_keys
from shared.tenants.quotas import Quotas, list_quotas, read_quotas, store_quotas
from shared.tenants.stored_bytes import StoredBytes
from shared.validation_messages import message_for
from worker.keys_command import check_tenant

app = typer.Typer(help="Set and list the quotas of tenants.", no_args_is_help=True)


@app.command("set")
def set_quotas(  # noqa: PLR0917 - typer turns each into an option
    tenant: Annotated[str, typer.Argument(help="The tenant.", callback=check_tenant)],
    requests_per_second: Annotated[
        float | None, typer.Option(help="Requests per second, as an average of ten seconds.")
    ] = None,
    queued_jobs: Annotated[int | None, typer.Option(help="Queued jobs.")] = None,
    running_jobs: Annotated[int | None, typer.Option(help="Running jobs; others wait in the queue.")] = None,
    pixel_evaluations_per_day: Annotated[
        int | None, typer.Option(help="Pixels times evaluations of the jobs submitted in a day (UTC).")
    ] = None,
    stored_bytes: Annotated[
        int | None, typer.Option(help="Bytes of images and jobs; beyond it, uploads and submissions are refused.")
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="First set all to the defaults.")] = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Set quotas of a tenant; 0 is no limit. What is not named stays as it is. Counts within seconds.

    The defaults are the settings EASEL_TENANT_...
    """
    given = {
        "requests_per_second": requests_per_second,
        "queued_jobs": queued_jobs,
        "running_jobs": running_jobs,
        "pixel_evaluations_per_day": pixel_evaluations_per_day,
        "stored_bytes": stored_bytes,
    }
    settings = Settings()
    blobs = open_blobs(settings)
    try:
        own = {} if reset else read_quotas(blobs, tenant).model_dump()
        quotas = Quotas.model_validate(own | {name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problems = [f"{e['loc'][0]}: {message_for(e, kind='option')}" for e in error.errors()]
        raise typer.BadParameter("; ".join(problems)) from error
    Ledger(connect(settings.redis_url)).set_running_limit(tenant, quotas.running_jobs)  # first: it may be away
    store_quotas(blobs, tenant, quotas)
    if stored_bytes:
        StoredBytes(connect(settings.redis_url)).request_measurement()
    _print({tenant: quotas.or_defaults(settings)})


@app.command("list")
def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - the same
) -> None:
    """List the tenants that have keys or quotas of their own, with their quotas and the bytes that they store now.

    Bytes are measured only while there is a quota of them.
    """
    settings = Settings()
    blobs = open_blobs(settings)
    own = dict(list_quotas(blobs))
    names = sorted({key.tenant for key in list_keys(blobs)} | own.keys())
    quotas = {name: own.get(name, Quotas()).or_defaults(settings) for name in names}
    try:
        stored = StoredBytes(connect(settings.redis_url)).all()
    except LedgerUnavailable:
        stored = None
    if as_json:
        rows = [
            {"tenant": name, **one.model_dump(), "stored_bytes_now": None if stored is None else stored.get(name, 0)}
            for name, one in quotas.items()
        ]
        print(json.dumps(rows))  # noqa: T201 - for scripts
    else:
        _print(quotas, stored)


def _print(quotas: Mapping[str, Quotas], stored: Mapping[str, int] | None = None) -> None:
    """Print the quotas; with `stored`, the bytes of all tenants, a column of those, too."""
    columns = [name.replace("_", " ") for name in Quotas.model_fields] + (["stored now"] if stored is not None else [])
    table = Table("tenant", *columns, box=None, pad_edge=False)
    for name, one in quotas.items():
        now = [f"{stored.get(name, 0):,}"] if stored is not None else []
        table.add_row(name, *(f"{limit:,}" if limit else "no limit" for limit in one.model_dump().values()), *now)
    print_table(table)
