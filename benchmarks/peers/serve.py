"""The protocol of peers: one request a line on standard input, {"work", sizes.., "dtype", "runs"}; the answer is {"seconds"}, the
median of the runs, or {"error"}. Standard output is for answers only."""
import json, os, sys, time

THREADS = int(os.environ.get("PEER_THREADS", os.cpu_count()))


def median_time(run, runs):
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[len(seconds) // 2]


def serve(seconds):
    """`seconds(request)` measures."""
    for line in sys.stdin:
        try:
            answer = {"seconds": seconds(json.loads(line))}
        except (RuntimeError, MemoryError) as error:
            answer = {"error": (str(error).strip().splitlines() or [type(error).__name__])[0]}
        print(json.dumps(answer), flush=True)


def serve_functions(functions):
    """`functions[work](request)` gives what to run; the first run is not counted."""
    def seconds(request):
        run = functions[request["work"]](request)
        run()
        return median_time(run, request["runs"])
    serve(seconds)
