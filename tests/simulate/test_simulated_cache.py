"""Prompt caches: OpenAI's by itself in steps of 128, Anthropic's where the request marks it; both forget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.simulate.cache import BLOCK_TOKENS, PrefixCache, Segment
from farebox.simulate.text import count_tokens

FIVE, HOUR = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}


def text_of(tokens, letter="a"):
    return letter * 4 * tokens


def chat(gpt, *texts, model="gpt-4o-mini"):
    messages = [{"role": "user", "content": text} for text in texts]
    details = gpt.chat.completions.create(model=model, messages=messages, max_tokens=1).usage.prompt_tokens_details
    return details.cached_tokens


def test_openai_caches_shared_prefixes_in_steps_of_128_from_1024(gpt, sim, clock):
    assert chat(gpt, text_of(1500)) == 0
    assert chat(gpt, text_of(1500)) == 1408
    assert chat(gpt, text_of(1500) + "other end") == 1408
    assert chat(gpt, text_of(1200) + text_of(900, "b")) == 1152
    assert chat(gpt, text_of(1000) + text_of(900, "c")) == 0, "shorter than the minimum"
    assert chat(gpt, text_of(1500), model="gpt-4o") == 0, "every model has its own cache"
    clock.now_s += 299
    assert chat(gpt, text_of(1500)) == 1408
    clock.now_s += 301
    assert chat(gpt, text_of(1500)) == 0
    cached = sim.rows()[1]
    assert cached.quantities == {"input": 92, "cache_read": 1408, "output": 1}
    assert cached.amount_usd == "0.00012"  # 92 x 0.15 + 1408 x 0.075 + 1 x 0.6 millionths


def test_openai_never_caches_a_short_prompt_nor_the_last_token(gpt):
    assert [chat(gpt, text_of(1023, "s")) for _ in range(2)] == [0, 0]
    assert [chat(gpt, text_of(1024, "t")) for _ in range(2)] == [0, 0]
    assert [chat(gpt, text_of(2048, "u")) for _ in range(2)] == [0, 1920]


def test_a_directive_does_not_disturb_the_prefix(gpt):
    head = text_of(1300, "d")
    assert chat(gpt, f'[[simulate {{"output_tokens": 3}}]]{head}') == 0
    assert chat(gpt, f'[[simulate {{"output_tokens": 4}}]]{head}') == 1280


def usage(claude, system, messages=None, model="claude-sonnet-4-6", **more):
    answer = claude.messages.create(
        model=model, max_tokens=1, system=system, messages=messages or [{"role": "user", "content": "abcd"}], **more
    )
    made = answer.usage.cache_creation
    return (
        answer.usage.input_tokens,
        answer.usage.cache_read_input_tokens,
        made.ephemeral_5m_input_tokens,
        made.ephemeral_1h_input_tokens,
    )


def block(tokens, letter, keep=None):
    made = {"type": "text", "text": text_of(tokens, letter)}
    return {**made, "cache_control": keep} if keep else made


def test_anthropic_writes_at_breakpoints_and_reads_them_back(claude, sim, clock):
    system = [block(2000, "a", FIVE)]
    assert usage(claude, system) == (1, 0, 2000, 0)
    assert usage(claude, system) == (1, 2000, 0, 0)
    longer = [block(2000, "a"), block(1000, "b", FIVE)]
    assert usage(claude, longer) == (1, 2000, 1000, 0)
    clock.now_s += 299
    assert usage(claude, longer) == (1, 3000, 0, 0)
    clock.now_s += 301
    assert usage(claude, longer) == (1, 0, 3000, 0)
    written, read, *_ = sim.rows()
    assert written.quantities == {"input": 1, "cache_write_5m": 2000, "output": 1}
    assert written.amount_usd == "0.007518"  # 1 x 3 + 2000 x 3.75 + 1 x 15 millionths
    assert read.amount_usd == "0.000618"  # 1 x 3 + 2000 x 0.3 + 1 x 15 millionths


def test_anthropic_keeps_an_hour_where_asked(claude, sim, clock):
    system = [block(1500, "a", HOUR), block(500, "b", FIVE)]
    assert usage(claude, system) == (1, 0, 500, 1500)
    assert sim.rows()[0].amount_usd == "0.010893"  # 1 x 3 + 500 x 3.75 + 1500 x 6 + 1 x 15 millionths
    clock.now_s += 3599
    assert usage(claude, system) == (1, 1500, 500, 0)
    clock.now_s += 3601
    assert usage(claude, system) == (1, 0, 500, 1500)


def test_anthropic_caches_only_what_is_marked_and_long_enough(claude):
    assert usage(claude, [block(2000, "n")]) == (2001, 0, 0, 0)
    assert usage(claude, [block(1023, "s", FIVE)]) == (1024, 0, 0, 0)
    assert usage(claude, [block(1024, "m", FIVE)]) == (1, 0, 1024, 0)
    assert usage(claude, [block(4095, "h", FIVE)], model="claude-haiku-4-5") == (4096, 0, 0, 0)
    assert usage(claude, [block(4096, "h", FIVE)], model="claude-haiku-4-5") == (1, 0, 4096, 0)


def test_anthropic_marks_the_last_block_by_itself_on_wish(claude):
    messages = [{"role": "user", "content": text_of(1100, "q")}]
    assert usage(claude, [block(100, "z")], messages, extra_body={"cache_control": FIVE}) == (0, 0, 1200, 0)
    grown = [*messages, {"role": "assistant", "content": "abcd"}, {"role": "user", "content": "abcd"}]
    assert usage(claude, [block(100, "z")], grown, extra_body={"cache_control": FIVE}) == (0, 1200, 2, 0)


segments = st.lists(
    st.builds(
        lambda label, text, keep: Segment(label, text, count_tokens(text), keep),
        st.sampled_from(["user", "assistant"]),
        st.integers(0, 3000).map(lambda n: "xyz "[n % 4] * n),
        st.sampled_from(["", "", "5m"]),
    ),
    min_size=1,
    max_size=6,
)


@given(st.lists(segments, min_size=1, max_size=8), st.integers(0, 2))
def test_hits_never_exceed_the_prompt_and_automatic_ones_are_whole_blocks(prompts, step):
    automatic, marked = PrefixCache(), PrefixCache()
    for i, prompt in enumerate(prompts):
        total = sum(s.tokens for s in prompt)
        hit = automatic.match_automatic("k", prompt, 1024, i * step)
        assert hit.read % BLOCK_TOKENS == 0
        assert hit.read == 0 or 1024 <= hit.read < total
        hit = marked.match_marked("k", prompt, 1024, i * step)
        assert hit.read + hit.write_5m <= total
        again = marked.match_marked("k", prompt, 1024, i * step)
        assert (again.read, again.write_5m) == (hit.read + hit.write_5m, 0)


@pytest.mark.parametrize("other", [("k2", "user", "a"), ("k", "system", "a"), ("k", "user", "b")])
def test_another_owner_label_or_text_is_another_prefix(other):
    cache = PrefixCache()
    cache.match_automatic("k", [Segment("user", text_of(1400), 1400)], 1024, 0)
    owner, label, letter = other
    assert cache.match_automatic(owner, [Segment(label, text_of(1400, letter), 1400)], 1024, 0).read == 0
