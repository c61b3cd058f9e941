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


def measured(folder):
    """The brokers that left figures, ours first."""
    names = {os.path.basename(path).split(".")[1] for path in glob.glob(os.path.join(glob.escape(folder), "*.*.*.json"))}
    return sorted(names, key=lambda name: (not name.startswith("jackfield"), name))


def main(folder, scenarios):
    brokers = measured(folder)
    compare = len(brokers) == 2
    heads = ["scenario", "figure", *brokers] + (["ratio of medians"] if compare else [])
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for scenario in scenarios:
        tables = [figures(folder, scenario, broker) for broker in brokers]
        for name in sorted(set().union(*tables)):
            columns = [table.get(name) for table in tables]
            cells = [spread(values) if values else "-" for values in columns]
            if compare:
                medians = [statistics.median(values) if values else 0 for values in columns]
                cells.append(f"{medians[0] / medians[1]:.2f}" if medians[1] else "-")
            print("| " + " | ".join([scenario, name, *cells]) + " |")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
