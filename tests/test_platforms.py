"""Oracle: Python's documentation of what each system lacks, taken away before every module is imported anew."""

from __future__ import annotations

import subprocess
import sys

import forking

WITHOUT_UNIX = """
import os, pkgutil, signal, sys
import pcbench

def modules():
    skipped = ("pcbench.harness.engines.ray_worker",)
    found = pkgutil.walk_packages(pcbench.__path__, "pcbench.")
    return [one.name for one in found if one.name not in skipped and "._catalog" not in one.name]

for name in modules():
    __import__(name)
for name in [name for name in sys.modules if name.partition(".")[0] == "pcbench"]:
    del sys.modules[name]
for module in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "readline"):
    sys.modules[module] = None
for owner, names in {
    os: ("fork", "register_at_fork", "getuid", "geteuid", "sched_getaffinity", "statvfs", "uname", "killpg", "setsid",
         "O_NONBLOCK", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "mkfifo", "pread"),
    signal: ("SIGHUP", "SIGKILL", "SIGALRM", "SIGCHLD", "SIGUSR1", "SIGPIPE", "setitimer", "pthread_sigmask"),
}.items():
    for name in names:
        if hasattr(owner, name):
            delattr(owner, name)
import pcbench
for name in modules():
    __import__(name)
print(len(modules()))
"""


def test_no_module_needs_what_only_unix_has(forks: forking.Forks) -> None:
    command = [sys.executable, "-c", WITHOUT_UNIX]
    process = forks.subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert int(out) > 150
