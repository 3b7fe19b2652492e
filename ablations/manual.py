"""What `ablations --help` and `ablations COMMAND --help` print."""

HELP = """\
Train very deep residual networks with other shortcuts and activation orders, and print the tables of
"Identity Mappings in Deep Residual Networks" (He et al. 2016), the paper's figures beside ours.

    ablations plan        say what a study or a sweep costs and what of it is done, before anything runs
    ablations bench       measure how fast configurations train on this machine
    ablations train       train one network, a sweep, or all rows of a study
    ablations status      say what of it is done, runs, waits or has failed, here or in a cluster's queue
    ablations table       print a study's table from the runs on disk
    ablations figure      draw a study's figures from the runs on disk
    ablations report      make one page of a folder of runs: answers, tables, figures, each run
    ablations data        bring a data set here, once: CIFAR-10, CIFAR-100, ImageNet
    ablations eval        test a finished run again
    ablations probe       see why: signal and gradient in every unit
    ablations lesion      see why: test without some units, or with units in another order
    ablations landscape   see why: the loss along training, and around a solution
    ablations export      write the weights of a run for other programs
    ablations dashboard   lay out a study's runs at Weights & Biases
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
    --detach                                                return at once; SLURM has the jobs, or a process of its own
                                                            goes on, after a logout too if the system lets it
    logger=wandb                                            show the evaluations there too: {loggers}
    logger.mode=offline logger.project=ablations            of wandb: online, offline or disabled; logger.entity=TEAM

`ablations train --cfg job [key=value ...]` prints every setting with its value.

Each run has a folder RUNS_DIR/STUDY/ROW/seed=K with record.json (the result), metrics.jsonl (one line an
evaluation), weights.safetensors and .hydra/ (the configuration).
"""

STATUS = """\
ablations status [study=NAME] [key=value ...]

Says how far runs are, those in a cluster's queue too: of each row how many are done, running, waiting, failed,
interrupted or missing, and the time left. Reads the runs' folders and asks squeue; changes nothing.

    ablations status                                              all that is in runs/
    ablations status study=table1                                 all of a study that was begun or submitted
    ablations status study=table1 data=cifar10 seeds=5            exactly what `ablations train` of these settings has

    study=table1       {studies};
                       or a file of yours
    runs_dir=runs      where the runs are
    format=terminal    terminal, markdown or json (each run, in plain numbers)
    out=FILE           write there, not to the screen

Running: a process holds the run, on whichever host, or SLURM has started its job. Waiting: submitted; with SLURM's
reason. Failed: the last try ended with an error, or the job left the queue without a record. Interrupted: stopped, and
a step is kept. Missing: not begun, and not submitted. The exit code is 0 where all is done, 3 where something is still
to come, 1 where something has failed, 2 on a mistake in the command.
"""

PLAN = """\
ablations plan [key=value ...]

Says what `ablations train` of the same settings would cost on this machine, and what of it is done. Trains nothing;
the data set need not be here.

    ablations plan study=table1 data=cifar10 recipe=paper
    ablations plan model=resnet164 seed=0,1,2 runs_at_a_time=2
    ablations plan study=table1 calibrate=false                   at once, without times
    ablations plan study=table5 devices=8                         of each of 8 devices, though one be here

A line for each row: parameters, multiply-adds (MACs) of one image, FLOP of a run, memory for the activations of a
training step, which rows share a compiled program, seconds of a run, and the state of each seed: done, running,
interrupted at a step that is kept, or missing. Below, the sums of what is to go.

    devices=8          for so many: where fewer are here, one is measured, with its part of a batch
    calibrate=true     run a few steps of each program, some seconds each, once: what they took is kept for the
                       next time, in ~/.cache/ablations/plan; false leaves times and memory out
    format=terminal    terminal, markdown or csv (one line a run, in plain numbers)
    out=FILE           write there, not to the screen

All other settings are those of `ablations train`.
"""

BENCH = """\
ablations bench [key=value ...]

Measures how fast configurations train on this machine: seconds to trace, to compile and to load from the
cache; of a step, its median and quartiles; images a second; memory; FLOP/s and bytes/s beside what a large matrix
product and a large copy reach here. The data set need not be here. Have the machine to yourself.

    ablations bench model=resnet20,resnet110 data=cifar10 recipe.batch_size=128
    ablations bench model=resnet110 packing=interleaved,vmap,processes runs_at_a_time=2,4
    ablations bench model=resnet110 unroll=false,true precision=f32,bf16 format=json out=bench.json

    pixels=32          the width of the images, where it is not the data set's
    format=terminal    terminal, markdown or json
    out=FILE           write there, not to the screen

All other settings are those of `ablations train`; several values of one are all measured.
"""

TABLE = """\
ablations table study=NAME [key=value ...]

Prints the table of a study from the runs on disk, the paper's figures beside ours.

    ablations table study=table1 data=digits
    ablations table study=table1 format=markdown out=table1.md

    study=table1       {studies};
                       or a file of yours
    runs_dir=runs      where the runs are
    format=terminal    terminal, markdown, csv, latex or html
    out=FILE           write there, not to the screen
    logger=wandb       send it to Weights & Biases too; logger.mode, .project and .entity as for ablations train

Beside the paper's figure of a row stand the median of ours, mean ± std, a 95 % interval, the number n of seeds, and
the difference from the baseline row over equal seeds; the notes below name the methods and what n seeds can resolve.
Any other setting, as data=digits, recipe=paper or recipe.total_steps=880, selects the runs that have it.
"""

FIGURE = """\
ablations figure study=NAME [key=value ...]

Draws the figures of a study from the runs on disk, in the paper's style: a dashed line is the training loss on a log
axis, a solid line the test error, a band what the seeds span. Rows that are not run are named.

    ablations figure study=table1 data=digits
    ablations figure study=table1 figure=figure3 out=figure3.pdf

    study=table1       {studies};
                       or a file of yours
    figure=figure3     only this one:
                       {figures}
    runs_dir=runs      where the runs are
    format=svg         svg, pdf or png
    out=FOLDER         write STUDY-FIGURE.svg there, not here; or a file, as out=figure3.pdf

Any other setting, as data=digits, recipe=paper or recipe.total_steps=880, selects the runs that have it.
"""

REPORT = """\
ablations report [key=value ...]

Makes one HTML page of a folder of runs, that needs no network and no other file: of each study the answer in words, the
table, which can be sorted, the figures, what was not run and how to run it, and each run's curve, configuration and
origin.

    ablations report
    ablations report runs_dir=results/digits out=digits.html

    runs_dir=runs      where the runs are
    out=report.html    write there
    study=table1       only this one:
                       {studies};
                       or a file of yours

Any other setting, as data=digits, recipe=paper or recipe.total_steps=880, selects the runs that have it.
"""

EXPORT = """\
ablations export run=RUNS_DIR/STUDY/ROW/seed=K out=weights.safetensors

Writes the weights of a finished run for other programs: one tensor a layer of one unit, with PyTorch's
names and layouts (`stages.1.units.4.convolutions.0.weight`, (out, in, k, k)). The file's metadata hold, as JSON
in the entry `ablations`, all settings and the epsilon of BN; `normalization.mean` and `.divisor` make the input:
(pixels / 255 - mean) / divisor. The head of ablations/weights.py lists all names.
"""


DATA = """\
ablations data prepare data=NAME [key=value ...]

Brings a data set to where training reads it, once; what is prepared already is left as it is.

    ablations data prepare data=cifar10                                  with a network: downloads 170 MB
    ablations data prepare data=cifar10 data.archive_dir=~/downloads     without one

    data=cifar10               {datasets}; or several: data=cifar10,cifar100
    data.archive_dir=FOLDER    take the official archive from here: cifar-10-binary.tar.gz, or the unpacked
                               cifar-10-batches-bin or cifar-10-batches-py (cifar-100-binary.tar.gz,
                               cifar-100-binary, cifar-100-python)
    data.data_dir=FOLDER       keep the data set here, not in $TFDS_DATA_DIR or else ~/tensorflow_datasets; say
                               the same to `ablations train`
    data.verify=false          take files that are not, to the byte, the published ones; their structure is
                               checked all the same

ImageNet comes from its two archives, which only you can fetch:

    ablations data prepare data=imagenet data.archive_dir=FOLDER         with ILSVRC2012_img_train.tar and _val.tar
    ablations data prepare data=image_folder data.root=FOLDER            reads each image once, and names broken ones

CIFAR is kept as TensorFlow Datasets keeps it (330 MB with a decoded copy, which starts a run in a second);
`tfds.data_source("cifar10")` of any other program reads it too. TensorFlow is not needed. A preparation that
is broken off leaves nothing behind, and a second one at the same time waits for the first.

`ablations train data=cifar10 data.archive_dir=FOLDER` prepares by itself. There, further settings choose what
is trained on; they are for every data set:

    data.train_images=5000     only so many images, always the same, with the same share of each class
    data.split=train_val       for choosing: a tenth of the training set (5,000 images of CIFAR's 50,000) takes the
                               place of the test set; the default, train_test, is for results

Of imagenet and image_folder, whose images stay in files (pip install 'ablations[imagenet]'):

    data.root=FOLDER           of image_folder: has train/ and val/, each with one folder of images a class
    data.crop=224              pixels of the square that is trained on
    data.test_crops=[320,224]  tested: the first at each evaluation, and in tables; the others at the end
    data.scale=shorter_side    or area_aspect, or none
    data.colour=lighting       or jitter, or none
    data.broken=refuse         end at an image that cannot be decoded; skip: name it and take the next
    data.workers=4             processes that decode; by default one a core
"""


EVAL = """\
ablations eval run=RUNS_DIR/STUDY/ROW/seed=K [data=NAME] [data.KEY=...]

Tests the weights of a finished run, on the test set of its data set or on another one of the same kind.

    ablations eval run=runs/table1/identity/seed=0
    ablations eval run=runs/table1/identity/seed=0 data.split=train_val
"""


DASHBOARD = """\
ablations dashboard study=NAME [key=value ...]

Saves a workspace for a study at Weights & Biases, of the runs that logger=wandb sent there: test error and losses
against steps, a line a row, the mean over seeds within its spread. Without a login it writes the specification of the
workspace, as JSON.

    ablations dashboard study=table1

    study=table1                  {studies};
                                  or a file of yours
    logger.project=ablations      as for ablations train
    logger.entity=NAME            the user or team; by default that of the login
    logger.mode=offline           write the specification, with a login too
    out=dashboard-table1.json     where

Needs wandb-workspaces: pip install 'ablations[dashboard]'.
"""

PROBE = """\
ablations probe run=RUNS_DIR/STUDY/ROW/seed=K [key=value ...]
ablations probe study=NAME [key=value ...]
ablations probe model=... shortcut=... [key=value ...]

Measures signal and gradient in every unit, over real images: of a finished run, of the newest checkpoint of one on
its way, of the rows of a study, or of a network before training.

    ablations probe run=runs/table1/identity/seed=0
    ablations probe study=table1 data=digits format=svg
    ablations probe model=resnet110 shortcut=exclusive_gating shortcut.bias=-6

    images=64          of the training set
    at=start           of a run or a study: the networks before training, not after it
{shared}

Per unit: the norm of dE/dx_l, and of the parts of it that come through shortcuts alone and through weights (Eqn. 5);
what is left of a gradient on its way through the shortcuts, against the product of Eqn. 8; the standard deviations
of x_l and F(x_l); the share of y_l that f = ReLU cuts off; 1 - g(x_l) of a gate; BN's scale. With
`ablations train recipe.probe_every=44` the same is written along training: probes.jsonl, one line a probe.
"""

LESION = """\
ablations lesion run=RUNS_DIR/STUDY/ROW/seed=K [key=value ...]
ablations lesion study=NAME [key=value ...]

Tests a finished run without each single unit, without k random ones, and with k random pairs of units swapped; and
finds how much gradient comes along paths of each length (after Veit et al. 2016). Nothing is trained.

    ablations lesion run=runs/table1/identity/seed=0 format=svg
    ablations lesion run=runs/table1/identity/seed=0 unit=19,20       without exactly these two
    ablations lesion study=table2 data=digits

    k=20               at most so many units or pairs at once
    draws=20           of each number of units or pairs
    paths=256          of each length; one an image of the training set
{shared}

A unit that is deleted is not there: x passes as it is. "Without F" leaves its shortcut and f in place. A unit that
changes the shape of x can only lose its F, and takes no part in what is random.
"""

LANDSCAPE = """\
ablations landscape run=RUNS_DIR/STUDY/ROW/seed=K [key=value ...]
ablations landscape study=NAME [key=value ...]

The training loss around the weights of a finished run, along random filter-normalised directions (Li et al. 2018) and
in the plane of the first two; and training loss against test error along training, with the generalisation gap.

    ablations landscape run=runs/table1/identity/seed=0 format=svg
    ablations landscape study=table1 data=digits

    images=512         of the training set
    directions=5       lines through the solution
    points=21          on a line; on a side of the plane
{shared}
"""

SHARED = """\
    force=true         measure again what is measured
    out=FOLDER         write there, not beside the run
    format=svg         draw a figure, too: svg, pdf or png
    runs_dir=runs      of a study: where the runs are
    seed=0             of a study: which seed

What is measured is written as {command}.json beside the run. Any other setting of a study, as data=digits or
model=resnet110, selects the runs that have it."""

OF = {
    "plan": PLAN,
    "bench": BENCH,
    "train": TRAIN,
    "status": STATUS,
    "table": TABLE,
    "figure": FIGURE,
    "report": REPORT,
    "data": DATA,
    "eval": EVAL,
    "export": EXPORT,
    "dashboard": DASHBOARD,
    "probe": PROBE,
    "lesion": LESION,
    "landscape": LANDSCAPE,
}
