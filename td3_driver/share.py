# SPDX-License-Identifier: Apache-2.0
"""Where the files that come with the package lie."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory


def share_directory() -> Path:
    """Where `launch/` and `config/` lie: the installed share folder, or a source checkout.

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
    """The presets that come with the package."""
    return sorted(path.stem for path in (share_directory() / "config" / "presets").glob("*.yaml"))
