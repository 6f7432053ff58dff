"""Prints count, median and 90th percentile of each series of measurements in a directory.

A series is a file of JSON lines such as {"seconds": 0.25}.
"""

import json
import os
import sys
from pathlib import Path
from statistics import median, quantiles

from wit_world import exports


class Run(exports.Run):
    def run(self) -> None:
        if len(sys.argv) != 2:
            sys.exit("usage: statistics DIRECTORY")
        unit = os.environ.get("UNIT", "seconds")
        for series in sorted(Path(sys.argv[1]).glob("*.jsonl")):
            values = [json.loads(line)[unit] for line in series.read_text().splitlines()]
            ninth = quantiles(values, n=10, method="inclusive")[-1]
            print(f"{series.stem:<8} n={len(values)} median={median(values):.3f} p90={ninth:.3f} {unit}")
