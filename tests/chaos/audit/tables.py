"""The tables that a run prints."""

from typing import Any

from rich.table import Table

GUARANTEES = {
    "lost": "accepted jobs that never ended",
    "duplicated": "jobs with more than one end or result",
    "stale_writes": "writes by workers without the claim",
    "differing_images": "results and saved iterations that differ from an undisturbed run",
    "missing_iterations": "images that jobs had to save and did not",
    "changed_final_states": "final states or results that changed after a client saw them",
    "canceled_with_result": "canceled jobs with a result",
    "unexpected_failures": "unexpected failures",
    "unrequested_cancels": "canceled jobs without a cancel request",
    "slow_recoveries": "stores where killed workers' jobs were queued too late",
    "slow_drains": "stores where workers exited too late after SIGTERM",
    "slow_cancels": "stores where a cancel took too long",
    "outdated_resumes": "claims that did not resume from the newest checkpoint",
    "silent_corruption": "broken checkpoints that were not reported",
    "wrong_reclaims": "jobs taken from their worker because Redis was unavailable",
    "partial_batches": "batches without some of their jobs",
    "undelivered": "ends of jobs that their webhook never got",
    "wrong_deliveries": "webhooks that were not signed, went to another tenant, or named another end",
    "foreign_jobs": "jobs that another tenant could see",
    "missing_faults": "required faults that were never injected",
}


def tables(summary: dict[str, Any]) -> list[Table]:
    """Return one table each for guarantees, measurements and faults."""
    return [_guarantees(summary), _measurements(summary), _faults(summary)]


def _guarantees(summary: dict[str, Any]) -> Table:
    table = Table("guarantee", "violations", title=f"{summary['jobs']} jobs, {summary['kills']} kills")
    for name, meaning in GUARANTEES.items():
        count = summary[name]
        table.add_row(meaning, f"[red]{count}[/red]" if count else "[green]0[/green]")
    return table


def _measurements(summary: dict[str, Any]) -> Table:
    recovery = summary["recovery_seconds"]
    table = Table("measurement", "")
    table.add_row("claims", str(summary["claims"]))
    with_outages = f"{summary['redone_steps_max_disturbed']} with outages"
    table.add_row("steps repeated after a claim, max", f"{summary['redone_steps_max']} ({with_outages})")
    interval = summary["checkpoint_interval_steps"]
    table.add_row("steps between checkpoints, p50 and max", f"{interval['p50']}  {interval['max']}")
    table.add_row("seconds from kill to queue, p50 and p99", f"{recovery['p50']}  {recovery['p99']}")
    cancel = summary["cancel_seconds"]
    table.add_row("seconds from cancel to canceled, p99", f"{cancel['p99']} ({cancel['p99_disturbed']} with faults)")
    table.add_row("seconds from SIGTERM to exit, p99", str(summary["drain_seconds"]["p99"]))
    return table


def _faults(summary: dict[str, Any]) -> Table:
    table = Table("fault", "times", "kills")
    kills = summary["kills_by_kind"]
    for name in sorted({*summary["faults"], *kills}):
        table.add_row(name, str(summary["faults"].get(name, 0)), str(kills.get(name, "")))
    return table
