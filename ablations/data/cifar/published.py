"""What is published of CIFAR-10 and CIFAR-100: names of files, their sizes, checksums and classes.

Source: https://www.cs.toronto.edu/~kriz/cifar.html (Krizhevsky, "Learning Multiple Layers of Features from
Tiny Images", 2009).
"""

from dataclasses import dataclass

PIXELS = 32 * 32 * 3
URL = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class Cifar:
    """What is published of one data set.

    binary, python: the folders in the archives of the two versions; a file `train.bin` there is `train` here.
    train, test: the files of each split, in the order of their images; each holds `images_a_file` images.
    classes: of each label, in the order of the bytes of a record; the one named "label" is trained on.
    checksums: of single files: SHA-256 of the binary version, MD5 of the Python version.
    """

    title: str
    archive: str
    archive_sha256: str
    archive_bytes: int
    binary: str
    python: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    images_a_file: dict[str, int]
    classes: dict[str, int]
    python_keys: dict[str, str]
    checksums: dict[str, str]

    @property
    def record_bytes(self) -> int:
        return len(self.classes) + PIXELS

    def images(self, split: str) -> int:
        return len(getattr(self, split)) * self.images_a_file[split]


# SHA-256 of the archives: TensorFlow Datasets, url_checksums/; MD5: torchvision, datasets/cifar.py.
CIFARS = {
    "cifar10": Cifar(
        title="CIFAR-10",
        archive="cifar-10-binary.tar.gz",
        archive_sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        archive_bytes=170_052_171,
        binary="cifar-10-batches-bin",
        python="cifar-10-batches-py",
        train=("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"),
        test=("test_batch",),
        images_a_file={"train": 10_000, "test": 10_000},
        classes={"label": 10},
        python_keys={"label": "labels"},
        checksums={
            "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
    ),
    "cifar100": Cifar(
        title="CIFAR-100",
        archive="cifar-100-binary.tar.gz",
        archive_sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        archive_bytes=168_513_733,
        binary="cifar-100-binary",
        python="cifar-100-python",
        train=("train",),
        test=("test",),
        images_a_file={"train": 50_000, "test": 10_000},
        classes={"coarse_label": 20, "label": 100},
        python_keys={"coarse_label": "coarse_labels", "label": "fine_labels"},
        checksums={
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        },
    ),
}

# batches.meta.txt, coarse_label_names.txt and fine_label_names.txt of the archives
CLASS_NAMES = {
    ("cifar10", "label"): "airplane automobile bird cat deer dog frog horse ship truck",
    ("cifar100", "coarse_label"): """
        aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
        household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
        large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees
        vehicles_1 vehicles_2""",
    ("cifar100", "label"): """
        apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
        castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
        elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
        man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
        pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
        skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
        tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm""",
}
