"""`ablations train`: train one network, a sweep, or all rows of a study."""

from ablations.errors import UserError

HELP = """\
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
    study=table1            the rows of a study, or of a file of yours; there are
                            {studies}
    row=identity            only this row of the study, or one of yours: row=mine shortcut=...
    runs_dir=runs           where the runs are kept
    force=true              run anew what is done
    precision=f32           of activations: f32 or bf16
    threads=1               of a run on a CPU
    unroll=false            write the loop over units out: compiles longer, changes no number but the last bits

    shortcut.shortcut_scale=0.5 shortcut.residual_scale=1   constant scaling
    shortcut.bias=-6                                        initial bias of the gates
    shortcut.rate=0.5                                       dropout
    data.train_images=5000 data.split=train_val             fewer images; for choosing: see ablations data --help
    model.depth=56                                          6n + 2, or 9n + 2 with bottleneck units
    recipe.total_steps=880 recipe.batch_size=64 recipe.learning_rate=0.02
    packing=auto            how runs share a device: single, processes, interleaved, vmap, or what is fastest here
    runs_at_a_time=4        how many do; on a CPU one a core
    devices=8               over how many of this machine's a run is spread; all, if nothing is said
    recipe.bn_group=64      images that share BN statistics: a number, device (a device's part of a batch), null (all)
    distributed=slurm       one of several processes: slurm, auto (as JAX finds them), manual with
                            distributed.coordinator=HOST:PORT distributed.processes=2 distributed.process=0
    distributed.lost_seconds=30 distributed.start_seconds=300    after which a silent process is lost; to come together
    remat=false             keep less for the backward pass: ResNet-1001 in a tenth of the memory, a third more work
    hydra/launcher=slurm                                    as jobs of a cluster: slurm, slurm_multinode, ray
    hydra.launcher.partition=gpu hydra.launcher.timeout_min=60 hydra.launcher.gpus_per_node=1    of slurm
    --import mine.py                                        run a file of your own first: its shortcuts and orders are
                                                            choices (docs/shortcuts.md); every command takes it
    --config-dir DIR                                        DIR/recipe/mine.yaml is recipe=mine; every command, too
    --detach                                                return at once; SLURM has the jobs, or a process of its own
                                                            goes on, after a logout too if the system lets it
    logger=wandb                                            show the evaluations there too: {loggers}
    logger.mode=offline logger.project=ablations            of wandb: online, offline or disabled; logger.entity=TEAM

`ablations train --cfg job [key=value ...]` prints every setting with its value.

Each run has a folder RUNS_DIR/STUDY/ROW/seed=K with record.json (the result), metrics.jsonl (one line an
evaluation), weights.safetensors and .hydra/ (the configuration).
"""


def command(arguments: list[str]) -> int:
    from ablations.config import compose, jobs
    from ablations.launch import detached, run

    arguments = [a for a in arguments if a not in ("-m", "--multirun")]
    with compose.hydra() as context:
        if arguments[:1] == ["--cfg"]:
            from omegaconf import OmegaConf

            compose.check_launcher(arguments)
            composed = compose.compose(context, arguments[2:])
            if arguments[1:2] == ["hydra"]:
                print(OmegaConf.to_yaml({"hydra": {"launcher": composed.hydra.launcher}}), end="")
                return 0
            print(
                OmegaConf.to_yaml(OmegaConf.masked_copy(composed, [str(k) for k in composed if k != "hydra"])), end=""
            )
            return 0
        detach = detached.OPTION in arguments
        arguments = [a for a in arguments if a != detached.OPTION]
        if flags := [a for a in arguments if a.startswith("-")]:
            raise UserError(f"{flags[0]}: unknown option; see ablations train --help")
        return run.run(context, jobs.plan(context, arguments), arguments, detach=detach)
