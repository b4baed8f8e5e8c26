#!/usr/bin/env bash
# mosquitto_pub and mosquitto_sub against a broker: one line for each feature.
#
#   mosquitto.sh HOST PORT TRANSPORT VERSION AUTHORITY FOLDER
set -u
host="$1" port="$2" transport="$3" version="$4" authority="$5" folder="$6"
case "$version" in
3) version=mqttv311 ;;
5) version=mqttv5 ;;
esac
common=(-h "$host" -p "$port" -V "$version")
[ "$transport" = tls ] && common+=(--cafile "$authority")
base="clients/mosquitto/$transport/$version"
run=0

subscribe() { # topic qos [arguments…]: sets pid and out once SUBACK has come
    local topic="$1" qos="$2"
    shift 2
    run=$((run + 1))
    out="$folder/sub-$run"
    stdbuf -oL mosquitto_sub "${common[@]}" -d -i "sub-$transport-$version-$run" -t "$topic" \
        -q "$qos" -F '=%q %r %p' "$@" >"$out" 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        grep -q 'Subscribed (mid' "$out" && return 0
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}
publish() { mosquitto_pub "${common[@]}" "$@" >"$folder/pub" 2>&1; }
received() { # line: waits for it
    for _ in $(seq 100); do
        grep -qxF "=$1" "$out" && return 0
        sleep 0.05
    done
    return 1
}
finish() {
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
}
verdict() { # feature status
    if [ "$2" = 0 ]; then
        echo "$1 ok"
    else
        echo "$1 fail $(cat "$out" "$folder/pub" 2>/dev/null | tail -2 | tr '\n' ' ')"
    fi
}

subscribe "$base/connect" 0
verdict connect $?
finish
for qos in 0 1 2; do
    subscribe "$base/$qos" "$qos" && publish -t "$base/$qos" -q "$qos" -m "qos $qos" &&
        received "$qos 0 qos $qos"
    verdict "qos$qos" $?
    finish
done

publish -t "$base/kept" -q 1 -r -m kept && subscribe "$base/kept" 1 && received "1 1 kept" &&
    publish -t "$base/kept" -q 1 -r -n
verdict retained $?
finish

subscribe "$base/will" 1
watcher=$pid watched=$out
subscribe "$base/nothing" 0 --will-topic "$base/will" --will-payload gone --will-qos 1
{ kill -KILL "$pid" && wait "$pid"; } 2>/dev/null
pid=$watcher out=$watched
received "1 0 gone"
verdict will $?
finish
