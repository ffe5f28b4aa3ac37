/** What a shell runs when somebody presses the key. All of them ask `queenctl __complete`. */
export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const
export type Shell = (typeof SHELLS)[number]

export const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# queenctl completion bash > /etc/bash_completion.d/queenctl
_queenctl() {
  local IFS=$'\\n'
  COMPREPLY=($(queenctl __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
  fi
}
complete -F _queenctl queenctl
`,
  zsh: `#compdef queenctl
# queenctl completion zsh > "\${fpath[1]}/_queenctl"
_queenctl() {
  local -a found
  found=("\${(@f)$(queenctl __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found[1]" ]]; then compadd -- $found; else _files; fi
}
compdef _queenctl queenctl
`,
  fish: `# queenctl completion fish > ~/.config/fish/completions/queenctl.fish
function __queenctl_complete
  set -l words (commandline -opc)[2..-1] (commandline -ct)
  set -l found (queenctl __complete -- $words 2>/dev/null)
  if count $found >/dev/null
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c queenctl -f -a '(__queenctl_complete)'
`,
  powershell: `# queenctl completion powershell >> $PROFILE
Register-ArgumentCompleter -Native -CommandName queenctl -ScriptBlock {
  param($word, $ast, $position)
  $words = @($ast.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
  if ($word -eq '') { $words += '' }
  queenctl __complete -- @words 2>$null | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`,
}
