# SPDX-License-Identifier: Apache-2.0
"""A sweep: its file, its trials on a real Ray cluster, what is not run again, its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from td3_driver.cli import main
from td3_driver.fleet.sweeps import sweep as sweeps
from td3_driver.fleet.sweeps.curves import (
    interquartile_mean,
    of_runs,
    page,
    read_rows,
    show,
    summary,
    table,
)
from td3_driver.fleet.sweeps.sweep import ROWS, Sweep, SweepError, read_sweep, run

SMALL = """
steps: 40
every: 20
episodes: 1
seeds: [3, 4]
overlays:
  small:
    agent: &small
      conv_layers: [[4, 8, 4], [8, 4, 2]]
      cnn_features: 16
      hidden_sizes: [24, 24]
      batch_size: 8
      learning_starts: 10
      replay_capacity: 256
    driving: {episode: {max_steps: 30}}
  wide:
    agent: {<<: *small, cnn_features: 24}
    driving: {episode: {max_steps: 30}}
"""


def test_its_trials_are_run_once_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = tmp_path / "mine.yaml", tmp_path / "out"
    file.write_text(SMALL)
    sweep = read_sweep(file)
    assert [(one.name, one.seed) for one in sweep.trials()] == [
        ("small", 3), ("wide", 3), ("small", 4), ("wide", 4),
    ]  # fmt: skip
    assert run(sweep, out, None, 2) == 0
    rows = read_rows(out / ROWS)
    assert {(row["name"], row["seed"], row["steps"]) for row in rows} == {
        (name, seed, steps) for name in ("small", "wide") for seed in (3, 4) for steps in (20, 40)
    }
    show(rows, out)
    assert "| small | 2 | 40 |" in capsys.readouterr().out
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    text = (out / "sweep.html").read_text()
    assert "data:image/svg+xml" in text
    assert "wide" in text
    # One trial was not finished: it alone is run again, and comes to the same.
    lines = (out / ROWS).read_text().splitlines(keepends=True)
    unfinished = rows[-1]["trial"]
    kept = [line for line, row in zip(lines, rows, strict=True) if row["trial"] != unfinished]
    (out / ROWS).write_text("".join(kept) + lines[-2] + lines[-1][:20])
    ran: list[int] = []
    asked = ray.wait

    def noted(references: list[Any], **rest: Any) -> Any:
        ran.append(len(references))
        return asked(references, **rest)

    monkeypatch.setattr(ray, "wait", noted)
    assert run(sweep, out, None, 2) == 0
    assert max(ran) == 1
    timed = {"minutes": 0.0}
    again = {json.dumps(row | timed) for row in sweeps.finished(out / ROWS, sweep)}
    assert again == {json.dumps(row | timed) for row in rows}


def test_results_of_other_settings_do_not_count(tmp_path: Path) -> None:
    trial = Sweep().trials()[0]
    row = {"trial": sweeps.identity(trial), "name": trial.name, "seed": 0, "steps": trial.steps}
    (tmp_path / ROWS).write_text(json.dumps(row) + "\n")
    assert sweeps.finished(tmp_path / ROWS, Sweep()) == [row]
    other = {"as it is": {"agent": {"batch_size": 33}}}
    changes = (
        Sweep(steps=2000), Sweep(traffic=3), Sweep(overlays=other), Sweep(vector_only=True)
    )
    for changed in changes:
        assert sweeps.finished(tmp_path / ROWS, changed) == []
    same = {"as it is": {"agent": {"batch_size": 32}}}  # which it is anyway
    assert sweeps.finished(tmp_path / ROWS, Sweep(overlays=same)) == [row]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "expected settings, as steps: 4000"),
        ("step: 3", "step: no such setting; there are steps, every"),
        ("steps: 0", "steps: 0 is not a number"),
        ("steps: many", "steps: 'many' is not a number"),
        ("seeds: 3", "seeds: 3 is not a list"),
        ("seeds: [a]", "seeds: ['a'] is not a list"),
        ("seeds: []", "no trial: seeds, presets and overlays need one entry each"),
        ("vector_only: 1", "vector_only: 1 is not true or false"),
        ("overlays: [a]", "overlays: ['a'] is not names, each with settings"),
        ("presets: [nobody]", "nobody: preset 'nobody': no such preset"),
        ("overlays: {odd: {agent: {batch: 3}}}", "batch: 3 is set, but there is no such agent"),
        ("map: [town, gone.xodr]", "map: gone.xodr: there is no such file"),
        ("judge_map: [city]", "judge_map: city: there is no such file"),
        ("prefill: gone.replay", "prefill: gone.replay: there is no such file"),
        ("steps: [", "not YAML"),
    ],
)
def test_a_mistake_is_said_in_a_line(content: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    with pytest.raises(SweepError) as refused:
        read_sweep(file)
    assert str(refused.value).startswith(f"sweep {file}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_results_of_others_are_not_taken_for_its_own(tmp_path: Path) -> None:
    file = tmp_path / ROWS
    file.write_text("notes of mine\nand more\n")
    with pytest.raises(SweepError, match="not the results of a sweep"):
        sweeps.finished(file, Sweep())


def rows_of(name: str, values: list[float], steps: int = 40) -> list[dict[str, object]]:
    return [
        {
            "name": name, "seed": seed, "steps": steps, "completion": value, "success": value,
            "rmse_m": 0.1, "steer_change": 0.1, "speed_mps": 8.0, "minutes": 1.0,
        }
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_the_interquartile_mean_leaves_out_a_quarter_on_each_side() -> None:
    middle, low, high = interquartile_mean([0.0, 0.5, 0.6, 0.7, 0.8, 1.0, 1.0, 9.0])
    assert middle == pytest.approx(np.mean([0.6, 0.7, 0.8, 1.0]))
    assert 0.3 < low < middle < high < 4.0


def test_the_table_has_the_last_evaluation_of_each_run() -> None:
    rows = [*rows_of("a|b", [0.1, 0.2], 20), *rows_of("a|b", [0.8, 1.0]), *rows_of("c", [0.5])]
    first, second = summary(rows)
    assert (first["run"], first["seeds"], first["steps"]) == ("a|b", "2", "40")
    assert first["route completion"].startswith("0.90; 0.90 (0.80…1.00)")
    assert (second["seeds"], second["route completion"]) == ("1", "0.50")
    lines = table(rows).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| a\\|b | 2 | 40 |")
    assert "<script" not in page(rows_of("<script>", [0.5]))


def test_results_that_are_there_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(__file__).parents[2] / "docs" / "data" / "ablation.jsonl"
    command = ["td3_driver", "sweep", str(data), "--out", str(tmp_path), "--runs"]
    monkeypatch.setattr("sys.argv", [*command, "n_step: 1", "default"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in shown[2:4]] == ["| n_step: 1", "| default"]
    assert (tmp_path / "sweep.html").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("3", "line 1: not an evaluation in JSON"),
        ('{"name": "a"}\n', "line 1: lacks completion, rmse_m, seed"),
        ("{", "line 1: not an evaluation in JSON"),
    ],
)
def test_what_are_no_results_is_said_in_a_line(content: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"mine\.jsonl: ") as refused:
        read_rows(file)
    assert said in str(refused.value)
    with pytest.raises(ValueError, match="no run 'b'; there are: a"):
        of_runs(rows_of("a", [0.5]), ["b"])
