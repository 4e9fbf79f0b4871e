"""Imports what pages use before the server answers. Plotly looks into sys.modules for pandas, and a page that runs
while the thread of another page imports pandas finds it half imported."""

from contextlib import suppress
from importlib import import_module
from pathlib import Path

import plotly.graph_objects as go

from pages import _charts

# Loaded by Plotly, Streamlit and pandas when they are first used.
LAZY = (
    *("numpy.ma", "numpy.random", "pandas", "pyarrow", "pyarrow.compute", "pyarrow.ipc", "pyarrow.pandas_compat"),
    *("PIL.Image", "PIL.PngImagePlugin", "PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin"),
    *("PIL.PpmImagePlugin", "lxml.etree", "pptx", "segno", "segno.writers"),
    *("plotly.io", "plotly.offline", "plotly.tools"),
)
# Names that another version of a library may not have.
LAZY_IF_THERE = (
    "pyarrow.vendored.version",
    "streamlit.web.skills",
    "streamlit.material_icon_names",
    "streamlit.runtime.scriptrunner.magic_funcs",
    "streamlit.components.v2.manifest_scanner",
)


def import_all() -> None:
    """Imports the libraries and the modules of the pages, and draws a figure with all that their figures have.

    Cached readers need Streamlit's runtime, so this is called once the runtime exists.
    """
    for name in LAZY:
        import_module(name)
    for name in LAZY_IF_THERE:
        with suppress(ModuleNotFoundError):
            import_module(name)
    for module in sorted(Path(__file__).parent.glob("_[a-z]*.py")):
        import_module(f"pages.{module.stem}")
    specimen().to_json()


def specimen() -> go.Figure:
    """Plotly makes the class of each part of a figure when the part is first used."""
    figure = go.Figure()
    figure.add_bar(
        x=[1], y=["a"], base=[0], orientation="h", text=["a"], textfont={"color": "gray"},
        marker={"color": "gray", "pattern": {"shape": "x"}},
    )  # fmt: skip
    figure.add_scatter(x=[1], y=[1], line={"color": "gray"}, marker={"color": "gray", "line": {"width": 1}})
    figure.add_hline(y=1, line={"color": "gray"}, annotation={"text": "a", "font_size": 12})
    figure.add_vline(x=1, line={"color": "gray"})
    figure.update_layout(margin={"l": 8}, legend={"orientation": "h"}, title={"text": "a", "font": {"size": 13}})
    _charts.written(figure, "gray")
    return figure
