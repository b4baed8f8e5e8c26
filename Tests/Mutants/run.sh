#!/usr/bin/env bash
# Makes one mutation of the sources at a time and asks the tests to notice it.
#
#   Tests/Mutants/run.sh              all of them
#   Tests/Mutants/run.sh codec        those whose name begins so
#
# Works on a copy of the tracked files, so that the checkout and its build stay as they are. Ends with
# status 1 if a mutant survives, no longer applies or does not build.
# APUS_MUTANTS_DIR keeps the copy (and its build) for the next run.
set -uo pipefail
cd "$(dirname "$0")/../.."
wanted="${1:-}"
list=Tests/Mutants/mutants
copy="${APUS_MUTANTS_DIR:-$(mktemp -d)}"
[ -n "${APUS_MUTANTS_DIR:-}" ] || trap 'rm -rf "$copy"' EXIT
limit=300 # seconds for the tests of one mutant: an endless loop is noticed too

mkdir -p "$copy/tree" "$copy/one"
find "$copy/tree" -mindepth 1 -maxdepth 1 ! -name '.build*' -exec rm -rf {} +
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$copy/tree"
export APUS_CORE=1
unset APUS_STRICT # a mutant may leave a variable unused

build() { (cd "$copy/tree" && swift build --build-tests >"$copy/build.log" 2>&1); }
try() { # filter
    (cd "$copy/tree" && timeout "$limit" swift test --skip-build --filter "$1" >"$copy/test.log" 2>&1)
}

# One file for each mutant: NAME, FILE, TESTS, OLD, NEW.
rm -f "$copy/one/"*
awk -v out="$copy/one/" '
    /^#/ { next }
    /^== / { number++; base = sprintf("%s%03d", out, number); print substr($0, 4) > (base ".name"); next }
    /^file / { print substr($0, 6) > (base ".file"); next }
    /^tests / { print substr($0, 7) > (base ".tests"); next }
    /^< ?/ { print substr($0, 3) > (base ".old"); next }
    /^> ?/ { print substr($0, 3) > (base ".new"); next }
' "$list"

echo "building without mutations"
build || { tail -20 "$copy/build.log"; exit 1; }

caught=0 survived=0 broken=0
for name in "$copy/one/"*.name; do
    base="${name%.name}"
    title="$(cat "$name")"
    case "$title" in "$wanted"*) ;; *) continue ;; esac
    file="$copy/tree/$(cat "$base.file")"
    touch "$base.new"
    cp "$file" "$copy/original"
    if ! perl -0777 -e '
        my ($file, $old, $new) = map { open my $in, "<", $_ or die; local $/; <$in> // "" } @ARGV;
        s{\n\z}{} for $old, $new;
        my $count = () = $file =~ /\Q$old\E/g;
        exit 1 if $count != 1;
        $file =~ s/\Q$old\E/$new/;
        print $file;
    ' "$copy/original" "$base.old" "$base.new" >"$copy/mutated"; then
        echo "does not apply   $title"
        broken=$((broken + 1))
        continue
    fi
    cp "$copy/mutated" "$file"
    if ! build; then
        echo "does not build   $title"
        grep -m 3 'error:' "$copy/build.log"
        broken=$((broken + 1))
    elif try "$(cat "$base.tests")"; then
        echo "SURVIVED         $title"
        survived=$((survived + 1))
    else
        echo "caught           $title"
        caught=$((caught + 1))
    fi
    cp "$copy/original" "$file"
done
echo "$caught caught, $survived survived, $broken do not apply or build"
[ "$survived" = 0 ] && [ "$broken" = 0 ]
