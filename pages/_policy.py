"""The Content-Security-Policy of the pages: only what comes from this address, as far as Streamlit allows."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from streamlit import file_util


def page_policy() -> str:
    """Scripts by address or, for those inside Streamlit's own page, by their digest.

    Streamlit and Plotly write styles into the page as they draw, and draw pictures from data and blobs. The picture of
    the grid has a script, which Streamlit makes a blob of and runs.
    """
    page = (Path(file_util.get_static_dir()) / "index.html").read_text(encoding="utf-8")
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = " ".join(f"'sha256-{b64encode(sha256(one.encode()).digest()).decode()}'" for one in inline)
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {digests} blob:",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-src 'none'",
            "frame-ancestors 'none'",
        )
    )
