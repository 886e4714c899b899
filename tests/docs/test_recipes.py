"""Scripts and manifests of the pages: their syntax, and the training command in them."""

import re
import shlex
import subprocess

import yaml

from fer_jax.commands import train
from fer_jax.experiments import configs
from tests.docs.pages import blocks

RECIPES = {block.title: block.text for block in blocks("docs/distributed.md") if block.title}
PORT = 23456


def parsed(command: str, index: str = ""):
    """Flags of the training command that a recipe ends with."""
    words = shlex.split(command[command.index("fer-jax train") :])
    argv = ["train", *(word.replace("$JOB_COMPLETION_INDEX", index) for word in words[2:])]
    argv[argv.index("--config") + 1] = configs.find("fergcn_afew")
    own = train._flags(argv)
    assert own(argv) == ["train"]
    assert train._is_distributed(own)
    return own


def test_recipes_are_on_the_page():
    assert set(RECIPES) == {"train.slurm", "train.yaml"}


def test_slurm_script_starts_a_process_for_each_gpu():
    text = RECIPES["train.slurm"]
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    head, _, body = text.partition("\n\n")
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", head, re.MULTILINE))
    assert options["ntasks-per-node"] == options["gpus-per-node"]
    own = parsed(body.replace("\\\n", " "))
    assert (own.coordinator, own.process, own.processes) == (None, None, None)


def test_job_set_numbers_its_processes():
    manifest = yaml.safe_load(RECIPES["train.yaml"])
    assert (manifest["apiVersion"], manifest["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    (job,) = manifest["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    assert spec["completionMode"] == "Indexed" and spec["backoffLimit"] == 0
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    (command,) = container["args"]
    name = manifest["metadata"]["name"]
    for index in range(spec["completions"]):
        own = parsed(command, str(index))
        assert own.coordinator == f"{name}-{job['name']}-0-0.{name}:{PORT}"
        assert (own.process, own.processes) == (index, spec["parallelism"])
    assert container["ports"] == [{"containerPort": PORT}]
    mounted = {volume["name"] for volume in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
