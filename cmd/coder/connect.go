package main

import "github.com/spf13/cobra"

// connectCommand is for SSH configurations of other command lines, which ask
// with each connection whether a VPN leads to workspaces.
func connectCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "connect", Short: "Ask for a VPN of workspaces, which there is not", Hidden: true}
	cmd.AddCommand(&cobra.Command{
		Use:   "exists HOST",
		Short: "Tell by the exit status that no VPN leads to a host",
		Args:  cobra.ExactArgs(1),
		RunE:  func(*cobra.Command, []string) error { return exitStatus(1) },
	})
	return cmd
}
