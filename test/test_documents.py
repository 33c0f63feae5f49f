# SPDX-License-Identifier: Apache-2.0
"""What the documents name is there: links, files, tests, options, arguments, targets."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from td3_driver.cli import COMMANDS
from td3_driver.launching.tables import evaluate_arguments, replay_arguments, train_arguments

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)

FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FILE = re.compile(r"`([a-z0-9_./]+/[a-z0-9_]+\.(?:py|yaml|json|jsonl|rviz|yml))`")
TEST = re.compile(r"`(test_\w+)`")
COMMAND = re.compile(
    r"(?:td3_driver |`)(train|evaluate|replay|prefill|world|doctor|checkpoint [a-z]+) ([^`\n]*)"
)
LAUNCH = re.compile(r"(train|evaluate|replay)\.launch\.py ([^`\n]*)")
TARGET = re.compile(r"(?:^|`)make ([a-z-]+)", re.MULTILINE)


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def text_of(document: Path) -> str:
    """With each command on one line."""
    return document.read_text().replace("\\\n", " ")


def options_of(command: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    parser = argparse.ArgumentParser(prog="td3_driver")
    commands = parser.add_subparsers()
    for each in COMMANDS:
        each.add_parser(commands)
    with pytest.raises(SystemExit) as end:
        parser.parse_args([*command.split(), "--help"])
    assert end.value.code == 0, command
    return set(re.findall(r"--[a-z-]+", capsys.readouterr().out))


def named_tests() -> Iterator[str]:
    for file in (ROOT / "test").rglob("test_*.py"):
        yield file.stem
        yield from re.findall(r"^ *def (test_\w+)", file.read_text(), re.MULTILINE)


@EACH
def test_links_lead_somewhere(document: Path) -> None:
    for target, anchor in LINK.findall(FENCE.sub("", document.read_text())):
        file = (document.parent / target).resolve() if target else document
        assert file.exists(), target
        if anchor:
            headings = HEADING.findall(FENCE.sub("", file.read_text()))
            assert anchor in map(slug, headings), f"{target}#{anchor}"


@EACH
def test_files_and_tests_that_are_named_are_there(document: Path) -> None:
    text = document.read_text()
    for name in FILE.findall(text):
        assert any((ROOT / folder / name).is_file() for folder in ("", "td3_driver")), name
    assert set(TEST.findall(text)) <= set(named_tests())


@EACH
def test_options_that_are_named_are_taken(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, rest in COMMAND.findall(text_of(document)):
        written = set(re.findall(r"(?<!\S)--[a-z-]+", rest.split("#")[0]))
        assert not written or written <= options_of(command, capsys), f"{command} {rest}"


@EACH
def test_launch_arguments_and_make_targets_that_are_named_are_there(document: Path) -> None:
    tables = {"train": train_arguments, "evaluate": evaluate_arguments, "replay": replay_arguments}
    text = text_of(document)
    for file, rest in LAUNCH.findall(text):
        known = {argument.name for argument in tables[file]()}
        assert set(re.findall(r"(\w+):=", rest)) <= known, f"{file}.launch.py {rest}"
    rules = re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(TARGET.findall(text)) <= set(rules)
