//go:build unix

package postgres_test

import (
	"os/exec"
	"syscall"
)

func become(c *exec.Cmd, uid, gid uint32) {
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
}
