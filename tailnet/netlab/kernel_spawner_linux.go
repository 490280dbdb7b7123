package netlab

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
)

// spawner starts processes from one thread that lives as long as the lab. They
// ask the kernel to be killed when that thread ends, so that they do not
// outlive a test process that is killed.
type spawner struct {
	jobs  chan func()
	stop  chan struct{}
	ended chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), stop: make(chan struct{}), ended: make(chan struct{})}
	go s.run()
	return s
}

// run never unlocks its thread, which therefore ends with it.
func (s *spawner) run() {
	runtime.LockOSThread()
	defer close(s.ended)
	for {
		select {
		case job := <-s.jobs:
			job()
		case <-s.stop:
			return
		}
	}
}

// start is cmd.Start in a namespace.
func (s *spawner) start(ns *namespace, cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done := make(chan error, 1)
	select {
	case s.jobs <- func() { done <- ns.do(cmd.Start) }:
		return <-done
	case <-s.ended:
		return errors.New("the lab is closed")
	}
}

// close ends the thread. It is called once.
func (s *spawner) close() {
	close(s.stop)
	<-s.ended
}
