#!/usr/bin/perl
# Writes src/text/unicode_tables.c from the Unicode data that Perl has:
#   perl src/text/unicode_tables.pl > src/text/unicode_tables.c
# The tables are kept with the sources, so that a checkpoint's tokens don't
# depend on what a machine has installed.
use strict;
use warnings;
no warnings qw(surrogate nonchar non_unicode);
use Unicode::UCD qw(prop_invmap);

# In the order of enum unicode_break in unicode.h.
my %break = (Other => 0, CR => 1, LF => 2, Newline => 3, WSegSpace => 4,
	Extend => 5, ZWJ => 6, Format => 7, ALetter => 8, Hebrew_Letter => 9,
	Numeric => 10, Katakana => 11, ExtendNumLet => 12, MidLetter => 13,
	MidNum => 14, MidNumLet => 15, Single_Quote => 16, Double_Quote => 17,
	Regional_Indicator => 18, Perl_Tailored_HSpace => 4,
	ExtPict_XX => 19, ExtPict_LE => 8);
my $pictographic = 19;
my ($letter, $number, $space, $upper) = (1 << 5, 2 << 5, 3 << 5, 1 << 7);

my @class = (0) x 0x110000;
my ($starts, $values) = prop_invmap("Word_Break");
for my $i (0 .. $#$starts) {
	my $end = $i < $#$starts ? $starts->[$i + 1] : 0x110000;
	my $value = $break{$values->[$i]} // die "word break $values->[$i]";
	$class[$_] = $value for $starts->[$i] .. $end - 1;
}
# Perl adds to WSegSpace what the standard has elsewhere.
$class[$_] = $break{Other} for 0x09, 0xa0, 0x2007;
$class[0x202f] = $break{ExtendNumLet};
my @lower;
for my $cp (0 .. 0x10ffff) {
	next if $cp >= 0xd800 && $cp < 0xe000;
	my $c = chr $cp;
	$class[$cp] ||= $pictographic if $c =~ /\p{Extended_Pictographic}/;
	$class[$cp] |= $c =~ /\p{L}/ ? $letter : $c =~ /\p{N}/ ? $number
		: $c =~ /\p{White_Space}/ ? $space : 0;
}
($starts, $values, my $format) = prop_invmap("Simple_Lowercase_Mapping");
die $format unless $format =~ /^a/;
for my $i (0 .. $#$starts) {
	next unless $values->[$i];
	my $end = $i < $#$starts ? $starts->[$i + 1] : 0x110000;
	for my $cp ($starts->[$i] .. $end - 1) {
		push @lower, [$cp, $values->[$i] + $cp - $starts->[$i]];
		$class[$cp] |= $upper;
	}
}
# A NUL ends words as a line's end does: it is never within a token.
$class[0] = $break{Newline};

my (%block, @blocks, @pages);
for my $page (0 .. 0x10ff) {
	my $text = join ",", @class[$page * 256 .. $page * 256 + 255];
	push @blocks, $text unless exists $block{$text};
	$block{$text} //= $#blocks;
	push @pages, $block{$text};
}
sub rows {
	my ($per, @values) = @_;
	my $out = "";
	while (my @row = splice @values, 0, $per) {
		$out .= "\t" . join(", ", @row) . ",\n";
	}
	return $out;
}
my $version = Unicode::UCD::UnicodeVersion();
print "/* Unicode $version; written by unicode_tables.pl, not by hand. */\n",
	"#include \"text/unicode.h\"\n\n/* clang-format off */\n",
	"const uint8_t unicode_pages[0x1100] = {\n", rows(16, @pages),
	"};\n\nconst uint8_t unicode_blocks[", scalar @blocks, "][256] = {\n";
print "\t{\n", rows(24, split /,/), "\t},\n" for @blocks;
print "};\n\nconst uint32_t unicode_lower[][2] = {\n";
print rows(4, map { sprintf "{ 0x%x, 0x%x }", @$_ } @lower);
print "};\nconst size_t unicode_n_lower =\n",
	"\tsizeof(unicode_lower) / sizeof(unicode_lower[0]);\n";
