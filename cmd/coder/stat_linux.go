package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/agent/stats"
)

// sampleTime is how long processors are watched: the kernel counts the time of
// a machine in steps of 10 ms.
const sampleTime = 250 * time.Millisecond

// amount is how much there is of something, and how much of it is used.
type amount struct {
	Used  float64 `json:"used"`
	Total float64 `json:"total"`
	Unit  string  `json:"unit"` // cores or B
}

// measured is what the table shows.
type measured struct {
	HostCPU         amount `json:"host_cpu"`
	HostMemory      amount `json:"host_memory"`
	HomeDisk        amount `json:"home_disk"`
	ContainerCPU    amount `json:"container_cpu"`
	ContainerMemory amount `json:"container_memory"`
}

func statCommand() *cobra.Command {
	f := &format[measured]{columns: []column[measured]{
		{name: "host cpu", value: func(m measured) string { return m.HostCPU.text("") }},
		{name: "host memory", value: func(m measured) string { return m.HostMemory.text(defaultPrefix) }},
		{name: "home disk", value: func(m measured) string { return m.HomeDisk.text(defaultPrefix) }},
		{name: "container cpu", value: func(m measured) string { return m.ContainerCPU.text("") }},
		{name: "container memory", value: func(m measured) string { return m.ContainerMemory.text(defaultPrefix) }},
	}}
	cmd := &cobra.Command{
		Use:   "stat",
		Short: "Measure what this workspace uses",
		Long: "Measure what the workspace that it runs in uses, for scripts of its metadata too.\n\n" +
			"What a container may use is its limit, else all that the machine has.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := measure(cmd.Context(), stats.Resources{})
			if err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), []measured{m}, nil)
		},
	}
	f.register(cmd)
	cmd.AddCommand(statCPUCommand(), statMemoryCommand(), statDiskCommand())
	return cmd
}

func statCPUCommand() *cobra.Command {
	var f amountFlags
	var host bool
	cmd := &cobra.Command{
		Use:   "cpu",
		Short: "Measure how many processor cores are at work",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sample := stats.Resources{}.CPU
			if host {
				sample = stats.Resources{}.HostCPU
			}
			return f.run(cmd, func() (amount, error) {
				loads, err := loads(cmd.Context(), sample)
				if err != nil {
					return amount{}, err
				}
				return loads[0], nil
			})
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&host, "host", false, "of the machine, and not of the container")
	cmd.Flags().Lookup("prefix").Hidden = true // accepted for compatibility: cores have none
	return cmd
}

func statMemoryCommand() *cobra.Command {
	var f amountFlags
	var host bool
	cmd := &cobra.Command{
		Use:     "mem",
		Aliases: []string{"memory"},
		Short:   "Measure how much memory is used",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			memory := stats.Resources{}.Memory
			if host {
				memory = stats.Resources{}.HostMemory
			}
			return f.run(cmd, func() (amount, error) { return sizeOf(memory()) })
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&host, "host", false, "of the machine, and not of the container")
	return cmd
}

func statDiskCommand() *cobra.Command {
	var f amountFlags
	var path string
	cmd := &cobra.Command{
		Use:   "disk",
		Short: "Measure how much of a disk is used",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd, func() (amount, error) { return sizeOf(stats.Disk(path)) })
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&path, "path", "/", "of the disk that this `path` is on")
	return cmd
}

// measure takes everything at once.
func measure(ctx context.Context, r stats.Resources) (m measured, err error) {
	if m.HomeDisk, err = sizeOf(stats.Disk(home())); err != nil {
		return measured{}, err
	}
	if m.HostMemory, err = sizeOf(r.HostMemory()); err != nil {
		return measured{}, err
	}
	if m.ContainerMemory, err = sizeOf(r.Memory()); err != nil {
		return measured{}, err
	}
	cores, err := loads(ctx, r.HostCPU, r.CPU)
	if err != nil {
		return measured{}, err
	}
	m.HostCPU, m.ContainerCPU = cores[0], cores[1]
	return m, nil
}

// home is the user's, or / as long as there is none.
func home() string {
	dir, err := os.UserHomeDir()
	if err == nil {
		_, err = os.Stat(dir)
	}
	if err != nil {
		return "/"
	}
	return dir
}

// loads watches processors for sampleTime.
func loads(ctx context.Context, samples ...func() (stats.CPU, error)) ([]amount, error) {
	before := make([]stats.CPU, len(samples))
	for i, sample := range samples {
		var err error
		if before[i], err = sample(); err != nil {
			return nil, fmt.Errorf("measure processors: %w", err)
		}
	}
	select {
	case <-time.After(sampleTime):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	all := make([]amount, len(samples))
	for i, sample := range samples {
		after, err := sample()
		if err != nil {
			return nil, fmt.Errorf("measure processors: %w", err)
		}
		used := min(after.Since(before[i]), after.Cores) // limits are for each 100 ms, of which sampleTime has no whole number
		all[i] = amount{Used: used, Total: after.Cores, Unit: "cores"}
	}
	return all, nil
}

func sizeOf(u stats.Usage, err error) (amount, error) {
	return amount{Used: float64(u.Used), Total: float64(u.Total), Unit: "B"}, err
}

// prefixes are those of bytes, each 1024 times the one before.
var prefixes = []string{"", "Ki", "Mi", "Gi", "Ti"}

const defaultPrefix = "Gi"

// text is a, as in 1.2/4 cores (30%), with a prefix of its unit.
func (a amount) text(prefix string) string {
	unit := math.Pow(1024, float64(slices.Index(prefixes, prefix)))
	percent := 0.0
	if a.Total > 0 {
		percent = 100 * a.Used / a.Total
	}
	return fmt.Sprintf("%s/%s %s (%.0f%%)", short(a.Used/unit), short(a.Total/unit), prefix+a.Unit, percent)
}

// short writes a number with one decimal, if it has one.
func short(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// amountFlags are those of a command that prints an amount.
type amountFlags struct{ prefix, output string }

func (f *amountFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.output, "output", "o", "text", "output `format`: text or json")
	cmd.Flags().StringVar(&f.prefix, "prefix", defaultPrefix, "of bytes in the text: "+strings.Join(prefixes[1:], ", "))
}

// run prints an amount; as JSON it is in bytes or cores.
func (f *amountFlags) run(cmd *cobra.Command, measure func() (amount, error)) error {
	if f.output != "text" && f.output != "json" {
		return fmt.Errorf("unknown output format %q, want text or json", f.output)
	}
	if !slices.Contains(prefixes[1:], f.prefix) {
		return fmt.Errorf("--prefix %q: want %s", f.prefix, strings.Join(prefixes[1:], ", "))
	}
	a, err := measure()
	if err != nil {
		return err
	}
	if f.output == "json" {
		return printJSON(cmd.OutOrStdout(), a)
	}
	prefix := f.prefix
	if a.Unit != "B" {
		prefix = ""
	}
	_, err = io.WriteString(cmd.OutOrStdout(), a.text(prefix)+"\n")
	return err
}
