#!/usr/bin/env python3
"""table.py DIR SCENARIO...: one Markdown row per figure out of SCENARIO.BROKER.RUN.json, minimum / median / maximum."""
import glob
import json
import os
import statistics
import sys


def number(value):
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.3g}"


def spread(values):
    return " / ".join(number(value) for value in (min(values), statistics.median(values), max(values)))


def figures(folder, scenario, broker):
    rows = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), f"{scenario}.{broker}.*.json"))):
        with open(path, encoding="utf-8") as file:
            for report in json.load(file):
                for run in report["runs"]:
                    for name, value in run.items():
                        if value is not None:
                            rows.setdefault(name, []).append(value)
    return rows


def main(folder, scenarios):
    print("| scenario | figure | jackfield | activemq | ratio of medians |")
    print("|---|---|---|---|---|")
    for scenario in scenarios:
        ours, theirs = (figures(folder, scenario, broker) for broker in ("jackfield", "activemq"))
        for name in sorted(set(ours) | set(theirs)):
            left, right = ours.get(name), theirs.get(name)
            ratio = "-"
            if left and right and statistics.median(right):
                ratio = f"{statistics.median(left) / statistics.median(right):.3g}"
            cells = [spread(values) if values else "-" for values in (left, right)]
            print(f"| {scenario} | {name} | {cells[0]} | {cells[1]} | {ratio} |")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
