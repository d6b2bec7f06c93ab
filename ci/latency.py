#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Shows what a run measured: a table with bars on the terminal, and SVG plots beside the results.

usage: latency.py DIRECTORY

DIRECTORY holds the records of `kvmspec latency scalability` (results/README.md); latency.svg and
scalability.svg are written there.
"""
from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, Callable, Iterable
from xml.sax.saxutils import escape

MEASURED, JUDGED, SCALABILITY = "latency", "kick_latency", "scalability"  # areas
BAR = 30  # characters

Measurement = dict[str, Any]


def measured(records: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Those that measured something, by area; a lost kick leaves a measurement without samples."""
    found: dict[str, list[dict[str, Any]]] = {area: [] for area in (MEASURED, JUDGED, SCALABILITY)}
    for record in sorted(records, key=lambda record: record["case"]):
        area, _, name = record["case"].partition("/")
        measurements = [m for m in record.get("measurements", []) if m["value"]["count"]]
        if area in found and measurements:
            found[area].append(record | {"name": name, "measurements": measurements})
    return found


def read(directory: Path) -> list[dict[str, Any]]:
    with open(directory / "cases.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def duration(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


class Scale:
    """Nanoseconds to positions, by their logarithm: from 0 to length."""

    def __init__(self, values: Iterable[float], length: float):
        kept = [value for value in values if value > 0] or [1]
        self.low = math.floor(math.log10(min(kept)))
        self.high = max(math.ceil(math.log10(max(kept))), self.low + 1)
        self.length = length

    def __call__(self, ns: float) -> float:
        position = (math.log10(max(ns, 1)) - self.low) / (self.high - self.low)
        return min(max(position, 0), 1) * self.length

    def decades(self) -> list[int]:
        return [10 ** exponent for exponent in range(self.low, self.high + 1)]


def ends(measurements: Iterable[Measurement]) -> list[float]:
    return [m[which][at] for m in measurements for which in ("value", "baseline")
            for at in ("min", "p99")]


def bar(m: Measurement, scale: Scale) -> str:
    """The baseline's median, and how much further the value's is: «====----»."""
    baseline, value = round(scale(m["baseline"]["p50"])), round(scale(m["value"]["p50"]))
    return "=" * min(baseline, value) + ("-" if value > baseline else " ") * abs(value - baseline)


def print_table(title: str, rows: list[tuple[str, Measurement]]) -> None:
    scale = Scale((m[which]["p50"] for _, m in rows for which in ("value", "baseline")), BAR)
    print(f"\n{title}\n{'':36} {'n':>5} {'min':>8} {'p50':>8} {'p90':>8} {'p99':>8} {'max':>8} "
          f"{'base min':>9} {'base p50':>9} {'ratio':>6}  median: = baseline, - what is added")
    for name, m in rows:
        value, base = m["value"], m["baseline"]
        print(f"{name:36} {value['count']:5} "
              + " ".join(f"{duration(value[at]):>8}" for at in ("min", "p50", "p90", "p99", "max"))
              + f" {duration(base['min']):>9} {duration(base['p50']):>9} {m['ratio']:6.2f}  "
              + bar(m, scale).ljust(BAR) + (" noisy" if m["noisy"] else ""))


# SVG

ROW, PANEL, LEFT, TOP = 14, 210, 250, 44
VALUE, BASELINE = "value", "baseline"  # classes
STYLE = """
text{font:11px sans-serif}.paper{fill:#fff}.axis{stroke:#ddd}.noisy{opacity:.45}
.value{stroke:#1f5fa8}circle.value{fill:#1f5fa8}.baseline{stroke:#999}circle.baseline{fill:#999}
@media (prefers-color-scheme:dark){text{fill:#ddd}.paper{fill:#16191d}.axis{stroke:#3a3f46}
.value{stroke:#7db3ef}circle.value{fill:#7db3ef}.baseline{stroke:#8b8b8b}circle.baseline{fill:#8b8b8b}}
"""


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, name: str, width: float) -> str:
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'class="{name}" stroke-width="{width}"/>')


def dot(x: float, y: float, name: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="{name}"/>'


def svg(width: float, height: float, title: str, parts: list[str]) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'width="{width:.0f}" height="{height:.0f}"><title>{escape(title)}</title>'
            f'<style>{STYLE}</style><rect class="paper" width="100%" height="100%"/>\n'
            + "\n".join(parts) + "\n</svg>\n")


def spread(d: dict[str, Any], x: float, y: float, scale: Scale, which: str) -> str:
    """From the minimum to the 99th percentile; thick from the 10th to the 90th; the median."""
    at = {name: x + scale(d[name]) for name in ("min", "p10", "p50", "p90", "p99")}
    return (line(at["min"], y, at["p99"], y, which, 1) + line(at["p10"], y, at["p90"], y, which, 3)
            + dot(at["p50"], y, which))


def legend(y: float, baseline: str, value: str) -> list[str]:
    return [dot(x, y, which) + text(x + 8, y + 4, words)
            for x, which, words in ((12, BASELINE, baseline), (230, VALUE, value))]


def draw_latency(title: str, records: list[dict[str, Any]],
                 place_of: Callable[[Measurement], str] = lambda m: m["name"]) -> str:
    """A row for each case, a panel for each place."""
    measurements = [m for record in records for m in record["measurements"]]
    places = list(dict.fromkeys(map(place_of, measurements)))
    panel = max(PANEL, 3 * PANEL // len(places))  # the legend needs the width of three
    scale = Scale(ends(measurements), panel - 20)
    bottom = TOP + ROW * len(records)
    parts = [text(8, 16, title), *legend(bottom + 36, "the same kick outside of KVM_RUN", "the kick of KVM_RUN"),
             text(430, bottom + 40, "dot: median; thick: 10th to 90th percentile; thin: minimum to "
                  "99th; pale: noisy")]
    for column, place in enumerate(places):
        x = LEFT + panel * column
        parts.append(text(x, 32, place))
        for i, ns in enumerate(scale.decades()):
            at = x + scale(ns)
            parts.append(f'<line class="axis" x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{bottom}"/>')
            if i % 2 == 0:  # there is no room for each
                parts.append(text(at, bottom + 14, duration(ns), "middle"))
    for row, record in enumerate(records):
        y = TOP + ROW * (row + 0.5)
        parts.append(text(8, y + 4, record["name"]))
        for m in record["measurements"]:
            x = LEFT + panel * places.index(place_of(m))
            parts.append(f'<g class="{"noisy" if m["noisy"] else ""}">'
                         + spread(m["baseline"], x, y + 3, scale, BASELINE)
                         + spread(m["value"], x, y - 2, scale, VALUE) + "</g>")
    return svg(LEFT + panel * len(places) + 20, bottom + 50, title, parts)


def draw_scalability(title: str, records: list[dict[str, Any]]) -> str:
    """A panel for each case: the median over the number of vCPUs."""
    width, height, left = 280.0, 200.0, 60.0
    parts = [text(8, 16, title)]
    for column, record in enumerate(records):
        ms = record["measurements"]
        x0, step = left + column * (width + left), width / max(len(ms) - 1, 1)
        scale = Scale(ends(ms), height)
        parts.append(text(x0, 36, record["name"]))
        for ns in scale.decades():
            y = 50 + height - scale(ns)
            parts.append(f'<line class="axis" x1="{x0}" y1="{y:.1f}" x2="{x0 + width}" y2="{y:.1f}"/>'
                         + text(x0 - 6, y + 4, duration(ns), "end"))
        for which in (BASELINE, VALUE):
            points = [(x0 + i * step, 50 + height - scale(m[which]["p50"])) for i, m in enumerate(ms)]
            parts.append(f'<polyline fill="none" class="{which}" stroke-width="2" points="'
                         + " ".join(f"{x:.1f},{y:.1f}" for x, y in points) + '"/>')
        parts += [text(x0 + i * step, 66 + height, m["name"].split()[0], "middle")
                  for i, m in enumerate(ms)]
    parts += legend(86 + height, "immediate_exit", "KVM_SET_SIGNAL_MASK; medians over the number of vCPUs")
    return svg(left + len(records) * (width + left), 100 + height, title, parts)


def draw_judged(title: str, records: list[dict[str, Any]]) -> str:
    return draw_latency(title, records, lambda m: "each judged by itself")


def title_of(host: dict[str, Any]) -> str:
    return f"{host['vendor']}, Linux {host['kernel']}, {host['cpu']}, engine {host['engine']}"


def complain_of_noise(measurements: list[Measurement]) -> None:
    noisy = sum(m["noisy"] for m in measurements)
    if noisy:
        print(f"\nnoisy: in {noisy} of {len(measurements)} the baseline varied by itself (90th "
              "percentile above 4 medians).\nTheir medians say little; measure again on a quieter machine.")


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print("usage: latency.py DIRECTORY", file=sys.stderr)
        return 2
    directory = Path(sys.argv[1])
    try:
        of = measured(read(directory))
        host = json.loads((directory / "host.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"latency.py: {error}. DIRECTORY is where a run's results are (make latency).",
              file=sys.stderr)
        return 2
    everything = [m for records in of.values() for r in records for m in r["measurements"]]
    if not everything:
        print(f"latency.py: no case in {directory} has measured anything", file=sys.stderr)
        return 2
    title = title_of(host)
    print(title)
    for place in dict.fromkeys(m["name"] for r in of[MEASURED] for m in r["measurements"]):
        print_table(f"kicks, {place}", [(r["name"], m) for r in of[MEASURED]
                                        for m in r["measurements"] if m["name"] == place])
    if of[JUDGED]:
        print_table("kicks, judged", [(r["name"], r["measurements"][0]) for r in of[JUDGED]])
    for record in of[SCALABILITY]:
        print_table(f"{record['case']}: the signal mask, and immediate_exit as its baseline",
                    [(m["name"], m) for m in record["measurements"]])
    print(f"\nA read of the clock takes {min(m['clock_ns'] for m in everything)} ns, which is in each sample.")
    complain_of_noise(everything)
    draws: dict[str, Callable[[str, list[dict[str, Any]]], str]] = {
        MEASURED: draw_latency, SCALABILITY: draw_scalability}
    for area, draw in draws.items():
        if of[area]:
            path = directory / f"{area}.svg"
            path.write_text(draw(title, of[area]), encoding="utf-8")
            print(f"\nplot: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
