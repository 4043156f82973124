# Sourced by the scripts beside it: `step NAME` begins a step, and how many seconds each took is printed when it ends.
step() {
    end_step
    now=$1 began=$SECONDS
    printf '\n== %s\n' "$now"
}
end_step() { [ -z "${now:-}" ] || printf -- '-- %s: %s s\n' "$now" "$((SECONDS - began))"; }
scratch=$(mktemp -d)
trap 'end_step; printf -- "-- all: %s s\n" "$SECONDS"; rm -rf "$scratch"' EXIT
