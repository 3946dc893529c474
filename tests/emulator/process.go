package emulator

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// grace is how long a process may take to end after SIGTERM.
const grace = 3 * time.Second

type process struct {
	pid     int
	started time.Time
	exited  chan struct{}
	output  safeBuffer
}

// start runs the binary with env and little else of ours, so that a developer's shell does not leak in. The
// child dies with us: Pdeathsig follows the thread that forked, so that thread is held until the child
// ends.
func start(t testing.TB, binary string, env []string) *process {
	t.Helper()
	p := &process{exited: make(chan struct{}), started: time.Now()}
	cmd := exec.Command(binary)
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	home := t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	spawned := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		spawned <- err
		if err == nil {
			cmd.Wait() // an exit code is the test's business only by what it does not answer
			close(p.exited)
		}
	}()
	if err := <-spawned; err != nil {
		t.Fatalf("start %s: %v", binary, err)
	}
	return p
}

func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (p *process) end() {
	if !p.alive() {
		return
	}
	syscall.Kill(p.pid, syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(grace):
		syscall.Kill(p.pid, syscall.SIGKILL)
		<-p.exited
	}
}

func (p *process) logs() string { return p.output.String() }

// cpu sums the time on a processor of all the process's threads, in nanoseconds where the kernel keeps them
// (schedstat), else in the ticks of /proc/PID/stat.
func (p *process) cpu() time.Duration {
	var sum time.Duration
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.pid))
	for _, file := range files {
		b, _ := os.ReadFile(file)
		if ns, _, ok := strings.Cut(string(b), " "); ok {
			n, _ := strconv.ParseInt(ns, 10, 64)
			sum += time.Duration(n)
		}
	}
	if sum > 0 {
		return sum
	}
	return p.ticks()
}

func (p *process) ticks() time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	_, after, _ := bytes.Cut(b, []byte(") ")) // the command name may hold spaces
	fields := strings.Fields(string(after))
	const user, system, tick = 11, 12, 10 * time.Millisecond // fields 14 and 15 of proc(5), 100 Hz
	if len(fields) <= system {
		return 0
	}
	u, _ := strconv.Atoi(fields[user])
	s, _ := strconv.Atoi(fields[system])
	return time.Duration(u+s) * tick
}

// safeBuffer collects output of the child while the test reads it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
