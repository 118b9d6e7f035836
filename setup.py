"""Build of what pyproject.toml cannot declare: compiled extensions.

There are none yet. The compiled kernels will be declared here; all metadata is in pyproject.toml.
"""

from setuptools import setup

setup()
