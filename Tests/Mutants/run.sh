#!/usr/bin/env bash
# Makes one mutation of the sources at a time and asks the tests to notice it.
#
#   Tests/Mutants/run.sh              all of them
#   Tests/Mutants/run.sh codec …      those whose title begins with one of the words
#
# Works on a copy of the tracked files. All mutations are compiled into it at once, each behind a
# test for its number, so that one build serves many; a run wakes one of them (instrument.pl).
# First come those that tests of lower modules notice, which build without Broker.
# Ends with status 1 if a mutant survives, no longer applies or does not build.
# APUS_MUTANTS_DIR keeps the copy (and its build) for the next run.
set -uo pipefail
cd "$(dirname "$0")/../.."
list=Tests/Mutants/mutants
copy="${APUS_MUTANTS_DIR:-$(mktemp -d)}"
[ -n "${APUS_MUTANTS_DIR:-}" ] || trap 'rm -rf "$copy"' EXIT
limit=180 # seconds for the tests of one mutant: an endless loop is noticed too
begin=$SECONDS

# A fresh copy beside the last one: a file that has not changed keeps its time, and its object.
rm -rf "$copy/fresh"
mkdir -p "$copy/tree" "$copy/fresh"
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$copy/fresh"
perl Tests/Mutants/instrument.pl "$list" "$copy/fresh" >"$copy/mutants" || exit 1
perl -MFile::Find -MFile::Compare -MFile::Copy -MFile::Path -e '
    my ($fresh, $tree) = @ARGV;
    find({ no_chdir => 1, wanted => sub {
        return unless -f;
        my $to = $_ =~ s/^\Q$fresh\E/$tree/r;
        return if -e $to && compare($_, $to) == 0;
        mkpath($to =~ s{/[^/]*\z}{}r);
        copy($_, $to) or die "$to: $!\n";
    } }, $fresh);
    find({ no_chdir => 1, wanted => sub {
        if (-d && m{/\.build\z}) { $File::Find::prune = 1; return }
        my $from = $_ =~ s/^\Q$tree\E/$fresh/r;
        unlink if -f && !-e $from;
    } }, $tree);
' "$copy/fresh" "$copy/tree" || exit 1
rm -rf "$copy/fresh"

export APUS_CORE=1
unset APUS_STRICT APUS_MUTANT # a mutant may leave code without use
words=("$@")
caught=0 total=0

is_wanted() { # title
    [ ${#words[@]} = 0 ] && return 0
    local word
    for word in "${words[@]}"; do case "$1" in "$word"*) return 0 ;; esac; done
    return 1
}

# Runs what one line of "by" names: filters of test suites, or "simulate SEED COUNT".
try() { # log by
    local log=$1 arguments=() word
    shift
    if [ "$1" = simulate ]; then
        (cd "$copy/tree" && exec timeout "$limit" .build/debug/"$@") >"$log" 2>&1
        return
    fi
    for word in "$@"; do arguments+=(--filter "$word"); done
    (cd "$copy/tree" && exec timeout "$limit" .build/debug/apusPackageTests.xctest \
        --testing-library swift-testing "${arguments[@]}") >"$log" 2>&1 || return 1
    # A filter that finds nothing proves nothing.
    ! grep -qE 'with 0 tests|No matching test cases' "$log"
}

# Builds the tests that a list of mutants needs, sees them pass, then wakes one mutant at a time.
stage() { # list
    local modules number by title broken=$'\n' start verdict
    [ -s "$1" ] || return 0
    modules="$(cut -f 2 "$1" | tr ' ' '\n' | grep -o '^[A-Za-z]*' | sort -u | tr '\n' ' ')"
    echo "building $modules"
    (cd "$copy/tree" && APUS_TESTS="$modules" swift build --build-tests >"$copy/build.log" 2>&1) || {
        grep -m 5 -A 3 'error:' "$copy/build.log"
        exit 1
    }
    # Tests that fail without a mutation prove nothing: what they were to notice stays untried.
    while read -r by; do
        # shellcheck disable=SC2086
        try "$copy/test.log" $by </dev/null && continue
        echo "FAILS WITHOUT ANY MUTATION: $by"
        grep -E '✘|timed out' "$copy/test.log" | head -5
        broken="$broken$by"$'\n'
    done < <(cut -f 2 "$1" | sort -u)
    echo "tried without mutations; $((SECONDS - begin)) s"
    while IFS=$'\t' read -r number by title; do
        total=$((total + 1))
        start=$SECONDS
        verdict=SURVIVED
        # shellcheck disable=SC2086
        if [[ $broken == *$'\n'"$by"$'\n'* ]]; then
            verdict=untried
        elif ! APUS_MUTANT=$number try "$copy/test.log" $by </dev/null; then
            verdict=caught
            caught=$((caught + 1))
        fi
        printf '%-9s %4d s  %s\n' "$verdict" $((SECONDS - start)) "$title"
    done <"$1"
}

while IFS=$'\t' read -r number by title; do
    is_wanted "$title" && printf '%s\t%s\t%s\n' "$number" "$by" "$title"
done <"$copy/mutants" >"$copy/wanted"
upper='\t(.* )?(BrokerTests|Conformance|simulate)'
grep -vP "^\d+$upper" "$copy/wanted" >"$copy/lower"
grep -P "^\d+$upper" "$copy/wanted" >"$copy/upper"
stage "$copy/lower"
stage "$copy/upper"
echo "mutants: $caught of $total caught, in $((SECONDS - begin)) s"
[ "$caught" = "$total" ] && [ "$total" -gt 0 ]
