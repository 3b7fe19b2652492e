"""Stand-ins for SLURM's commands: they start the real processes of real jobs on this machine, as SLURM would.

As a module: `install` puts sbatch, srun, squeue, sacct, scancel and scontrol into a folder for PATH. As a program it
is all of them. A job is a file of the folder $SLURM_STAND_IN; two jobs run at a time. Signals reach what srun has
started, not the batch script. Left out: all that this project's jobs do not use.
"""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scancel", "scontrol")
AT_A_TIME = 2
OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")


def install(folder: Path) -> dict[str, str]:
    """The environment in which the commands are found."""
    (folder / "bin").mkdir(parents=True)
    for command in COMMANDS:
        file = folder / "bin" / command
        file.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {__file__} {command} "$@"\n')
        file.chmod(0o755)
    return os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}", "SLURM_STAND_IN": str(folder)}


def home() -> Path:
    return Path(os.environ["SLURM_STAND_IN"])


def job(number: str) -> dict:
    return json.loads((home() / f"{number}.job").read_text())


def jobs() -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(home().glob("*.job"))}


def change(number: str, **what) -> dict:
    with open(home() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = home() / f"{number}.job"
        one = (json.loads(path.read_text()) if path.exists() else {}) | what
        path.with_suffix(".new").write_text(json.dumps(one))
        path.with_suffix(".new").replace(path)
    return one


def sbatch(script: str) -> None:
    text = Path(script).read_text()
    flags = dict(line.removeprefix("#SBATCH --").partition("=")[::2] for line in text.splitlines() if "#SBATCH" in line)
    if "refuse" in flags.get("comment", ""):
        sys.exit("sbatch: error: Batch job submission failed: Invalid account")
    array = str(100 + len(list(home().glob("*.sh"))))
    kept = home() / f"{array}.sh"
    kept.write_text(text)
    count = re.fullmatch(r"0-(\d+)%\d+", flags.get("array", ""))
    numbers = [f"{array}_{index}" for index in range(int(count[1]) + 1)] if count else [array]
    tasks = int(flags.get("nodes", 1)) * int(flags.get("ntasks-per-node", 1))
    new = {"state": "PENDING", "reason": "Priority", "restarts": 0, "array": array, "tasks": tasks}
    for number in numbers:
        change(number, **new, requeue="requeue" in flags)
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-S", "-E", __file__, "controller", array]
    subprocess.Popen(command, start_new_session=True, **silent)
    print(f"Submitted batch job {array}")


def controller(array: str) -> None:
    """slurmctld, of one array: starts its jobs, and again those that are to be queued again."""
    running = {}
    while True:
        time.sleep(0.05)
        if (home() / "hold").exists():
            continue
        mine = {number: one for number, one in jobs().items() if one["array"] == array}
        for number, process in list(running.items()):
            if process.poll() is not None:
                del running[number]
                again = mine[number]["state"] in ("REQUEUED", "NODE_FAIL")
                over = {"COMPLETING": "CANCELLED", "RUNNING": "FAILED" if process.returncode else "COMPLETED"}
                if again:
                    change(number, state="PENDING", restarts=mine[number]["restarts"] + 1)
                else:
                    change(number, state=over[mine[number]["state"]], code=process.returncode)
        for number, one in mine.items():
            if one["state"] == "PENDING" and number not in running and len(running) < AT_A_TIME:
                running[number] = start(number, one)
        if not running and all(one["state"] in OVER for one in mine.values()):
            return


def start(number: str, one: dict) -> subprocess.Popen:
    index = number.partition("_")[2]
    environment = os.environ | {"SLURM_JOB_ID": str(int(one["array"]) * 1000 + int(index)) if index else number}
    environment |= {"SLURM_NTASKS": str(one["tasks"]), "SLURM_STEP_NODELIST": "127.0.0.1"}
    if index:
        environment |= {"SLURM_ARRAY_JOB_ID": one["array"], "SLURM_ARRAY_TASK_ID": index}
    if one["restarts"]:
        environment["SLURM_RESTART_COUNT"] = str(one["restarts"])
    change(number, state="RUNNING", reason="None", processes=[])
    script = ["bash", str(home() / f"{one['array']}.sh")]
    return subprocess.Popen(script, env=environment | {"STAND_IN_JOB": number}, start_new_session=True)


def srun(*arguments: str) -> None:
    """Each task a process; where one fails the others end too, as with --kill-on-bad-exit."""
    number, tasks = os.environ["STAND_IN_JOB"], int(os.environ["SLURM_NTASKS"])
    processes = []
    for rank in range(tasks):
        if (process := os.fork()) == 0:
            become(number, rank, tasks, list(arguments))
        processes.append(process)
    change(number, processes=processes)
    codes = []
    for _ in processes:
        codes.append(os.waitstatus_to_exitcode(os.wait()[1]))
        if codes[-1]:
            time.sleep(0.5)  # the others may be about to end by themselves
            send(processes, signal.SIGTERM)
    sys.exit(next((abs(code) for code in codes if code), 0))


def become(number: str, rank: int, tasks: int, arguments: list[str]) -> None:
    array, _, index = number.partition("_")
    words = {"%A": array, "%a": index, "%j": number, "%t": str(rank)}
    while arguments[0].startswith("-"):
        flag = arguments.pop(0)
        if flag in ("--output", "--error"):
            place = arguments.pop(0)
            for word, value in words.items():
                place = place.replace(word, value)
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(handle, 1 if flag == "--output" else 2)
    os.environ |= {"SLURM_PROCID": str(rank), "SLURM_LOCALID": "0", "SLURM_NODEID": str(rank)}
    os.environ["SLURM_JOB_NUM_NODES"] = str(tasks)
    os.execvp(arguments[0], arguments)


def _chosen(pattern: str) -> dict[str, dict]:
    return {n: one for n, one in jobs().items() if n in pattern.split(",") or one["array"] in pattern.split(",")}


def squeue(*arguments: str) -> None:
    given = dict(argument.removeprefix("--").partition("=")[::2] for argument in arguments)
    chosen = _chosen(given["jobs"])
    if all(one["state"] in OVER for one in chosen.values()) and "," not in given["jobs"]:
        sys.exit("slurm_load_jobs error: Invalid job id specified")  # it has been forgotten
    for number, one in chosen.items():
        if one["state"] not in OVER:
            state = "COMPLETING" if one["state"] in ("REQUEUED", "NODE_FAIL") else one["state"]
            print(given["format"].replace("%i", number).replace("%T", state).replace("%r", one["reason"]))


def sacct(*arguments: str) -> None:
    given = dict(argument.removeprefix("--").partition("=")[::2] for argument in arguments)
    for number, one in _chosen(given["jobs"]).items():
        print(f"{number}|{one['state']}")


def scancel(*arguments: str) -> None:
    """Of a job: TERM, and KILL if it is still there; with --signal=NAME only this signal, to what runs in it."""
    numbers = [argument for argument in arguments if not argument.startswith("-")]
    number_of_signal = next((a.partition("=")[2] for a in arguments if a.startswith("--signal=")), None)
    for number, one in _chosen(",".join(numbers)).items():
        if number_of_signal:
            send(one["processes"], getattr(signal, f"SIG{number_of_signal}"))
        elif one["state"] == "PENDING":
            change(number, state="CANCELLED")
        elif one["state"] == "RUNNING":
            change(number, state="COMPLETING")
            send(one["processes"], signal.SIGTERM)


def send(processes: list[int], what: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, what)


def scontrol(what: str, which: str) -> None:
    if what == "show":
        print("MaxArraySize            = 3")
        return
    one = job(which)
    if what != "requeue" or not one["requeue"]:
        sys.exit("Requested operation is presently disabled")
    change(which, state="REQUEUED")


def lose_node(number: str) -> None:
    """The node of a job dies: all that runs on it is gone at once, and SLURM queues the job again."""
    process, *_ = change(number, state="NODE_FAIL")["processes"]
    os.killpg(os.getpgid(process), signal.SIGKILL)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
