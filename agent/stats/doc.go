// Package stats measures a workspace: who listens on its ports, what it uses of
// processors, memory and disks, and the numbers that an agent has about itself.
//
// What a workspace may use is what its control groups leave of the machine,
// whatever /proc says, which shows a container the whole machine. Of the groups
// from the root of the hierarchy, as far as it can be seen, to that of this
// process, the one with the least counts; of several, the outermost, whose use
// is that of the whole workspace:
//
//	/              memory.max  max
//	└ docker/3f2a  memory.max  8 GiB    ← this one: the container
//	  └ user.slice memory.max  8 GiB
//	    └ ours     memory.max  max
//
// When none has less than the machine it is the root that can be seen, if that
// is not the one of the machine: a container without limits, which can use the
// whole machine and is told what it does use. Else it is the machine.
//
// Both versions of control groups are read, as the kernel's documents
// cgroup-v1 and cgroup-v2 describe them, and Linux only. When what is measured
// is told, and to whom, is left to the caller.
package stats
