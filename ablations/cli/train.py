"""`ablations train`: train one network, a sweep, or all rows of a study."""

from ablations.errors import UserError

OWN = {}

HELP = """\
ablations train [key=value ...]

Trains what the settings say. A run that is already done is not trained again.

    ablations train                                  one run, with the defaults
    ablations train model=resnet20 shortcut=dropout
    ablations train shortcut=identity,dropout seed=0,1,2      six runs
    ablations train study=table1 seeds=3             all rows of Table 1
    ablations train --cfg job model=resnet20         print all settings instead

The six settings that most people need. These are the defaults, which
`ablations train` alone takes: one run of ResNet-110 with identity shortcuts on
the digits that come with scikit-learn, in a minute or two on one core.

    model=resnet110      the network: {resnets} or another of {networks}
    shortcut=identity    what passes x on: {shortcuts}
    data=digits          {datasets}
    recipe=digits        how it is trained, recipe=paper as in the paper:
                         {recipes}
    seed=0               decides weights, the order of images, augmentation and
                         dropout; several with seed=0,1,2 or seeds=3

And in place of a single run:

    study=table1         all rows of a study: a file of your own, or {studies}

In a shell, put a setting with brackets or spaces into quotes, and a value with
spaces, commas or = into quotes of its own: 'recipe.drop_fractions=[0.5,0.75]',
'data.root="my pictures"'.

Each run has a folder runs/STUDY/ROW/seed=K with record.json (the result),
metrics.jsonl (one line for each evaluation), weights.safetensors and .hydra/
(the configuration); runs_dir=... names another place than runs.
"""

MORE = """\
All choices, networks by their depth:

{groups}

What to train:

    row=identity                only this row of the study; or your own:
                                row=mine shortcut=...
    shortcut.bias=-6            the initial bias of the gates
    shortcut.rate=0.5           the dropout rate
    shortcut.shortcut_scale=0.5 shortcut.residual_scale=1
                                the factors of constant scaling
    activation=original         the order of BN, ReLU and convolutions
    model.depth=56              6n + 2 layers, or 9n + 2 with bottleneck units
    data.train_images=5000      fewer images
    data.split=train_val        for choosing settings: test on a part of the
                                training set; see ablations data --help all
    recipe.total_steps=880 recipe.batch_size=64 recipe.learning_rate=0.02
    recipe.bn_group=64          images that share BN statistics: a number, half
                                (of a batch), device (a device's part of a
                                batch) or null (the whole batch)
    precision=f32               the type of activations: f32 or bf16
    matmul_precision=default    of products of f32 numbers on a GPU or TPU:
                                default (TF32; one pass of bf16), high (TF32;
                                three passes) or highest (f32); a CPU has f32
    objective=[error,seconds]   what a search makes small: error, seconds,
                                parameters, macs, or several

Where and how to run:

    runs_dir=runs               where the runs are kept
    force=true                  train again what is already done; the old result
                                stays until the new run is finished
    threads=1                   threads of a run on a CPU
    packing=auto                how runs share a device: single, processes,
                                interleaved, vmap, or auto for the fastest here
    runs_at_a_time=4            how many share a device; by default, on a CPU,
                                one for each core
    devices=8                   devices of this machine for one run; by default
                                all that make it faster, or one if there are
                                several runs
    unroll=auto                 whether the loop over units is written out:
                                true, false, or auto for short stacks on a GPU;
                                compiles longer, changes only the last bits
    deterministic=true          the same bits after a restart on a GPU, too, in
                                slower steps
    remat=true                  keep less for the backward pass: ResNet-1001
                                trains in a tenth of the memory, with a third
                                more work
    logger=wandb                show the evaluations there, too: {loggers}
    logger.mode=offline logger.project=ablations logger.entity=TEAM
                                for wandb; the mode is online, offline or
                                disabled
    --detach                    return at once; the runs go on in SLURM's queue
                                or in a process of their own, even after a
                                logout if the system allows it

On a cluster:

    hydra/launcher=slurm        run as jobs of a cluster: slurm, slurm_multinode
                                or ray
    hydra.launcher.partition=gpu hydra.launcher.timeout_min=60
    hydra.launcher.gpus_per_node=1
                                what SLURM gives each job
    distributed=slurm           make this command one process of a run of
                                several: slurm, auto (JAX finds the others), or
                                manual with distributed.coordinator=HOST:PORT
                                distributed.processes=2 distributed.process=0
    distributed.start_seconds=300
                                how long processes wait until all have started
    distributed.lost_seconds=30 a process that is silent for longer is lost

Your own files, in every command (see docs/shortcuts.md):

    --import mine.py            run this file first; its shortcuts, orders and
                                families become choices
    --config-dir DIR            find configuration files here:
                                DIR/recipe/mine.yaml is recipe=mine
    --config-name mine          begin from DIR/mine.yaml, whose defaults are
                                [config, _self_]

A search among values, with the extra [optuna]:

    ablations train -m hydra/sweeper=optuna data.split=train_val \\
        'recipe.learning_rate=interval(0.01,0.2)'

Hydra's flags print in place of training: --cfg job, hydra or all, with
--resolve and --package; --info defaults, config, plugins or searchpath;
--hydra-help. A text with , = [ ] {{ }} ( ) or letters beyond ASCII needs two
pairs of quotes, one for the shell: 'data.root="a, b"'.
"""


def command(arguments: list[str]) -> int:
    from ablations.config import compose
    from ablations.launch import choice, detached, search

    with compose.hydra() as context:
        detach = detached.OPTION in arguments
        arguments = [word for word in arguments if word != detached.OPTION]
        if flags := [word for word in arguments if word.startswith("-")]:
            raise UserError(f"{flags[0]}: unknown option; see ablations train --help")
        if search.is_search(context, arguments):
            if detach:
                raise UserError(f"{detached.OPTION}: a search waits for its runs; leave it out")
            return search.train(context, arguments)
        return choice.train(context, arguments, detach=detach)
