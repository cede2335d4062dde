"""Makes a trace from published statistics, for a demonstration or a test without a trace file.

Lengths and gaps are drawn from quantiles, not from a fitted curve: real prompts have several humps (a service
cuts prompts at a limit, a product has one long system prompt) that a lognormal or gamma curve smooths away.
Where the traces say nothing (users, tags, models, system prompts of chats) the choice is ours and stands
beside the figure.

Sources of the figures:
    Azure LLM inference trace 2023, conversation and code (AzurePublicDataset, CC-BY 4.0; Patel et al.,
    "Splitwise", ISCA 2024): lengths and gaps between calls.
    RAGPulse (flashserve/RAGPulse, MIT; arXiv 2511.12979): turns of a session, pauses between them, parts of
    a prompt, popularity of passages, answers over retrieved text.
"""

import bisect
import itertools
import math
import random
from typing import Final

import msgspec

from farebox.replay.rows import Block, Section, TraceError, TraceRow

SHARES: Final = (0.0, 0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 1.0)
"""The shares of values that each table of quantiles below is about."""

Quantiles = tuple[float, ...]

CONVERSATION_INPUT: Final[Quantiles] = (2, 29, 181, 207, 396, 1020, 1189, 2734, 4083, 4142, 14050)
CONVERSATION_OUTPUT: Final[Quantiles] = (7, 16, 41, 54, 85, 129, 395, 424, 451, 601, 1000)
CODE_INPUT: Final[Quantiles] = (3, 17, 75, 147, 578, 1469, 2745, 5186, 7302, 7436, 7437)
CODE_OUTPUT: Final[Quantiles] = (6, 6, 6, 7, 9, 13, 24, 55, 90, 252, 1899)
RETRIEVAL_OUTPUT: Final[Quantiles] = (7, 36, 66, 83, 131, 234, 385, 563, 670, 891, 2183)

# Gaps between calls, as multiples of their mean: the code service sees bursts, the other nearly chance.
CONVERSATION_GAPS: Final[Quantiles] = (1.2e-5, 0.00305, 0.035, 0.0892, 0.267, 0.655, 1.36, 2.33, 3.13, 4.92, 23.9)
CODE_GAPS: Final[Quantiles] = (1.5e-5, 5.7e-5, 2.3e-4, 5.4e-4, 0.00533, 0.164, 0.267, 0.7, 1.03, 5.66, 557)

# Seconds between the turns of a session; the ends beyond 10 % and 90 % are set by us.
PAUSES_S: Final[Quantiles] = (5, 7, 10, 15, 22, 40, 89, 299, 600, 1200, 1800)
FULL_PAUSES_FROM_S: Final = 1800.0
TURNS: Final = (2347, 960, 376, 151, 62, 28, 18, 15, 9, 11)
"""Sessions with 1, 2, 3 ... turns in RAGPulse."""

SYSTEM_TOKENS: Final = 160
"""Of a chat, one of three, where the prompt has room for it (our choice)."""

SHORTEST_QUESTION_TOKENS: Final = 8
PASSAGES: Final = 3235
PASSAGE_TOKENS: Final = 330
PASSAGE_SHARE: Final = 0.79
"""Of retrieval calls that carry passages; nearly always six of them."""


class Workload(msgspec.Struct, frozen=True):
    """One kind of traffic.

    Attributes:
        name: what the tag `app` says.
        share: of the sessions (our choice).
        gaps: between sessions, as multiples of the mean gap.
        output: lengths of answers.
        stream_share: of the calls (our choice: chats are watched, completions and searches less so).
        turns: how many sessions have 1, 2, ... turns.
    """

    name: str
    share: float
    gaps: Quantiles
    output: Quantiles
    stream_share: float
    turns: tuple[int, ...]


WORKLOADS: Final = (
    Workload("assistant", 0.5, CONVERSATION_GAPS, CONVERSATION_OUTPUT, 0.8, TURNS),
    Workload("code", 0.25, CODE_GAPS, CODE_OUTPUT, 0.2, (1,)),
    Workload("search", 0.25, CONVERSATION_GAPS, RETRIEVAL_OUTPUT, 0.5, TURNS),
)


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What to make.

    Attributes:
        calls: how many rows.
        seed: equal seeds make equal traces.
        calls_per_s: mean rate; the published conversation service had 5.5 calls per second.
        models: drawn for each session; a session keeps its model.
        stream_share: of all calls, or None for each workload's own.
        users: end users, some far busier than others.
        max_output: upper limit on the length of answers, or None.
    """

    calls: int
    seed: int = 0
    calls_per_s: float = 5.5
    models: tuple[str, ...] = ("gpt-4o-mini", "gpt-4o", "claude-haiku-4-5", "claude-sonnet-4-6")
    stream_share: float | None = None
    users: int = 40
    max_output: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be made.

        Raises:
            TraceError: names the field.
        """
        if self.calls < 1 or self.users < 1 or not self.models:
            raise TraceError("calls, users and models must be at least 1")
        if not 0 < self.calls_per_s < math.inf:
            raise TraceError("calls_per_s must be a number above 0")


def generate(traffic: Traffic) -> list[TraceRow]:
    """Return a trace in order of time, its first call at 0."""
    draw = random.Random(f"{traffic.seed}:traffic")  # noqa: S311 - traffic, not a secret
    maker = _SessionMaker(traffic, draw)
    sessions: dict[str, list[list[TraceRow]]] = {workload.name: [] for workload in WORKLOADS}
    made = 0
    # A little more than asked for: the stragglers after the last session's start are cut off below.
    while made < traffic.calls * 1.1:
        workload = draw.choices(WORKLOADS, [workload.share for workload in WORKLOADS])[0]
        session = maker.make(workload)
        sessions[workload.name].append(session)
        made += len(session)
    rows: list[TraceRow] = []
    for workload in WORKLOADS:
        starts = _spread(len(sessions[workload.name]), workload.gaps, traffic.calls / traffic.calls_per_s, draw)
        for start_s, session in zip(starts, sessions[workload.name], strict=True):
            rows += (msgspec.structs.replace(row, at_s=start_s + row.at_s) for row in session)
    rows.sort(key=lambda row: row.at_s)
    rows = rows[: traffic.calls]
    return [msgspec.structs.replace(row, at_s=round(row.at_s - rows[0].at_s, 6)) for row in rows]


def draw_quantile(table: Quantiles, share: float) -> float:
    """Return the value below which `share` of the values lie, between the table's points on a log scale."""
    upper = min(bisect.bisect_right(SHARES, share), len(SHARES) - 1)
    low, high = table[upper - 1], table[upper]
    part = (share - SHARES[upper - 1]) / (SHARES[upper] - SHARES[upper - 1])
    return float(low * (high / low) ** part)


def _spread(count: int, gaps: Quantiles, span_s: float, draw: random.Random) -> list[float]:
    """Return `count` start times over `span_s` seconds with gaps of the given shape."""
    times = list(itertools.accumulate(draw_quantile(gaps, draw.random()) for _ in range(count)))
    return [span_s * time / times[-1] for time in times]


class _SessionMaker:
    """Makes sessions one after another; every new text gets the next id."""

    def __init__(self, traffic: Traffic, draw: random.Random) -> None:
        self._traffic = traffic
        self._draw = draw
        self._next_id = itertools.count(PASSAGES)
        # In a short trace the pauses shrink too, or most second turns would come after its end.
        self._pause_scale = min(1.0, traffic.calls / traffic.calls_per_s / FULL_PAUSES_FROM_S)
        # A few users make most of the calls: the k-th is weighed 1/k (our choice).
        self._user_weights = [1 / rank for rank in range(1, traffic.users + 1)]
        # The most used of RAGPulse's passages has 1.1 % of all uses, the tenth 0.6 %.
        self._passage_weights = list(itertools.accumulate(1 / (rank + 15) for rank in range(1, PASSAGES + 1)))

    def make(self, workload: Workload) -> list[TraceRow]:
        """Return the calls of one session, the first at 0 s."""
        draw, traffic = self._draw, self._traffic
        number = draw.choices(range(traffic.users), self._user_weights)[0]
        turns = draw.choices(range(1, len(workload.turns) + 1), workload.turns)[0]
        model = draw.choice(traffic.models)
        # One team in four builds, one call in ten is a test (our choice).
        tags = (
            ("app", workload.name),
            ("team", f"team-{number % 4 + 1}"),
            ("env", "staging" if draw.random() < 0.1 else "production"),
        )
        session = f"{workload.name}-{next(self._next_id)}"
        stream_share = workload.stream_share if traffic.stream_share is None else traffic.stream_share
        rows: list[TraceRow] = []
        said: tuple[Section, ...] = ()
        at_s = 0.0
        for _ in range(turns):
            sections = self._write_search(said) if workload.name == "search" else self._write_chat(workload, said)
            output = max(1, round(draw_quantile(workload.output, draw.random())))
            output = output if traffic.max_output is None else min(output, traffic.max_output)
            row = TraceRow(
                at_s=at_s,
                input_tokens=_count(sections),
                output_tokens=output,
                sections=sections,
                model=model,
                stream=draw.random() < stream_share,
                user=f"user-{number + 1:03}",
                session=session,
                tags=tags,
            )
            rows.append(row)
            # What was retrieved is not sent again: the next turn carries what was said.
            kept = tuple(section for section in sections if section.part != "passages")
            said = (*kept, Section("answer", (Block(next(self._next_id), output),)))
            at_s += self._pause_scale * draw_quantile(PAUSES_S, draw.random())
        return rows

    def _write_chat(self, workload: Workload, said: tuple[Section, ...]) -> tuple[Section, ...]:
        """Return a prompt that goes on from what was said, as long as the trace's, or longer if that was."""
        total = round(draw_quantile(CODE_INPUT if workload.name == "code" else CONVERSATION_INPUT, self._draw.random()))
        if not said and total > 2 * SYSTEM_TOKENS:
            said = (Section("system", (Block(self._draw.randrange(3), SYSTEM_TOKENS),)),)
        question = max(SHORTEST_QUESTION_TOKENS, total - _count(said))
        return (*said, Section("user", (Block(next(self._next_id), question),)))

    def _write_search(self, said: tuple[Section, ...]) -> tuple[Section, ...]:
        """Return RAGPulse's prompt: a shared rule, one of twenty variants, a line of its own, six passages."""
        draw = self._draw
        variant = draw.choices(range(1, 21), [1 / (rank + 2) for rank in range(1, 21)])[0]
        system = Section("system", (Block(0, 190), Block(variant, 190), Block(next(self._next_id), 190)))
        sections = [system, *(section for section in said if section.part != "system")]
        if draw.random() < PASSAGE_SHARE:
            found = draw.choices(range(PASSAGES), cum_weights=self._passage_weights, k=6)
            sections.append(Section("passages", tuple(Block(passage, PASSAGE_TOKENS) for passage in found)))
        return (*sections, Section("user", (Block(next(self._next_id), 64),)))


def _count(sections: tuple[Section, ...]) -> int:
    return sum(block.tokens for section in sections for block in section.blocks)
