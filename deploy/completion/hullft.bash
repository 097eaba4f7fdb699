# Completion for bash: source this file, or put it into /usr/share/bash-completion/completions/hullft. What it offers comes
# from the installed hullft's own option tables, so it cannot be out of date.
_hullft() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} choices
  local -a call=("${COMP_WORDS[0]}" "$command")
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --help | sed -n 's/^  \([a-z]*\)  *[a-zA-Z].*/\1/p')" -- "$word")
    return
  fi
  case $command in
    index) [ "$COMP_CWORD" -eq 2 ] && { mapfile -t COMPREPLY < <(compgen -W "build add merge repartition export import info verify search" -- "$word"); return; } ;;&
    bench) [ "$COMP_CWORD" -eq 2 ] && { mapfile -t COMPREPLY < <(compgen -W "cluster finetune index machine throughput" -- "$word"); return; } ;;&
    index | bench) call+=("${COMP_WORDS[2]}") ;;
  esac
  if [[ $before == --* ]]; then  # an option's choices stand in its help: --method hullft|knn|...
    choices=$("${call[@]}" --help 2>/dev/null | sed -n "s/^  $before \([^ ]*|[^ ]*\).*/\1/p")
    [ -n "$choices" ] && { mapfile -t COMPREPLY < <(compgen -W "${choices//|/ }" -- "$word"); return; }
  fi
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$("${call[@]}" --completion 2>/dev/null)" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}
complete -o filenames -F _hullft hullft
