"""The picture shows every program: a bar with its seconds, or why there is none."""

import xml.etree.ElementTree as ET

from tests.benchmarks.scripts import load

plot = load("plot")
SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_in_proportion_the_fastest_first_and_failures_are_told():
    programs = {
        "slow": {"wall_seconds": 8.0},
        "nightmail": {"wall_seconds": 2.0},
        "broken": {"failed": "not done after 600 s"},
    }

    drawn = ET.fromstring(plot.svg("A title", [("50,000 records", programs)], ["a <machine>"]))

    texts = [each.text for each in drawn.iter(f"{SVG}text")]
    assert texts == [
        "A title", "50,000 records", "nightmail", "2.0 s", "slow", "8.0 s, 4.00 x nightmail", "broken",
        "not done after 600 s", "a <machine>",
    ]  # fmt: skip
    widths = [float(each.get("width")) for each in drawn.iter(f"{SVG}rect")][1:]
    assert widths[1] == 4 * widths[0]
    bottom = float(drawn.get("height"))
    assert all(0 < float(each.get("y")) <= bottom for each in drawn.iter(f"{SVG}text"))
