# Sourced by the scripts beside it: starts apus on ports that the kernel chooses, ends it on exit.
#
#   start_apus [arguments of apus serve…]    sets apus_pid and work (a directory of its own)
#   port tcp                                 the port of a listener
#   APUS_PORTS="tcp=1883 ws=8083" and APUS_PID: use a broker that runs already

work="$(mktemp -d)"
apus_pid=""
end_apus() {
    if [ -n "$apus_pid" ] && [ -z "${APUS_PORTS:-}" ]; then
        kill -TERM "$apus_pid" 2>/dev/null
        wait "$apus_pid" 2>/dev/null
    fi
    apus_pid=""
}
trap 'end_apus; rm -rf "$work"' EXIT

start_apus() {
    if [ -n "${APUS_PORTS:-}" ]; then
        apus_pid="${APUS_PID:-}"
        return 0
    fi
    rm -f "$work/ready"
    "${BINARY:-.build/release/apus}" serve --data "$work/data" --ready-file "$work/ready" \
        --set listeners.tcp=127.0.0.1:0 "$@" >"$work/log" 2>&1 &
    apus_pid=$!
    local tries=0
    until [ -s "$work/ready" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$apus_pid" 2>/dev/null; then
            echo "apus did not become ready:"
            tail -20 "$work/log"
            return 1
        fi
        sleep 0.1
    done
}

port() { # name of a listener
    if [ -n "${APUS_PORTS:-}" ]; then
        tr ' ' '\n' <<<"$APUS_PORTS" | sed -n "s/^$1=//p"
    else
        sed -n "s/.*\"$1\" *: *\"[^\"]*:\\([0-9]*\\)\".*/\\1/p" "$work/ready"
    fi
}
