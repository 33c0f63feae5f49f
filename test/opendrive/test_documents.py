# SPDX-License-Identifier: Apache-2.0
"""Documents that are broken, in another encoding, or not OpenDRIVE: one line says what it is."""

from pathlib import Path

import pytest

from td3_driver.driving.routes.road_map import RoadMap, RoadMapError

from .making import document, keys, lane, read, road, section

ONE_LANE = section(0, lane(-1))
GOOD = road("good", 30.0, ONE_LANE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not readable as XML (no element found: line 1, column 0)"),
        ("not xml", "not readable as XML (syntax error: line 1, column 0)"),
        ("<html></html>", "its root element is <html>; expected <OpenDRIVE>"),
        ("<OpenDRIVE>", "not readable as XML (no element found"),
        ("<OpenDRIVE/>", "it has no road that can be read"),
        (document(road(3, 30.0)), "road 3: it has no <laneSection>"),
        (document(road(3, 30.0, ONE_LANE, shape="")), "road 3: a <geometry> at s 0 has no line"),
        (document(road(3, 0.0, ONE_LANE)), "road 3: its <planView> has no <geometry> of any"),
        (document(road(3, -5.0, ONE_LANE)), "road 3: a <geometry> at s 0 is -5 m long"),
        (
            document(road(3, 1.5e6, ONE_LANE), road(4, 6e5, ONE_LANE)),
            "its roads are 2100 km long together (road 3 1500 km)",
        ),
        (document(road(3, 3e6, ONE_LANE)), "road 3: a <geometry> at s 0 is 3e+06 m long"),
        (document(road("", 30.0, ONE_LANE)), "road : it has no attribute id"),
        (document(road(3, float("nan"), ONE_LANE)), "road 3: a <geometry> has length='nan'"),
        (
            document(road(3, 30.0, section(0, lane(-1), lane(-1)))),
            "road 3: its lane section at s 0 has two lanes -1",
        ),
        (
            document(road(3, 30.0, section(0, lane(-1, widths='<width a="3,5"/>')))),
            "road 3: a <width> has a='3,5'; expected a number of at most 1e+09",
        ),
        (
            document(road(3, 30.0, section(0, lane(-1, widths='<width a="60"/>')))),
            "road 3 section 0 lane -1: it is at most 60.00 m wide",
        ),
        (
            document(road(3, 30.0, section(0, lane(-1, widths="")))),
            "road 3 section 0 lane -1: it is at most 0.00 m wide",
        ),
        (
            document(road(3, 30.0, ONE_LANE, shape="<arc/>")),
            "road 3: a <arc> has no attribute curvature; expected a number",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(RoadMapError) as refused:
        RoadMap(text, "bad")
    assert str(refused.value).startswith("map bad: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_one_bad_road_is_left_out_by_name() -> None:
    found = read(GOOD, road("bad", 30.0, ONE_LANE, at=(float("inf"), 0.0, 0.0)))
    assert keys(found) == {(0, 0, -1)}
    assert found.notes == (
        "map made: 1 element left out, unreadable: "
        "road bad: a <geometry> has x='inf'; expected a number of at most 1e+09",
    )


def test_two_roads_of_one_id() -> None:
    found = read(GOOD, GOOD)
    assert len(found.lanes) == 1
    assert "road good: another road has the same id" in found.notes[0]


def test_many_faults_of_a_kind_are_one_line() -> None:
    bad = [road(f"bad{number}", 30.0) for number in range(9)]
    (note,) = read(GOOD, *bad).notes
    assert note.startswith("map made: 9 elements left out, unreadable: road bad0: ")
    assert note.endswith(" and 6 more")


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16", "gb2312", "utf-8-sig"])
def test_the_declared_encoding_counts(encoding: str, tmp_path: Path) -> None:
    name = "大街" if encoding == "gb2312" else "Wörthstraße"
    declared = encoding.removesuffix("-sig")
    text = document(road(name, 30.0, ONE_LANE)).replace(
        'version="1.0"', f'version="1.0" encoding="{declared}"'
    )
    file = tmp_path / "street.xodr"
    file.write_bytes(text.encode(encoding))
    (found,) = RoadMap.from_file(file).lanes.values()
    assert found.name == f"road {name} section 0 lane -1"


@pytest.mark.parametrize("content", [b"\xff\xfe\xff", b"\x80\x81", bytes(range(256))])
def test_a_file_that_is_no_text_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "picture.xodr"
    file.write_bytes(content)
    with pytest.raises(RoadMapError) as refused:
        RoadMap.from_file(file)
    assert "picture" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_encoding_that_nobody_knows(tmp_path: Path) -> None:
    file = tmp_path / "street.xodr"
    file.write_text('<?xml version="1.0" encoding="klingon"?><OpenDRIVE/>')
    with pytest.raises(RoadMapError, match=r"street\.xodr: not a text file in klingon"):
        RoadMap.from_file(file)


def test_a_namespace_or_a_comment_before_the_declaration() -> None:
    text = document(GOOD)
    spaced = text.replace("<OpenDRIVE>", '<OpenDRIVE xmlns="http://example.org/opendrive">')
    for variant in (spaced, "<!-- a licence -->\n" + text, "\n  " + text, "\ufeff" + text):
        assert len(RoadMap(variant, "made").lanes) == 1


def test_entities_that_multiply_are_refused() -> None:
    layers = "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 50}">' if n else '<!ENTITY a0 "ha">' for n in range(9)
    )
    text = f'<!DOCTYPE x [{layers}]><OpenDRIVE><road id="&a8;"/></OpenDRIVE>'
    with pytest.raises(RoadMapError, match="map bad: not readable as XML"):
        RoadMap(text, "bad")


@pytest.mark.parametrize("word", ["1_000", "١٢", "0x10", "1e", "--1", " "])
def test_what_xml_calls_no_number(word: str) -> None:
    with pytest.raises(RoadMapError, match="expected a number of at most"):
        read(road(0, 30.0, section(0, lane(-1, widths=f'<width a="{word}"/>'))))


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08", b"PK\x03\x04"])
def test_a_compressed_file(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "town.xodr"
    file.write_bytes(content + bytes(99))
    with pytest.raises(RoadMapError, match="compressed; unpack it first"):
        RoadMap.from_file(file)
    with pytest.raises(RoadMapError, match="a folder; expected"):
        RoadMap.from_file(tmp_path)
