# `unrolld version`: what it runs on.
# run: parallel

load train.bash

setup() {
	train_setup
}

@test "kernels, and OpenBLAS on the core it is told" {
	unrolld version >out
	grep -q "^unrolld [0-9]" out
	grep -Eq "^kernels (generic|avx2|avx512|avx512vnni|avx512bf16)$" out
	grep -Eq "^openblas ([0-9.]+ [A-Za-z0-9]+|none: .*libopenblas)" out
	grep -q "^openblas none" out || {
		OPENBLAS_CORETYPE=Nehalem unrolld version >other
		grep -q "^openblas .* Nehalem$" other
		! grep -q Nehalem out
	}
}

@test "an instruction set by name" {
	UNROLLD_KERNELS=generic unrolld version | grep -q "^kernels generic$"
}
