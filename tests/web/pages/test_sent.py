"""A request in the parts that people ask for."""

from __future__ import annotations

import json

from nightmail.web.pages.sent import Said, sent

SCHEMA = {"type": "object", "properties": {"section": {"enum": ["net"]}}}


def test_a_chat_s_messages_its_schema_and_the_rest() -> None:
    made = sent(
        {
            "custom_id": "x",
            "url": "/v1/chat/completions",
            "body": {
                "model": "gpt-4o-mini",
                "messages": [
                    {"role": "system", "content": "You file packages."},
                    {"role": "user", "content": [{"type": "text", "text": "which?"}]},
                ],
                "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
            },
        }
    )
    assert made.endpoint == "/v1/chat/completions"
    assert made.messages[0] == Said("system", "You file packages.")
    assert json.loads(made.messages[1].text) == [{"type": "text", "text": "which?"}]
    assert json.loads(made.schema or "") == SCHEMA
    assert json.loads(made.rest) == {"model": "gpt-4o-mini"}


def test_responses_and_embeddings_have_theirs() -> None:
    response = {"instructions": "Be brief.", "input": "which?", "text": {"format": {"schema": SCHEMA}}}
    made = sent({"url": "/v1/responses", "body": response})
    assert made.messages == [Said("instructions", "Be brief."), Said("input", "which?")]
    assert json.loads(made.schema or "") == SCHEMA
    embedding = sent({"url": "/v1/embeddings", "body": {"model": "m", "input": ["a", "b"]}})
    assert [each.text for each in embedding.messages] == ["a", "b"]
    assert embedding.schema is None


def test_a_plain_answer_format_stays_with_the_rest() -> None:
    made = sent({"body": {"messages": [], "response_format": {"type": "json_object"}}})
    assert made.schema is None
    assert json.loads(made.rest) == {"response_format": {"type": "json_object"}}
