"""What outcomes, flags and findings mean, in words, and what to do about them. One place for every report."""

OUTCOMES = {
    "ok": "the provider answered completely",
    "error": "the provider answered with an error",
    "unreachable": "the provider gave no answer: refused, timed out or broke off before a status line",
    "truncated": "the provider broke off in the middle of its answer",
    "garbage": "the provider's answer cannot be read",
    "client_gone": "the client hung up; what had arrived is metered",
    "cut": "Farebox cut the answer: it had outgrown the output cap that its budget covers",
    "lost": "the gateway died before the end was seen",
    "outpaced": "another attempt of the call, made beside it, answered first",
}

FLAGS = {
    "estimated": "tokens were counted from what was seen: a floor, the provider's bill may be higher",
    "assumed": "nobody saw the end: the worst case was taken, the provider's bill may be lower",
    "unpriced": "no charge could be computed; the amount is unknown, not zero",
    "quarantined": "the provider's usage breaks a rule of its API, so no meter of it is trusted",
    "no_usage": "a complete answer without usage",
    "reported_differs": "the provider says it cost something else than the price book gives",
    "over_threshold": "the call came to cost more than a policy lets pass without a word",
}

FINDINGS = {
    "torn": "unfinished records at the end of a dead worker's journal were cut; no attempt is missing for it",
    "damaged": "places in the journal cannot be read and were set aside; what stood there is not in the totals",
    "late": "attempts got a second end after their worker was thought dead; the first counts, the later is kept aside",
    "orphan": "ends of attempts whose beginning is not on record; they are not in the totals",
    "refused": "attempts hold values that the books' columns cannot; they are kept aside and not in the totals",
}

ALARMING_FINDINGS = frozenset({"damaged", "late", "orphan", "refused"})

UNPRICED_REMEDY = (
    "Give the model a rate: a TOML file with [[prices]], named under `prices` in farebox.toml "
    "(`farebox prices list` shows what has one)."
)
QUARANTINED_REMEDY = "See the raw usage with `farebox calls --flag quarantined` and `farebox calls show CALL`."
REPORTED_REMEDY = (
    "See both figures with `farebox calls show` and that attempt. A price may have changed, or a contract or "
    "the provider's region is not configured."
)
DAMAGED_REMEDY = "Look into the directory `damaged` in the data directory and check the disk."
ASIDE_REMEDY = "Compare the provider's bill for these attempts; the records are kept in books/manifest.db."
UNREADABLE_REMEDY = "Check the permissions and the disk; the next run tries again."
UNBALANCED_REMEDY = "Keep the data directory as it is and report this: the sum of lines must be the total."
