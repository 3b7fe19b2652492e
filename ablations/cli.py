"""The command line: `ablations SUBCOMMAND`, then Hydra's syntax."""

import sys

from ablations.errors import UserError

HELP = """\
Train very deep residual networks with other shortcuts and activation orders, and print the tables of
"Identity Mappings in Deep Residual Networks" (He et al. 2016), the paper's figures beside ours.

    ablations train       train one network, a sweep, or all rows of a study
    ablations table       print a study's table from the runs on disk
    ablations export      write the weights of a run for other programs
    ablations completion  print the code that completes commands in bash

After the subcommand everything is Hydra's syntax: key=value. `ablations train --help` lists the keys.

In five minutes on two cores:

    ablations train study=demo
    ablations table study=demo
"""

TRAIN = """\
ablations train [key=value ...]

Trains what the settings say; what is done already is not done again.

    ablations train shortcut=exclusive_gating shortcut.bias=-6 seed=0     one run
    ablations train -m shortcut=identity,dropout seed=0,1,2               all six combinations
    ablations train study=table1 data=digits recipe=digits seeds=3        all rows of Table 1

Groups, and what there is to choose:

{groups}

Settings:

    seed=0                  of the weights, the order of the images, the augmentation, dropout
    seeds=3                 seeds 0, 1 and 2
    study=table1            rows of a study: {studies}; or a file of yours
    row=identity            only this row of the study, or one of yours: row=mine shortcut=...
    runs_dir=runs           where the runs are kept
    force=true              run anew what is done
    precision=f32           of activations: f32 or bf16
    threads=1               of a run on a CPU
    unroll=false            write the loop over units out: compiles longer, changes no number but the last bits

    shortcut.shortcut_scale=0.5 shortcut.residual_scale=1   constant scaling
    shortcut.bias=-6                                        initial bias of the gates
    shortcut.rate=0.5                                       dropout
    model.depth=56                                          6n + 2, or 9n + 2 with bottleneck units
    recipe.total_steps=880 recipe.batch_size=64 recipe.learning_rate=0.02
    hydra.launcher.n_jobs=1                                 runs at a time

`ablations train --cfg job [key=value ...]` prints every setting with its value.

Each run has a folder RUNS_DIR/STUDY/ROW/seed=K with record.json (the result), metrics.jsonl (one line an
evaluation), weights.safetensors and .hydra/ (the configuration).
"""

TABLE = """\
ablations table study=NAME [key=value ...]

Prints the table of a study from the runs on disk, the paper's figures beside ours.

    ablations table study=table1 data=digits
    ablations table study=table1 format=markdown out=table1.md

    study=table1       {studies}; or a file of yours
    runs_dir=runs      where the runs are
    format=terminal    terminal, markdown or csv
    out=FILE           write there, not to the screen

Any other setting, as data=digits, recipe=paper or recipe.total_steps=880, selects the runs that have it.
"""

EXPORT = """\
ablations export run=RUNS_DIR/STUDY/ROW/seed=K out=weights.safetensors

Writes the weights of a finished run for other programs: one tensor a layer of one unit, with PyTorch's
names and layouts (`stages.1.units.4.convolutions.0.weight`, (out, in, k, k)); the configuration is in the
file's metadata.
"""


def main() -> None:
    """The console script: exit code 0, 2 on a user's mistake, 130 on Ctrl-C."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return
    if arguments[0] == "--version":
        from ablations import __version__

        print(f"ablations {__version__}")
        return
    try:
        code = dispatch(arguments[0], arguments[1:])
    except UserError as error:
        print(f"ablations: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("ablations: interrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        sys.stderr.close()  # `ablations table | head`: nobody reads on
        code = 0
    sys.exit(code)


def dispatch(command: str, arguments: list[str]) -> int:
    """Run a subcommand and return its exit code."""
    commands = {"train": train, "table": table, "export": export, "completion": completion, "-sc": complete}
    if command not in commands:
        legal = ", ".join(name for name in commands if name[0] != "-")
        raise UserError(f"{command}: unknown subcommand; legal are {legal}")
    helps = {"train": TRAIN, "table": TABLE, "export": EXPORT}
    if command in helps and {"-h", "--help"} & set(arguments):
        from ablations import study

        print(helps[command].format(groups=_groups(), studies=", ".join(study.names())), end="")
        return 0
    return commands[command](arguments) or 0


def _groups() -> str:
    import textwrap
    from importlib import resources

    lines = []
    for group in ("shortcut", "activation", "model", "data", "recipe"):
        files = (resources.files("ablations.conf") / group).iterdir()
        choices = sorted(path.name.removesuffix(".yaml") for path in files)
        if group == "model":
            choices.sort(key=lambda name: (int("".join(c for c in name if c.isdigit())[:4] or 0), name))
        text = textwrap.fill(", ".join(choices), 100, initial_indent=f"    {group:12}", subsequent_indent=" " * 16)
        lines.append(text)
    return "\n".join(lines)


def train(arguments: list[str]) -> int:
    from ablations import sweep

    arguments = [a for a in arguments if a not in ("-m", "--multirun")]
    with sweep.hydra() as context:
        if arguments[:1] == ["--cfg"]:
            from omegaconf import OmegaConf

            composed = sweep.compose(context, arguments[2:])
            print(OmegaConf.to_yaml(OmegaConf.masked_copy(composed, [k for k in composed if k != "hydra"])), end="")
            return 0
        if flags := [a for a in arguments if a.startswith("-")]:
            raise UserError(f"{flags[0]}: unknown option; see ablations train --help")
        return sweep.run(context, sweep.plan(context, arguments), arguments)


def table(arguments: list[str]) -> int:
    from ablations import table

    return table.command(arguments)


def export(arguments: list[str]) -> int:
    from ablations import export

    return export.command(arguments)


def completion(_arguments: list[str]) -> None:
    """Print the code for bash: eval "$(ablations completion)"."""
    print(BASH)


def complete(_arguments: list[str]) -> None:
    """Answer bash: the line so far is in COMP_LINE."""
    import os

    words = os.environ.get("COMP_LINE", "").split(" ")
    if len(words) <= 2:
        print("train table export completion")
        return
    if words[1] != "train":
        return
    from hydra.core.plugins import Plugins
    from hydra.plugins.completion_plugin import CompletionPlugin

    from ablations import sweep

    with sweep.hydra() as context:
        for plugin in Plugins.instance().discover(CompletionPlugin):
            if plugin.provides() == "bash":
                found = plugin(context.config_loader())._query("config", " ".join(words[2:]))
                print(" ".join(choice for choice in found if not choice.startswith(("schema", "/schema"))))


BASH = """\
_ablations() {
    local IFS=$' \\n'
    COMPREPLY=($(compgen -o nospace -W "$(COMP_LINE="${COMP_LINE:0:$COMP_POINT}" ablations -sc query=bash)" \\
        -- "${COMP_WORDS[COMP_CWORD]}"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o default -F _ablations ablations\
"""
