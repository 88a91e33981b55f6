# bash completion for unrolld: commands, flags and their choices are asked of
# the program itself.

_unrolld_words() {
	"$1" help 2>/dev/null | awk '/^  [a-z]/ { print $1 }'
}

_unrolld() {
	local exe=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]}
	local before=${COMP_WORDS[COMP_CWORD - 1]} help choices

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_unrolld_words "$exe")" -- "$word")
		return
	fi
	case ${COMP_WORDS[1]} in
	help)
		mapfile -t COMPREPLY < <(compgen -W "$(_unrolld_words "$exe")" -- "$word")
		return
		;;
	sessions)
		if [ "$COMP_CWORD" = 2 ]; then
			mapfile -t COMPREPLY < <(compgen -W "$("$exe" help sessions |
				awk '/^  [a-z]/ { print $1 }')" -- "$word")
			return
		fi
		help=$("$exe" sessions "${COMP_WORDS[2]}" --help 2>/dev/null)
		;;
	*)
		help=$("$exe" help "${COMP_WORDS[1]}" 2>/dev/null)
		;;
	esac
	choices=$(awk -v flag="$before" '{
		for (i = 1; i < NF; i++)
			if ($i == flag && index($(i + 1), "|")) {
				gsub(/\|/, " ", $(i + 1))
				print $(i + 1)
				exit
			}
	}' <<<"$help")
	if [ -n "$choices" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
	elif [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(grep -oE '^ +(-., )?--(\[no-\])?[a-z][a-z0-9._-]*' \
			<<<"$help" | sed 's/.*--\(\[no-\]\)\?/--/')" -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}

complete -o filenames -F _unrolld unrolld
