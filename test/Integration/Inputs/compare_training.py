"""compare_training.py METRICS GOLDEN: the rows of two runs agree to what f32 allows."""
import json, sys

rows = [json.loads(line) for line in open(sys.argv[1])]
golden = json.load(open(sys.argv[2]))
assert len(rows) == len(golden), (len(rows), len(golden))
for row, want in zip(rows, golden):
    for key, tolerance in {"step": 0, "lr": 1e-12, "loss": 2e-5, "grad_norm": 2e-4}.items():
        difference = abs(row[key] - want[key]) / max(abs(want[key]), 1e-30)
        assert difference <= tolerance, f"step {row['step']}: {key} is {row[key]}, expected {want[key]}"
