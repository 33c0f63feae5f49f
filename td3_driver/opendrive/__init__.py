# SPDX-License-Identifier: Apache-2.0
"""Reads OpenDRIVE: from the document's text to lanes, their successors, and their places.

No ROS, no torch, no simulator. `document` reads the XML into `records`, `curves` evaluates a
road's reference line, `lanes` makes each `lane` with its shape, `links` finds the successors of
each lane and drops links that do not fit, `places` finds lanes by place. `signal_elements` reads
signals and speed limits, `signals` places them and finds the lanes that meet them.
"""
