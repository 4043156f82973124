"""`python -m pcbench`, for where the command is not on the PATH."""

from pcbench.cli.entry import run_command_line

if __name__ == "__main__":
    run_command_line()
