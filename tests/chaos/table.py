"""The report for people."""

from typing import Any

from rich.table import Table

_PROMISES = {
    "lost": "accepted jobs that never ended",
    "duplicated": "jobs with more than one end or result",
    "trespasses": "writes by a holder that was none any more",
    "differing_pictures": "pictures that differ from an undisturbed run",
    "left_terminal": "ends taken back after they were seen",
    "results_of_canceled": "canceled jobs with a result",
    "unexpected_failures": "failures that nobody planned",
    "unasked_cancels": "cancels that nobody asked for",
    "slow_recoveries": "worlds where killed workers' jobs waited too long",
    "slow_drains": "worlds where a worker that was told to leave stayed too long",
    "slow_cancels": "worlds where a cancel took too long",
    "fallen_behind": "claims that did not go on from the newest checkpoint",
    "silent_corruption": "broken checkpoints passed over in silence",
    "taken_unjustly": "jobs taken away because Redis was",
    "absent_faults": "faults that never came about",
}


def tables(found: dict[str, Any]) -> list[Table]:
    """Promises, figures, faults."""
    return [_promises(found), _figures(found), _faults(found)]


def _promises(found: dict[str, Any]) -> Table:
    table = Table("promise", "broken", title=f"{found['jobs']} jobs, {found['kills']} kills")
    for name, meaning in _PROMISES.items():
        count = found[name]
        table.add_row(meaning, f"[red]{count}[/red]" if count else "[green]0[/green]")
    return table


def _figures(found: dict[str, Any]) -> Table:
    recovery = found["recovery_seconds"]
    table = Table("measured", "")
    table.add_row("claims", str(found["claims"]))
    table.add_row(
        "steps done again, at most", f"{found['redone_steps_max']} ({found['redone_steps_max_disturbed']} with outages)"
    )
    interval = found["checkpoint_interval_steps"]
    table.add_row("steps from checkpoint to checkpoint, p50 and most", f"{interval['p50']}  {interval['max']}")
    table.add_row("seconds from kill to queue, p50 and p99", f"{recovery['p50']}  {recovery['p99']}")
    cancel = found["cancel_seconds"]
    table.add_row("seconds from cancel to canceled, p99", f"{cancel['p99']} ({cancel['p99_disturbed']} with faults)")
    table.add_row("seconds from SIGTERM to exit, p99", str(found["drain_seconds"]["p99"]))
    return table


def _faults(found: dict[str, Any]) -> Table:
    table = Table("fault", "times", "kills")
    kills = found["kills_by_kind"]
    for name in sorted({*found["faults"], *kills}):
        table.add_row(name, str(found["faults"].get(name, 0)), str(kills.get(name, "")))
    return table
