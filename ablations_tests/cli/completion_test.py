"""Completion, as bash, zsh and fish ask for it."""

import os
import pty
import select
import shutil
import subprocess
import time

import pytest

from ablations_tests.conftest import COMMAND, here


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Our command, found by its name."""
    (tmp_path / "ablations").write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    (tmp_path / "ablations").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(
    "line,choices",
    [
        ("train --cfg ", {"job", "hydra", "all"}),
        ("train --info ", {"defaults", "plugins", "searchpath"}),
        ("train --", {"--cfg", "--info", "--config-dir", "--config-name", "--detach", "--resolve"}),
        ("plan cal", {"calibrate="}),
        ("bench --cfg job model=resnet11", {"model=resnet110"}),
        ("completion ", {"bash", "zsh", "fish"}),
        ("table stu", set()),
        ("table study=ta", {"study=table1", "study=demo"}),
        ("train study=", {"study=table1", "study=demo"}),
        ("train packing=", {"packing=vmap", "packing=auto"}),
        ("plan precision=", {"precision=f32", "precision=bf16"}),
        ("table format=", {"format=latex", "format=csv"}),
        ("probe format=", {"format=svg", "format=png"}),
        ("plan format=", {"format=markdown"}),
        ("inspect platform=cuda target=", {"target=h100", "target=l4"}),
        ("train study=table1 row=", {"row=identity", "row=plain"}),
        ("table study=table1 row=plain,id", {"row=plain,identity"}),
        ("table study=nowhere.yaml row=", set()),
        ("train --config-dir conf recipe=mi", {"recipe=mine"}),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_what_may_follow(line, choices, shell, tmp_path, monkeypatch, forgotten):
    (tmp_path / "conf" / "recipe").mkdir(parents=True)
    (tmp_path / "conf" / "recipe" / "mine.yaml").write_text("defaults: [digits, _self_]\n")
    monkeypatch.setenv("COMP_LINE", f"ablations {line}")
    done = here("-sc", f"query={shell}", cwd=tmp_path)
    found = done.stdout.split() if shell == "bash" else done.stdout.splitlines()
    assert choices <= set(found) and not done.stderr, found
    assert "study=single" not in found, "no study, which train refuses"
    assert not {"--config-path", "--experimental-rerun"} & set(found), "what is refused is not offered"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_hydra_s_flag_prints_the_same_code_and_takes_it_back(shell, tmp_path):
    code = here("completion", shell, cwd=tmp_path).stdout
    assert code == here("train", "--shell-completion", f"install={shell}", cwd=tmp_path).stdout
    assert "ablations" in code != here("-sc", f"uninstall={shell}", cwd=tmp_path).stdout != ""


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
def test_completion_in_a_real_fish(path):
    script = 'ablations completion fish | source; complete -C "ablations train shortcut=ex"'
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["shortcut=exclusive_gating"], done.stderr


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
def test_completion_in_a_real_zsh(path):
    """Completion needs a terminal, so zsh gets one."""
    terminal, inside = pty.openpty()
    environment = os.environ | {"TERM": "dumb", "ZDOTDIR": str(path)}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), inside)
    process = subprocess.Popen(["zsh", "-f", "-i"], start_new_session=True, env=environment, **pipes)
    os.close(inside)
    try:
        _answer(terminal, b'eval "$(ablations completion zsh)"; echo RE""ADY\n', b"READY")
        _answer(terminal, b"ablations train shortcut=exclus\t", b"shortcut=exclusive_gating")
    finally:
        os.close(terminal)
        process.kill()
        process.wait()


def _answer(terminal: int, typed: bytes, expected: bytes) -> None:
    """Type into a terminal, and wait until it shows this."""
    os.write(terminal, typed)
    shown, end = b"", time.monotonic() + 60
    while expected not in shown:
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65536)
