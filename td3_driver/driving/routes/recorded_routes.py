# SPDX-License-Identifier: Apache-2.0
"""Recorded routes: an episode begins with the first frame of each."""

from __future__ import annotations

import bisect

from td3_driver.driving.continuity import GAP_NS
from td3_driver.driving.routes.route import Route


class RecordedRoutes:
    """Routes by the stamps of their first frames, ns.

    Args:
        kept: number of routes to remember, those added last; None: all.
    """

    def __init__(self, kept: int | None = None) -> None:
        self._kept = kept
        self._routes: dict[int, Route] = {}  # in order of insertion
        self._stamps_ns: list[int] = []  # ascending

    def __bool__(self) -> bool:
        return bool(self._routes)

    def add(self, stamp_ns: int, route: Route) -> None:
        """Add a route by the stamp of its first frame, ns; it replaces one of the same stamp."""
        if self._routes.pop(stamp_ns, None) is None:
            bisect.insort(self._stamps_ns, stamp_ns)
        self._routes[stamp_ns] = route
        if self._kept is not None and len(self._routes) > self._kept:
            oldest_ns = next(iter(self._routes))
            del self._routes[oldest_ns]
            self._stamps_ns.remove(oldest_ns)

    def begun(self, before_ns: int | None, now_ns: int) -> Route | None:
        """Return the route that begins with a frame, or with a missing one just before it.

        Args:
            before_ns: stamp of the frame before, ns; None if there is none.
            now_ns: stamp of this frame, ns.
        """
        at = bisect.bisect_right(self._stamps_ns, now_ns) - 1
        if at < 0:
            return None
        stamp_ns = self._stamps_ns[at]
        missed = before_ns is not None and stamp_ns <= before_ns
        return None if missed or now_ns - stamp_ns > GAP_NS else self._routes[stamp_ns]
