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


def retyped(word: str, *instead: str) -> str:
    """The user's command with another word in place of one, ready to paste; from Python the other word alone."""
    typed = sys.argv[1:]
    if word not in typed:
        return " ".join(map(shlex.quote, instead))
    return shlex.join(["ablations", *(new for old in typed for new in (instead if old == word else [old]))])


def no_setting(word: str, command: str) -> UserError:
    """What to say of a word that is no key=value: perhaps a space parts it from the value to which it belongs."""
    message = f"{word}: settings are key=value; see ablations {command} --help"
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
    return UserError(f"{key}= has no value; is a variable of the shell not set? For the default leave {key}= out")


def unreadable(word: str, reason: str) -> UserError:
    """What to say of key=value that Hydra cannot read, for this reason."""
    key, _, value = word.partition("=")
    found = ", ".join(dict.fromkeys(SYNTAX.findall(value)))
    if not found or not re.fullmatch(r"[\w.@/+~$-]+", key):
        return UserError(f"{word}: not written as Hydra reads it: {reason}")
    return UserError(
        f"{word}: Hydra reads {found} as syntax ({reason}). If the value is one text, it needs quotes that the shell "
        f"leaves alone: {retyped(word, f'{key}={quoted(value)}')}"
    )
