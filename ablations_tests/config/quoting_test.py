"""Words of a command that need no configuration: quotes, empty values, words that a space parted."""

import pytest

from ablations.config.quoting import quoted, unquoted
from ablations_tests.conftest import here


@pytest.mark.parametrize(
    "text", ["a", "a b", "a=b,c", "it's", 'a "b"', "both ' and \"", "end\\", "é", "$x", "[1]", "x\\y"]
)
def test_a_quoted_text_is_the_text(text):
    assert unquoted(quoted(text)) == text


@pytest.mark.parametrize(
    "value,text", [("a=b", "a=b"), ("[1", "[1"), (r"a\,b", "a,b"), ('"a","b"', '"a","b"'), ("'a", "'a")]
)
def test_what_is_not_quoted_stays(value, text):
    assert unquoted(value) == text


COMMANDS = [
    "table study=table1",
    "critical study=depth",
    "figure study=table1",
    "report",
    "status",
    "probe study=table1",
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("word,message", [('runs_dir="a, b=c"', "a, b=c"), ("runs_dir=", "runs_dir= has no value")])
def test_every_command_reads_the_same_quotes(command, word, message, tmp_path):
    done = here(*command.split(), word, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and '"' not in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["eval", "export out=w", "lesion"])
def test_a_run_s_folder_is_read_without_its_quotes(command, tmp_path):
    done = here(*command.split(), "run='a b'", cwd=tmp_path)
    assert done.returncode == 2 and "run=a b: there is no" in done.stderr


@pytest.mark.parametrize(
    "words,message",
    [
        (["table", "study=my", "study.yaml"], """type: ablations table 'study="my study.yaml"'"""),
        (["plan", "seed", "=", "3"], "type seed=3"),
        (["plan", "seed", "=3"], "type seed=3"),
    ],
)
def test_a_space_too_many_is_named(words, message, tmp_path):
    assert message in here(*words, cwd=tmp_path).stderr
