"""How bash, zsh and fish ask for what can be typed, where click's own ways fall short."""

from __future__ import annotations

from click.shell_completion import BashComplete, FishComplete, ZshComplete, add_completion_class


class _Bash(BashComplete):
    def get_completion_args(self) -> tuple[list[str], str]:
        """bash parts ``--model=ti`` into three words, and puts what is offered after the sign."""
        words, begun = super().get_completion_args()
        return [word for word in words if word != "="], begun


class _Zsh(ZshComplete):
    # of --model=ti the part after the sign is meant, and the whole word is replaced
    source_template = (
        ZshComplete.source_template.replace(
            "    response=",
            '    local option=""\n    [[ "${words[CURRENT]}" == --*=* ]] && option="${words[CURRENT]%%%%=*}="\n'
            "    response=",
        )
        .replace('completions+=("$key")', 'completions+=("$option$key")')
        .replace("_path_files", "compset -P '--*='; _path_files")
        # a new user's ~/.zshrc has not started zsh's completion, without which compdef is no command
        .replace("    compdef", "    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }\n    compdef")
    )


class _Fish(FishComplete):
    # names that are offered have commas of their own where several are meant; fish wants --model=tiny for --model=ti
    source_template = (
        FishComplete.source_template.replace('string split ","', 'string split -m1 ","')
        .replace("    for ", "    set -l option (string match -r -- '^--[^=]+=' (commandline -t));\n\n    for ")
        .replace("echo $metadata[2]", 'echo "$option"$metadata[2]')
        .replace("path $metadata[2]", "path $metadata[2] | string replace -r '^' -- \"$option\"")
        .replace("directories $metadata[2]", "directories $metadata[2] | string replace -r '^' -- \"$option\"")
    )


def register() -> None:
    """Have click answer the shells by these."""
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell)
