"""What to say of a file that is not YAML: the line, what stands there and what is expected."""

from importlib.resources.abc import Traversable

import yaml

from ablations.errors import UserError

SHOWN = 60  # letters of what stands in a file that a message repeats
HINTS = {  # of PyYAML's messages, which are about tokens
    "'\\t'": "there is a tab; expected spaces",
    "mapping values are not allowed": "there is a colon where none is expected; put a text with a colon in quotes",
    "but found another document": "expected one study a file, without --- between two",
    "expected ',' or": "expected a comma or the end of the list; put a text with brackets or commas in quotes",
    "cannot start any token": "put a text that begins so in quotes",
    "unexpected end of stream": "a quote begins here and does not end",
    "expected <block end>": "expected the same indentation as in the lines above",
}


def unreadable(source: Traversable, error: Exception) -> UserError:
    """The message for a file that could not be read for this reason, a UnicodeDecodeError or PyYAML's."""
    if isinstance(error, UnicodeDecodeError):
        line = error.object[: error.start].count(b"\n") + 1
        return UserError(f"{source}, line {line}: it is not text in UTF-8; save it so")
    text = source.read_bytes().decode()
    if isinstance(error, yaml.reader.ReaderError):
        line = text[: error.position].count("\n") + 1
        return UserError(f"{source}, line {line}: the character {error.character:#x} is not allowed; remove it")
    assert isinstance(error, yaml.MarkedYAMLError)  # all that PyYAML raises but that
    return UserError(f"{source}, line {_line(error)}: {_said(error, text)}")


def _line(error: yaml.MarkedYAMLError) -> int:
    unclosed = "end of stream" in str(error.problem)  # where it begins tells more
    mark = error.context_mark if unclosed else error.problem_mark
    return mark.line + 1 if mark else 1


def _said(error: yaml.MarkedYAMLError, text: str) -> str:
    line = [*text.splitlines(), "", ""][_line(error) - 1].strip()[:SHOWN]
    problem = str(error.problem)
    hint = next((hint for part, hint in HINTS.items() if part in problem), problem)
    return f"{line}: {hint}" if line else hint
