"""A value that fits a JSON schema, made from a text.

A schema is compiled once into nested functions `(material, depth) -> value`; enums take the label
that shares most words with the text, strings its sentences. `pattern` is not followed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from nightmail.simulator.words import Labels, first_sentence, glance, number_of, sentences

# Below this many references inside references, only what must be there is made, so that recursive
# schemas end.
_MAX_REFERENCES = 3
_HARD_END = 60

_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "simulated@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.com/",
}


class Material:
    """The text an answer is made of; what is seen of it is found only if something asks for it."""

    __slots__ = ("_seen", "_sentences", "salt", "text")

    def __init__(self, text: str, salt: int = 0) -> None:
        self.text = text
        self.salt = salt
        self._seen: bytes | None = None
        self._sentences: list[str] | None = None

    @property
    def seen(self) -> bytes:
        if self._seen is None:
            self._seen = glance(self.text)
        return self._seen

    def sentence(self, number: int) -> str:
        if number == 0:
            return first_sentence(self.text)
        if self._sentences is None:
            self._sentences = sentences(self.text)
        return self._sentences[number % len(self._sentences)]

    def number(self, place: int) -> int:
        return number_of(self.text, self.salt + place)


Make = Callable[[Material, int], Any]


def compiled(schema: dict[str, Any]) -> Callable[[Material], Any]:
    """A function from material to a value that fits `schema`. Raises `ValueError` if no value could."""
    make = _Compiler(schema).make(schema)
    return lambda material: make(material, 0)


class _Compiler:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._made: dict[str, Make] = {}
        self._place = 0
        self._strings = 0

    def make(self, schema: Any) -> Make:
        if schema is True or schema == {}:
            return lambda material, _: material.sentence(0)
        if not isinstance(schema, dict):
            raise ValueError(f"{schema!r} is no schema that a value could fit")
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        if "const" in schema:
            constant = schema["const"]
            return lambda _m, _d: constant
        if "enum" in schema:
            return self._enum(schema["enum"])
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self._any_of(schema[key])
        if "allOf" in schema:
            return self.make(_merged(schema))
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._any_of([{**schema, "type": one} for one in kind])
        match kind or ("object" if "properties" in schema else "array" if "items" in schema else "string"):
            case "object":
                return self._object(schema)
            case "array":
                return self._array(schema)
            case "integer":
                return self._number(schema, whole=True)
            case "number":
                return self._number(schema, whole=False)
            case "boolean":
                place = self._next_place()
                return lambda material, _: material.number(place) % 2 == 0
            case "null":
                return lambda _m, _d: None
            case "string":
                return self._string(schema)
            case other:
                raise ValueError(f"{other!r} is no JSON type")

    def _next_place(self) -> int:
        self._place += 1
        return self._place

    def _reference(self, reference: object) -> Make:
        key = str(reference)
        if key not in self._made:
            # Stands in for itself while it is being compiled: a schema may contain itself.
            self._made[key] = lambda material, depth: self._made[key](material, depth)
            target = self._root
            for part in key.removeprefix("#").strip("/").split("/") if key != "#" else ():
                name = part.replace("~1", "/").replace("~0", "~")
                if not isinstance(target, dict) or name not in target:
                    raise ValueError(f"{key!r} refers to nowhere in the schema")
                target = target[name]
            self._made[key] = self.make(target)
        made = self._made

        def follow(material: Material, depth: int) -> Any:
            if depth > _HARD_END:
                return None
            return made[key](material, depth + 1)

        return follow

    def _enum(self, values: list[Any]) -> Make:
        if not values:
            raise ValueError("an empty enum has no value")
        place = self._next_place()
        labels = Labels([value if isinstance(value, str) else str(value) for value in values])
        return lambda material, _: values[labels.best(material.text, material.seen, material.salt + place)]

    def _any_of(self, options: list[Any]) -> Make:
        if not options:
            raise ValueError("an empty anyOf has no value")
        place = self._next_place()
        makes = [self.make(option) for option in options]
        solid = [make for make, option in zip(makes, options, strict=True) if not _is_null(option)] or makes
        closed = [make for make, option in zip(makes, options, strict=True) if not _refers(option)] or makes

        def choose(material: Material, depth: int) -> Any:
            among = solid if depth < _MAX_REFERENCES else closed
            return among[material.number(place) % len(among)](material, depth)

        return choose

    def _object(self, schema: dict[str, Any]) -> Make:
        required = set(schema.get("required") or ())
        parts: list[tuple[str, Make, bool]] = [
            (name, self.make(part), name in required or not _refers(part))
            for name, part in (schema.get("properties") or {}).items()
        ]
        if len(parts) == len(required):
            return lambda material, depth: {name: make(material, depth) for name, make, _ in parts}
        return lambda material, depth: {
            name: make(material, depth) for name, make, kept in parts if kept or depth < _MAX_REFERENCES
        }

    def _array(self, schema: dict[str, Any]) -> Make:
        least = int(schema.get("minItems", 0))
        most = int(schema.get("maxItems", max(least, 2)))
        count = max(least, min(most, 2))
        items = schema.get("items", {})
        if isinstance(items, dict) and isinstance(items.get("enum"), list) and items["enum"]:
            values, place = items["enum"], self._next_place()
            labels = Labels([str(value) for value in values])

            def pick(material: Material, _: int) -> list[Any]:
                salt = material.salt + place
                best = labels.ranked(material.text, material.seen, salt, count)
                return [values[best[index % len(best)]] for index in range(count)]

            return pick
        make = self.make(items)

        def repeat(material: Material, depth: int) -> list[Any]:
            length = count if depth < _MAX_REFERENCES else least
            found = sentences(material.text)
            # Each item is made of its own sentence, so that items differ where the text allows it.
            return [
                make(Material(found[index % len(found)], material.salt + index), depth)
                for index in range(length)
            ]

        return repeat

    def _string(self, schema: dict[str, Any]) -> Make:
        if schema.get("format") in _FORMATS:
            fixed = _FORMATS[schema["format"]]
            return lambda _m, _d: fixed
        number, self._strings = self._strings, self._strings + 1
        shortest, longest = int(schema.get("minLength", 0)), schema.get("maxLength")
        if not shortest and longest is None:
            return lambda material, _: material.sentence(number)

        def fit(material: Material, _: int) -> str:
            text = material.sentence(number)[:longest]
            return text if len(text) >= shortest else (text or "x").ljust(shortest, "x")

        return fit

    def _number(self, schema: dict[str, Any], *, whole: bool) -> Make:
        place = self._next_place()
        step = schema.get("multipleOf") or (1 if whole else 0.25)
        least, most = _bounds(schema, step)

        def within(material: Material, _: int) -> float:
            # Counted in steps from zero: a bound need not be a multiple itself.
            first, last = math.ceil(least / step), math.floor(most / step)
            value = (first + material.number(place) % (last - first + 1)) * step if last >= first else least
            return round(value) if whole else value

        return within


def _bounds(schema: dict[str, Any], step: float) -> tuple[float, float]:
    least = schema.get("minimum")
    if (above := schema.get("exclusiveMinimum")) is not None:
        beyond = (math.floor(above / step) + 1) * step
        least = beyond if least is None else max(least, beyond)
    most = schema.get("maximum")
    if (below := schema.get("exclusiveMaximum")) is not None:
        short = (math.ceil(below / step) - 1) * step
        most = short if most is None else min(most, short)
    if least is None:
        least = 0 if most is None or most >= 0 else most - 100 * step
    return least, least + 100 * step if most is None else most


def _is_null(option: Any) -> bool:
    return isinstance(option, dict) and option.get("type") == "null"


def _refers(option: Any) -> bool:
    if isinstance(option, dict):
        return "$ref" in option or any(_refers(part) for part in option.values())
    return isinstance(option, list) and any(_refers(part) for part in option)


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    merged = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        for key, value in part.items():
            if key == "properties":
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required":
                merged[key] = [*merged.get(key, []), *value]
            else:
                merged.setdefault(key, value)
    return merged
