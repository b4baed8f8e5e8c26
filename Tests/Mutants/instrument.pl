# Puts every mutation of the list into a copy of the tree, asleep: each waits for its number in
# APUS_MUTANT. Writes one line per mutant (number, tests, seeds, title) to standard output.
#
#   perl instrument.pl LIST TREE
#
# Two mutations may replace the very same text; any other overlap, and a text that does not occur
# exactly once, is an error.
use strict;
use warnings;

my ($list, $tree) = @ARGV;
my (@mutants, $current);
open my $in, '<', $list or die "$list: $!\n";
while (my $line = <$in>) {
    chomp $line;
    next if $line =~ /^#/ || $line eq '';
    if ($line =~ /^== (.+)$/) {
        $current = { title => $1, old => [], new => [], line => $. };
        push @mutants, $current;
    } elsif ($line =~ /^in (\S+)$/) { $current->{file} = $1 }
    elsif ($line =~ /^by (.+)$/) { $current->{by} = $1 }
    elsif ($line =~ /^< ?(.*)$/) { push @{ $current->{old} }, $1 }
    elsif ($line =~ /^> ?(.*)$/) { push @{ $current->{new} }, $1 }
    else { die "$list:$.: what is this?\n" }
}

# A number that stays when the list changes, so that an old build is of use.
sub number {
    my $hash = 2166136261;
    $hash = (($hash ^ ord $_) * 16777619) & 0xFFFFFFFF for split //, shift;
    return $hash || 1;
}

my ($failures, %byFile, %titles) = (0);
sub complain { my ($mutant, $text) = @_; print STDERR "$mutant->{title}: $text\n"; $failures++ }

for my $mutant (@mutants) {
    complain($mutant, 'a second one of this name') if $titles{ $mutant->{title} }++;
    complain($mutant, 'no file or no tests'), next unless $mutant->{file} && $mutant->{by};
    $mutant->{number} = number($mutant->{title});
    push @{ $byFile{ $mutant->{file} } }, $mutant;
}

for my $file (sort keys %byFile) {
    open my $source, '<', "$tree/$file" or do { print STDERR "$file: $!\n"; $failures++; next };
    local $/;
    my $text = <$source>;
    close $source;
    my %places;
    for my $mutant (@{ $byFile{$file} }) {
        my ($old, $new) = (join("\n", @{ $mutant->{old} }), join("\n", @{ $mutant->{new} }));
        # «...» is an expression within the text; without it the text is whole statements.
        my ($before, $part) = ('', $old);
        my $isExpression = $old =~ /^(.*)«(.*)»(.*)$/s;
        if ($isExpression) { ($before, $part, $old) = ($1, $2, "$1$2$3") }
        my $count = () = $text =~ /\Q$old\E/g;
        if ($count != 1) { complain($mutant, "its text occurs $count times in $file"); next }
        my $start = index($text, $old) + length $before;
        my $place = $places{$start} ||= { end => $start + length $part, part => $part };
        if ($place->{end} != $start + length $part) { complain($mutant, 'overlaps another'); next }
        $place->{isExpression} = $isExpression;
        push @{ $place->{choices} }, [ $mutant->{number}, $new ];
    }
    my $end = length $text;
    for my $start (sort { $b <=> $a } keys %places) {
        my $place = $places{$start};
        if ($place->{end} > $end) { print STDERR "$file: mutations overlap at $start\n"; $failures++ }
        my $put = $place->{isExpression} ? "($place->{part})" : "{ $place->{part} }";
        for my $choice (reverse @{ $place->{choices} }) {
            my ($number, $new) = @$choice;
            $put = $place->{isExpression}
                ? "(isMutated($number) ? ($new) : $put)"
                : "if isMutated($number) { $new } else $put";
        }
        substr($text, $start, $place->{end} - $start) = $put;
        $end = $start;
    }
    $text = "import Base\n$text" unless $text =~ /^import Base$/m || $file =~ m{^Sources/Base/};
    open my $out, '>', "$tree/$file" or die "$file: $!\n";
    print $out $text;
}
exit 1 if $failures;

open my $switch, '>', "$tree/Sources/Base/Mutation.swift" or die $!;
print $switch <<'SWIFT';
import Glibc

public let chosenMutant: UInt32 = getenv("APUS_MUTANT").flatMap { UInt32(String(cString: $0)) } ?? 0

public func isMutated(_ number: UInt32) -> Bool { chosenMutant == number }
SWIFT
print join("\t", @$_{qw(number by title)}), "\n" for @mutants;
