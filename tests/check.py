"""Does what CI does, by one command: python -m tests.check

Names of steps after it run only these: python -m tests.check style types"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[1]
STEPS = {
    "style": ("ruff", "check", "."),
    "format": ("ruff", "format", "--check", "."),
    "types": ("mypy",),
    "wheel": ("tests.wheel",),
    "tests": ("pytest",),
}


def main(names: list[str]) -> int:
    """Runs the steps named, or all; the exit status of the first that fails."""
    if unknown := set(names) - STEPS.keys():
        print(f"No such step: {', '.join(sorted(unknown))}; steps: {', '.join(STEPS)}", file=sys.stderr)
        return 2
    for name in names or STEPS:
        print(f"--- {name}", flush=True)
        started = monotonic()
        status = subprocess.run([sys.executable, "-m", *STEPS[name]], cwd=ROOT, check=False).returncode
        if status:
            print(f"--- {name} failed", file=sys.stderr)
            return status
        print(f"--- {name} passed in {monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
