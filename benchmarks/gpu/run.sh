#!/usr/bin/env bash
# Runs a bundle (bundle.py) on this machine's GPU: every case against its expected results, then speed, then the peers where PyTorch is.
#   run.sh [OUT]        OUT (default: results) gets cases.log, speed.jsonl, peers.jsonl and machine.txt
# Needs the NVIDIA driver only. Exit 1 when a case fails; speed is measured all the same.
set -u
cd "$(dirname "$(readlink -f "$0")")"
out=${1:-results}
mkdir -p "$out"
export LD_LIBRARY_PATH=$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
{ date -u; nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv 2>&1; } >"$out/machine.txt"
cat "$out/machine.txt"

passed=0 failed=0
: >"$out/cases.log"
for folder in cases/*/; do
  mapfile -t flags <"$folder/flags"
  if message=$(bin/bpt-exec "$folder/program.so" --entry=f --inputs="$folder/in.safetensors" --expected="$folder/expected.safetensors" \
    --json "${flags[@]}" 2>&1 >/dev/null); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAIL ${folder#cases/}: $message" | tee -a "$out/cases.log"
  fi
done
echo "$passed programs right, $failed wrong" | tee -a "$out/cases.log"

: >"$out/speed.jsonl"
for folder in speed/*/; do
  if measured=$(bin/bpt-exec "$folder/program.so" --entry=f --bench=20 --json 2>"$out/message"); then
    printf '{"what":%s,"measured":%s}\n' "$(cat "$folder/what.json")" "$measured" | tee -a "$out/speed.jsonl"
  else
    printf '{"what":%s,"error":"%s"}\n' "$(cat "$folder/what.json")" "$(tr -d '"\\\n' <"$out/message")" | tee -a "$out/speed.jsonl"
  fi
done

if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
  python3 peers.py speed >"$out/peers.jsonl" && cat "$out/peers.jsonl"
else
  echo "no PyTorch with CUDA: peers are left out"
fi
((failed == 0))
