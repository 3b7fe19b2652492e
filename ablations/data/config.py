"""Which data sets there are, and how to choose one; the schema of `conf/data/`. Imports no NumPy."""

from dataclasses import dataclass, field

from ablations.setting import incidental


@dataclass(frozen=True)
class Kind:
    """What is known of a data set without reading it.

    image: (H, W, C) of what the network sees; train, test: the numbers of images.
    module: imported when it is used. It has load(config) -> Dataset and, if the data set must be prepared first,
        prepare(config, download=...) -> folder; if the numbers depend on the user's folder, kind(config) -> Kind;
        if images may be broken, check(config) -> what is wrong with each, "" for nothing; if files may be left
        out, left_out(config) -> which.
    streamed: images stay in files and are decoded as they are needed.
    task: what a network learns from it: "classification", a class for each image, or "segmentation", one for each pixel.
    of_files: which of the settings `OF_FILES` it has.
    """

    image: tuple[int, int, int]
    classes: int
    train: int
    test: int
    module: str
    streamed: bool = False
    task: str = "classification"
    of_files: tuple[str, ...] = ()


# Settings that only data sets of image files have.
OF_FILES = ("crop", "scale", "colour", "test_crops", "root")

DATASETS = {
    "digits": Kind((8, 8, 1), 10, 1_437, 360, "ablations.data.digits"),
    "cifar10": Kind((32, 32, 3), 10, 50_000, 10_000, "ablations.data.cifar.dataset"),
    "cifar100": Kind((32, 32, 3), 100, 50_000, 10_000, "ablations.data.cifar.dataset"),
    # Russakovsky et al. 2015; the crop of Sec. 5
    "imagenet": Kind((224, 224, 3), 1000, 1_281_167, 50_000, "ablations.data.imagenet", True, of_files=OF_FILES),
    "image_folder": Kind((224, 224, 3), 0, 0, 0, "ablations.data.image_folder", True, of_files=OF_FILES),
    # digits_mask.py says how many compositions there are, and why.
    "digits_mask": Kind((16, 16, 1), 2, 12_800, 1_000, "ablations.data.digits_mask", task="segmentation"),
    "mask_folder": Kind(
        (256, 256, 3), 0, 0, 0, "ablations.data.mask_folder", task="segmentation", of_files=("crop", "root")
    ),
    # Parkhi et al. 2012
    "oxford_pet": Kind(
        (128, 128, 3), 3, 3_680, 3_669, "ablations.data.oxford_pet", task="segmentation", of_files=("crop",)
    ),
}

SCALES = ("none", "shorter_side", "area_aspect")
COLOURS = ("none", "lighting", "jitter")
BROKEN = ("refuse", "skip")
SPLITS = ("train_test", "train_val")

IGNORED = 255  # in a label map: no class, for neither the loss nor a metric; as in PASCAL VOC (Everingham et al. 2010)


@dataclass
class DataConfig:
    """A data set and its augmentation.

    For arrays in memory:

    pad: pixels of zeros added on each side before a random crop of the original size. A mask is cropped and mirrored with
        its image; what the crop adds to it is ignored, since nobody knows what lies beyond an image.
    flip: whether half of the training images are mirrored; for image files too.

    For image files:

    crop: side of the training crop, in pixels. With masks, which are kept in memory: the side of the square that the
        network sees, the middle of the image scaled to this shorter side; `pad` is then for random crops.
    scale: "none"; "shorter_side": random in [256, 480] for crops of 224 pixels, and in proportion for others (Sec. 5);
        "area_aspect": random area and aspect ratio (the authors' Torch code; Szegedy et al. 2015).
    colour: "none"; "lighting" (Krizhevsky et al. 2012; Sec. 5); "jitter": brightness, contrast and saturation, then
        lighting (the authors' Torch code).
    test_crops: sides of the test crops, in pixels. Every evaluation tests the first, which tables print; the others are
        tested after the last step. A crop as large as `crop` is cut from the middle of the image scaled to 8/7 of
        it (256 for 224); any other from the image scaled to the crop's own size (Sec. 5: 320).
    broken: "refuse": an image that cannot be decoded ends the run; "skip": training takes the next image, a test leaves
        it out. Either way its name is printed. Images with masks, which are kept in memory, have only "refuse".
    workers: processes that read and decode; None: one for each core, 0: none. Data sets in memory need none.
    root: of image_folder and mask_folder: the folder that has train/ and val/.

    For every data set:

    split: "train_test" for results; "train_val" for choosing: a tenth of the training set replaces the test set, which
        is not touched.
    train_images: train on only so many images, with the same share of each class. The subset is always the same, and a
        smaller one is part of a larger one.
    archive_dir: the folder of the official archive, for a machine without a network.
    verify: whether that archive must be the published one, byte for byte.
    data_dir: where TensorFlow Datasets keeps its data sets; None: its default.
    """

    name: str
    pad: int = 0
    flip: bool = False
    crop: int | None = None
    scale: str = "none"
    colour: str = "none"
    test_crops: list[int] = field(default_factory=list)
    broken: str = "refuse"
    root: str | None = None
    split: str = "train_test"
    train_images: int | None = None
    # Where a data set is found and how it is read, not what it is.
    archive_dir: str | None = incidental(None)
    data_dir: str | None = incidental(None)
    verify: bool = incidental(True)
    workers: int | None = incidental(None)

    def __post_init__(self):
        if self.name not in DATASETS:
            raise ValueError(f"data.name={self.name}: legal are {', '.join(DATASETS)}")
        if self.pad < 0:
            raise ValueError(f"data.pad={self.pad}: must be at least 0")
        for name, values in (("scale", SCALES), ("colour", COLOURS), ("broken", BROKEN)):
            if (value := getattr(self, name)) not in values:
                raise ValueError(f"data.{name}={value}: legal are {', '.join(values)}")
        known = DATASETS[self.name]
        if "root" in known.of_files and self.name != "imagenet" and not self.root:
            raise ValueError("data.root: say which folder has train/ and val/, as data.root=~/pictures")
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"data.workers={self.workers}: must be at least 0")
        if self.broken != "refuse" and not known.streamed:
            streamed = " and ".join(f"data={name}" for name, kind in DATASETS.items() if kind.streamed)
            raise ValueError(
                f"data.broken={self.broken}: only for images that stay in files, of {streamed}; {self.name} is in memory, "
                "and always refuses what it cannot read"
            )
        if known.streamed:
            self._check_streamed()
        elif wrong := [
            name for name in OF_FILES if name not in known.of_files and getattr(self, name) not in (None, "none", [])
        ]:
            raise ValueError(
                f"data.{wrong[0]}={getattr(self, wrong[0])}: only for image files, as in data=imagenet; {self.name} "
                f"has {', '.join([*known.of_files, 'pad and flip'])}"
            )
        if known.of_files and (self.crop is None or self.crop < 1):
            raise ValueError(f"data.crop={self.crop}: must be at least 1")
        if self.split not in SPLITS:
            raise ValueError(f"data.split={self.split}: legal are {', '.join(SPLITS)}")
        if self.train_images is not None and self.train_images < 1:
            raise ValueError(f"data.train_images={self.train_images}: must be at least 1")

    @property
    def task(self) -> str:
        """What a network learns from it: "classification" or "segmentation"."""
        return DATASETS[self.name].task

    @property
    def side(self) -> int:
        """The side of the images that the network is trained on, in pixels."""
        return self.crop or DATASETS[self.name].image[0]

    @property
    def crop_pixels(self) -> int:
        """`crop`, of a data set of image files, which always has it."""
        if self.crop is None:
            raise ValueError(f"{self.name} has no crop")
        return self.crop

    def _check_streamed(self) -> None:
        if self.pad:
            raise ValueError(f"data.pad={self.pad}: {self.name} has crop and scale in its place")
        if not self.test_crops or any(crop < 1 for crop in self.test_crops):
            raise ValueError(f"data.test_crops={self.test_crops}: give one or more, of at least 1 pixel, as [320,224]")


@dataclass
class MaskFolderConfig(DataConfig):
    """A folder of images and masks.

    values: the value of a mask's pixels for each class, class 0 first, such as [0, 255] for a background and a foreground.
    ignored: the value of pixels that belong to no class, null for none.
    """

    values: list[int] = field(default_factory=lambda: [0, 255])
    ignored: int | None = None

    def __post_init__(self):
        super().__post_init__()
        listed = [*self.values, *([] if self.ignored is None else [self.ignored])]
        if len(self.values) < 2 or len(set(listed)) < len(listed) or not all(0 <= value <= 255 for value in listed):
            raise ValueError(
                f"data.values={self.values}, data.ignored={self.ignored}: give two or more different values of 0 ... 255, "
                "one for each class, as [0,255]"
            )


# Those data sets that have settings of their own; the others have those of `DataConfig`.
SCHEMAS: dict[str, type[DataConfig]] = {"mask_folder": MaskFolderConfig}
