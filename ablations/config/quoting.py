"""One syntax of values for all commands: Hydra's. And what to type in place of a word that is not written in it.

Hydra is imported only for a value with quotes or backslashes, so that commands without a configuration start at once.
"""

import re
import shlex
import sys

from ablations.errors import UserError

# What Hydra takes for syntax in a value: all that its grammar does not list as a character of plain text.
SYNTAX = re.compile(r"[^\w/\\+.$%*@?|\s-]", re.ASCII)


def setting(word: str, command: str) -> tuple[str, str]:
    """The key and the text of key=value. Raises UserError if there is no key or no value.

    command: its name, which says where help is.
    """
    key, equals, value = word.partition("=")
    if not equals:
        raise no_setting(word, command)
    if not (text := unquoted(value)):
        raise empty(word)
    return key, text


def unquoted(value: str) -> str:
    """The text that a value stands for, without its quotes and escapes; what is no text for Hydra stays as it is."""
    if "\\" not in value and not value.startswith(("'", '"')):
        return value
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        text = OverridesParser.create().parse_rule(f"x={value}", "override").value()
    except HydraException:
        return value
    return text if isinstance(text, str) else value


def quoted(text: str) -> str:
    """A text as a value for Hydra, in quotes."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single if '"' in text else Quote.double).with_quotes()


def path(text: str) -> str:
    """A path as a value for Hydra, in quotes if it needs them."""
    return text if re.fullmatch(r"[\w./-]+", text, re.ASCII) else quoted(text)


def retyped(word: str, *instead: str) -> str:
    """The user's command with another word in place of one, ready to paste; from Python the other word alone."""
    typed = sys.argv[1:]
    if word not in typed:
        return " ".join(map(shlex.quote, instead))
    return shlex.join(["ablations", *(new for old in typed for new in (instead if old == word else [old]))])


def typed(key: str, composed: str) -> str:
    """The user's own word for a setting, with all of its values; from Python, or a file, what is composed of it."""
    return next((word for word in sys.argv[1:] if word.startswith(f"{key}=")), composed)


def no_setting(word: str, command: str) -> UserError:
    """What to say of a word that is no key=value: perhaps a space parts it from the value to which it belongs."""
    message = f"{word}: settings are key=value; see ablations {command} --help"
    typed = " ".join(sys.argv[1:])
    if spaced := re.search(rf"(?<!\S){re.escape(word)} ?= ?(\S+)", typed):
        return UserError(f"{word}: no space may stand beside =; type {word}={spaced[1]}")
    before = dict(zip(sys.argv[2:], sys.argv[1:], strict=False)).get(word, "")
    if "=" in before and not word.startswith("-"):
        key, _, value = before.partition("=")
        joined = f"{key}={quoted(f'{value} {word}')}"
        line = shlex.join(["ablations", *sys.argv[1:]]).replace(shlex.join([before, word]), shlex.quote(joined), 1)
        message += f". If it belongs to {before}, type: {line}"
    return UserError(message)


def empty(word: str) -> UserError:
    """What to say of key= without a value, as an unset variable of the shell leaves it."""
    key = word.partition("=")[0]
    return UserError(f"{key}= has no value (is a variable of the shell not set?): give one, or leave {key}= out")


def unreadable(word: str, error: Exception) -> UserError:
    """What to say of key=value that Hydra cannot read."""
    key, _, value = word.partition("=")
    first, *others = str(error).splitlines()
    reason = others[0] if others and first.startswith("Error parsing") else first
    found = " ".join(dict.fromkeys(SYNTAX.findall(value)))
    if unknown := re.search(r"Unknown function '(\w+)'", reason):
        from hydra.core.override_parser.overrides_parser import create_functions

        instead = retyped(word, f"{key}={quoted(value)}")
        return UserError(
            f"{word}: Hydra has no function {unknown[1]}; legal are {', '.join(create_functions().functions)}. If it is "
            f"one text, type: {instead}"
        )
    if re.match(r"\w+\(", value) or not found or not re.fullmatch(r"[\w.@/+~$-]+", key):
        return UserError(f"{word}: not written as Hydra reads it: {reason}")
    why = f" ({reason})" if set(found) & set("[{(") else ""  # of a list, say, whose end is missing
    is_open = value.startswith("[") and not value.endswith("]")
    instead = "If it is a list, its ] is missing; if it is one text, type" if is_open else "If it is one text, type"
    return UserError(
        f"{word}: Hydra does not take {found} in a value without quotes{why}. {instead}: "
        f"{retyped(word, f'{key}={quoted(value)}')}"
    )


def no_list(override: str) -> str:
    """What to say of key=value, as composed, whose setting is a list: perhaps its brackets were left out."""
    key = override.partition("=")[0]
    word = typed(key, override)
    value = word.partition("=")[2]
    return f"{word}: a list stands in brackets; type: {retyped(word, f'{key}=[{value}]')}"
