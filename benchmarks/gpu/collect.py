#!/usr/bin/env python3
"""Makes one result file of what run.sh measured: collect.py MEASURED RESULTS

MEASURED has speed.jsonl, peers.jsonl, cases.log and machine.txt; RESULTS gets gpu-DATE-NAME.json: one object a row in the form of
./dev bench, `vs` holding the peer's time / ours."""
import datetime
import json
import os
import re
import sys


def read_lines(path):
    return [json.loads(line) for line in open(path)] if os.path.exists(path) else []


def main():
    measured, results = sys.argv[1:]
    machine = open(os.path.join(measured, "machine.txt")).read()
    name = (re.search(r"NVIDIA ([\w ]+)", machine) or re.search(r"()", machine))[1].strip().lower().replace(" ", "-") or "unknown"
    peers = {}
    for row in read_lines(os.path.join(measured, "peers.jsonl")):
        if "seconds" in row:
            peers.setdefault(row["name"], {})[row["peer"]] = row["seconds"]
    rows = []
    for row in read_lines(os.path.join(measured, "speed.jsonl")):
        what = row["what"]
        out = {"work": what["work"], "dtype": what["dtype"], "shape": what["shape"], "goal": what["goal"]}
        if "error" in row:
            rows.append(out | {"error": row["error"]})
            continue
        seconds = row["measured"]["seconds"]
        versus = {peer: round(time / seconds, 3) for peer, time in peers.get(what["name"], {}).items()}
        peer, least = re.match(r"(\w+) >= ([\d.]+)", what["goal"]).groups()
        holds = versus[peer] >= float(least) if peer in versus else None
        rows.append(out | {"seconds": seconds, "gflops": round(what["flops"] / seconds * 1e-9, 1), "vs": versus, "holds": holds})
    log = open(os.path.join(measured, "cases.log")).read().strip().split("\n")
    text = {"machine": machine.strip(), "date": datetime.date.today().isoformat(), "cases": log, "rows": rows}
    path = os.path.join(results, f"gpu-{text['date']}-{name}.json")
    with open(path, "w") as file:
        json.dump(text, file, indent=1)
        file.write("\n")
    print(path)


if __name__ == "__main__":
    main()
