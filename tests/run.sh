#!/bin/bash
# Usage: run.sh OUTPUT_DIR TEST...
# Runs test programs (cmocka, or anything that prints TAP) and scripts (.bats,
# .sh: TAP, or one case by its exit status), each with a time limit; those that
# fail are shown in full. The last line is `N passed, N failed[, N skipped]`.
#
# Programs run side by side. Scripts start daemons and look at clocks: they
# run one at a time, unless they hold a line `# run: parallel`.
set -u

out=$1/results
shift
jobs=${TEST_JOBS:-$(nproc)}
limit=${TEST_TIMEOUT:-300}
started=$SECONDS

# Nothing of the caller's settings may change a result.
for name in $(compgen -e UNROLLD_); do
	[ "$name" = UNROLLD_EXE ] || unset "$name"
done
export LC_ALL=C.UTF-8 TZ=UTC
export VARIANT=${VARIANT:-release}
export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$PWD/tests/tsan.supp}
# What runs the programs: an emulator, where they are another processor's.
runner=${TEST_EMULATOR:-}
# gcc 12's TSan can't map its shadow when addresses are too random.
if [ "$VARIANT" = tsan ] &&
	[ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)" -gt 28 ]; then
	runner="setarch -R"
fi

rm -rf "$out"
mkdir -p "$out"

# Writes NAME.log and NAME.rc; NAME is the test's path with dots for slashes.
run_one() {
	local test=$1 log=$2

	case $test in
	*.bats) set -- bats --formatter tap "$test" ;;
	*.sh) set -- bash "$test" ;;
	*) set -- $runner "$test" ;;
	esac
	timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null
	echo $? >"${log%.log}.rc"
}

# Adds the cases of one finished test to the totals and says how it went.
count_one() {
	local test=$1 log=$2 rc passed failed skipped

	rc=$(cat "${log%.log}.rc" 2>/dev/null || echo 255)
	read -r passed failed skipped < <(awk -v rc="$rc" -v script="$test" '
		/^(not )?ok [0-9]+.*# (SKIP|skip)/ { skipped++; next }
		/^ok [0-9]+/ { passed++ }
		/^not ok [0-9]+/ { failed++ }
		/^1\.\.[0-9]+/ { split($0, plan, /\.\./); planned += plan[2] }
		END {
			seen = passed + failed + skipped
			if (!seen && !planned && rc == 0 && script ~ /\.sh$/)
				passed = seen = planned = 1
			# A crash, a time-out, a test that ran nothing or not all.
			if ((rc != 0 || !seen || seen < planned) && !failed)
				failed++
			print passed + 0, failed + 0, skipped + 0
		}' "$log")
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
	total_skipped=$((total_skipped + skipped))
	if [ "$failed" = 0 ]; then
		echo "ok    $test: $passed passed${skipped:+, $skipped skipped}" |
			sed 's/, 0 skipped//'
		return
	fi
	[ "$rc" = 124 ] || [ "$rc" = 137 ] && rc="$rc, over the limit of $limit s"
	echo "FAIL  $test: $passed passed, $failed failed (exit status $rc)"
	sed 's/^/      | /' "$log"
}

declare -A running=()
total_passed=0 total_failed=0 total_skipped=0

# timeout passes the signal on to the test it watches.
trap 'kill "${!running[@]}" 2>/dev/null' EXIT
trap 'exit 130' INT TERM

log_of() {
	local name=${1//\//.}

	echo "$out/$name.log"
}

start() {
	run_one "$1" "$(log_of "$1")" &
	running[$!]=$1
}

# Waits until at most $1 tests are running.
settle() {
	local pid

	while [ ${#running[@]} -gt "$1" ]; do
		wait -n -p pid
		[ -n "${running[$pid]:-}" ] || continue
		count_one "${running[$pid]}" "$(log_of "${running[$pid]}")"
		unset "running[$pid]"
	done
}

alone=()
for test in "$@"; do
	case $test in
	*.sh | *.bats)
		if ! grep -q '^# run: parallel' "$test"; then
			alone+=("$test")
			continue
		fi
		;;
	esac
	settle $((jobs - 1))
	start "$test"
done
settle 0
for test in ${alone[@]+"${alone[@]}"}; do
	start "$test"
	settle 0
done

if [ $((total_passed + total_failed)) = 0 ]; then
	echo "no test ran" >&2
	total_failed=1
fi
echo "$VARIANT: $((SECONDS - started)) s"
skipped=
[ "$total_skipped" = 0 ] || skipped=", $total_skipped skipped"
echo "$total_passed passed, $total_failed failed$skipped"
[ "$total_failed" = 0 ]
