"""`ablations data prepare`: bring a data set to where training reads it."""

from ablations.errors import UserError

HELP = """\
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


def command(arguments: list[str]) -> None:
    if arguments[:1] != ["prepare"]:
        raise UserError("data: say what to do: ablations data prepare data=cifar10; see ablations data --help")
    if wrong := [a for a in arguments[1:] if not a.startswith(("data=", "data."))]:
        raise UserError(f"{wrong[0]}: settings are data=... and data.KEY=...; see ablations data --help")
    if not any(a.startswith("data=") for a in arguments):
        raise UserError("data prepare: say which data set: data=cifar10; see ablations data --help")
    from ablations.config import compose
    from ablations.config import jobs as sweep
    from ablations.data import catalogue

    with compose.hydra() as context:
        jobs = sweep.plan(context, arguments[1:])
    for config in {repr(job.config.data): job.config.data for job in jobs}.values():
        place = catalogue.prepare(config, download=True)
        print(f"{config.name}: is in {place}" if place else f"{config.name}: comes with a package: nothing to prepare")
        if broken := catalogue.check(config):
            raise UserError(f"{len(broken):,} images are broken; mend or remove them: {', '.join(broken)}")
