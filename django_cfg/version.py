"""The version of the distribution, on its own so that building it imports nothing else."""

__version__ = "0.1.0"
