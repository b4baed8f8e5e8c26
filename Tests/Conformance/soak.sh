#!/usr/bin/env bash
# Random subscribes, publishes, QoS, retained and offline sessions against apus, each delivery compared
# with a model by mqload's oracle: every seed, both protocol versions, both pollers.
#
#   Tests/Conformance/soak.sh [seeds] [seconds]      20 seeds of 10 seconds
set -uo pipefail
cd "$(dirname "$0")/../.."
seeds="${1:-20}" seconds="${2:-10}"
shared="${APUS_SHARED:-$(dirname "$PWD")/shared}"
if [ ! -d "$shared/mqload" ]; then
    echo "skipped: $shared/mqload does not exist"
    exit 0
fi
. Tests/Conformance/serve.sh
cp -r "$shared/mqload" "$work/mqload" && chmod -R u+w "$work/mqload"
make -s -C "$work/mqload" mqload || exit 1

failed=0 runs=0
# A server for each run: retained messages of earlier runs would make replays longer than half of a
# session's queue, which come by page as the client acknowledges, and so after the answer to the ping
# that the oracle takes for the end of a replay (Docs/DECISIONS.md 17).
for poller in ${APUS_POLLERS:-epoll io_uring}; do
    for version in "" --v5; do
        for ((seed = 1; seed <= seeds; seed++)); do
            runs=$((runs + 1))
            start_apus --set "poller=$poller" || exit 1
            if ! "$work/mqload/mqload" soak --port "$(port tcp)" ${apus_pid:+--pid "$apus_pid"} \
                --seed "$seed" --duration "$seconds" --offline --share $version \
                >"$work/out" 2>"$work/table"; then
                failed=$((failed + 1))
                echo "discrepancy: poller $poller ${version:---v3} seed $seed"
                tail -15 "$work/table"
            fi
            end_apus
        done
    done
done
echo "soak: $runs runs, $failed with a discrepancy"
[ "$failed" = 0 ]
