"""The parameters of each endpoint: which there are, of which type, and where a body holds its texts.

The messages are the provider's own (400 bodies seen with `gpt-4o-mini`, 2026): users search for them.
"""

from __future__ import annotations

from typing import Any

from nightmail.core.request import Endpoint
from nightmail.simulator.catalogue import Model
from nightmail.simulator.refusal import Refusal, missing, wrong_type, wrong_value

_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "integer": (int, "an integer"),
    "decimal": ((int, float), "a decimal"),
    "string": (str, "a string"),
    "boolean": (bool, "a boolean"),
    "array": (list, "an array"),
    "object": (dict, "an object"),
}


def _named(**names: str) -> dict[str, str]:
    return {name: kind for kind, listed in names.items() for name in listed.split()}


_SHARED = _named(
    string="model user service_tier safety_identifier prompt_cache_key prompt_cache_retention",
    object="metadata",
)
_SAMPLING = _named(decimal="temperature top_p", boolean="stream", integer="top_logprobs")
_PENALTIES = _named(decimal="presence_penalty frequency_penalty", object="logit_bias")
# Each endpoint's parameters by their JSON type; `mixed` ones take several and are read where they matter.
_PARAMETERS: dict[Endpoint, dict[str, str]] = {
    Endpoint.CHAT: _SHARED
    | _SAMPLING
    | _PENALTIES
    | _named(
        array="messages tools modalities functions",
        object="response_format prediction stream_options web_search_options",
        integer="max_tokens max_completion_tokens n seed",
        boolean="store parallel_tool_calls logprobs",
        string="reasoning_effort verbosity",
        mixed="stop tool_choice function_call",
    ),
    Endpoint.RESPONSES: _SHARED
    | _SAMPLING
    | _named(
        array="tools include",
        object="text reasoning prompt",
        integer="max_output_tokens max_tool_calls",
        boolean="store parallel_tool_calls background",
        string="instructions truncation previous_response_id",
        mixed="input tool_choice conversation",
    ),
    Endpoint.EMBEDDINGS: _SHARED | _named(integer="dimensions", string="encoding_format", mixed="input"),
    Endpoint.COMPLETIONS: _SHARED
    | _SAMPLING
    | _PENALTIES
    | _named(
        integer="max_tokens n seed best_of logprobs", string="suffix", boolean="echo", mixed="prompt stop"
    ),
    Endpoint.MODERATIONS: _named(string="model", mixed="input"),
}
_NEEDED = {
    Endpoint.CHAT: ("model", "messages"),
    Endpoint.RESPONSES: ("model", "input"),
    Endpoint.EMBEDDINGS: ("model", "input"),
    Endpoint.COMPLETIONS: ("model", "prompt"),
    Endpoint.MODERATIONS: ("input",),
}
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_RANGES = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
_CAPS = {
    Endpoint.CHAT: ("max_completion_tokens", "max_tokens"),
    Endpoint.RESPONSES: ("max_output_tokens",),
    Endpoint.COMPLETIONS: ("max_tokens",),
}
_DEFAULT_COMPLETION_CAP = 16
_TIERS = (None, "auto", "default", "flex", "scale", "priority", "fast")
_MAX_EMBEDDING_INPUTS = 2_048


def check(endpoint: Endpoint, body: dict[str, Any], model: Model) -> None:
    """Return if the body's parameters are such as the endpoint takes; else raise `Refusal`."""
    for name in _NEEDED[endpoint]:
        if body.get(name) is None:
            raise missing(name)
    known = _PARAMETERS[endpoint]
    for name, value in body.items():
        if name not in known:
            raise Refusal(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        kind = known[name]
        if kind not in _KINDS or value is None:
            continue
        python, spoken = _KINDS[kind]
        if not isinstance(value, python) or (isinstance(value, bool) and kind != "boolean"):
            raise wrong_type(name, spoken, value)
        if name in _RANGES:
            _check_range(name, value)
    for name in (*_CAPS.get(endpoint, ()), "n"):
        if body.get(name) is not None and body[name] < 1:
            raise Refusal(
                400,
                f"Invalid '{name}': integer below minimum value. Expected a value >= 1, "
                f"but got {body[name]} instead.",
                param=name,
                code="integer_below_min_value",
            )
    if body.get("service_tier") not in _TIERS:
        supported = ", ".join(f"'{tier}'" for tier in _TIERS if tier)
        raise wrong_value("service_tier", body["service_tier"], supported)
    _check_reasoning(endpoint, body, model)
    if endpoint is Endpoint.CHAT:
        _check_messages(body["messages"])
    if endpoint is Endpoint.EMBEDDINGS:
        _check_embedding(body, model)


def _check_range(name: str, value: Any) -> None:
    low, high = _RANGES[name]
    if low <= value <= high:
        return
    side, bound, sign, limit = ("below", "min", ">=", low) if value < low else ("above", "max", "<=", high)
    raise Refusal(
        400,
        f"Invalid '{name}': decimal {side} {bound}imum value. Expected a value {sign} {limit}, "
        f"but got {value} instead.",
        param=name,
        code=f"decimal_{side}_{bound}_value",
    )


def _check_reasoning(endpoint: Endpoint, body: dict[str, Any], model: Model) -> None:
    if not model.reasoning or endpoint not in (Endpoint.CHAT, Endpoint.RESPONSES):
        return
    if body.get("max_tokens") is not None:
        raise Refusal(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if body.get("temperature") not in (None, 1, 1.0):
        raise Refusal(
            400,
            f"Unsupported value: 'temperature' does not support {body['temperature']} with this model. "
            "Only the default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        )


def _check_messages(messages: list[Any]) -> None:
    if not messages:
        raise Refusal(
            400,
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty "
            "array instead.",
            param="messages",
            code="empty_array",
        )
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise wrong_type(where, "an object", message)
        role = message.get("role")
        if role is None:
            raise missing(f"{where}.role")
        if role not in _ROLES:
            raise wrong_value(f"{where}.role", role, ", ".join(f"'{one}'" for one in _ROLES))
        content = message.get("content")
        if content is not None and not isinstance(content, (str, list)):
            raise wrong_type(f"{where}.content", "one of a string or array of objects", content)
        if content is None and role != "assistant":
            raise wrong_type(f"{where}.content", "one of a string or array of objects", content)


def _check_embedding(body: dict[str, Any], model: Model) -> None:
    given = body["input"]
    if given in ("", []) or (isinstance(given, list) and "" in given):
        raise Refusal(400, "'$.input' is invalid. Please check the API reference.", param=None)
    if isinstance(given, list) and len(given) > _MAX_EMBEDDING_INPUTS:
        raise Refusal(
            400,
            f"Invalid 'input': maximum array size is {_MAX_EMBEDDING_INPUTS}.",
            param="input",
            code="array_above_max_length",
        )
    wanted = body.get("dimensions")
    if wanted is not None and (wanted < 1 or (model.dimensions is not None and wanted > model.dimensions)):
        raise Refusal(
            400,
            f"Invalid value for 'dimensions' = {wanted}. Must be less than or equal to {model.dimensions}.",
            param="dimensions",
            code="invalid_value",
        )
    if body.get("encoding_format") not in (None, "float", "base64"):
        raise wrong_value("encoding_format", body["encoding_format"], "'float' and 'base64'")


def cap_of(endpoint: Endpoint, body: dict[str, Any]) -> int | None:
    """The output cap a body sets, or the endpoint's own default."""
    for name in _CAPS.get(endpoint, ()):
        if body.get(name) is not None:
            cap: int = body[name]
            return cap
    return _DEFAULT_COMPLETION_CAP if endpoint is Endpoint.COMPLETIONS else None


def texts_of(endpoint: Endpoint, body: dict[str, Any]) -> tuple[str, list[str] | None]:
    """What the user said, as one text; and the inputs where the endpoint takes several. Raises `Refusal`."""
    if endpoint is Endpoint.CHAT:
        said = [_text_in(message.get("content")) for message in body["messages"] if message["role"] == "user"]
        return "\n\n".join(said), None
    if endpoint is Endpoint.RESPONSES:
        given = body["input"]
        if isinstance(given, str):
            return given, None
        if not isinstance(given, list):
            raise wrong_type("input", "one of a string or array of input items", given)
        said = [
            _text_in(item.get("content"))
            for item in given
            if isinstance(item, dict) and item.get("role", "user") == "user"
        ]
        return "\n\n".join(said), None
    name = "prompt" if endpoint is Endpoint.COMPLETIONS else "input"
    texts = _inputs_in(name, body[name])
    return (texts[0] if texts else ""), texts


def _text_in(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, dict)]
    return "\n".join(part for part in parts if isinstance(part, str))


def _inputs_in(name: str, given: object) -> list[str]:
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise wrong_type(name, "one of a string or array of strings", given)
    if all(isinstance(part, int) for part in given):
        return [_token_text(given)]
    texts = []
    for part in given:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, list) and all(isinstance(token, int) for token in part):
            texts.append(_token_text(part))
        elif isinstance(part, dict):
            texts.append(str(part.get("text") or part.get("image_url") or ""))
        else:
            raise wrong_type(f"{name}[{len(texts)}]", "a string", part)
    return texts


def _token_text(tokens: list[Any]) -> str:
    return " ".join(str(token) for token in tokens)
