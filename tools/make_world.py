"""Makes privacy_middleware/site/world.json from Natural Earth's outlines (public domain), as npm's `world-atlas` packs them.

    npm pack world-atlas && tar xzf world-atlas-*.tgz && pip install pycountry && python tools/make_world.py package/countries-110m.json

Equal Earth projection (Šavrič, Patterson & Jenny 2018), rounded to the thousandth of the map's width; codes and names from ISO 3166.
"""

import json
import math
import sys
from itertools import pairwise
from pathlib import Path

import pycountry

WIDTH = 1000
A = (1.340264, -0.081106, 0.000893, 0.003796)
X_MOST = math.pi * 2 / math.sqrt(3) / A[0]
SMALLEST = 3
"""Rings of fewer points than these are left out: they would be a dot."""
WITHOUT_NUMBER = {"Kosovo": "XK", "N. Cyprus": "CY", "Somaliland": "SO"}


def project(longitude: float, latitude: float) -> tuple[float, float]:
    """Return x and y of Equal Earth, on a map of the given width."""
    theta = math.asin(math.sqrt(3) / 2 * math.sin(math.radians(latitude)))
    square = theta * theta
    sixth = square**3
    slope = A[0] + 3 * A[1] * square + sixth * (7 * A[2] + 9 * A[3] * square)
    x = 2 * math.sqrt(3) * math.radians(longitude) * math.cos(theta) / (3 * slope)
    y = theta * (A[0] + A[1] * square + sixth * (A[2] + A[3] * square))
    scale = WIDTH / 2 / X_MOST
    return WIDTH / 2 + x * scale, -y * scale


def arcs(topology: dict) -> list[list[tuple[float, float]]]:
    """Undo the delta coding of TopoJSON."""
    (sx, sy), (tx, ty) = topology["transform"]["scale"], topology["transform"]["translate"]
    found = []
    for arc in topology["arcs"]:
        x = y = 0
        line = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            line.append((x * sx + tx, y * sy + ty))
        found.append(line)
    return found


def path(rings: list[list[int]], lines: list[list[tuple[float, float]]], top: float) -> str:
    """Write rings of arcs as an SVG path in whole numbers, relative to the point before."""
    parts = []
    for ring in rings:
        points: list[tuple[int, int]] = []
        turn, before = 0, None  # a ring that crosses the antimeridian goes on beyond it
        for number in ring:
            line = lines[number] if number >= 0 else lines[~number][::-1]
            for longitude, latitude in line:
                if before is not None and abs(longitude - before) > 180:
                    turn += 360 if longitude < before else -360
                before = longitude
                x, y = project(longitude + turn, latitude)
                point = round(x), round(y + top)
                if not points or points[-1] != point:
                    points.append(point)
        if len(points) < SMALLEST:
            continue
        text = f"M{points[0][0]} {points[0][1]}l"
        text += " ".join(f"{b[0] - a[0]} {b[1] - a[1]}" for a, b in pairwise(points))
        parts.append(text.replace(" -", "-") + "z")
    return "".join(parts)


def main() -> None:
    """Write the file."""
    topology = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = arcs(topology)
    top = project(0, 84)[1] * -1
    shapes: dict[str, str] = {}
    for country in topology["objects"]["countries"]["geometries"]:
        known = pycountry.countries.get(numeric=country.get("id", ""))
        code = known.alpha_2 if known else WITHOUT_NUMBER.get(country["properties"]["name"], "")
        rings = country["arcs"] if country["type"] == "Polygon" else [ring for polygon in country["arcs"] for ring in polygon]
        if code and code != "AQ":
            shapes[code] = shapes.get(code, "") + path(rings, lines, top)
    names = {one.alpha_2: getattr(one, "common_name", one.name) for one in pycountry.countries} | {"XK": "Kosovo"}
    height = round(project(0, -57)[1] + top)
    world = {"width": WIDTH, "height": height, "shapes": dict(sorted(shapes.items())), "names": dict(sorted(names.items()))}
    target = Path(__file__).parents[1] / "privacy_middleware" / "site" / "world.json"
    target.write_text(json.dumps(world, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
