"""An audit as tables for people and as JSON for programs; nothing is computed here."""

from typing import Any

from rich.console import Console

from farebox.analyse.audit import Alarm, AuditReport, MeterCost
from farebox.analyse.meanings import FLAGS, OUTCOMES
from farebox.books.rows import FlagRow, GroupRow, OutcomeRow, ReportedRow
from farebox.money import usd_text
from farebox.present.amounts import (
    cost_text,
    meter_label,
    moment_text,
    percent,
    short_duration,
    short_moment,
    short_quantity,
    short_usd,
)
from farebox.present.tables import print_table
from farebox.prices.arithmetic import quantity_text

GROUPS_SHOWN = 20
EMPTY = (
    "The books are empty: no call has been made in this time.\n"
    "Make traffic: start `farebox serve`, then point an OpenAI or Anthropic SDK at http://127.0.0.1:4000,\n"
    "or drive the gateway with `farebox replay`, or run `farebox demo`."
)
_NAMELESS = "(none)"


def show_audit(report: AuditReport, console: Console) -> None:
    """Print an audit."""
    if not report.attempts:
        console.print(EMPTY, soft_wrap=True)
        _show_alarms(report, console)
        return
    _show_head(report, console)
    _show_costs(report, console)
    _show_groups(report, console)
    _show_parts(report, console)
    _show_latencies(report, console)
    _show_outcomes(report, console)
    _show_reported(report, console)
    _show_alarms(report, console)


def show_total(report: AuditReport, console: Console) -> None:
    """Print what everything costs, to the last digit; nothing where there is nothing."""
    if report.attempts:
        console.print()
        console.print(f"Total exactly: ${usd_text(report.total_femto)}" + _missing(report.unpriced_attempts))


def audit_json(report: AuditReport) -> dict[str, Any]:
    """Return an audit for ``--json``: amounts and quantities are exact decimal strings, durations nanoseconds."""
    return {
        "since": moment_text(report.window.since_ns),
        "until": moment_text(report.window.until_ns),
        "first": moment_text(report.first_ns),
        "last": moment_text(report.last_ns),
        "totals": {
            "calls": report.calls.total,
            "attempts": report.attempts,
            "input_tokens": report.input_tokens,
            "output_tokens": report.output_tokens,
            "cost_usd": usd_text(report.total_femto),
            "unpriced": report.unpriced_attempts,
        },
        "calls": {
            "total": report.calls.total,
            "answered": report.calls.answered,
            "client_gone": report.calls.hung_up,
            "failed": report.calls.failed,
            "with_fallbacks": report.calls.retried,
        },
        "attempts": report.attempts,
        "total_usd": usd_text(report.total_femto),
        "unpriced_attempts": report.unpriced_attempts,
        "meters": [_meter_json(row) for row in report.meters],
        "by": f"tag:{report.tag}" if report.by == "tag" else report.by,
        "groups": [_group_json(row) for row in report.groups],
        "input_parts": {
            "attempts": report.parts_attempts,
            "parts": [
                {
                    "part": row.part,
                    "bytes": row.size_bytes,
                    "share": row.share,
                    "tokens_estimated": row.tokens,
                    "cost_estimated_usd": usd_text(row.amount_femto),
                }
                for row in report.parts
            ],
        },
        "latency_ns": {
            row.name.replace(" ", "_"): {
                "attempts": row.attempts,
                "p50": row.p50_ns,
                "p90": row.p90_ns,
                "p99": row.p99_ns,
            }
            for row in report.latencies
        },
        "outcomes": [{"outcome": row.outcome, **_amount_json(row)} for row in report.outcomes],
        "flags": [{"flag": row.flag, **_amount_json(row)} for row in report.flags],
        "reported": [_reported_json(row) for row in report.reported],
        "alarms": [_alarm_json(alarm) for alarm in report.alarms],
        "notes": list(report.notes),
    }


def _meter_json(row: MeterCost) -> dict[str, Any]:
    return {
        "meter": row.meter,
        "unit": row.unit,
        "quantity": quantity_text(row.meter, row.quantity),
        "unpriced_quantity": quantity_text(row.meter, row.unpriced_quantity),
        "list_usd": usd_text(row.list_femto),
        "contract_usd": usd_text(row.contract_femto),
        "amount_usd": usd_text(row.amount_femto),
        "share": row.share,
    }


def _reported_json(row: ReportedRow) -> dict[str, Any]:
    return {
        "provider": row.provider,
        "attempts": row.attempts,
        "differing": row.differing,
        "reported_usd": usd_text(row.reported_femto),
        "charged_usd": usd_text(row.charged_femto),
    }


def _amount_json(row: OutcomeRow | FlagRow) -> dict[str, Any]:
    return {"attempts": row.attempts, "amount_usd": usd_text(row.total_femto), "unpriced_attempts": row.unpriced}


def _alarm_json(alarm: Alarm) -> dict[str, Any]:
    return {
        "name": alarm.name,
        "count": alarm.count,
        "message": alarm.message,
        "remedy": alarm.remedy,
        "amount_usd": usd_text(alarm.amount_femto),
    }


def _group_json(row: GroupRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "calls": row.calls,
        "attempts": row.attempts,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "amount_usd": usd_text(row.total_femto),
        "unpriced_attempts": row.unpriced,
        "p50_total_ns": row.p50_total_ns,
    }


def _show_head(report: AuditReport, console: Console) -> None:
    calls = report.calls
    console.print(f"{short_moment(report.first_ns)} to {short_moment(report.last_ns)} UTC", style="bold")
    console.print(
        f"{calls.total:,} calls: {calls.answered:,} answered, {calls.failed:,} failed, "
        f"{calls.hung_up:,} given up by the client"
    )
    console.print(f"{report.attempts:,} attempts; calls that took more than one: {calls.retried:,}")
    console.print(f"{short_usd(report.total_femto)} in total" + _missing(report.unpriced_attempts))


def _missing(unpriced: int) -> str:
    return f"; attempts without a price, left out: {unpriced:,}" if unpriced else ""


def _show_costs(report: AuditReport, console: Console) -> None:
    columns = ["meter", ">quantity", ">not priced", ">cost", ">share"]
    agreed = any(row.contract_femto for row in report.meters)
    if agreed:
        columns[3:4] = [">list", ">contract", ">net"]
    rows = []
    for row in report.meters:
        unknown = row.unpriced_quantity and not row.list_femto
        steps = (short_usd(row.list_femto), short_usd(row.contract_femto)) if agreed else ()
        rows.append(
            (
                meter_label(row.meter),
                short_quantity(row.meter, row.quantity),
                short_quantity(row.meter, row.unpriced_quantity) if row.unpriced_quantity else "",
                *steps,
                "unknown" if unknown else short_usd(row.amount_femto),
                percent(row.share),
            )
        )
    print_table(console, "Tokens and cost by line", columns, rows)


def _show_groups(report: AuditReport, console: Console) -> None:
    name = f"tag {report.tag}" if report.by == "tag" else report.by
    shown = report.groups[:GROUPS_SHOWN]
    rows = [
        (
            row.name or _NAMELESS,
            f"{row.calls:,}",
            f"{row.input_tokens:,}",
            f"{row.output_tokens:,}",
            short_duration(row.p50_total_ns),
            cost_text(row.total_femto, row.attempts, row.unpriced),
        )
        for row in shown
    ]
    columns = (name, ">calls", ">input", ">output", ">p50", ">cost")
    print_table(console, f"By {name}", columns, rows)
    if len(report.groups) > len(shown):
        console.print(f"... and {len(report.groups) - len(shown)} more; --json has them all")
    if any(row.unpriced for row in shown):
        console.print("* without its unpriced attempts, see the alarms")


def _show_parts(report: AuditReport, console: Console) -> None:
    if not report.parts_attempts:
        return
    rows = [
        (row.part, f"{row.size_bytes:,}", f"{row.tokens:,}", percent(row.share), short_usd(row.amount_femto))
        for row in report.parts
    ]
    print_table(console, "Input by part", ("part", ">bytes", ">tokens (est.)", ">share", ">cost (est.)"), rows)


def _show_latencies(report: AuditReport, console: Console) -> None:
    rows = [
        (row.name, *(short_duration(value) for value in (row.p50_ns, row.p90_ns, row.p99_ns)), f"{row.attempts:,}")
        for row in report.latencies
    ]
    print_table(console, "Latency of complete answers", ("", ">p50", ">p90", ">p99", ">attempts"), rows)


def _show_outcomes(report: AuditReport, console: Console) -> None:
    rows = [
        (
            row.outcome,
            f"{row.attempts:,}",
            cost_text(row.total_femto, row.attempts, row.unpriced),
            OUTCOMES[row.outcome],
        )
        for row in report.outcomes
    ]
    print_table(console, "Attempts by outcome", ("outcome", ">attempts", ">cost", "meaning"), rows)
    if report.flags:
        flagged = [
            (row.flag, f"{row.attempts:,}", cost_text(row.total_femto, row.attempts, row.unpriced), FLAGS[row.flag])
            for row in report.flags
        ]
        print_table(console, "Flagged attempts", ("flag", ">attempts", ">cost", "meaning"), flagged)


def _show_reported(report: AuditReport, console: Console) -> None:
    if not report.reported:
        return
    rows = [
        (
            row.provider,
            f"{row.attempts:,}",
            f"{row.differing:,}",
            short_usd(row.reported_femto),
            short_usd(row.charged_femto),
        )
        for row in report.reported
    ]
    columns = ("provider", ">attempts", ">differing", ">its figure", ">price book")
    print_table(console, "What providers say their attempts cost", columns, rows)


def _show_alarms(report: AuditReport, console: Console) -> None:
    for note in report.notes:
        console.print()
        console.print(f"Note: {note}", soft_wrap=False)
    if not report.alarms:
        return
    rows = []
    for alarm in report.alarms:
        aside = f" ({short_usd(alarm.amount_femto)} aside)" if alarm.amount_femto else ""
        rows.append((alarm.name, f"{alarm.count:,}", f"{alarm.message}{aside}\n{alarm.remedy}"))
    print_table(console, "ALARMS", ("what", ">count", "what it is, and what to do"), rows)
