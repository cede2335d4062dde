"""Anomalies as JSON and as a table."""

from typing import Any

from rich.console import Console

from farebox.anomalies.incident import Incident
from farebox.money import usd_text
from farebox.present.amounts import moment_text, short_moment, short_usd
from farebox.present.tables import print_table

_MINUTE_NS = 60_000_000_000


def anomalies_json(found: list[Incident]) -> dict[str, Any]:
    """Return the incidents with exact amounts."""
    return {"anomalies": [_incident_json(each) for each in found]}


def show_anomalies(found: list[Incident], console: Console) -> None:
    """Print the incidents."""
    if not found:
        console.print("Nothing spent unlike itself. What was imported is searched with --scan.")
        return
    rows = [
        (
            each.severity,
            short_moment(each.start * _MINUTE_NS)[:16],
            each.scope,
            each.cause,
            short_usd(each.expected_femto),
            short_usd(each.actual_femto),
            _delay(each),
        )
        for each in found
    ]
    columns = ("severity", "since (UTC)", "scope", "cause", ">expected", ">actual", ">told after")
    print_table(console, "Anomalies", columns, rows)
    if any(each.young for each in found):
        console.print("Told after less than two weeks of traffic: nothing is known of its season, the band is wide:")
        console.print("  " + ", ".join(sorted({each.scope for each in found if each.young})))


def _delay(incident: Incident) -> str:
    minutes = incident.found - incident.start
    return f"{minutes} min" if minutes < 180 else f"{minutes / 60:.0f} h"


def _incident_json(incident: Incident) -> dict[str, Any]:
    return {
        "scope": incident.scope,
        "severity": incident.severity,
        "cause": incident.cause,
        "start": moment_text(incident.start * _MINUTE_NS),
        "found": moment_text(incident.found * _MINUTE_NS),
        "end": None if incident.end is None else moment_text(incident.end * _MINUTE_NS),
        "delay_minutes": incident.found - incident.start,
        "expected_usd": usd_text(incident.expected_femto),
        "actual_usd": usd_text(incident.actual_femto),
        "excess_usd": usd_text(incident.actual_femto - incident.expected_femto),
        "causes_usd": {cause: usd_text(amount) for cause, amount in incident.causes.items()},
        "signals": [
            {"quantity": each.quantity, "ratio": round(each.ratio, 3), "z": round(each.z, 2)}
            for each in incident.signals
        ],
        "less_than_two_weeks": incident.young,
        "accepted": incident.accepted,
        "others": list(incident.others),
    }
