"""One device against `pmap` over all devices: steps of ST-BLN with the same clips per device."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator

import jax

from benchmarks import pairs, sides
from benchmarks.gpu.toys import TOYS

BATCH, STEPS = 512, 8  # clips per device; steps per call


def measure(small: bool) -> Iterator[dict]:
    """Yields clips per second of one device and of all, each in a separate process."""
    count = jax.device_count() if sides.on_gpu() else 2
    alone = None
    for devices in (count,) if small else sorted({1, count}):
        flags = os.environ.get("XLA_FLAGS", "")
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        visible = visible if visible[0] else [str(index) for index in range(count)]
        env = {
            **os.environ,
            "CUDA_VISIBLE_DEVICES": ",".join(visible[:devices]),
            "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
        }
        command = [sys.executable, "-m", "benchmarks.gpu.devices", str(int(small))]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        found = json.loads(done.stdout.splitlines()[-1])
        alone = alone or found["clips/s"]
        yield {**found, "ratio": found["clips/s"] / alone}


def main() -> None:
    """Measures with all devices visible to this process."""
    small = bool(int(sys.argv[1]))
    batch, steps = (2, 1) if small else (BATCH, STEPS)
    pair = pairs.SYSTEMS["ST-BLN"](**(TOYS["ST-BLN"] if small else {"edges": 181}))
    ours = sides.Ours(pair, batch * jax.device_count(), steps)
    ours = ours.prepare(*sides.side_by_side((ours.compile_forward, ours.compile_step)))
    seconds = [ours.step() for _ in range(2 if small else 8)]
    median = statistics.median(seconds[1:])
    rate = ours.size / median
    print(json.dumps({"devices": jax.device_count(), "step, ms": 1e3 * median, "clips/s": rate}))


if __name__ == "__main__":
    main()
