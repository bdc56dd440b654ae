#!/usr/bin/env python3
"""Speed and memory against goals and peers.

  run.py --bin build/bin [cpu|memory|gpu] [--full] [--rounds=N] [--json=FILE] [--filter=REGEX]
One JSON object a row: {"work","dtype","shape","seconds","gflops","of_peak","of_tile","vs","goal","holds"}. FLOPs are model FLOPs of
visible work. The peak and the rate of the bare register tile are measured in turns with ours, a few milliseconds each (bpt-paired),
for training steps and rows that move memory around them; `vs` holds the peer's time / ours, in turns, too. Rows that move memory have
"gbytes_per_second","of_bandwidth" instead, others "speedup" (one thread's time / ours), "spread" (largest share of peak / smallest)
or seconds alone; memory rows "planned_bytes","allocated_bytes"; rows of gpu what was counted, or a rate that a model predicts. A peer
that cannot be had is named and left out.
"""
import argparse, json, os, re, sys
from statistics import median

import chart, cpu_rows, gpu_rows, memory_chart, memory_rows, ours
from peers import all_peers

AT_MOST = "seconds", "spread"  # figures that a goal bounds from above


def measure(arguments, row, peers):
    """Rounds of ours and each peer, in turns: the medians of what ours and the peers took, and the peaks of the same minutes."""
    times, peaks, theirs = [], [], {name: [] for name in peers}
    request = {"work": row.work, "dtype": row.dtype, "runs": row.ours[0].runs(), **row.sizes}
    peak = (lambda: [ours.peak(arguments.bin, row.peak)]) if row.peak and not row.is_paired else list
    for _ in range(min(arguments.rounds, row.rounds or arguments.rounds)):
        peaks += peak()
        times.append(row.time(arguments.bin))
        for name, peer in peers.items():
            if (seconds := peer.measure(request)) is not None:
                theirs[name].append(seconds)
    peaks += peak()
    medians = [{field: median(time[field] for time in each) for field in each[0]} for each in zip(*times)]
    return medians, {name: median(seconds) for name, seconds in theirs.items() if seconds}, peaks


def figures(row, times, peaks):
    """The fields that say how fast ours is."""
    rates = [one.amount / time["seconds"] * 1e-9 for one, time in zip(row.ours, times)]
    if row.figure == "speedup":
        return {"speedup": round(1 / times[1]["speed"], 3)}
    if row.figure == "spread":
        shares = [one.amount / time["peak_flops"] for one, time in zip(row.ours, times)]
        return {"spread": round(max(shares) / min(shares), 3), "of_peak_of_each": [round(share, 3) for share in shares]}
    if row.figure == "seconds":
        return {}
    rate = "gbytes_per_second" if row.figure == "of_bandwidth" else "gflops"
    if row.is_paired:
        shares = {"of_peak": row.ours[0].amount / times[0]["peak_flops"], "of_tile": row.ours[0].amount / times[0]["tile_flops"]}
    else:
        best = lambda name: max(peak[name] for peak in peaks)
        shares = {row.figure: rates[0] / best(row.peak)} | ({"of_tile": rates[0] / best(f"tile_{row.peak}")} if row.figure == "of_peak" else {})
    return {rate: round(rates[0], 1)} | {name: round(share, 3) for name, share in shares.items()}


def report(arguments, row, peers):
    fields = {"work": row.work, "dtype": row.dtype, "shape": row.shape}
    try:
        times, theirs, peaks = measure(arguments, row, peers)
    except ours.Failed as error:
        return fields | {"error": str(error)}
    seconds = times[0]["seconds"]
    fields |= {"seconds": seconds} | figures(row, times, peaks)
    fields["vs"] = {name: round(time / seconds, 2) for name, time in theirs.items()}
    wanted = {name: ratio for name, ratio in row.ratios.items() if ratio and name in theirs}
    at_most = row.figure in AT_MOST
    holds, bounds = True, []
    if row.goal is not None:
        holds = fields[row.figure] <= row.goal if at_most else fields[row.figure] >= row.goal
        bounds = [f"{row.figure} {'<=' if at_most else '>='} {row.goal:.2f}"]
    return fields | {"goal": ", ".join(bounds + [f"{name} >= {ratio}" for name, ratio in wanted.items()]),
                     "holds": holds and all(fields["vs"][name] >= ratio for name, ratio in wanted.items())}


def bench_cpu(arguments, emit):
    peers = all_peers(arguments.build)

    def stop_all_but(names):
        for name, peer in peers.items():
            if name not in names:
                peer.stop()  # its memory is for the others
    for row in cpu_rows.rows(arguments.full):
        if re.search(arguments.filter, row.title):
            stop_all_but(row.ratios)
            ready = {name: peers[name] for name in row.ratios if peers[name].available()}
            if ready or row.goal is not None:  # else there is nothing to judge
                emit(report(arguments, row, ready))
    stop_all_but(())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("cpu", "memory", "gpu"), default="cpu")
    parser.add_argument("--bin", default="build/bin", help="folder with bpt's tools")
    parser.add_argument("--build", default="build", help=argparse.SUPPRESS)
    parser.add_argument("--full", action="store_true", help="long rows too")
    parser.add_argument("--rounds", type=int, default=3, help="turns of ours, the peers and the peak for each row")
    parser.add_argument("--json", default="", help="also write the rows to this file, one object a line")
    parser.add_argument("--filter", default="", help="only rows whose work and shape (and type, where it is not f32) match this expression")
    arguments = parser.parse_args()
    file = open(arguments.json, "w") if arguments.json else None
    rows = []

    def emit(row):
        rows.append(row)
        print(json.dumps(row), flush=True)
        if file:
            file.write(json.dumps(row) + "\n")
            file.flush()

    {"cpu": bench_cpu, "memory": memory_rows.bench, "gpu": gpu_rows.bench}[arguments.what](arguments, emit)
    base = os.path.splitext(arguments.json)[0] if arguments.json else os.path.join(arguments.build, f"bench-{arguments.what}")
    pictures = {"cpu": lambda: {".svg": chart.svg(rows)}, "memory": lambda: memory_chart.pictures(rows), "gpu": dict}[arguments.what]()
    for ending, picture in pictures.items():
        if picture:
            with open(base + ending, "w") as file:
                file.write(picture)
            print(base + ending, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
