"""The packages of the wheel; everything else stands in pyproject.toml, which cannot find packages and map one too."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["gridlens_core", "gridlens_core.*"]), "gridlens_core.sql"],
    package_dir={"gridlens_core.sql": "sql"},  # beside the package in the checkout, where a DBA looks for it
    package_data={"": ["*.json", "*.toml", "*.j2", "*.css"], "gridlens_core.sql": ["**/*.sql"]},
)
