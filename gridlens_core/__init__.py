"""GridLens core: emulation, safe publishing and KPI reading; knows nothing of the user interface."""

__version__ = "0.1.0"
