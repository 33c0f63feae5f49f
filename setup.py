# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

PACKAGE = "td3_driver"
MANIFEST = ElementTree.parse(Path(__file__).with_name("package.xml")).getroot()


def files(pattern: str) -> list[str]:
    return sorted(str(path) for path in Path().glob(pattern))


setup(
    name=PACKAGE,
    version=MANIFEST.findtext("version"),
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["py.typed", "reports/templates/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", files("launch/*.launch.py")),
        (f"share/{PACKAGE}/config", files("config/*.*")),
        (f"share/{PACKAGE}/config/presets", files("config/presets/*.yaml")),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools"],  # versions of all else: package.xml, requirements.txt
    extras_require={"test": ["hypothesis", "pytest", "pytest-timeout"]},  # colcon test looks here
    zip_safe=False,
    maintainer="td3_driver maintainers",
    maintainer_email="maintainers@td3-driver.example",
    description="A driving agent that learns online, inside ROS 2, with TD3",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "td3_driver = td3_driver.cli:main",
            "driver_node = td3_driver.start:driver_node",
            "world_node = td3_driver.start:world_node",
        ],
    },
)
