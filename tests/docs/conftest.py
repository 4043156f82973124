"""The pages lead to folders that lie beside the tests in a checkout, and not where a wheel alone is tested."""

from pathlib import Path

collect_ignore_glob = [] if (Path(__file__).parents[2] / "attacks").is_dir() else ["test_*.py"]
