"""The accelerators that programs can be compiled for: which there are, what they can do, what XLA must know of them.

The devices need not be here, but XLA's compiler for them must: it comes with a plugin of JAX.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata, resources

import yaml

from ablations.errors import UserError
from ablations.system import machine

PLATFORMS = ("cuda", "tpu")
# The extra of this project that installs the compiler of a platform.
EXTRAS = {"cuda": "aot", "tpu": "aot-tpu"}
VERSIONED = {
    "cuda": ("jax-cuda12-plugin", "jax-cuda13-plugin", "nvidia-cuda-nvcc-cu12", "nvidia-cuda-nvcc"),
    "tpu": ("libtpu",),
}
# Of a process that compiles: it takes no device that is here, and libtpu asks no one which TPUs there are, and does not
# keep others from loading it.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",  # any; the topology says what there is
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
MOST_GPUS = 8  # of one host, which have a link to each other

# The rest of what XLA wants to know of a GPU; the same for all compute capabilities from 8.0 to 10.0.
GPU_TEXT = """\
gpu_device_info {{
  threads_per_block_limit: 1024  threads_per_warp: 32
  shared_memory_per_block: 49152  shared_memory_per_core: {shared}  shared_memory_per_block_optin: {optin}
  threads_per_core_limit: {threads}  core_count: {cores}  fpus_per_core: {fpus}
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
  memory_bandwidth: {bandwidth}  l2_cache_size: {l2}  clock_rate_ghz: {clock}  device_memory_size: {memory}
  cuda_compute_capability {{ major: {major} minor: {minor} }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
device_description_str: "{title}"
"""


@dataclass(frozen=True)
class Target:
    """One or several accelerators of a kind. All figures are of one device.

    name: as it is chosen, such as "h100" or "v5e:2x2". platform: "cuda" or "tpu". devices: the most that a run can be
    spread over.
    memory_bytes, bytes_per_second: of the device's own memory. flop_per_second: of matrix products, by precision.
    cycles_per_second: None where it is not published. source: the page with these figures.
    device_info: of a GPU, the text that XLA reads.
    """

    name: str
    title: str
    platform: str
    devices: int
    memory_bytes: float
    bytes_per_second: float
    flop_per_second: dict[str, float]
    cycles_per_second: float | None
    source: str
    device_info: str = ""

    @property
    def asked(self) -> dict[str, str]:
        """What `choose` was asked for."""
        return {"platform": self.platform, "target" if self.platform == "cuda" else "topology": self.name}

    def spread(self, devices: int | None) -> int:
        """Over how many devices a run with the setting devices=... is spread; without it, over one GPU or all TPUs.

        Raises UserError if there are fewer.
        """
        count = devices or (1 if self.platform == "cuda" else self.devices)
        if count > self.devices:
            asked = " ".join(f"{key}={value}" for key, value in self.asked.items())
            what = "one host has at most" if self.platform == "cuda" else "this topology has"
            more = "" if self.platform == "cuda" else ", or a larger topology"
            raise UserError(f"devices={count}: {asked}: {what} {self.devices}; choose at most that many{more}")
        return count

    def check_compiler(self) -> None:
        """Raise UserError, with the command that installs it, if XLA's compiler for this target is missing."""
        if not machine.installed(self.platform):
            whose = "GPUs" if self.platform == "cuda" else "TPUs"
            raise UserError(
                f"platform={self.platform}: XLA's compiler for {whose} is not installed, which needs no device; "
                f"install it with pip install -e '.[{EXTRAS[self.platform]}]'"
            )


def choose(platform: str, target: str = "", topology: str = "") -> Target:
    """The target of the settings platform=, target= and topology=. Raises UserError, with the legal ones."""
    if platform not in PLATFORMS:
        raise UserError(f"platform={platform}: legal are {', '.join(PLATFORMS)}")
    if platform == "cuda":
        if topology:
            raise UserError(f"topology={topology}: TPUs have one; choose a GPU with target=..., and devices=...")
        return _gpu(target)
    if target:
        raise UserError(f"target={target}: this chooses a GPU; choose TPUs with topology=..., such as v5e:2x2")
    return _tpu(topology)


def gpus() -> list[str]:
    """What target=... takes."""
    return list(_known()["gpus"])


def tpus() -> list[str]:
    """What topology=... takes: the smallest and the largest of each kind."""
    ends = {kind: (figures["topologies"][0], figures["topologies"][-1]) for kind, figures in _known()["tpus"].items()}
    return [f"{kind}:{smallest} to {largest}" for kind, (smallest, largest) in ends.items()]


def versions(platform: str) -> list[str]:
    """The names and versions of a platform's compilers that are installed, which decide what they make of a program."""
    installed = {(dist.metadata["Name"] or "").lower(): dist.version for dist in metadata.distributions()}
    return [f"{name}=={installed[name]}" for name in VERSIONED[platform] if name in installed]


@lru_cache
def _known() -> dict[str, dict[str, dict]]:
    return yaml.safe_load((resources.files("ablations.compilers") / "targets.yaml").read_text())


def _gpu(name: str) -> Target:
    if name not in gpus():
        asked = f"target={name}: unknown" if name else "platform=cuda: choose a GPU with target=..."
        raise UserError(f"{asked}; legal are {', '.join(gpus())}")
    figures = _known()["gpus"][name]
    shared = figures["shared_kib_per_core"] * 2**10
    major, minor = figures["compute_capability"]
    text = GPU_TEXT.format(
        shared=shared,
        optin=shared - 2**10,  # the system keeps 1 KiB of each block's
        threads=figures["threads_per_core"],
        cores=figures["cores"],
        fpus=figures["fpus_per_core"],
        bandwidth=round(figures["memory_gb_per_second"] * 1e9),
        l2=round(figures["l2_mib"] * 2**20),
        clock=figures["clock_ghz"],
        memory=round(figures["memory_gb"] * 1e9),
        major=major,
        minor=minor,
        title=figures["title"],
    )
    return _target(name, "cuda", MOST_GPUS, figures, device_info=text)


def _tpu(name: str) -> Target:
    known = _known()["tpus"]
    if not name:
        raise UserError(f"platform=tpu: choose TPUs with topology=...; legal are {', '.join(tpus())}")
    kind, _, shape = name.partition(":")
    if kind not in known:
        raise UserError(f"topology={name}: unknown; legal are {', '.join(tpus())}")
    shapes = known[kind]["topologies"]
    if shape not in shapes:
        raise UserError(f"topology={name}: legal are {', '.join(f'{kind}:{legal}' for legal in shapes)}")
    parts = known[kind]["devices_per_chip"]
    return _target(name, "tpu", math.prod(map(int, shape.split("x"))) * parts, known[kind], parts=parts)


def _target(name: str, platform: str, devices: int, figures: dict, *, parts: int = 1, device_info: str = "") -> Target:
    """parts: into how many devices one that the figures speak of is divided."""
    clock = figures["clock_ghz"]
    return Target(
        name,
        figures["title"],
        platform,
        devices,
        memory_bytes=figures["memory_gb"] * 1e9 / parts,
        bytes_per_second=figures["memory_gb_per_second"] * 1e9 / parts,
        flop_per_second={kind: value * 1e12 / parts for kind, value in figures["tflop_per_second"].items()},
        cycles_per_second=clock and clock * 1e9,
        source=figures["source"],
        device_info=device_info,
    )
