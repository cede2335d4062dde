"""What is billed without being an attempt is read by what its names say, exactly, or refused by name."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.errors import UsageViolation
from farebox.normalise.amounts import MAX_PARTS, exact, parts_of, read_money
from farebox.normalise.billed import KINDS, read_billed
from farebox.normalise.quantities import GIGABYTES, SECONDS, read_name
from farebox.usage import METERS


def units_of(raw: dict[str, Any], kind: str = "") -> dict[str, Fraction]:
    """The meters in their units."""
    meters = read_billed(raw, kind).usage.meters
    return {name: Fraction(parts, METERS[name].scale) for name, parts in meters.items()}


@pytest.mark.parametrize(
    ("raw", "kind", "meters"),
    [
        ({"training_file_tokens": 2_400_000, "n_epochs": 3}, "fine_tune_training", {"training": 7_200_000}),
        ({"training_tokens": "2400000", "epochs": 3}, "", {"training": 7_200_000}),
        ({"trained_tokens": 7_200_000}, "", {"training": 7_200_000}),
        ({"tokens": 10}, "sft", {"training": 10}),
        ({"training_tokens": 10, "n_epochs": 2, "validation_tokens": 0}, "sft", {"training": 20}),
        (
            {"training_tokens": 1_000_000, "n_epochs": 3, "validation_tokens": 50_000, "n_evals": 2},
            "training",
            {"training": 3_100_000},
        ),
        ({"wall_clock_seconds": 5400}, "rft", {"training_time": 5400}),
        ({"training_hours": "1.75"}, "", {"training_time": 6300}),
        ({"hours": "1.75"}, "fine_tune_training", {"training_time": 6300}),
        ({"days": 30}, "hosting", {"hosting_time": 2_592_000}),
        ({"hosting_hours": 720, "replicas": 2}, "", {"hosting_time": 5_184_000}),
        ({"gpus": 2, "hours": 3}, "dedicated_endpoint", {"compute_time": 21_600}),
        ({"gpu_seconds": 7200}, "", {"compute_time": 7200}),
        ({"vector_store_gb": "3.5", "days": 30}, "storage", {"file_storage": 105}),
        ({"vector_store_bytes": 3_500_000_000, "hours": 48}, "storage", {"file_storage": 7}),
        ({"gb_days": 75}, "", {"file_storage": 75}),
        ({"gb_hours": 36}, "", {"file_storage": Fraction(3, 2)}),
        ({"cached_tokens": 1_000_000, "hours": "2.5"}, "cache_storage", {"cache_storage": 2_500_000}),
        ({"cachedContentTokenCount": 1000, "ttl_minutes": 6}, "", {"cache_storage": 100}),
        ({"million_token_hours": "0.25"}, "", {"cache_storage": 250_000}),
        ({"mtok_hours": "0.25"}, "", {"cache_storage": 250_000}),
        ({"ptu": 15, "hours": 720}, "provisioned", {"provisioned": 10_800}),
        ({"ptu": 50, "minutes": 90}, "", {"provisioned": 75}),
        ({"model_units": 2, "weeks": 1}, "", {"provisioned": 336}),
        ({"ptu_hours": 12}, "", {"provisioned": 12}),
        ({"ptu": 50, "hours": 1, "minutes": 30}, "provisioned", {"provisioned": 75}),
        ({"hours": 1, "minutes": 30, "seconds": 15}, "rft", {"training_time": 5415}),
        ({"egress": "12000"}, "", {"egress": 12_000}),
        ({"hosting_time": 60, "image_made": 2}, "", {"hosting_time": 60, "image_made": 2}),
        ({"deployed_ptu": 600, "reserved_ptu": 500, "hours": 24}, "provisioned", {"provisioned": 2400}),
        ({"deployed_ptu": 400, "reserved_ptu": 500, "hours": 24}, "provisioned", {"provisioned": 0}),
        ({"deployed_ptu_hours": 14_400, "reserved_ptu_hours": 12_000}, "", {"provisioned": 2400}),
        ({"purchase_usd": "10"}, "purchase_fee", {"credit_purchase": 10}),
        ({"amount": Decimal("25.50")}, "purchase", {"credit_purchase": Fraction(51, 2)}),
        ({"gb": "15000"}, "egress", {"egress": 15_000}),
        ({"egress_tb": "1.5"}, "", {"egress": 1500}),
        ({"bytes_sent": 4_000}, "egress", {"egress": Fraction(4, 10**6)}),
        ({"gib": 1}, "egress", {"egress": Fraction(1_073_742, 10**6)}),
        ({"container_hours": "0.5"}, "", {"code_time": 1800}),
        ({"container_sessions": 3}, "", {"code_session": 3}),
        ({"type": "duration", "seconds": 93.5}, "audio", {"audio_time": Fraction(187, 2)}),
        ({"audio_minutes": "1.5"}, "", {"audio_time": 90}),
        ({"duration": 4}, "transcription", {"audio_time": 4}),
        ({"seconds": 8}, "video", {"video_time": 8}),
        ({"input_video_seconds": 8}, "", {"video_read_time": 8}),
        ({"characters": 1500}, "speech", {"character": 1500}),
        ({"pages": 137}, "ocr", {"page": 137}),
        ({"n": 2, "size": "1024x1024"}, "images", {"image_made": 2}),
        ({"image_count": 2, "object": "list"}, "", {"image_made": 2}),
        ({"session_minutes": 2}, "", {"session_time": 120}),
        ({"seconds": 65, "input_text_messages": 2}, "session", {"session_time": 65, "request": 2}),
    ],
)
def test_quantities_that_belong_together_are_multiplied(
    raw: dict[str, Any], kind: str, meters: dict[str, int | Fraction]
) -> None:
    assert units_of(raw, kind) == meters


def test_meters_by_their_own_names_are_a_usage() -> None:
    usage = read_billed({"input": 100, "cache_read": 20, "output": 5}, "").usage
    assert usage.meters == {"input": 100, "cache_read": 20, "output": 5}
    assert usage.input_total == 120


def test_the_time_of_what_is_held_is_told() -> None:
    assert read_billed({"gb": 1, "days": 30}, "storage").span_s == 30 * 86_400
    assert read_billed({"gb_days": 30}, "storage").span_s is None
    assert read_billed({"gb": 1}, "egress").span_s is None


@pytest.mark.parametrize(
    ("raw", "kind", "said"),
    [
        ({}, "", "there is no quantity"),
        ({"moonbeams": 3}, "", r"moonbeams: not known here.*training_file_tokens"),
        ({"gb": 1, "months": 2}, "storage", "needs days or hours"),
        ({"gb": 1}, "storage", "needs days or hours"),
        ({"ptu": 1}, "provisioned", "needs hours or minutes"),
        ({"reserved_ptu": 1, "hours": 2}, "provisioned", "needs deployed_ptu"),
        ({"cached_tokens": 1}, "cache_storage", "needs hours"),
        ({"training_tokens": 10, "validation_tokens": 5, "epochs": 1}, "", "needs n_evals"),
        ({"gb": 1, "tb": 2}, "egress", "gb and tb are of the same kind"),
        ({"hours": 1, "training_hours": 2}, "training", "training_hours is training_time again"),
        ({"seconds": 5}, "", "seconds: not known here"),
        ({"ptu": 1, "hours": "1.5", "minutes": 30}, "provisioned", "hours and minutes are of the same kind"),
        ({"ptu": 1, "hours": 2, "minutes": 120}, "provisioned", "hours and minutes are of the same kind"),
        ({"gb": "-1"}, "egress", "negative"),
        ({"pages": "1.5"}, "", "not whole"),
        ({"tokens_per_minute": 5}, "", "tokens_per_minute: not known here"),
        ({"gb": 10**30}, "egress", "more than can be meant"),
    ],
)
def test_what_cannot_be_billed_is_refused_by_name(raw: dict[str, Any], kind: str, said: str) -> None:
    with pytest.raises(UsageViolation, match=said):
        read_billed(raw, kind)


@given(
    size=st.decimals(0, 10**6, places=6),
    unit=st.sampled_from(sorted(GIGABYTES)),
    time=st.decimals(0, 1000, places=3),
    time_unit=st.sampled_from(sorted(SECONDS)),
)
def test_storage_is_size_times_days_rounded_once(size: Decimal, unit: str, time: Decimal, time_unit: str) -> None:
    raw = {f"vector_store_{unit}": str(size), time_unit: time}
    exact_days = Fraction(size) * GIGABYTES[unit] * Fraction(time) * SECONDS[time_unit] / 86_400
    parts = read_billed(raw, "storage").usage.meters["file_storage"]
    assert abs(parts - exact_days * 10**6) <= Fraction(1, 2)


@given(units=st.integers(0, 10**5), reserved=st.integers(0, 10**5), minutes=st.integers(0, 10**5))
def test_a_reservation_never_makes_more_of_what_is_billed(units: int, reserved: int, minutes: int) -> None:
    raw = {"deployed_ptu": units, "reserved_ptu": reserved, "minutes": minutes}
    parts = read_billed(raw, "provisioned").usage.meters["provisioned"]
    assert parts == max(0, units - reserved) * minutes * 60


@given(st.decimals(0, 10**9, places=6))
def test_a_number_means_the_same_however_it_is_written(value: Decimal) -> None:
    texts = [value, str(value)]
    if Decimal(repr(float(value))) == value:  # at most as many digits as a float holds
        texts.append(float(value))
    assert {exact(text, "x") for text in texts} == {Fraction(value)}
    assert read_money({"usd": value}, "usd") == round(Fraction(value) * 10**15)


def test_an_amount_beyond_reason_is_refused_and_not_cut() -> None:
    assert parts_of("egress", Fraction(MAX_PARTS, 10**6), "gb") == MAX_PARTS
    with pytest.raises(UsageViolation, match="more than can be meant"):
        parts_of("egress", Fraction(MAX_PARTS + 1, 10**6), "gb")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_found_by_its_word_in_any_spelling(kind: str) -> None:
    raw = {"n_epochs": 1, "tokens": 1} if KINDS[kind] == "training" else {"pages": 1}
    spelt = kind.replace("_", "-").title()
    assert read_billed(raw, kind) == read_billed(raw, spelt)


@pytest.mark.parametrize("name", ["", "per", "tokens_per_second", "count", "billed", "temperature"])
def test_a_name_that_is_no_quantity_says_nothing(name: str) -> None:
    assert read_name(name) is None
