"""The file of a study: read, and held against `sweeps/study.schema.json`, by which editors complete and check it, too.

A mistake is told with its line, what stands there, and what the schema's descriptions expect.
"""

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from ablations.config import yaml_text
from ablations.config.yaml_text import SHOWN
from ablations.errors import UserError

SCHEMA = resources.files("ablations.sweeps") / "study.schema.json"
KINDS = {"int": "integer", "float": "number", "bool": "boolean", "null": "null"}
Place = tuple[str | int, ...]  # the keys and numbers that lead to a value


@lru_cache(maxsize=1)
def schema() -> dict:
    """The JSON schema of a study."""
    return json.loads(SCHEMA.read_text())


@dataclass
class StudyFile:
    """content: what the file holds, in the schema's types; names and labels are text as it stands there. lines: where."""

    name: str
    text: str
    content: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)

    def mistake(self, place: Place, message: str) -> UserError:
        """An error about what stands at this place."""
        return UserError(f"{self.name}, line {self.lines[place]}: {message}")

    def take(self, node: yaml.Node, form: dict, place: Place) -> Any:
        """The value of a node of this form. Raises UserError if it has another."""
        form = _resolved(form)
        kind, kinds = _kind(node), _kinds(form)
        if not kinds & ({kind, "number"} if kind == "integer" else {kind}):
            raise self._unexpected(node, form, place)
        if isinstance(node, yaml.MappingNode):
            value = dict(self._items(node, form, place))
        elif isinstance(node, yaml.SequenceNode):
            value = [self.take(item, form["items"], (*place, i)) for i, item in enumerate(node.value)]
        else:
            value = yaml.safe_load(node.value) if "string" not in kinds else None if kind == "null" else node.value
        self.lines[place] = node.start_mark.line + 1
        if not _fits(value, form):
            raise self._unexpected(node, form, place)
        for key in form.get("required", ()):
            if key not in value:
                expected = _resolved(form["properties"][key])["description"]
                raise self.mistake(place, f"{_called(place)} has no {key}; expected {key}: {expected}")
        return value

    def _items(self, node: yaml.MappingNode, form: dict, place: Place) -> Iterator[tuple[str, Any]]:
        known, seen = form.get("properties", {}), {}
        for key, _ in node.value:
            name = str(key.value)
            if name in seen and name != "<<":
                raise self._at(key, f"{name} stands there twice, first in line {seen[name]}; remove one")
            seen[name] = key.start_mark.line + 1
        yaml.SafeLoader("").flatten_mapping(node)  # << of anchors
        for key, value in node.value:
            name = self.take(key, form.get("propertyNames", {"type": "string", "description": "a key"}), place)
            if known and name not in known:
                near = "".join(f"; did you mean {word}?" for word in difflib.get_close_matches(name, known, 1))
                what = _resolved(form)["description"].split(",")[0].split(":")[0]
                raise self._at(key, f"{name} is no key of {what}; expected {', '.join(known)}{near}")
            yield name, self.take(value, known.get(name, form.get("additionalProperties")), (*place, name))

    def _unexpected(self, node: yaml.Node, form: dict, place: Place) -> UserError:
        quoted = f'; write "{node.value}"' if _needs_quotes(node, form) else ""
        return self._at(node, f"{_called(place)} is {self._standing(node)}; expected {form['description']}{quoted}")

    def _at(self, node: yaml.Node, message: str) -> UserError:
        return UserError(f"{self.name}, line {node.start_mark.line + 1}: {message}")

    def _standing(self, node: yaml.Node) -> str:
        text = self.text[node.start_mark.index : node.end_mark.index].strip()
        first, *more = text.split("\n")
        text = f"{first[:SHOWN]} ..." if more or len(first) > SHOWN else first
        kind = _kind(node)
        if kind == "null":
            return f"{text}, which YAML reads as nothing" if text else "empty"
        if kind == "boolean":
            return f"{text}, which YAML reads as {'true' if yaml.safe_load(node.value) else 'false'}"
        names = {"object": "keys and values:", "array": "the list", "string": "the text"}
        return f"{names.get(kind, 'the number')} {text}"


def read(source: Traversable) -> StudyFile:
    """A study's file. Raises UserError, with the line, if the schema does not hold for it."""
    try:
        file = StudyFile(str(source), source.read_bytes().decode())
        node = yaml.compose(file.text, yaml.SafeLoader)
        file.content = file.take(node, schema(), ()) if node else {}
    except OSError as error:
        raise UserError(f"{source}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise yaml_text.unreadable(source, error) from error
    except RecursionError as error:
        raise UserError(f"{source}: its brackets are nested too deep; expected {schema()['description']}") from error
    if node is None:
        raise UserError(f"{source}, line 1: the file is empty; expected {schema()['description']}")
    return file


def _resolved(form: dict) -> dict:
    """A form with what it refers to; its own description holds."""
    if "$ref" not in form:
        return form
    return schema()["$defs"][form["$ref"].rpartition("/")[2]] | form


def _kinds(form: dict) -> set[str]:
    kinds = form.get("type", "string")
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _kind(node: yaml.Node) -> str:
    """What JSON calls it. Dates are text."""
    if isinstance(node, yaml.CollectionNode):
        return "object" if isinstance(node, yaml.MappingNode) else "array"
    return KINDS.get(node.tag.rpartition(":")[2], "string")


def _needs_quotes(node: yaml.Node, form: dict) -> bool:
    text = isinstance(node, yaml.ScalarNode) and _kind(node) != "string" and node.value
    return bool(text and "string" in _kinds(form) and _fits(node.value, form))


def _fits(value: Any, form: dict) -> bool:
    """Whether a value of the right type is one that the form allows."""
    if isinstance(value, str):
        allowed = "enum" not in form or value in form["enum"]
        return allowed and len(value) >= form.get("minLength", 0) and bool(re.search(form.get("pattern", ""), value))
    if isinstance(value, list):
        return form.get("minItems", 0) <= len(value) <= form.get("maxItems", len(value))
    if isinstance(value, dict):
        return len(value) >= form.get("minProperties", 0)
    return value is None or form.get("minimum", value) <= value <= form.get("maximum", value)


def _called(place: Place) -> str:
    if not place:
        return "the file"
    if isinstance(place[-1], str):
        return place[-1]
    return f"entry {place[-1] + 1} of {place[-2]}"
