#!/usr/bin/perl
# Writes tests/text/word_breaks.txt: where Perl's \b{wb}, an implementation of
# UAX #29 that has nothing in common with ours, breaks random texts. A line is
# code points in hexadecimal with | where there is a boundary.
#   perl tests/text/word_breaks.pl > tests/text/word_breaks.txt
# Blanks and runs of white space are left out: there Perl's rules are its own,
# and ours are, too. So are joiners right after a mark that may be within a word:
# WB4 has them ignored there, and Perl 5.36 doesn't.
use strict;
use warnings;
use Unicode::UCD qw(prop_invmap);

my @pool = ([0x61, 0x5a, 0xe9, 0x416, 0x645, 0x1e9e], [0x5d0, 0x5e9],
	[0x30, 0x39, 0x661, 0x966], [0x30a2, 0x30fc], [0x5f, 0x203f],
	[0x3a, 0xb7, 0x387], [0x2c, 0x3b, 0x37e], [0x2e, 0x2018, 0x2019],
	[0x27], [0x22], [0x1f1e9, 0x1f1ea], [0x200d], [0xad, 0x200e],
	[0x301, 0x308, 0x903, 0x1f3fd, 0xfe0f], [0x1f600, 0x1f469, 0x2764],
	[0x21, 0x2d, 0x4e2d, 0x3042, 0xe01, 0x40], [0xd], [0xa],
	[0xb, 0x85, 0x2028]);
srand 7;
for (1 .. 1500) {
	my $text = "";
	for (0 .. 1 + int rand 9) {
		my $class = $pool[rand @pool];
		my $next = chr $class->[rand @$class];
		$text .= $next unless "$text$next" =~ /[\s\x85]{2}$/
			|| "$text$next" =~ /[:\xb7\x{387},;\x{37e}.\x{2018}\x{2019}'"]\p{WB=Extend}*\x{200d}$/;
	}
	my @pieces = split /\b{wb}/, $text;
	print join(" | ", map {
		join " ", map { sprintf "%x", ord } split //
	} @pieces), "\n";
}
