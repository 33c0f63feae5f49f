# SPDX-License-Identifier: Apache-2.0
"""Renders reports as single HTML files with embedded pictures, for light and dark screens."""

from __future__ import annotations

import base64
import io

import matplotlib
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

# Text and lines of a figure are drawn in a colour that nothing else has. In the SVG it becomes
# the reader's own: dark on a light screen, light on a dark one.
_INK = "#010203"
_INK_STYLE = (
    "<style>svg{color:#1d2330}@media(prefers-color-scheme:dark){svg{color:#e4e7ec}}</style>"
)
figure_style = matplotlib.rc_context(
    {
        "text.color": _INK,
        "axes.edgecolor": _INK,
        "axes.labelcolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#808080",
        "grid.alpha": 0.3,
        "legend.frameon": False,
        "font.size": 9.0,
        "svg.hashsalt": "td3_driver",  # the same figure gives the same bytes
    }
)
"""Decorates functions that draw a figure for `picture`."""

_TEMPLATES = Environment(
    loader=PackageLoader("td3_driver.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **context: object) -> str:
    """Render a template of `reports/templates/`, e.g. `evaluate.html.jinja`.

    Templates extend `base.html.jinja` with the blocks `title` and `content`.
    """
    return _TEMPLATES.get_template(template).render(**context)


@figure_style
def picture(figure: Figure) -> str:
    """A figure as a data URI (SVG, transparent) for an `<img>`; draw it in `figure_style`."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, dpi=150, metadata={"Date": None})
    svg = file.getvalue().replace(_INK, "currentColor")
    svg = svg.replace("<defs>", f"{_INK_STYLE}<defs>", 1)
    return data_uri(svg.encode(), "image/svg+xml")


def data_uri(content: bytes, media_type: str) -> str:
    """A file's content as a data URI, to embed in a page."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
