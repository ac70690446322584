"""The wheel carries the recipes, which a checkout has beside its packages."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithRecipes(build_py):
    """Copies `configs/` into `shared/configs/`; an editable installation finds them in the checkout."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if not self.editable_mode:
            self.copy_tree(str(ROOT / "configs"), str(Path(self.build_lib) / "shared" / "configs"))


setup(cmdclass={"build_py": BuildWithRecipes})
