package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stopGrace is how long a component may take to shut down before it is killed.
const stopGrace = 10 * time.Second

// A supervisor runs components as children that share one process group, led by
// the first child, so that a terminal's Ctrl-C reaches only the supervisor.
type supervisor struct {
	dir      string     // working directory of the children, with a log directory in it
	children []*child   // in start order
	failed   chan error // gets an error from each child that ends
}

func newSupervisor(dir string) *supervisor {
	return &supervisor{dir: dir, failed: make(chan error, 8)} // room for every child
}

type child struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has been reaped
}

// start runs this very binary as the component called name.
// The calling goroutine must be locked to its thread: the kernel kills the
// child when that thread ends, which is how no child outlives the supervisor.
func (s *supervisor) start(name string, args ...string) error {
	log, err := os.Create(filepath.Join(s.dir, "log", name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()

	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args = append([]string{"controlplane", name}, args...)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if len(s.children) > 0 {
		cmd.SysProcAttr.Pgid = s.children[0].cmd.Process.Pid
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c := &child{name: name, cmd: cmd, done: make(chan struct{})}
	s.children = append(s.children, c)
	go func() {
		cmd.Wait()
		close(c.done)
		s.failed <- fmt.Errorf("%s ended (%v), see %s", name, cmd.ProcessState, log.Name())
	}()
	return nil
}

// processes returns the process id of each component, for tests that disturb one.
func (s *supervisor) processes() map[string]int {
	ids := map[string]int{}
	for _, c := range s.children {
		ids[c.name] = c.cmd.Process.Pid
	}
	return ids
}

// poll calls ready every 100ms until it succeeds, a child ends or ctx is done.
func (s *supervisor) poll(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%w, last error: %v", context.Cause(ctx), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop ends the children in the reverse of their start order.
func (s *supervisor) stop() {
	for i := len(s.children) - 1; i >= 0; i-- {
		c := s.children[i]
		c.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-c.done:
		case <-time.After(stopGrace):
			c.cmd.Process.Kill()
			<-c.done
		}
	}
}
