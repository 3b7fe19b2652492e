"""`ablations data prepare`: put a data set where training reads it."""

from ablations.data.config import DATASETS, DataConfig
from ablations.errors import UserError

OWN = {}

HELP = """\
ablations data prepare data=NAME [key=value ...]

Prepares a data set for training, once; a data set that is already prepared is
left as it is.

    ablations data prepare data=cifar10               downloads 170 MB
    ablations data prepare data=cifar10 data.archive_dir=~/downloads
    ablations data prepare data=imagenet data.archive_dir=FOLDER
    ablations data prepare data=image_folder data.root=FOLDER

    data=cifar10              {datasets}; or several: data=cifar10,cifar100
    data.archive_dir=FOLDER   take the official archive from this folder:
                              cifar-10-binary.tar.gz, or the unpacked
                              cifar-10-batches-bin or cifar-10-batches-py (and
                              cifar-100-binary.tar.gz, cifar-100-binary,
                              cifar-100-python)
    data.data_dir=FOLDER      keep the data set here; by default in
                              $TFDS_DATA_DIR, or else in ~/tensorflow_datasets.
                              `ablations train` needs the same setting
    data.verify=false         accept files that differ from the published ones;
                              their structure is checked all the same

Only you can fetch the archives of ImageNet, ILSVRC2012_img_train.tar and
ILSVRC2012_img_val.tar.

CIFAR is kept as TensorFlow Datasets keeps it, so `tfds.data_source("cifar10")`
reads it, too. It takes 330 MB with a decoded copy, from which a run starts in a
second. TensorFlow is not needed. A preparation that is interrupted leaves
nothing behind, and a second one waits for the first.
"""

MORE = """\
`ablations train data=cifar10 data.archive_dir=FOLDER` also prepares the data
set. There you can choose what to train on, for every data set:

    data.train_images=5000   only this many images: always the same, in the same
                             shares of classes
    data.split=train_val     for choosing settings: test on a tenth of the
                             training set (5,000 of CIFAR's 50,000 images); the
                             default, train_test, is for results

For imagenet and image_folder, whose images stay in files (pip install
'ablations[imagenet]'):

    data.root=FOLDER            image_folder: has train/ and val/, each with a
                                folder for each class
    data.crop=224               pixels of the square on which to train
    data.test_crops=[320,224]   pixels of test images: the first is used at each
                                evaluation and in tables, the others at the end
    data.scale=shorter_side     or area_aspect, or none
    data.colour=lighting        or jitter, or none
    data.broken=refuse          stop at an image that cannot be decoded; skip:
                                name it and go on
    data.workers=4              processes that decode images; by default one for
                                each core
"""


def command(arguments: list[str]) -> None:
    if arguments[:1] != ["prepare"]:
        raise UserError("data: say what to do, such as ablations data prepare data=cifar10; see ablations data --help")
    if wrong := [a for a in arguments[1:] if not a.startswith(("data=", "data."))]:
        raise UserError(f"{wrong[0]}: settings are data=... and data.KEY=...; see ablations data --help")
    if not any(a.startswith("data=") for a in arguments):
        raise UserError("data prepare: name a data set, such as data=cifar10; see ablations data --help")
    from ablations.config import compose
    from ablations.config import jobs as sweep
    from ablations.data import catalogue

    with compose.hydra() as context:
        jobs = sweep.plan(context, [*_network(arguments[1:]), *arguments[1:]])
    for config in {repr(job.config.data): job.config.data for job in jobs}.values():
        folder = catalogue.prepare(config, download=True)
        print(f"{config.name} is in {folder}" if folder else f"{config.name} comes with a package: nothing to prepare")
        _check(config)


def _check(config: DataConfig) -> None:
    """Print each image that is broken, with the reason, and how many there are. Raises UserError if there are any."""
    from ablations.data import catalogue

    for files in catalogue.left_out(config):
        print(f"left out of {files}")
    read, broken = 0, 0
    for fault in catalogue.check(config):
        read += 1
        if fault:
            broken += 1
            print(fault, flush=True)
    if broken:
        instead = ", or train without them: data.broken=skip" if DATASETS[config.name].streamed else ""
        raise UserError(
            f"{config.name}: {broken:,} of {read:,} images cannot be used; repair or remove the files above{instead}"
        )
    if read:
        print(f"all {read:,} images can be read")


def _network(settings: list[str]) -> list[str]:
    """For a data set with masks, a network that takes nearly all of them, if none is chosen; the usual one takes none."""
    names = [name for word in settings if word.startswith("data=") for name in word.removeprefix("data=").split(",")]
    masks = [name for name in names if name in DATASETS and DATASETS[name].task == "segmentation"]
    chosen = any(word.startswith("model=") for word in settings)
    return ["model=unet", "model.widths=[1,1]"] if masks and not chosen else []
