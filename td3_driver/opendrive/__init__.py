# SPDX-License-Identifier: Apache-2.0
"""Reading OpenDRIVE: from the document's text to lanes, what they lead into, and where they lie.

Knows no ROS, no torch and no simulator. One direction: `document` reads the XML into
`records`, `curves` evaluates a road's reference line, `lanes` gives each `lane` its shape, `links`
finds what each leads into and leaves out what does not fit, `places` finds lanes by place.
"""
