# SPDX-License-Identifier: Apache-2.0
"""The design's rooms: who may use whom, kept by reading imports."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "td3_driver"
# Each room, and the rooms that it uses: only such as stand above it, so that nothing is circular.
ROOMS = {
    "console": "",
    "share": "",
    "signals": "",
    "text": "",
    "start": "signals",
    "opendrive": "",
    "bags": "signals",
    "driving": "opendrive text",
    "measures": "driving",
    "world": "driving opendrive",
    "carla_server": "driving signals world",
    "checkpoints": "",
    "reports": "checkpoints driving measures",
    "replay": "checkpoints",
    "agent": "checkpoints replay",
    "interchange": "agent checkpoints replay",
    "learner": "agent checkpoints replay signals text",
    "configuration": "agent driving share",
    "online": "agent checkpoints configuration driving learner replay",
    "arguments": "online share world",
    "ros": "agent bags checkpoints configuration console driving learner measures online"
    " replay reports share signals start text",
    "bridge_twin": "driving ros text world",
    "launching": "arguments configuration ros share start",
    "evaluation": "agent arguments bags bridge_twin checkpoints configuration console driving"
    " measures online replay reports signals world",
    "playback": "agent bags driving online replay reports",
    "fleet": "agent checkpoints configuration console driving evaluation learner measures online"
    " replay reports ros signals world",
    "commands": "arguments bridge_twin carla_server checkpoints configuration driving evaluation"
    " fleet interchange online playback ros share signals text world",
    "cli": "checkpoints commands console signals",
}  # fmt: skip
ROS = {
    "rclpy", "carla_msgs", "sensor_msgs", "nav_msgs", "geometry_msgs", "std_msgs", "std_srvs",
    "diagnostic_msgs", "rosgraph_msgs", "rcl_interfaces", "builtin_interfaces",
    "derived_object_msgs", "shape_msgs", "tf2_msgs",
}  # fmt: skip
SPEAK_ROS = {"ros", "bridge_twin"}
KNOW_TORCH = {
    "agent", "replay", "checkpoints", "interchange", "learner", "online", "ros", "evaluation",
    "playback", "fleet",
}  # fmt: skip
NEVER = {
    "opendrive": {"cv2", "networkx"},
    "agent": {"cv2"},
    "ros": {"scipy", "shapely"},
    "launching": {"cv2", "numpy"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in FILES}


def imports(file: Path) -> set[str]:
    """The modules that a file names, ours in full; those for types alone, too."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in inner}
    return names


def test_each_room_uses_those_above_it_alone() -> None:
    used: dict[str, set[str]] = {}
    for file in FILES:
        ours = {name for name in imports(file) if name.startswith("td3_driver.")}
        used.setdefault(room_of(file), set()).update(name.split(".")[1] for name in ours)
    found = {room: rooms - {room} for room, rooms in used.items() if room != "__init__"}
    assert found == {room: set(rooms.split()) for room, rooms in ROOMS.items()}
    above: set[str] = set()
    for room, rooms in ROOMS.items():
        assert set(rooms.split()) <= above, room
        above.add(room)


def test_no_module_needs_itself() -> None:
    """Not even for its types: who cannot say what he works on without his user is one with him."""
    open_modules: list[str] = []
    done: set[str] = set()

    def visit(module: str) -> None:
        assert module not in open_modules, " -> ".join([*open_modules, module])
        if module in done:
            return
        open_modules.append(module)
        for name in sorted(imports(MODULES[module]) & set(MODULES)):
            # A package's door may name what is in its rooms.
            if MODULES[module].name != "__init__.py":
                visit(name)
        open_modules.pop()
        done.add(module)

    for module in MODULES:
        visit(module)


def test_the_learner_knows_no_algorithm() -> None:
    """`agent/algorithm.py` says what there is of one, and makes it."""
    known = {name for file in (PACKAGE / "learner").rglob("*.py") for name in imports(file)}
    assert "td3_driver.agent.algorithm" in known
    others = {f"td3_driver.agent.{name}" for name in ("actor_critic", "td3", "sac")}
    assert not known & others


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_libraries_stay_in_their_rooms(file: Path) -> None:
    room = room_of(file)
    libraries = {name.split(".")[0] for name in imports(file)}
    assert "carla" not in libraries  # bound to a server's version; tests compare with it
    assert not libraries & NEVER.get(room, set())
    if room not in SPEAK_ROS:
        assert not libraries & ROS
    if room not in KNOW_TORCH:
        assert "torch" not in libraries


def test_no_room_is_crowded() -> None:
    for folder in {file.parent for file in FILES}:
        assert len(list(folder.glob("*.py"))) <= 17, folder


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_every_file_has_its_licence(file: Path) -> None:
    assert file.read_text().startswith("# SPDX-License-Identifier: Apache-2.0\n")


def test_maths_is_not_in_the_ros_layer() -> None:
    """`ros/` wires; only conversions between representations may compute."""
    for file in (PACKAGE / "ros").rglob("*.py"):
        if file.name != "conversions.py":
            assert "numpy" not in imports(file), file.name
