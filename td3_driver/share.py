# SPDX-License-Identifier: Apache-2.0
"""The folder of the files that come with the package."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory


def share_directory() -> Path:
    """Return the folder of `launch/` and `config/`: installed share, or source checkout.

    Raises:
        FileNotFoundError: there is neither.
    """
    source = Path(__file__).resolve().parents[1]
    if (source / "package.xml").is_file():
        return source
    try:
        return Path(get_package_share_directory("td3_driver"))
    except PackageNotFoundError as error:
        raise FileNotFoundError(
            f"no share folder of td3_driver: neither {source} nor AMENT_PREFIX_PATH has it"
        ) from error


def preset_names() -> list[str]:
    """Return the names of the presets that come with the package."""
    return sorted(path.stem for path in (share_directory() / "config" / "presets").glob("*.yaml"))
