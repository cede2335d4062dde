"""OpenAI's usage reports: pages of the API, flat results, and what the results of each report count."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.imports import openai_usage
from farebox.imports.options import Options
from farebox.imports.records import WrongFile
from tests.imports.taken import Row, meters, take, write_lines

START = 1_789_344_000  # 2026-09-14, UTC
DAY = 86_400


def result(kind: str = "completions", **fields: Any) -> dict[str, Any]:
    return {
        "object": f"organization.usage.{kind}.result",
        "project_id": "proj_1",
        "model": "gpt-4o-2024-08-06",
        **fields,
    }


def completions(**fields: Any) -> dict[str, Any]:
    """A result as the API answers it, with all its fields."""
    return result(
        **{
            "input_tokens": 10_000,
            "num_model_requests": 8,
            "output_tokens": 2_000,
            "user_id": "user-1",
            "api_key_id": "key_1",
            "batch": False,
            "service_tier": "default",
            "input_cached_tokens": 4_000,
            "input_uncached_tokens": 6_000,
            "input_cache_write_tokens": 0,
            "input_text_tokens": 6_000,
            "input_audio_tokens": 0,
            "input_image_tokens": 0,
            "input_cached_text_tokens": 4_000,
            "input_cached_audio_tokens": 0,
            "input_cached_image_tokens": 0,
            "output_text_tokens": 2_000,
            "output_audio_tokens": 0,
            "output_image_tokens": 0,
            **fields,
        }
    )


def page(*results: dict[str, Any], start: int = START) -> dict[str, Any]:
    bucket = {"object": "bucket", "start_time": start, "end_time": start + DAY, "results": list(results)}
    return {"object": "page", "data": [bucket], "has_more": False, "next_page": None}


def take_all(tmp_path: Path, *results: dict[str, Any]) -> list[Row]:
    path = tmp_path / "usage.json"
    path.write_text(json.dumps(page(*results), indent=2))
    return take(openai_usage, path)


def test_every_column(tmp_path: Path) -> None:
    (row,) = take_all(tmp_path, completions())
    found = meters(row)
    assert {name: count for name, count in found.items() if count} == {
        "input": 6_000,
        "cache_read": 4_000,
        "output": 2_000,
    }
    assert {name: value for name, value in row.items() if value is not None and name not in found} == {
        "row": 1,
        "at_ns": START * 10**9,
        "source_id": f"completions/{START}000000/{START + DAY}000000/gpt-4o-2024-08-06/proj_1/user-1/key_1/false/"
        "default///",
        "provider": "openai",
        "model": "gpt-4o-2024-08-06",
        "asked_model": "gpt-4o-2024-08-06",
        "operation": "chat",
        "dialect": "openai",
        "service_tier": "default",
        "user": "user-1",
        "key_name": "key_1",
        "project": "proj_1",
        "outcome": "ok",
        "requests": 8,
    }


def test_modalities_and_cache_writes_are_apart(tmp_path: Path) -> None:
    (row,) = take_all(
        tmp_path,
        completions(
            input_tokens=1_000,
            input_cached_tokens=300,
            input_cache_write_tokens=150,
            input_cache_write_30m_tokens=100,
            input_cache_write_12h_tokens=50,
            input_uncached_tokens=550,
            input_text_tokens=450,
            input_audio_tokens=60,
            input_image_tokens=40,
            input_cached_text_tokens=270,
            input_cached_audio_tokens=20,
            input_cached_image_tokens=10,
            output_tokens=500,
            output_text_tokens=400,
            output_audio_tokens=100,
            batch=True,
        ),
    )
    assert row["fault"] is None
    assert row["processing"] == "batch"
    assert {name: count for name, count in meters(row).items() if count} == {
        "input": 450,
        "cache_read": 270,
        "cache_write_30m": 100,
        "cache_write_12h": 50,
        "input_audio": 60,
        "cache_read_audio": 20,
        "input_image": 40,
        "cache_read_image": 10,
        "output": 400,
        "output_audio": 100,
    }


@pytest.mark.parametrize(
    ("given", "model", "expected"),
    [
        (result("embeddings", input_tokens=77, num_model_requests=2), "gpt-4o-2024-08-06", {"input": 77}),
        (result("images", images=3, num_model_requests=2), "gpt-4o-2024-08-06", {"image_made": 3}),
        (result("audio_speeches", characters=900, num_model_requests=2), "gpt-4o-2024-08-06", {"character": 900}),
        (result("audio_transcriptions", seconds=61, num_model_requests=2), "gpt-4o-2024-08-06", {"audio_time": 61_000}),
        (result("code_interpreter_sessions", num_sessions=2), "code_interpreter", {"code_session": 2}),
        (result("file_searches", num_requests=2, vector_store_id="vs_1"), "file_search", {"file_search": 2}),
        (
            result("web_searches", num_requests=2, num_model_requests=1, context_level="High"),
            "web_search",
            {"web_search": 2},
        ),
        (result("vector_stores", usage_bytes=3 * 2**30), "file_search", {"file_storage": 3_000_000}),
    ],
)
def test_other_reports(tmp_path: Path, given: dict[str, Any], model: str, expected: dict[str, int]) -> None:
    (row,) = take_all(tmp_path, given)
    assert (row["fault"], row["model"], meters(row)) == (None, model, expected)
    assert row["requests"] == (None if "usage_bytes" in given else 2)
    assert row["facts"] == ({"search_context_size": "high"} if "context_level" in given else None)


def test_pages_in_every_form(tmp_path: Path) -> None:
    pages = [page(completions(), completions(model="gpt-5")), page(completions(), start=START + DAY)]
    one_after_another = tmp_path / "a.json"
    one_after_another.write_text("\n".join(json.dumps(each, indent=1) for each in pages))
    array = tmp_path / "b.json"
    array.write_text(json.dumps(pages))
    buckets = tmp_path / "c.json"
    buckets.write_text(json.dumps([bucket for each in pages for bucket in each["data"]]))
    lines = write_lines(tmp_path / "d.jsonl", pages)
    flat = write_lines(
        tmp_path / "e.jsonl",
        [
            {"start_time": bucket["start_time"], "end_time": bucket["end_time"], **each}
            for one in pages
            for bucket in one["data"]
            for each in bucket["results"]
        ],
    )
    expected = take(openai_usage, lines)
    assert [(row["row"], row["model"], row["at_ns"]) for row in expected] == [
        (1, "gpt-4o-2024-08-06", START * 10**9),
        (2, "gpt-5", START * 10**9),
        (3, "gpt-4o-2024-08-06", (START + DAY) * 10**9),
    ]
    for path in (one_after_another, array, buckets, flat):
        assert take(openai_usage, path) == expected


def test_pages_of_megabytes(tmp_path: Path) -> None:
    large = page(*(completions(user_id=f"user-{number}") for number in range(3_000)))
    one_line, array, pretty = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.json"
    one_line.write_text(json.dumps(large))
    array.write_text(json.dumps([large]))
    pretty.write_text(json.dumps(large, indent=2))
    for path in (one_line, array, pretty):
        rows = take(openai_usage, path)
        assert (len(rows), {row["fault"] for row in rows}) == (3_000, {None})


def test_csv_of_the_dashboard(tmp_path: Path) -> None:
    path = tmp_path / "completions_usage.csv"
    path.write_text(
        "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,model,batch,service_tier,"
        "input_tokens,output_tokens,input_cached_tokens,input_audio_tokens,output_audio_tokens\n"
        f"{START},{START + DAY},2026-09-14T00:00:00+00:00,2026-09-15T00:00:00+00:00,proj_1,5,gpt-4o,True,default,"
        "100.0,20.0,40.0,0.0,0.0\n"
    )
    (row,) = take(openai_usage, path)
    assert (row["fault"], row["processing"], row["requests"], row["operation"]) == (None, "batch", 5, "chat")
    assert {name: count for name, count in meters(row).items() if count} == {
        "input": 60,
        "cache_read": 40,
        "output": 20,
    }


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"input_tokens": -1}, 'input_tokens: "-1" is not a whole number from 0 to 1000000000000000'),
        (
            {"input_cached_tokens": 10_001},
            'cached, cache-write, audio and image tokens are more than input_tokens: "10000"',
        ),
        (
            {"input_uncached_tokens": 5_000},
            'input_uncached_tokens: "5000" is not input_tokens without cached and written ones',
        ),
        ({"input_cached_audio_tokens": 4_001}, "cached audio and image tokens are more than input_cached_tokens"),
        ({"output_audio_tokens": 2_001}, "audio and image tokens are more than output_tokens"),
        ({"model": None}, "model is missing: export the report with group_by=model, or give --model"),
        (
            {"object": "organization.costs.result"},
            'object: "organization.costs.result" is not a usage result; costs are',
        ),
    ],
)
def test_faults(tmp_path: Path, fields: dict[str, Any], fault: str) -> None:
    good, bad = take_all(tmp_path, completions(), completions(**fields))
    assert good["fault"] is None
    assert bad["fault"].startswith(fault)
    assert json.loads(bad["raw"])["project_id"] == "proj_1"


def test_older_reports_with_audio_are_in_doubt(tmp_path: Path) -> None:
    older = result(input_tokens=10, output_tokens=5, num_model_requests=1, input_audio_tokens=0, output_audio_tokens=0)
    plain, heard, spoken = take_all(
        tmp_path, older, older | {"input_audio_tokens": 4}, older | {"output_audio_tokens": 4}
    )
    assert meters(plain) == {"input": 10, "input_audio": 0, "output": 5, "output_audio": 0}
    assert (
        heard["fault"]
        == "an older report does not say whether input_audio_tokens are among input_tokens: export it again"
    )
    assert spoken["fault"].startswith(
        "an older report does not say whether output_audio_tokens are among output_tokens"
    )


def test_a_page_that_is_cut(tmp_path: Path) -> None:
    whole = json.dumps(page(completions()))
    rows = take(openai_usage, write_lines(tmp_path / "usage.jsonl", [page(completions()), whole[:100]]))
    assert sorted((row["fault"] or "") for row in rows)[1].startswith("the line is not a JSON object in UTF-8")


def test_another_file(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"a": 1}')
    with pytest.raises(
        WrongFile, match="this is not a usage report of OpenAI, which has start_time or end_time; found a"
    ):
        openai_usage.select(str(path), Options())


parts = st.integers(0, 10**9)


@settings(max_examples=15, deadline=None)
@given(text=parts, audio=parts, image=parts, cached=st.tuples(parts, parts, parts), writes=st.tuples(parts, parts))
def test_meters_add_up_to_the_input(
    tmp_path_factory: pytest.TempPathFactory,
    text: int,
    audio: int,
    image: int,
    cached: tuple[int, int, int],
    writes: tuple[int, int],
) -> None:
    uncached = text + audio + image
    fields = {
        "input_tokens": uncached + sum(cached) + sum(writes),
        "input_uncached_tokens": uncached,
        "input_text_tokens": text,
        "input_audio_tokens": audio,
        "input_image_tokens": image,
        "input_cached_tokens": sum(cached),
        "input_cached_text_tokens": cached[0],
        "input_cached_audio_tokens": cached[1],
        "input_cached_image_tokens": cached[2],
        "input_cache_write_tokens": sum(writes),
        "input_cache_write_12h_tokens": writes[1],
    }
    (row,) = take_all(tmp_path_factory.mktemp("usage"), completions(**fields))
    found = meters(row)
    assert (found["input"], found["cache_read"], found["cache_write_30m"]) == (text, cached[0], writes[0])
    assert sum(found.values()) - found["output"] == fields["input_tokens"]
