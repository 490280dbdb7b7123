package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
)

// completionScripts write the script of each shell.
var completionScripts = map[string]func(root *cobra.Command, w io.Writer) error{
	"bash": func(root *cobra.Command, w io.Writer) error {
		if err := root.GenBashCompletionV2(w, true); err != nil {
			return err
		}
		_, err := io.WriteString(w, bashWords)
		return err
	},
	"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
	"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
	"zsh":        (*cobra.Command).GenZshCompletion,
}

// bashWords takes the place of a function that needs the package bash-completion,
// which macOS and containers do not have. A word is what blanks part: the names
// that are completed have no quotes.
const bashWords = `
__coder_init_completion()
{
    COMPREPLY=()
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref "$@" cur prev words cword
        return
    fi
    local line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    cword=$((${#words[@]} - 1))
    cur=${words[cword]}
    prev=${words[cword > 0 ? cword - 1 : 0]}
}
`

func completionCommand() *cobra.Command {
	var shell string
	cmd := &cobra.Command{
		Use:   "completion [SHELL]",
		Short: "Print a script that lets a shell complete commands, flags and workspaces",
		Long: "Print a script that lets a shell complete commands, flags and names of workspaces. Without\n" +
			"a shell it is for the one of $SHELL, or PowerShell on Windows. In the start file of the shell:\n\n" +
			"  bash        source <(coder completion bash)\n" +
			"  zsh         source <(coder completion zsh)          # after compinit\n" +
			"  fish        coder completion fish | source\n" +
			"  powershell  coder completion powershell | Out-String | Invoke-Expression",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: []cobra.Completion{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				shell = args[0]
			}
			if shell == "" {
				shell = usualShell(os.Getenv("SHELL"), runtime.GOOS)
			}
			write := completionScripts[shell]
			if write == nil {
				return withHint(fmt.Errorf("no completion for the shell %q", shell), "coder completion bash, zsh, fish or powershell")
			}
			return write(cmd.Root(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&shell, "shell", "s", "", "`name` of the shell, the same as the argument")
	// Its only error is that there is no such flag.
	_ = cmd.RegisterFlagCompletionFunc("shell", cobra.FixedCompletions(cmd.ValidArgs, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// usualShell is the shell whose program $SHELL names. Windows has no such variable,
// but some shells there set it.
func usualShell(program, system string) string {
	if program == "" && system == "windows" {
		return "powershell"
	}
	return strings.TrimSuffix(filepath.Base(program), ".exe")
}
