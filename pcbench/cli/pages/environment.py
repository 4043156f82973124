"""The page docs/reference/environment.md: the variables of the environment that pcbench reads or sets."""

from __future__ import annotations

from collections.abc import Mapping

from pcbench.cli.pages.markdown import MADE, table
from pcbench.data.cache import DEFAULT_GIGABYTES, NO_CACHE, SIZE_VARIABLE
from pcbench.limits.bounds import DEFAULT_READ_GIGABYTES, READ_VARIABLE

OWN: Mapping[str, tuple[str, str]] = {
    "PCBENCH_CACHE": ("`pcbench` in the user's cache folder", "The folder for downloads and transformed kernels."),
    SIZE_VARIABLE: (f"{DEFAULT_GIGABYTES:g}", "How many gigabytes each kind of content of that folder may take."),
    NO_CACHE: ("", "Where it is set, to whatever, no transformed kernels are kept; `--no-cache` sets it."),
    READ_VARIABLE: (
        f"{DEFAULT_READ_GIGABYTES:g}",
        "How many gigabytes of memory what is read from one file may take; all other limits of files grow with it.",
    ),
}
"""Those of pcbench itself: default and meaning."""

READ: Mapping[str, str] = {
    "XDG_CACHE_HOME": "The user's cache folder, where it is a full path; else `~/.cache`.",
    "TORCH_HOME": "Where PyTorch keeps downloads; `pcbench doctor` looks at the folder.",
    "HF_ENDPOINT": "The address of the Hugging Face hub, for `hf:` models.",
    "CUDA_VISIBLE_DEVICES": "Which GPUs are seen; each worker on a machine of several sees one of them.",
    "SLURM_ARRAY_TASK_ID": "Which shard `--shard auto/N` computes, from 1, in an array of Slurm.",
    "JOB_COMPLETION_INDEX": "Which shard `--shard auto/N` computes, from 0, in an Indexed Job of Kubernetes.",
    "RAY_ADDRESS": "The cluster of `--engine ray`, where `--ray-address` names none.",
    "RAY_USE_TLS": "`1`: the head of the Ray cluster answers in TLS, so that it is not asked in plain HTTP/2 first.",
    "OMP_NUM_THREADS": "`pcbench doctor` looks at it, and Ray's workers get it; `--threads` decides nevertheless.",
    "MKL_NUM_THREADS": "As `OMP_NUM_THREADS`.",
    "OMP_WAIT_POLICY": "Ray's workers get it.",
    "OPENBLAS_NUM_THREADS": "Ray's workers get it.",
    "PYTHONDONTWRITEBYTECODE": "`pcbench doctor` says that every start is slow where it is set.",
    "GITHUB_ACTIONS": "`true`: `pcbench check` prints annotations, and adds its table to the job's summary.",
    "GITHUB_STEP_SUMMARY": "The file of that summary.",
    "DISPLAY": "Whether there is a display, on which `pcbench open` opens a page.",
    "WAYLAND_DISPLAY": "As `DISPLAY`.",
    "BROWSER": "The browser that `pcbench open` starts.",
    "USER": "The user's name, which published manifests leave out.",
    "LOGNAME": "As `USER`.",
    "USERNAME": "As `USER`.",
}
"""Those of others that pcbench reads."""

SET_OR_REMOVED: Mapping[str, str] = {
    "MPLBACKEND": "Removed by the command line: figures are files, and a notebook's backend may not be there.",
    "TTY_COMPATIBLE": "`0` under `--quiet`, so that libraries draw no bars.",
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "`1` while a file of weights is read, so that PyTorch reads tensors alone.",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "Removed for as long.",
    "RAY_USAGE_STATS_ENABLED": "`0` where it is not set: Ray reports nothing to its makers.",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "`0` where it is not set, as Ray's warning asks for.",
}
"""Those that pcbench sets or removes, in its own processes alone."""

OF_LIBRARIES: Mapping[str, tuple[str, str]] = {
    "HF_HOME": ("huggingface_hub", "Where the hub's downloads are kept."),
    "HF_TOKEN": ("huggingface_hub", "The key to repositories that are not public."),
    "HF_HUB_OFFLINE": ("huggingface_hub", "`1`: nothing is asked of the hub, and copies on the disk are used."),
    "NO_COLOR": ("rich", "Tables and bars have no colours."),
    "FORCE_COLOR": ("rich", "They have colours where the output is no terminal, too."),
    "COLUMNS": ("rich", "How many letters a line of a table may have, where no terminal says it."),
    "MPLCONFIGDIR": ("matplotlib", "Where its list of fonts is kept, where the home folder cannot be written."),
}
"""Those that libraries read and that change what a user of pcbench sees: the library, and the meaning."""

DEVELOPERS: Mapping[str, str] = {
    "PCBENCH_TEST_DATA": "A folder of real images and weights; tests that need it are skipped without it.",
    "PCBENCH_REPOSITORY": "The repository's address, to which pages of the site link what is not on the site.",
}
"""Those of the tests and of the documentation."""

_HEAD = f"""# Environment variables

{MADE}

What decides over a run's numbers is an option, and stands in the run's key. Variables say where things are, which GPU
or shard is meant, and how output is shown.

"""


def environment_page() -> str:
    """Return the page as Markdown."""
    own = ((f"`{name}`", default, meaning) for name, (default, meaning) in OWN.items())
    others = ((f"`{name}`", library, meaning) for name, (library, meaning) in OF_LIBRARIES.items())
    return _HEAD + "\n".join(
        [
            "## Of pcbench\n",
            table(("variable", "default", "meaning"), own),
            "## Of others, read by pcbench\n",
            table(("variable", "what it decides"), ((f"`{name}`", meaning) for name, meaning in READ.items())),
            "## Changed by pcbench, in its own processes\n",
            table(("variable", "how, and why"), ((f"`{name}`", meaning) for name, meaning in SET_OR_REMOVED.items())),
            "## Read by libraries that pcbench uses\n",
            table(("variable", "library", "what it decides"), others),
            "## For work on pcbench itself\n",
            table(("variable", "what it is"), ((f"`{name}`", meaning) for name, meaning in DEVELOPERS.items())),
        ]
    )
