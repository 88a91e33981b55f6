# Products against the processor's peak of multiply-adds.
[ -x "$programs/bench_kernels" ] ||
	skip "no $programs/bench_kernels: use 'make bench'"
"$programs/bench_kernels"
