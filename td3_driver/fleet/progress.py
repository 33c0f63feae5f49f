# SPDX-License-Identifier: Apache-2.0
"""A fleet's progress for people: one bar, and a table of the collectors in the log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from tqdm import tqdm

from td3_driver.console import BAR
from td3_driver.fleet.messages import Status

TABLE_EVERY_S = 10.0


class Progress:
    """A bar in a terminal, or the table without one; the table of the collectors in a log file.

    Args:
        steps: of the run.
        log: the file.
    """

    def __init__(self, steps: int, log: Path) -> None:
        self._file = log.open("a", encoding="utf-8")
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=steps, dynamic_ncols=True, bar_format=BAR, disable=not self._terminal
        )
        self._before: tuple[float, Status] | None = None
        self._table_s = time.monotonic()
        self._began: tuple[float, Status] | None = None
        self._last: Status | None = None

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
        with contextlib.suppress(OSError):
            self._file.close()

    def log(self, line: str) -> None:
        """Print a line above the bar, and keep it."""
        self._bar.write(line, file=sys.stderr)
        self.keep(line)

    def show(self, status: Status, restarts: Mapping[int, int], given_up: Collection[int]) -> None:
        """Show how far the run is."""
        now_s = time.monotonic()
        self._began = self._began or (now_s, status)
        before_s, before = self._before or (now_s, status)
        self._bar.n = min(status.env_steps, self._bar.total)
        self._bar.set_postfix_str(self._rates(now_s - before_s, before, status), refresh=True)
        self._last = status
        if self._before is None:
            self._before = now_s, status
        if now_s - self._table_s >= TABLE_EVERY_S:
            tell = self.keep if self._terminal else self.log
            tell(self._table(now_s - before_s, before, status, restarts, given_up))
            self._before, self._table_s = (now_s, status), now_s

    def summary(self, folder: Path) -> str:
        """The run in a few lines."""
        assert self._began is not None
        assert self._last is not None
        (began_s, first), last = self._began, self._last
        driven, spent_s = last.env_steps - first.env_steps, time.monotonic() - began_s
        rows = [
            ("environment steps", f"{last.env_steps}"),
            ("updates", f"{last.updates}"),
            ("episodes", f"{last.episodes}"),
            ("steps/s", f"{driven / max(spent_s, 1e-3):.1f}"),
            ("checkpoints", f"{folder}"),
        ]
        return "\n".join(f"  {name:<18} {value}" for name, value in rows)

    def _rates(self, elapsed_s: float, before: Status, now: Status) -> str:
        elapsed_s = max(elapsed_s, 1e-3)
        returns = [
            each.last_return for each in now.collectors.values() if each.last_return is not None
        ]
        words = [
            f"{len(now.collectors)} worlds",
            f"{(now.env_steps - before.env_steps) / elapsed_s:.0f} steps/s",
            f"{(now.updates - before.updates) / elapsed_s:.0f} updates/s",
            f"episode {now.episodes}",
        ]
        if returns:
            words.append(f"return {sum(returns) / len(returns):.0f}")
        return ", ".join(words)

    def _table(
        self,
        elapsed_s: float,
        before: Status,
        now: Status,
        restarts: Mapping[int, int],
        given_up: Collection[int],
    ) -> str:
        lines = [
            f"step {now.env_steps}, {self._rates(elapsed_s, before, now)}",
            "  collector  steps/s  return  weight age (updates)  restarts",
        ]
        for number, each in sorted(now.collectors.items()):
            former = before.collectors.get(number)
            rate = (each.steps - (former.steps if former else 0)) / max(elapsed_s, 1e-3)
            earned = "-" if each.last_return is None else f"{each.last_return:.0f}"
            end = "  given up" if number in given_up else ""
            lines.append(
                f"  {number:>9}  {rate:7.1f}  {earned:>6}  {each.age_updates:>20}"
                f"  {restarts.get(number, 0):>8}{end}"
            )
        return "\n".join(lines)

    def keep(self, text: str) -> None:
        """Write to the log file alone."""
        with contextlib.suppress(OSError):  # a full disk ends no run; checkpoints say it
            self._file.write(f"{text}\n")
            self._file.flush()
